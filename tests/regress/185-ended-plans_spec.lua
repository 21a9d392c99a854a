-- What is under way for MTA-STS when a plan ends otherwise. A plan that had failed left lookups and a fetch
-- behind, which outlived the resolver (asan and valgrind see it). A policy that had come in time was lost
-- when the deadline came in the same turn.
local files = require "tests.support.files"
local socket = require "socket"
local sts_world = require "tests.support.sts_world"
local support = require "tests.support"
local lab = support.lab

local it = sts_world.it(it, pending)
local world = sts_world.new("ended.example", 71)
world:domain("good", {})
world:domain("slow", { web = { rate = 150 } }) -- a policy that takes two seconds
world:domain("nullmx", { mx = false, records = "@. MX 0 ." })
world:domain("fetching", { mx = false, records = "@. MX 0 .", web = { rate = 10 } })
world:domain("silent", {})
world:domain("reported", { mx = false,
  records = '@. MX 0 .\n_smtp._tls.@. TXT "v=TLSRPTv1\\; rua=mailto:a\\064b.example"' })

describe("a plan with MTA-STS", function()
  local resolver

  setup(function() world:start() end)
  teardown(function() world:stop() end)
  before_each(function()
    support.reset()
    resolver = support.resolver()
  end)
  after_each(support.close)

  -- Nothing is read for a while, so that what comes meanwhile is in one turn.
  local function pause(seconds)
    lab:rule { name = "pause.example", action = "silent" }
    resolver:plan("pause.example", { deadline = 0.1 }, function() socket.sleep(seconds) end)
  end

  -- A blocking plan fails in the same turn in which a callback closes its resolver.
  local function fail_and_close(label, options)
    lab:rule { name = world:name(label), type = "MX", delay = options.delay, action = options.action }
    pause(0.6)
    resolver:plan(world:name(label), { deadline = options.deadline }, function() resolver:close() end)
    return resolver:plan(world:name(label),
      world:options { sts = options.sts, tlsrpt = true, deadline = options.deadline })
  end

  for record, sts in pairs { ["_mta-sts"] = true, ["_smtp._tls"] = false } do
    it("that fails leaves no lookup of " .. record .. " behind", function()
      lab:rule { name = record .. "." .. world:name "nullmx", action = "silent" }
      local plan, err = fail_and_close("nullmx", { sts = sts, delay = 300 })
      assert.is_nil(plan)
      assert.equal("no_mail", err.code)
    end)

    it("whose deadline comes before the MX leaves no lookup of " .. record .. " behind", function()
      lab:rule { name = record .. "." .. world:name "silent", action = "silent" }
      local plan, err = fail_and_close("silent", { sts = sts, action = "silent", deadline = 0.3 })
      assert.is_nil(plan)
      assert.is_true(err.expired, tostring(err))
    end)
  end

  it("that fails leaves no fetch behind", function()
    local plan, err = fail_and_close("fetching", { sts = true, delay = 300 })
    assert.is_nil(plan)
    assert.equal("no_mail", err.code)
    assert.is_true(world:fetches("fetching") <= 1)
  end)

  it("that fails has the addresses of reports that were known", function()
    lab:rule { name = world:name "reported", type = "MX", delay = 300 }
    local plan, err = resolver:plan(world:name "reported", { tlsrpt = true })
    assert.is_nil(plan)
    assert.equal("no_mail", err.code)
    assert.same({ "mailto:a@b.example" }, err.tlsrpt and err.tlsrpt.rua)
  end)

  it("has the policy that came in the turn of its deadline", function()
    local path = files.path ".sts"
    resolver = support.resolver { sts_cache = path }
    assert.equal("sts", assert(world:plan("good", nil, resolver)).hosts[1].tls)
    local line = assert(files.read(path):match "\n([^\n]+\n)")
    local plan
    resolver:plan(world:name "slow", world:options { deadline = 1 }, function(p) plan = assert(p) end)
    local until_time = socket.gettime() + 0.7
    while socket.gettime() < until_time do
      resolver:process()
      socket.sleep(0.01)
    end
    assert.is_nil(plan)
    -- To read what another process has added takes longer than a turn.
    files.write(path, files.read(path) .. line:rep(200000))
    socket.sleep(4)
    while not plan do resolver:process() end
    assert.equal("sts", plan.hosts[1].tls, tostring(plan.sts_err))
    assert.is_nil(plan.sts_err)
  end)
end)
