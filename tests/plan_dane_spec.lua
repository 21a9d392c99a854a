-- plan and DANE: where TLSA is asked for, which base domain, names and SNI come out, which records
-- remain. RFC 7672 sections 2.2.1 to 2.2.3 and 3.2.2, RFC 7671 section 9.
local support = require "tests.support"
local exact = require("tests.support.planning").exact
local lab = support.lab

-- What the lab lacks: an expanded host without TLSA behind a host that has some, a host with usable
-- records behind one with unusable ones, an alias into a zone whose denials are insecure.
local zone = [[
nodane          HOST 70
alias           CNAME nodane
_25._tcp.alias  TLSA 3 1 1 ${server.spki.sha256}
mx-alias        MX 10 alias
unusable        HOST 71
_25._tcp.unusable TLSA 1 0 1 ${server.cert.sha256}
toward          CNAME unusable
_25._tcp.toward TLSA 3 1 1 ${server.spki.sha256}
mx-toward       MX 10 toward
denied          CNAME ns.nsec3iter.example.
_25._tcp.denied TLSA 3 1 1 ${server.spki.sha256}
mx-denied       MX 10 denied
mx-iterations   MX 10 ns.nsec3iter.example.
neither         CNAME nodane
mx-neither      MX 10 neither
]]

describe("plan, DANE:", function()
  local resolver

  setup(function()
    lab:clear()
    lab:add_zones { { name = "plandane.example", text = zone } }
  end)
  before_each(function()
    support.reset()
    resolver = exact()
  end)
  after_each(support.close)
  teardown(function() lab:clear() end)

  -- The TLSA names that were asked for, by the plan's own account, in its order. (The lab may have seen
  -- others: early questions that were not needed.)
  local function asked(p)
    local names = {}
    for _, entry in ipairs(p.trace) do
      if entry.type == "TLSA" then
        names[#names + 1] = entry.name:gsub("^_25%._tcp%.", "")
      end
    end
    return names
  end

  -- case: title, domain, tls, TLSA asked for at, base domain (nil: none), names
  local function check(case, options)
    local all = { trace = true }
    for key, value in pairs(options or {}) do
      all[key] = value
    end
    local p = assert(resolver:plan(case[2], all))
    local host = p.hosts[1]
    assert.same({ tls = case[3], asked = case[4], sni = case[5], names = case[6] },
      { tls = host.tls, asked = asked(p), sni = host.sni, names = host.names })
    if host.sni then
      assert.equal(host.sni, host.tlsa_base_domain)
    elseif #case[4] == 0 then
      assert.is_nil(host.tlsa_base_domain)
    end
    assert.equal(case[3] == "dane" or case[3] == "encrypt", host.dane_required)
    assert.equal(case[3] == "dane", #host.records > 0)
    return p
  end

  local function cases(list, options)
    for _, case in ipairs(list) do
      it(("%s: %s"):format(case[1], case[3]), function()
        check(case, options)
      end)
    end
  end

  -- RFC 7672 section 3.2.2, and a host that is a secure alias into an unsigned zone (2.2.2).
  it("the example of RFC 7672 3.2.2", function()
    local p = assert(resolver:plan("exchange.org.example", { trace = true }))
    local found = {}
    for index, host in ipairs(p.hosts) do
      found[index] = { host.host, host.pref, host.tls, host.sni, host.names,
        host.expanded_authentic, host.host_authentic }
      assert.equal("2 0 1 ", tostring(host.records[1]):sub(1, 6))
    end
    local function expected(mx, pref, base, whole)
      return { mx, pref, "dane", base, { base, "exchange.org.example", "com.example" }, whole, true }
    end
    assert.same({
      expected("mx10.com.example", 10, "mx10.com.example", true),
      expected("mx15.com.example", 15, "mx15.com.example", true),
      expected("mx20.com.example", 20, "mxbackup.net.example", true),
      expected("mx25.com.example", 25, "mx25.com.example", false),
    }, found)
    -- The expansion first, where it is secure; where it has records the alias is not asked for.
    assert.same({ "mx10.com.example", "mxbackup.com.example", "mx15.com.example",
      "mxbackup.net.example", "mx25.com.example" }, asked(p))
  end)

  describe("an MX host:", function()
    cases {
      { "secure", "mx-only4.example", "dane", { "only4.example" }, "only4.example",
        { "only4.example", "mx-only4.example" } },
      { "IPv6 alone", "mx-only6.example", "dane", { "only6.example" }, "only6.example",
        { "only6.example", "mx-only6.example" } },
      { "one family bogus, the other secure", "mx-bogus4.example", "dane", { "bogus4.example" },
        "bogus4.example", { "bogus4.example", "mx-bogus4.example" } },
      { "no name with TLSA", "nodane.example", "may", { "mx.nodane.example" } },
      { "a name without TLSA", "mx-tlsanodata.example", "may", { "tlsanodata.example" } },
      { "TLSA denied insecurely", "mx-iterations.plandane.example", "may",
        { "ns.nsec3iter.example" } },
      { "no record usable", "mx-t-001.example", "encrypt", { "t-001.example" }, "t-001.example" },
      { "insecure addresses", "mxinsecure.example", "may", {} },
      { "insecure addresses in an unrelated zone", "mxplain.example", "may", {} },
    }
  end)

  describe("an MX host that is an alias:", function()
    cases {
      { "records at its expansion", "mx-hostalias.example", "dane", { "mx1.dane.example" },
        "mx1.dane.example", { "mx1.dane.example", "mx-hostalias.example" } },
      { "records at the alias alone", "mx-alias.plandane.example", "dane",
        { "nodane.plandane.example", "alias.plandane.example" }, "alias.plandane.example",
        { "alias.plandane.example", "mx-alias.plandane.example" } },
      { "no records", "mx-neither.plandane.example", "may",
        { "nodane.plandane.example", "neither.plandane.example" } },
      { "unusable ones at its expansion", "mx-toward.plandane.example", "encrypt",
        { "unusable.plandane.example" }, "unusable.plandane.example" },
      { "an insecure denial at its expansion", "mx-denied.plandane.example", "dane",
        { "ns.nsec3iter.example", "denied.plandane.example" }, "denied.plandane.example",
        { "denied.plandane.example", "mx-denied.plandane.example" } },
      { "secure, into an insecure zone", "mx-hs2insecure.example", "dane",
        { "hs2insecure.example" }, "hs2insecure.example",
        { "hs2insecure.example", "mx-hs2insecure.example" } },
      { "secure, insecure, to secure addresses", "mx-hs2i2s.example", "dane",
        { "hs2i2s.example" }, "hs2i2s.example", { "hs2i2s.example", "mx-hs2i2s.example" } },
    }
  end)

  describe("a TLSA name that is an alias:", function()
    cases {
      { "secure", "mx-ts2child.example", "dane", { "ts2child.example" }, "ts2child.example",
        { "ts2child.example", "mx-ts2child.example" } },
      { "into an insecure zone", "mx-ts2insecure.example", "may", { "ts2insecure.example" } },
      { "secure, insecure, to secure records", "mx-ts2i2s.example", "may", { "ts2i2s.example" } },
      { "to nothing", "[tdangling.example]", "may", { "tdangling.example" } },
    }
  end)

  describe("the MX:", function()
    cases {
      { "behind a secure alias", "alias.example", "dane", { "mx1.dane.example", "mx2.dane.example" },
        "mx1.dane.example", { "mx1.dane.example", "alias.example", "dane.example" } },
      { "insecure", "tosecure.insecure.example", "may", {} },
      { "secure behind an insecure alias", "i2s.insecure.example", "may", {} },
      { "insecure behind a secure alias", "s2insecure.example", "may", {} },
      { "secure behind a secure and an insecure alias", "s2i2s.example", "may", {} },
    }
  end)

  -- The input of 2.2.2 is the domain; its aliases and its addresses are one chain.
  describe("an implicit MX:", function()
    cases {
      { "secure", "implicit.example", "dane", { "implicit.example" }, "implicit.example",
        { "implicit.example" } },
      { "insecure", "implicit.insecure.example", "may", {} },
      { "MX denied insecurely", "implicit.nsec3iter.example", "dane", { "implicit.nsec3iter.example" },
        "implicit.nsec3iter.example", { "implicit.nsec3iter.example" } },
      { "a secure alias", "implicitalias.example", "dane", { "implicit.example" }, "implicit.example",
        { "implicit.example", "implicitalias.example" } },
      { "a secure alias, records at the alias alone", "alias.plandane.example", "dane",
        { "nodane.plandane.example", "alias.plandane.example" }, "alias.plandane.example",
        { "alias.plandane.example" } },
      { "a secure alias, MX denied insecurely", "is2nsec3iter.example", "dane",
        { "implicit.nsec3iter.example" }, "implicit.nsec3iter.example",
        { "implicit.nsec3iter.example", "is2nsec3iter.example" } },
      { "a secure alias into an insecure zone", "is2insecure.example", "dane",
        { "is2insecure.example" }, "is2insecure.example", { "is2insecure.example" } },
      { "secure, insecure, to secure addresses", "is2i2s.example", "dane", { "is2i2s.example" },
        "is2i2s.example", { "is2i2s.example" } },
      { "an insecure alias to secure addresses", "ii2s.insecure.example", "may", {} },
    }

    it("the host is the end of the aliases", function()
      for domain, host in pairs {
        ["implicitalias.example"] = "implicit.example",
        ["is2insecure.example"] = "implicit.insecure.example",
        ["ii2s.insecure.example"] = "implicit.example",
      } do
        local p = assert(resolver:plan(domain))
        assert.same({ false, host, host, -1, 1 },
          { p.have_mx, p.expanded_next_hop, p.hosts[1].host, p.hosts[1].pref, #p.hosts })
      end
    end)
  end)

  describe("insecure_mx = \"dane\":", function()
    cases({
      { "a secure host", "tosecure.insecure.example", "dane", { "mx1.dane.example" },
        "mx1.dane.example", { "mx1.dane.example" } },
      { "an insecure alias to a secure MX", "i2s.insecure.example", "dane",
        { "mx1.dane.example", "mx2.dane.example" }, "mx1.dane.example", { "mx1.dane.example" } },
      { "an insecure host", "insecure.example", "may", {} },
      { "a host that is an insecure alias", "mx-hi2s.insecure.example", "may", {} },
      { "a secure MX keeps its names", "mx-only4.example", "dane", { "only4.example" },
        "only4.example", { "only4.example", "mx-only4.example" } },
      { "an implicit MX behind an insecure alias", "ii2s.insecure.example", "may", {} },
    }, { insecure_mx = "dane" })

    it("each host for itself", function()
      local p = assert(resolver:plan("mixed.insecure.example", { insecure_mx = "dane", trace = true }))
      assert.same({ "may", "dane" }, { p.hosts[1].tls, p.hosts[2].tls })
      assert.same({ "mx1.dane.example" }, asked(p))
      assert.is_false(p.mx_authentic)
      lab:reset()
      p = assert(resolver:plan("mixed.insecure.example", { insecure_mx = "may", trace = true }))
      assert.same({ "may", "may" }, { p.hosts[1].tls, p.hosts[2].tls })
      assert.same({}, asked(p))
    end)
  end)

  -- An address out of the resolver's own configuration is insecure, whatever the zone.
  describe("one family secure, the other insecure:", function()
    local function with(name, kind, address)
      resolver = exact {
        ["local-zone"] = name .. ". typetransparent",
        ["local-data"] = ("%s. %s %s"):format(name, kind, address),
      }
    end

    it("TLSA is asked for", function()
      for kind, address in pairs { AAAA = "2001:db8::99", A = "192.0.2.99" } do
        lab:reset()
        with("mx1.dane.example", kind, address)
        local host = check({ "", "dane.example", "dane", { "mx1.dane.example", "mx2.dane.example" },
          "mx1.dane.example", { "mx1.dane.example", "dane.example" } }).hosts[1]
        assert.same({ kind == "AAAA", kind == "A", false },
          { host.ip4_authentic, host.ip6_authentic, host.expanded_authentic })
        assert.equal(address, host.ips[kind == "AAAA" and 1 or 2])
      end
    end)

    it("behind a secure alias: the expansion first", function()
      with("nodane.plandane.example", "AAAA", "2001:db8::99")
      check { "", "mx-alias.plandane.example", "dane",
        { "nodane.plandane.example", "alias.plandane.example" }, "alias.plandane.example",
        { "alias.plandane.example", "mx-alias.plandane.example" } }
    end)
  end)

  describe("records:", function()
    local function records(domain, digests)
      local host = assert(resolver:plan(domain, { digests = digests })).hosts[1]
      local found = { tls = host.tls }
      for _, list in ipairs { "records", "weaker", "unusable" } do
        local texts = {}
        for index, record in ipairs(host[list]) do
          texts[index] = ("%d %d %d"):format(record.usage, record.selector, record.match_type)
        end
        table.sort(texts)
        found[list] = table.concat(texts, ", ")
      end
      return found
    end

    local agility = {
      { "the strongest digest alone", "mx-t-agility.example", nil, "3 1 2", "3 1 1", "" },
      { "full data beside it", "mx-t-agility-full.example", nil, "3 1 0, 3 1 2", "3 1 1", "" },
      { "per usage and selector", "mx-t-agility-perusage.example", nil,
        "2 0 1, 3 0 1, 3 1 2", "3 1 1", "" },
      { "unusable ones are out before", "mx-t-agility-badstrong.example", nil, "3 1 1", "", "3 1 2" },
      { "usages 0 and 1, short data are out", "mx-t-mixed.example", nil,
        "2 0 1, 3 1 1", "", "1 0 1, 3 1 1" },
      { "the order of digests is the caller's", "mx-t-agility.example", { 1, 2 },
        "3 1 1", "3 1 2", "" },
      { "a digest not named is unusable", "mx-t-agility.example", { 1 }, "3 1 1", "", "3 1 2" },
      { "full data needs no digest", "mx-t-agility-full.example", { 1 }, "3 1 0, 3 1 1", "", "3 1 2" },
      { "full data alone", "mx-t-300.example", { 1 }, "3 0 0", "", "" },
    }
    for _, case in ipairs(agility) do
      it(case[1], function()
        assert.same({ tls = "dane", records = case[4], weaker = case[5], unusable = case[6] },
          records(case[2], case[3]))
      end)
    end

    it("none left: TLS without verification", function()
      assert.same({ tls = "encrypt", records = "", weaker = "", unusable = "3 1 1" },
        records("mx-only4.example", { 2 }))
      assert.same({ tls = "encrypt", records = "", weaker = "",
        unusable = "0 0 1, 3 0 0, 3 1 1, 3 2 1" }, records("mx-t-allbad.example"))
    end)
  end)
end)
