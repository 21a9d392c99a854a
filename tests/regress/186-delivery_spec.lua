-- What comes with the deadline, and what a finalizer does while a result is made. Results that had come were
-- thrown away when a turn had no time for them. A call that a finalizer cancelled was used after it was
-- freed.
local ca = require "tests.support.ca"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

describe("results that have come when the deadline comes", function()
  local issuer = ca.authority { name = "delivery-issuer" }
  local leaf = ca.leaf { name = "delivery", issuer = issuer, names = { "many.delivery.example" } }
  local world, servers = verifying.world("delivery.example", 72), {}
  for index = 1, 12 do servers[index] = { certificates = { leaf } } end
  world:host("many", { tlsa = { ca.tlsa(leaf, 3, 1, 1) }, servers = servers })

  setup(function() world:start() end)
  teardown(function() world:stop() end)
  after_each(support.close)

  it("are judged, though not in one turn", function()
    local resolver = support.resolver { budget = 0.001 }
    local options = { connect_port = world.servers.port, helo = "client.test" }
    assert.is_true(assert(resolver:verify("many.delivery.example", options)).ok)
    options.deadline = 0
    for _ = 1, 5 do
      local report
      resolver:verify("many.delivery.example", options, function(r) report = assert(r) end)
      while not report do resolver:process() end
      for _, connection in ipairs(report.hosts[1].connections) do
        assert.is_true(connection.ok, connection.message)
      end
      assert.is_nil(report.expired)
    end
  end)
end)

describe("a finalizer that runs while the result of a call is made", function()
  after_each(support.close)

  -- Runs `finalize` when garbage is collected.
  local function drop(finalize)
    local newproxy = rawget(_G, "newproxy") -- LuaJIT's tables have no finalizer
    if newproxy then
      getmetatable(newproxy(true)).__gc = finalize
    else
      setmetatable({}, { __gc = finalize })
    end
  end

  -- Delivers with a collector that begins at once and does not stop before its end.
  local function process(resolver)
    local pause, speed = collectgarbage("setpause", 0), collectgarbage("setstepmul", 1000000)
    collectgarbage "restart"
    local ok, err = pcall(resolver.process, resolver)
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", speed)
    return ok, err
  end

  local cases = {
    ["cancels it"] = function(_, handle) handle:cancel() end,
    ["closes the resolver"] = function(resolver) resolver:close() end,
    ["lets the resolver go on"] = function(resolver) resolver:process() end,
  }
  for title, finalize in pairs(cases) do
    it(title .. " does no harm", function()
      for _ = 1, 20 do
        local resolver, count, finalized = support.resolver(), 0, false
        collectgarbage() collectgarbage()
        collectgarbage "stop"
        local handle = resolver:plan("[192.0.2.1]", function(plan, err)
          count = count + 1
          assert(plan or err.code == "closed")
        end)
        drop(function()
          finalized = true
          finalize(resolver, handle)
        end)
        process(resolver)
        collectgarbage()
        assert.is_true(finalized)
        local again = 0
        if title ~= "closes the resolver" then -- the places of calls are in order
          for _ = 1, 3 do resolver:plan("[192.0.2.2]", function() again = again + 1 end) end
          assert.is_true(resolver:wait(5))
          assert.equal(3, again)
        end
        assert.is_true(count <= 1)
        resolver:close()
      end
    end)
  end
end)
