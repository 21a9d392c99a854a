-- A domain one of whose mail hosts has silent servers was an error each time that smtpd asked for it: its
-- lookup ended long after the deadline, and nobody had the outcome, as failures are not in the resolver's
-- cache.
local cjson = require "cjson"
local filter = require "tests.support.filter"
local outcomes = require "nexthop.programs.table.outcomes"
local servers = require "tests.support.server"
local tables = require "tests.support.table"
local uv = require "luv"
local lab = require("tests.lab.lab").shared()

local closers
setup(filter.prepare)
before_each(function() closers = {} end)
after_each(function()
  tables.reset()
  for _, close in ipairs(closers) do close() end
  uv.run "nowait"
end)

-- A server that answers each request with this result, but after the deadline of the table.
local function slow_server(result)
  local path, pipe, handles = servers.path(), uv.new_pipe(false), {}
  local function answer(connection, line)
    local timer = uv.new_timer()
    handles[#handles + 1] = timer
    timer:start(400, 0, function()
      if connection:is_closing() then return end
      connection:write(cjson.encode { id = cjson.decode(line).id, result = result } .. "\n")
    end)
  end
  assert(pipe:bind(path))
  pipe:listen(16, function()
    local connection = uv.new_pipe(false)
    pipe:accept(connection)
    handles[#handles + 1] = connection
    connection:read_start(function(_, chunk)
      for line in (chunk or ""):gmatch "[^\n]+" do answer(connection, line) end
    end)
  end)
  closers[#closers + 1] = function()
    pipe:close()
    for _, handle in ipairs(handles) do
      if not handle:is_closing() then handle:close() end
    end
    os.remove(path)
  end
  return path
end

-- Asks until another answer comes than that of the deadline, and returns it.
local function ask(t, domain)
  assert.matches("^error|.*no answer within", t:check(domain))
  for _ = 1, 300 do
    local answer = t:check(domain)
    if not answer:find "no answer within" then return answer end
  end
  error "no other answer came"
end

local function plan_of(...)
  return { finding = "dane", plan = { domain = "slow.example", ttl = 0, hosts = { ... } } }
end

local dane = { host = "mx.slow.example", tls = "dane", ips = { "192.0.2.1" } }
local silent = {
  host = "silent.slow.example", tls = "skip", ips = {},
  err = { code = "timeout", message = "silent.slow.example: no answer" },
}
local tlsa = {
  host = "silent.slow.example", tls = "skip", ips = { "192.0.2.2" },
  err = { code = "timeout", message = "_25._tcp.silent.slow.example: no answer" },
}

describe("a lookup that ends after the deadline answers later requests with", function()
  it("what the plan of the table's own resolver says", function()
    for _, name in ipairs { "mx2.dane.example", "*.mx2.dane.example" } do
      lab:rule { name = name, action = "silent" }
    end
    local t = tables.start { config = [[
      resolver.timeout = 1
      return { resolver = resolver, deadline = 0.2 }
    ]] }
    assert.equal("found", ask(t, "dane.example"))
    assert.equal(0, t:finish())
  end)

  for name, case in pairs {
    ["`found`"] = { plan_of(dane, silent), "found" },
    ["`not-found`"] = {
      plan_of({ host = "mx.slow.example", tls = "may", ips = { "192.0.2.1" } }, silent), "not-found",
    },
    ["`not-found`, as it is excluded"] = { { skipped = "excluded" }, "not-found" },
    ["an error, as TLSA records could not be looked up"] = {
      plan_of(dane, tlsa), "error|_25._tcp.silent.slow.example: no answer",
    },
  } do
    it(name .. ", with a server", function()
      local text = ("return { socket = %q, deadline = 0.1 }"):format(slow_server(case[1]))
      local path = filter.config(text)
      local t = tables.start { args = { path } }
      assert.equal(case[2], ask(t, "slow.example"))
      assert.equal("ok", t:update())
      assert.equal(case[2], t:check "slow.example")
      -- another source knows nothing of that
      local file = assert(io.open(path, "w"))
      file:write((text:gsub("deadline", "sts = true, deadline")))
      file:close()
      assert.equal("ok", t:update())
      assert.matches("^error|.*no answer within", t:check "slow.example")
      assert.equal(0, t:finish())
    end)
  end

  it("the failure of the deadline, when it failed for now", function()
    local text = "return { socket = %q, deadline = 0.1 }"
    local t = tables.start { config = text:format(slow_server {
      finding = "failure",
      error = { code = "servfail", message = "slow.example: SERVFAIL", permanent = false },
    }) }
    -- 400 ms have passed after six of them, and an answer of the server has come
    for _ = 1, 6 do assert.matches("^error|", t:check "slow.example") end
    assert.equal(0, t:finish())
  end)
end)

describe("the outcomes of lookups", function()
  local plan = { hosts = { { ips = { "192.0.2.1" }, tls = "may" } }, ttl = 0 }

  it("are the newest, and temporary failures replace none of them", function()
    local known = outcomes.new()
    known:add("a.example", plan)
    assert.equal(plan, known:get "a.example".plan)
    known:add("a.example", nil, { code = "servfail", permanent = false })
    known:add("a.example", { expired = true, hosts = { { ips = {}, err = { expired = true } } } })
    assert.equal(plan, known:get "a.example".plan)
    known:add("a.example", nil, { code = "nxdomain", permanent = true })
    assert.equal("nxdomain", known:get "a.example".err.code)
    known:add("b.example", nil, nil, true)
    assert.is_true(known:get "b.example".is_skipped)
    assert.is_nil(known:get "c.example")
  end)

  it("count for a minute, and no longer than their TTL, where they have one", function()
    local known = outcomes.new()
    for ttl, seconds in pairs { [0] = 60, [1] = 1, [59] = 59, [3600] = 60 } do
      known:add("a.example", { hosts = plan.hosts, ttl = ttl })
      local outcome = known:get "a.example"
      assert.equal(seconds * 1000, outcome.ends - outcome.added)
      outcome.ends = outcome.added -- its time is over
      assert.is_nil(known:get "a.example")
    end
  end)

  it("are a thousand at most, and those of a minute", function()
    local known = outcomes.new()
    for i = 1, 1500 do known:add(i .. ".example", plan) end
    assert.is_nil(known:get "500.example")
    assert.equal(plan, known:get "501.example".plan)
    for i = 501, 1500 do known:get(i .. ".example").added = -60000 end
    known:get "1.example"
    assert.same({ {}, {} }, { known.known, known.queue })
  end)
end)
