-- One answer of FORMERR or NOTIMP from a forwarder: libunbound took it for one that knows no EDNS, asked
-- without DO, and every name was `bogus` for a minute.
local nexthop = require "nexthop"
local support = require "tests.support"
local uv = require "luv"
local lab = support.lab

local function is_right(resolver, name)
  local plan, err = resolver:plan(name)
  assert.is_nil(err and err.message)
  for _, host in ipairs(plan.hosts) do
    assert.equal("dane", host.tls)
  end
end

local actions = { "formerr", "notimp", "refused", "silent" }

describe("one wrong answer of a forwarder", function()
  local resolvers
  before_each(function()
    support.reset()
    resolvers = {}
    for _, action in ipairs(actions) do
      resolvers[action] = assert(nexthop.new(lab:forward_options()))
    end
  end)
  after_each(function()
    for _, resolver in pairs(resolvers) do
      resolver:close()
    end
  end)

  for _, action in ipairs(actions) do
    it("changes nothing for other names, the very first one: " .. action, function()
      local resolver = resolvers[action]
      lab:rule { action = action, times = 1 }
      resolver:plan "nodane.example"
      is_right(resolver, "dane.example")
      is_right(resolver, "mxequal.example")
    end)
  end

  -- A while after the last answer, when libunbound may have forgotten what it knew of the forwarder.
  it("changes nothing for other names, later", function()
    for _, action in ipairs(actions) do
      is_right(resolvers[action], "mxcase.example")
    end
    uv.sleep(1500)
    for _, action in ipairs(actions) do
      lab:rule { action = action, times = 1 }
      resolvers[action]:plan "nodane.example"
      is_right(resolvers[action], "dane.example")
      is_right(resolvers[action], "child.example")
    end
  end)
end)
