-- A forwarder that had answered at once and then needed 1.4 s for each answer. The time that libunbound gives
-- it doubles from 50 ms on, and the fifth try, its last, gave it 0.8 s. The lookup went on in a new context,
-- which had to fetch all keys, at 1.4 s for each, and came to its end after 10 s.
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

describe("a forwarder that has become slower", function()
  it("is waited for", function()
    support.reset()
    local resolver = assert(nexthop.new(lab:forward_options { timeout = 30 }))
    assert(resolver:plan "dane.example")
    lab:reset()
    lab:rule { name = "*", delay = 1400 }
    local plan = assert(resolver:plan "mxcase.example")
    assert.equal("dane", plan.hosts[1].tls)
    -- The context that knows the keys had the answer. A tool that slows the process down may make it late.
    if support.slow == 1 then assert.equal(0, lab:count(".", "DNSKEY")) end
    resolver:close()
  end)
end)
