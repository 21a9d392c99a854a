-- Names that exist were refused for good, as no host names: labels with "--" at their third and fourth
-- place, labels that begin with "xn--" and decode to nothing, underscores in a mail domain and behind an
-- alias. IDNA has no say in a name that is ASCII already; the DNS says what exists.
local nexthop = require "nexthop"
local policy = require "nexthop.policy"
local domains_of_rspamd = require "nexthop.rspamd.domains"
local filter = require "tests.support.filter"
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

-- Addresses that the whole Internet could reach (RFC 7535): the filter finds nothing wrong with them.
local zone = { name = "odd.example", text = [[
ab--c           MX 10 mx--in
mx--in          A 192.31.196.11
_25._tcp.mx--in TLSA 3 1 1 ${server.spki.sha256}
r3---sn-abc     MX 10 r3---sn-mx
r3---sn-mx      A 192.31.196.12
_25._tcp.r3---sn-mx TLSA 2 0 1 ${ca.cert.sha256}
foo_bar         MX 10 mx_1
mx_1            A 192.31.196.13
_25._tcp.mx_1   TLSA 2 0 1 ${ca.cert.sha256}
xn--0           MX 10 xn--a
xn--a           A 192.31.196.14
_25._tcp.xn--a  TLSA 3 1 1 ${server.spki.sha256}
_               A 192.31.196.15
_25._tcp._      TLSA 3 1 1 ${server.spki.sha256}
alias           CNAME foo_bar
ali--as         CNAME ab--c
hostalias       MX 10 h--a
h--a            CNAME mx_1
dname--d        DNAME odd_names
ab--c.odd_names MX 10 mx--in
xn--bcher-kva   MX 10 mx--in
r3---sn.xn--bcher-kva MX 10 mx--in
_a.xn--bcher-kva MX 10 mx--in
xn--0.xn--bcher-kva MX 10 mx--in
]] }

-- A domain, how it may be spelt, its host, and the names that a certificate may bear.
local function of(name)
  return name .. ".odd.example"
end
local domains = {
  { "ab--c", host = "mx--in", names = { "mx--in", "ab--c" } },
  { "r3---sn-abc", spelling = "R3---SN-abc.odd.example.", host = "r3---sn-mx",
    names = { "r3---sn-mx", "r3---sn-abc" } },
  { "foo_bar", spelling = "Foo_Bar.Odd.Example", host = "mx_1", names = { "mx_1", "foo_bar" } },
  { "xn--0", spelling = "XN--0.odd.example", host = "xn--a", names = { "xn--a", "xn--0" } },
  { "_", host = "_", names = { "_" } },
  { "alias", host = "mx_1", names = { "mx_1", "alias", "foo_bar" } },
  { "ali--as", host = "mx--in", names = { "mx--in", "ali--as", "ab--c" } },
  { "hostalias", host = "h--a", names = { "mx_1", "hostalias" } },
  { "ab--c.dname--d", host = "mx--in", names = { "mx--in", "ab--c.dname--d", "ab--c.odd_names" } },
  { "r3---sn.xn--bcher-kva", spelling = "r3---sn.bücher.odd.example", host = "mx--in",
    names = { "mx--in", "r3---sn.xn--bcher-kva" } },
  { "_a.xn--bcher-kva", spelling = "_a.Bücher.odd.example", host = "mx--in",
    names = { "mx--in", "_a.xn--bcher-kva" } },
  { "xn--0.xn--bcher-kva", spelling = "xn--0.bücher.odd.example", host = "mx--in",
    names = { "mx--in", "xn--0.xn--bcher-kva" } },
}

local function all_of(names)
  local all = {}
  for i, name in ipairs(names) do
    all[i] = of(name)
  end
  return all
end

