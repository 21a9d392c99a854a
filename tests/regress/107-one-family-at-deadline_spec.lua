-- AAAA was never answered and the deadline came: the host was `skip` without an address, though A had been
-- answered, securely.
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

-- family: the one that is silent; failed: its key of `failed`; rest: the address that is left.
local function has_the_other(options, family, failed, rest)
  local resolver = assert(nexthop.new(options))
  assert(resolver:plan "nodane.example") -- the keys
  lab:rule { name = "mx2.dane.example", type = family, action = "silent" }
  local plan, err = resolver:plan("dane.example", { deadline = 1 * support.slow })
  assert.is_nil(err and err.message)
  local host = plan.hosts[2]
  assert.equal("mx2.dane.example", host.host)
  assert.equal("dane", host.tls)
  assert.same({ rest }, host.ips)
  assert.equal("timeout", host.failed[failed].code)
  resolver:close()
end

describe("a deadline while one family is still out", function()
  before_each(support.reset)

  it("leaves the other family's addresses and verdict: AAAA, of name servers", function()
    has_the_other(lab:options(), "AAAA", "ip6", "192.0.2.2")
  end)

  it("leaves the other family's addresses and verdict: AAAA, of a forwarder", function()
    has_the_other(lab:forward_options(), "AAAA", "ip6", "192.0.2.2")
  end)

  it("leaves the other family's addresses and verdict: A, of a forwarder", function()
    has_the_other(lab:forward_options(), "A", "ip4", "2001:db8::2")
  end)
end)
