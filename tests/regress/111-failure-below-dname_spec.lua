-- What failed below a DNAME counted as insecure. The aliases of a failed lookup are followed one by one
-- with questions of type CNAME. libunbound 1.17 cannot say for a name below a DNAME whether that is
-- secure: nobody signs the synthesised CNAME, so it looks whether there is an insecure delegation, and
-- where denials are insecure, as with too many NSEC3 iterations (RFC 9276 section 3.2), it finds one. The
-- DNAME is what is signed (RFC 6672 section 5.3.1).
local support = require "tests.support"
local lab = support.lab

local TLSA = "TLSA 3 1 1 ${server.spki.sha256}\n"

-- In the zones of each kind.
local text = [[
bogus A 192.0.2.1
_tcp.bogus DNAME _tcp.x.b.sec.
failing A 192.0.2.1
_tcp.failing DNAME _tcp.x.f.sec.
middle A 192.0.2.1
_25._tcp.middle CNAME _25._tcp.y.step
step DNAME x.f.sec.
broken DNAME leaves.ins.
good DNAME leaves.sec.
many A 192.0.2.1
_25._tcp.many CNAME t0
t0 CNAME t1
t1 CNAME t2
t2 CNAME t3
t3 CNAME t4
t4 CNAME t5
t5 CNAME x.below
below DNAME behind
x.behind CNAME t6
t6 CNAME t7
t7 CNAME t8
t8 CNAME t9
t9 CNAME t10
t10 ]] .. TLSA

local kinds = {
  nsec = { nsec3 = nil },
  optout = { nsec3 = { iterations = 1, optout = true } },
  ["600"] = { nsec3 = { iterations = 600 } },
  ["2000"] = { nsec3 = { iterations = 2000 } },
}

describe("a failure below a DNAME", function()
  local stub

  setup(function()
    local zones = {
      { name = "sec", text = "" },
      { name = "b.sec", text = "_25._tcp.x " .. TLSA, corrupt = { ["*"] = true } },
      { name = "f.sec", text = "_25._tcp.x " .. TLSA .. "_25._tcp.y.x " .. TLSA },
      { name = "leaves.sec", text = "mx MX 10 ok\nok A 192.0.2.1\nok AAAA 2001:db8::1\n"
        .. "_25._tcp.ok " .. TLSA },
      { name = "ins", signed = false, text = "mail.leaves MX 10 mail.leaves\n"
        .. "mail.leaves A 192.0.2.1\n" },
    }
    for kind, zone in pairs(kinds) do
      zones[#zones + 1] = { name = "below" .. kind, text = text, nsec3 = zone.nsec3,
        corrupt = { ["broken.below" .. kind .. ". DNAME"] = true } }
    end
    lab:add_zones(zones)
    stub = lab:stub()
    for _, zone in ipairs(zones) do
      stub[zone.name .. "."] = lab.address
    end
  end)
  before_each(function()
    support.reset()
    lab:rule { name = "*.f.sec", action = "servfail" }
  end)
  after_each(support.close)
  teardown(function() lab:clear() end)

  local function each(check)
    for _, minimise in ipairs { "no", "yes" } do
      check(support.resolver { stub = stub, options = { ["qname-minimisation"] = minimise } })
    end
  end

  for kind in pairs(kinds) do
    local zone = ".below" .. kind

    local function skips(host)
      each(function(resolver)
        local found = assert(resolver:plan("[" .. host .. zone .. "]")).hosts[1]
        assert.same({ "skip", false }, { found.tls, found.err ~= nil and found.err.permanent })
      end)
    end

    it("is one where TLSA names lead: " .. kind, function()
      skips("bogus")
      skips("failing")
      skips("middle")
    end)
    it("is one behind more aliases than are followed: " .. kind, function()
      skips("many")
    end)
    it("is one of the alias itself: " .. kind, function()
      skips("mail.broken")
      each(function(resolver)
        support.failed("bogus", resolver:plan("mail.broken" .. zone))
      end)
    end)
    it("makes no secure MX insecure: " .. kind, function()
      lab:rule { name = "mx.good" .. zone, type = "MX", action = "servfail" }
      each(function(resolver)
        assert.equal("dane", assert(resolver:plan("mx.good" .. zone)).hosts[1].tls)
      end)
    end)
    it("makes no secure host insecure: " .. kind, function()
      lab:rule { name = "ok.good" .. zone, type = "A", action = "servfail" }
      lab:rule { name = "ok.good" .. zone, type = "AAAA", action = "servfail" }
      each(function(resolver)
        local tls = assert(resolver:plan("[ok.good" .. zone .. "]")).hosts[1].tls
        assert(tls == "dane" or tls == "skip", tls)
      end)
    end)
  end
end)