describe("A name that is ASCII already", function()
  setup(function()
    lab:add_zones { zone }
    program.lab = lab
  end)
  before_each(support.reset)
  after_each(function()
    support.close()
    files.remove()
    filter.stop_all()
  end)

  for _, case in ipairs(domains) do
    it("is planned: " .. case[1], function()
      local plan = assert(support.resolver():plan(case.spelling or of(case[1])))
      assert.equal(of(case[1]), plan.domain)
      assert.same({ of(case.host), "dane" }, { plan.hosts[1].host, plan.hosts[1].tls })
      assert.same(all_of(case.names), plan.hosts[1].names)
    end)
  end

  it("is taken by each lookup, bracketed too", function()
    local resolver = support.resolver()
    for _, case in ipairs(domains) do
      local spelling = case.spelling or of(case[1])
      assert.equal(of(case.host), assert(resolver:gather_destinations(spelling)).hosts[1].host)
      local host = of(case.host)
      local ips = assert(resolver:gather_ips(host, { dialed_ips = { [host] = { "192.0.2.1" } } }))
      assert.is_true(ips.authentic)
      assert.is_true(assert(resolver:gather_tlsa(host, ips)).dane_required)
      assert.equal("dane", assert(resolver:plan("[" .. host .. "]")).hosts[1].tls)
    end
  end)

  it("may stand behind aliases that are followed one by one", function()
    lab:rule { name = of "foo_bar", type = "MX", action = "servfail" }
    lab:rule { name = of "ab--c", type = "MX", action = "servfail" }
    for alias, target in pairs { alias = "foo_bar", ["ali--as"] = "ab--c" } do
      local err = support.failed("servfail", support.resolver():gather_destinations(of(alias)))
      assert.same({ true, of(target) }, { err.orig_next_hop_authentic, err.expanded_next_hop })
    end
  end)

  it("is taken by gather_tlsa_names", function()
    assert.same({ of "xn--a", of "mx_1", of "ab--c", of "foo_bar" }, nexthop.gather_tlsa_names {
      have_mx = true, expanded_next_hop_authentic = true, expanded_tlsa_base_domain_authentic = true,
      orig_next_hop = of "AB--c", expanded_next_hop = of "foo_bar",
      orig_tlsa_base_domain = of "mx_1", expanded_tlsa_base_domain = of "XN--a",
    })
  end)

  it("is a domain to policy, and can be excluded", function()
    for _, case in ipairs(domains) do
      local spelling = case.spelling or of(case[1])
      assert.equal(of(case[1]), policy.domain("user@" .. spelling))
      local excluded = assert(policy.exclusions { spelling, "*." .. spelling })
      assert.is_true(excluded(of(case[1])))
      assert.is_true(excluded("a." .. of(case[1])))
      assert.equal(of(case[1]), (domains_of_rspamd.of { domain = spelling, addr = "a@b" }))
    end
  end)

  it("does no harm to a sender or recipient", function()
    local f = filter.start()
    for _, case in ipairs(domains) do
      local address = "user@" .. (case.spelling or of(case[1]))
      assert.equal("proceed", f:decide("mail-from", address, "198.51.100.7:1234"), address)
    end
    assert.equal(0, f:finish())
  end)

  it("is taken by the program", function()
    for _, case in ipairs(domains) do
      local r = program.run { "--check", case.spelling or of(case[1]) }
      assert.same({ 0, "" }, { r.status, r.err })
      support.contains(r.out, "ok    " .. of(case[1]), "dane, 1 usable TLSA record")
    end
  end)

  it("is asked for, not judged: one that is not there does not exist", function()
    support.failed("nxdomain", support.resolver():plan "no--thing_.odd.example")
  end)

  it("is none with a hyphen at an end of a label, or with a last label of digits", function()
    local resolver = support.resolver()
    for name, reason in pairs {
      ["-ab.odd.example"] = "hyphen", ["ab-.odd.example"] = "hyphen", ["xn--.odd.example"] = "hyphen",
      ["_.-"] = "hyphen", ["ab--c.25"] = "a last label that is all digits",
      ["foo_bar.0"] = "a last label that is all digits", ["bü_cher.odd.example"] = "an underscore",
    } do
      support.contains(support.failed("invalid_name", resolver:plan(name)).message, reason)
    end
    assert.equal(0, lab:total())
  end)
end)
