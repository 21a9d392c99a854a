-- Above a bogus name a DNAME was asked for at each name: a hundred questions, one after the other, for one
-- name, whose server may take seconds for each.
local support = require "tests.support"
local lab = support.lab

describe("a bogus name of a hundred labels", function()
  before_each(support.reset)
  after_each(support.close)

  it("is given up after a few questions", function()
    local deep = ("a."):rep(100) .. "deep.example"
    lab:add_zones { { name = "deep.example", text = deep .. ". A 192.0.2.9\n" } }
    lab:rule { name = deep, action = "corrupt" }
    local resolver = support.resolver { options = { ["qname-minimisation"] = "no" } }
    support.failed("bogus", resolver:gather_ips(deep, { network = "ip4" }))
    local lookups = resolver:stats().lookups
    assert.is_true(lookups <= 30, lookups .. " lookups")
  end)
end)
