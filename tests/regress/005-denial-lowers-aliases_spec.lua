-- Where addresses fail at first, the aliases in front are followed one by one, up to the denial of a
-- further one. That denial was taken for a link: insecure, as behind an NSEC3 chain with too many
-- iterations, it made secure aliases insecure. plan then left out the base domain with the TLSA records:
-- who could have one query dropped could have DANE left out (RFC 7672 section 2.2.2).
local support = require "tests.support"
local lab = support.lab

describe("addresses that fail at first", function()
  before_each(support.reset)
  after_each(support.close)
  teardown(function() lab:clear() end)

  it("leave the aliases as secure as they are", function()
    local found = {}
    for times = 1, 10 do -- how often libunbound asks before it gives up
      lab:clear()
      lab:rule { name = "mx.nsec3iter.example", type = "A", action = "servfail", times = times }
      local resolver = support.resolver { options = { ["qname-minimisation"] = "no" } }
      local p = assert(resolver:plan("[hs2nsec3iter.example]", { network = "ip4", trace = true }))
      local host = p.hosts[1]
      if host.tls ~= "skip" then
        assert.same({ "mx.nsec3iter.example", true, true },
          { host.sni, host.expanded_authentic, host.host_authentic })
        found[p.trace[1].security] = true
      end
    end
    assert.is_true(found.failed)
  end)
end)
