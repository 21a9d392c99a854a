-- The only server of a zone needed 0.8 s for each answer: libunbound asked twice, gave up after 0.75 s, and
-- the name was `servfail`, or `bogus` when it was the zone's key that it had not waited for.
local support = require "tests.support"
local lab = support.lab

describe("a server that is slow", function()
  before_each(support.reset)
  after_each(support.close)

  it("is waited for, at the first try", function()
    local resolver = support.resolver()
    lab:rule { name = "child.example", type = "MX", delay = 800 }
    lab:rule { name = "child.example", type = "DNSKEY", delay = 800 }
    local result, err = resolver:gather_destinations "child.example"
    assert.is_nil(err and err.message)
    assert.equal("mx.child.example", result.hosts[1].host)
    assert.is_true(result.orig_next_hop_authentic)
  end)

  it("is waited for when it has answered at once before", function()
    local resolver = support.resolver()
    assert(resolver:gather_destinations "dane.example")
    lab:rule { name = "nodane.example", delay = 1000 }
    local result, err = resolver:gather_destinations "nodane.example"
    assert.is_nil(err and err.message)
    assert.equal("mx.nodane.example", result.hosts[1].host)
  end)
end)
