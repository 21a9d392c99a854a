-- The network was away for some seconds, in which names were asked: when it was back, every lookup failed at
-- once, for up to a minute.
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

local names = { "dane.example", "nodane.example", "nullmx.example", "mxequal.example", "mxinsecure.example" }

describe("after an outage of the network", function()
  before_each(support.reset)

  it("names are answered again, by name servers and by a forwarder", function()
    local resolvers = { assert(nexthop.new(lab:options())), assert(nexthop.new(lab:forward_options())) }
    local outage = lab:rule { action = "silent" }
    for _, resolver in ipairs(resolvers) do
      for _, name in ipairs(names) do
        resolver:gather_destinations(name, { deadline = 5 }, function(result)
          assert.is_nil(result)
        end)
      end
    end
    while resolvers[1]:pending() + resolvers[2]:pending() > 0 do
      for _, resolver in ipairs(resolvers) do resolver:wait(0.01) end
    end
    lab:unrule(outage)
    for _, resolver in ipairs(resolvers) do
      for _, name in ipairs { "mxeverywhere.example", "dane.example" } do
        local result, err = resolver:gather_destinations(name, { deadline = 5 * support.slow })
        assert.is_nil(err and err.message)
        assert.is_true(result.orig_next_hop_authentic)
      end
      resolver:close()
    end
  end)
end)
