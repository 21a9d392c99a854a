-- plan: its options, and the plan of a host itself.
local support = require "tests.support"
local planning = require "tests.support.planning"
local lab = support.lab

local exact, field, plain = planning.exact, planning.field, planning.plain

describe("plan,", function()
  local resolver

  before_each(function()
    support.reset()
    resolver = exact()
  end)
  after_each(support.close)
  teardown(function() lab:clear() end)

  local function plan(domain, options)
    return assert(resolver:plan(domain, options))
  end

  describe("option", function()
    it("max_hosts: 20 hosts of 100, the best, the others not asked for", function()
      local p = plan("hundred.example")
      assert.equal(80, p.truncated)
      local prefs = {}
      for number = 1, 20 do
        prefs[number] = number
      end
      assert.same(prefs, field(p.hosts, "pref"))
      assert.equal(0, lab:count("mx21.hundred.example"))
      assert.equal(97, plan("hundred.example", { max_hosts = 3 }).truncated)
      local all = plan("hundred.example", { max_hosts = 100 })
      assert.is_nil(all.truncated)
      assert.equal(100, #all.hosts)
      assert.equal("192.0.2.100", all.hosts[100].ips[2])
    end)

    it("network: one family alone is asked for", function()
      local p = plan("dane.example", { network = "ip4" })
      assert.same({ "192.0.2.1" }, p.hosts[1].ips)
      assert.is_false(p.hosts[1].dualstack)
      assert.equal("dane", p.hosts[1].tls)
      assert.equal(0, lab:count("*", "AAAA"))
      p = plan("mx-only4.example", { network = "ip6" })
      assert.same({ "skip", "not_found" }, { p.hosts[1].tls, p.hosts[1].err.code })
      assert.equal(0, lab:count("only4.example", "A"))
    end)

    it("dialed_ips: the other family first, the same address again first in its own", function()
      local p = plan("dane.example", { dialed_ips = { ["MX1.dane.example."] = { "2001:db8:0::1" } } })
      assert.same({ "192.0.2.1", "2001:db8::1" }, p.hosts[1].ips)
      assert.same({ "2001:db8::2", "192.0.2.2" }, p.hosts[2].ips)
      local last = plan("mx-many.example").hosts[1].ips
      last = last[#last] -- an IPv4 address, the last of twenty
      local ips = plan("mx-many.example", { dialed_ips = { ["many.example"] = { last } } }).hosts[1].ips
      assert.equal(40, #ips)
      assert.truthy(ips[20]:find(":", 1, true))
      assert.equal(last, ips[21])
    end)

    it("dialed_ips: of an implicit MX, by the name the result gives it", function()
      local p = plan("implicitalias.example",
        { dialed_ips = { ["implicit.example"] = { "2001:db8::29" } } })
      assert.same({ "192.0.2.41", "2001:db8::29" }, p.hosts[1].ips)
    end)

    it("port: TLSA of that port", function()
      local p = plan("dane.example", { port = 465 })
      assert.equal("dane", p.hosts[1].tls)
      assert.equal("3 1 2", tostring(p.hosts[1].records[1]):sub(1, 5))
      assert.equal("mx1.dane.example", p.hosts[1].tlsa_base_domain)
      assert.equal("may", p.hosts[2].tls)
      assert.equal(1, lab:count("_465._tcp.mx1.dane.example", "TLSA"))
      assert.equal(0, lab:count("_25._tcp.mx1.dane.example"))
    end)

    it("require_dane: hosts without usable records are left alone", function()
      local function require_dane(domain)
        return plan(domain, { require_dane = true }).hosts
      end
      assert.same({ "dane", "dane" }, field(require_dane("dane.example"), "tls"))
      for _, domain in ipairs { "nodane.example", "mx-t-001.example", "mxinsecure.example",
        "tosecure.insecure.example", "192.0.2.1", "[mx.nodane.example]" } do
        local host = require_dane(domain)[1]
        assert.same({ domain, "skip", "no_dane", false },
          { domain, host.tls, host.err.code, host.err.permanent })
        assert.is_nil(host.sni)
        assert.is_nil(host.names)
      end
      assert.equal("bogus", require_dane("mx-bogustlsa.example")[1].err.code)
    end)

    it("trace: what was asked, in the order of decision", function()
      assert.is_nil(plan("dane.example").trace)
      local asked = {}
      for _, entry in ipairs(plan("mx-hs2insecure.example", { trace = true }).trace) do
        assert.equal("NOERROR", entry.rcode)
        asked[#asked + 1] = table.concat(
          { entry.name, entry.type, entry.security, entry.section }, " ")
      end
      if asked[2]:find("AAAA") then
        asked[2], asked[3] = asked[3], asked[2]
      end
      assert.same({
        "mx-hs2insecure.example MX secure RFC 7672 2.2.1",
        "hs2insecure.example A insecure RFC 7672 2.2.2",
        "hs2insecure.example AAAA insecure RFC 7672 2.2.2",
        "hs2insecure.example CNAME secure RFC 7672 2.2.2", -- 2.1.3: the alias on its own
        "_25._tcp.hs2insecure.example TLSA secure RFC 7672 2.2.3",
      }, asked)
    end)

    it("trace: denials, failures, host after host", function()
      lab:rule { name = "mx2.dane.example", type = "AAAA", action = "servfail" }
      local trace = plan("dane.example", { trace = true }).trace
      local order, failed = {}, 0
      for _, entry in ipairs(trace) do
        order[#order + 1] = entry.name:match("mx%d")
        if entry.security == "failed" then
          failed = failed + 1
          assert.same({ "mx2.dane.example", "AAAA", "SERVFAIL" },
            { entry.name, entry.type, entry.rcode })
        end
      end
      assert.same({ "mx1", "mx1", "mx1", "mx2", "mx2", "mx2" }, order)
      assert.equal(1, failed)
      trace = plan("nodane.example", { trace = true }).trace
      assert.same({ "TLSA", "NXDOMAIN", "secure" },
        { trace[#trace].type, trace[#trace].rcode, trace[#trace].security })
      trace = plan("mx-bogustlsa.example", { trace = true }).trace
      assert.same({ "TLSA", "bogus" }, { trace[4].type, trace[4].security })
    end)
  end)

  describe("deadline", function()
    it("comes: what is known stays, unfinished hosts are skip", function()
      lab:rule { name = "mx.child.example", action = "silent" }
      lab:rule { name = "_25._tcp.mx.nodane.example", action = "silent" }
      local started = os.time()
      -- A silent lookup ends after 10 s, and the deadline must come before.
      local p = assert(resolver:plan("mxeverywhere.example", { deadline = math.min(1.5 * support.slow, 6) }))
      assert.is_true(os.time() - started < 10 * support.slow)
      local found = {}
      for index, host in ipairs(p.hosts) do
        found[index] = { host.host, host.tls, host.err and host.err.code or "", #host.ips }
      end
      assert.same({
        { "mx1.dane.example", "dane", "", 2 },
        { "mx.nodane.example", "skip", "timeout", 2 },
        { "mx.child.example", "skip", "timeout", 0 },
        { "mx.insecure.example", "may", "", 2 },
        { "mx.broken.example", "skip", "bogus", 0 },
        { "nothing.example", "skip", "not_found", 0 },
      }, found)
      assert.is_nil(p.hosts[2].sni)
      assert.same({ "mx1.dane.example", "mxeverywhere.example" }, p.hosts[1].names)
    end)

    it("comes before the hosts are known: an error", function()
      lab:rule { name = "dane.example", type = "MX", action = "silent" }
      local started = os.time()
      support.failed("timeout", resolver:plan("dane.example", { deadline = 0.5 }))
      assert.is_true(os.time() - started < 10)
    end)

    it("does not come: a host that is slow is waited for", function()
      lab:rule { name = "mx1.dane.example", type = "A", action = "pass", delay = 100 }
      local p = assert(resolver:plan("dane.example", { deadline = 20 }))
      assert.same({ "dane", "dane" }, field(p.hosts, "tls"))
      assert.equal("192.0.2.1", p.hosts[1].ips[2])
    end)
  end)

  describe("of a host itself", function()
    it("in brackets: no MX is asked for", function()
      local p = plan("[MX1.dane.example]")
      assert.same({ "mx1.dane.example", false, "mx1.dane.example", -1, "dane" },
        { p.domain, p.have_mx, p.hosts[1].host, p.hosts[1].pref, p.hosts[1].tls })
      assert.same({ "mx1.dane.example" }, p.hosts[1].names)
      assert.equal(0, lab:count("*", "MX"))
      p = plan("[dane.example]") -- has MX records, no addresses
      assert.same({ "skip", "not_found" }, { p.hosts[1].tls, p.hosts[1].err.code })
      assert.equal(0, lab:count("*", "MX"))
    end)

    it("in brackets, an alias: both names are reference identifiers, or the alias alone", function()
      local host = plan("[mx20.com.example]").hosts[1]
      assert.same({ "dane", "mxbackup.net.example" }, { host.tls, host.sni })
      assert.same({ "mxbackup.net.example", "mx20.com.example" }, host.names)
      host = plan("[hs2insecure.example]").hosts[1]
      assert.same({ "dane", "hs2insecure.example" }, { host.tls, host.sni })
      assert.same({ "hs2insecure.example" }, host.names)
    end)

    it("by address: nothing is asked", function()
      for literal, address in pairs {
        ["192.0.2.1"] = "192.0.2.1", ["[192.0.2.1]"] = "192.0.2.1",
        ["[IPv6:2001:DB8:0:0::1]"] = "2001:db8::1", ["2001:db8::1"] = "2001:db8::1",
      } do
        local p = plan(literal)
        local host = plain(p.hosts[1])
        assert.same({ address, false, false, 1 }, { p.domain, p.have_mx, p.mx_authentic, #p.hosts })
        assert.is_nil(p.expanded_next_hop)
        assert.same({ address, -1, { address }, "may", false }, { host.host, host.pref, host.ips,
          host.tls, host.dane_required })
        assert.same({}, { host.names, host.sni, host.tlsa_base_domain, host.err, host.ttl })
      end
      assert.equal(0, lab:total())
    end)
  end)
end)
