-- The keys of a zone could not be fetched: `bogus`, as if somebody had forged its answers, and behind a
-- forwarder "returns no DNSSEC records". It is a failure that passes.
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

local function failed(result, err)
  assert.is_nil(result)
  assert.equal("servfail", err.code)
  assert.is_false(err.permanent)
  assert.is_nil(err.message:find("no DNSSEC records", 1, true))
  return err
end

describe("keys that cannot be fetched", function()
  before_each(support.reset)
  after_each(support.close)

  for _, action in ipairs { "servfail", "refused" } do
    it("are no bogus answer: " .. action, function()
      local resolver = support.resolver()
      lab:rule { name = "child.example", type = "DNSKEY", action = action }
      local err = failed(resolver:plan "child.example")
      support.contains(err.message, "child.example")
      -- what libunbound remembers is the same
      failed(resolver:gather_destinations "alias.child.example")
      assert.equal(0, resolver:stats().bogus)
    end)
  end

  it("are none for a host either", function()
    local resolver = support.resolver()
    lab:rule { name = "child.example", type = "DNSKEY", action = "servfail" }
    local plan = assert(resolver:plan "mx-hs2child.example")
    assert.equal("skip", plan.hosts[1].tls)
    assert.equal("servfail", plan.hosts[1].err.code)
  end)

  for _, type in ipairs { "DNSKEY", "DS" } do
    it("are none behind a forwarder that fails at the start: " .. type, function()
      local resolver = assert(nexthop.new(lab:forward_options()))
      local rule = lab:rule { type = type, action = "servfail" }
      failed(resolver:plan "dane.example")
      lab:unrule(rule)
      resolver:close()
    end)
  end
end)
