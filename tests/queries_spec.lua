-- How many questions the usual way costs upstream.
local support = require "tests.support"
local lab = support.lab

local plain_names = { options = { ["qname-minimisation"] = "no" } }

-- The whole way of a domain, one call after the other.
local function gather(resolver, domain)
  local found = {}
  for index, host in ipairs(assert(resolver:gather_destinations(domain)).hosts) do
    local ips = assert(resolver:gather_ips(host.host))
    found[index] = assert(resolver:gather_tlsa(host.host, ips))
  end
  return found
end

describe("The queries upstream", function()
  before_each(support.reset)
  after_each(support.close)

  it("are seven for two MX hosts with DANE, the trust chain cached", function()
    local resolver = support.resolver(plain_names)
    assert(resolver:gather_destinations("implicit.example"))
    lab:reset()
    local found = gather(resolver, "dane.example")
    assert.equal(2, #found)
    assert.is_true(found[1].dane_required and found[2].dane_required)
    assert.same({
      ["dane.example MX"] = 1,
      ["mx1.dane.example A"] = 1, ["mx1.dane.example AAAA"] = 1,
      ["_25._tcp.mx1.dane.example TLSA"] = 1,
      ["mx2.dane.example A"] = 1, ["mx2.dane.example AAAA"] = 1,
      ["_25._tcp.mx2.dane.example TLSA"] = 1,
    }, lab:counts())
  end)

  it("are none for what is in the cache", function()
    local resolver = support.resolver(plain_names)
    gather(resolver, "dane.example")
    lab:reset()
    gather(resolver, "dane.example")
    assert.equal(0, lab:total())
  end)

  it("are few through a forwarder too", function()
    local nexthop = require "nexthop"
    local resolver = assert(nexthop.new(lab:forward_options()))
    assert(resolver:gather_destinations("implicit.example"))
    lab:reset()
    local found = gather(resolver, "dane.example")
    resolver:close()
    assert.equal(2, #found)
    assert.equal(7, lab:total())
  end)

  it("are none for an address literal", function()
    local resolver = support.resolver(plain_names)
    gather(resolver, "[192.0.2.1]")
    assert.equal(0, lab:total())
  end)

  it("are one for a domain that takes no mail", function()
    local resolver = support.resolver(plain_names)
    support.failed("no_mail", resolver:gather_destinations("nullmx.example"))
    assert.equal(1, lab:count("nullmx.example", "MX"))
    assert.equal(1, lab:count("nullmx.example"))
    assert.equal(0, lab:count("*", "TLSA"))
  end)
end)
