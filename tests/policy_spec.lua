local nexthop = require "nexthop"
local policy = require "nexthop.policy"
local support = require "tests.support"
local lab = support.lab

-- Addresses that the whole Internet could reach (RFC 7535): all of the lab's own are documentation.
local global = [[
@       MX 10 mx
mx      A 192.31.196.1
mx      AAAA 2001:4:112::1
_25._tcp.mx TLSA 3 1 1 ${server.spki.sha256}
plain   A 192.31.196.2
half    MX 10 mx
half    MX 20 plain
mixed   MX 10 mx
mixed   MX 20 mx1.dane.example.
]]

describe("policy.find on the lab", function()
  local resolver

  setup(function()
    lab:clear()
    lab:add_zones { { name = "policy.example", text = global } }
    resolver = assert(nexthop.new(lab:options()))
  end)
  before_each(function() lab:clear() end)
  teardown(function()
    lab:clear()
    resolver:close()
  end)

  local function find(domain, options)
    local plan, err = resolver:plan(domain, options or {})
    return policy.find("sender", plan, err), policy.find("recipient", plan, err)
  end

  local cases = {
    { "a domain with DANE", "policy.example", "ok", "dane" },
    { "a null MX", "nullmx.example", "null_mx", "null_mx" },
    { "an unsigned null MX", "nullmx.insecure.example", "null_mx", "null_mx" },
    { "a domain that does not exist", "nothing.example", "no_host", "no_host" },
    { "a domain with neither MX nor address", "nodata.example", "no_host", "no_host" },
    { "an alias to nothing", "dangling.example", "no_host", "no_host" },
    { "a name that cannot exist", ("x"):rep(64) .. ".example", "no_host", "no_host" },
    { "MX hosts that do not exist", "mxnothing.example", "broken", "broken" },
    { "MX hosts without addresses", "mx-noaddress.example", "broken", "broken" },
    { "MX targets that are no host names", "mxallbad.example", "broken", "broken" },
    { "documentation addresses only", "dane.example", "unroutable", "unroutable" },
    { "one global address among others", "mixed.policy.example", "ok", "dane" },
    { "DANE at one of two hosts", "half.policy.example", "ok", "dane_partial" },
    { "no DANE", "plain.policy.example", "ok", "no_dane" },
    { "a bogus zone", "broken.example", "bogus", "bogus" },
    { "an expired zone", "expired.example", "bogus", "bogus" },
    { "MX hosts with bogus addresses", "mx-bogusboth.example", "bogus", "bogus" },
    { "a failed family is not unroutable", "mx-bogus4.example", "ok", "dane" },
    { "an alias loop", "loop2.example", "failure", "failure" },
  }
  for _, case in ipairs(cases) do
    it(("says %s and %s of %s"):format(case[3], case[4], case[1]), function()
      assert.same({ case[3], case[4] }, { find(case[2]) })
    end)
  end

  -- Answers that the resolver already has are not asked for again: a new one.
  local function find_anew(domain, options)
    local fresh = assert(nexthop.new(lab:options { options = support.patient }))
    local plan, err = fresh:plan(domain, options or {})
    fresh:close()
    return { policy.find("sender", plan, err), policy.find("recipient", plan, err) }
  end

  it("says dane_broken when TLSA cannot be looked up", function()
    lab:rule { name = "_25._tcp.mx.policy.example", type = "TLSA", action = "servfail" }
    assert.same({ "ok", "dane_broken" }, find_anew "policy.example")
  end)

  it("says failure when the MX cannot be looked up", function()
    lab:rule { name = "policy.example", type = "MX", action = "servfail" }
    assert.same({ "failure", "failure" }, find_anew "policy.example")
  end)

  it("says failure when the deadline comes first", function()
    lab:rule { name = "policy.example", type = "MX", action = "silent" }
    assert.same({ "failure", "failure" }, find_anew("policy.example", { deadline = 0.2 }))
  end)

  it("says failure when the deadline comes before one of the hosts, though another has DANE", function()
    lab:rule { name = "plain.policy.example", action = "silent" }
    assert.same({ "failure", "failure" }, find_anew("half.policy.example", { deadline = 1 * support.slow }))
  end)

  it("says failure when a host fails and no other has an address", function()
    lab:rule { name = "mx.policy.example", action = "servfail" }
    assert.same({ "failure", "failure" }, find_anew "policy.example")
  end)
end)

describe("policy.find", function()
  local function host(fields)
    local result = { host = "mx.example", pref = 10, ips = { "192.31.196.1" }, tls = "may" }
    for key, value in pairs(fields or {}) do result[key] = value end
    return result
  end
  local function plan(...)
    return { have_mx = true, mx_authentic = true, hosts = { ... } }
  end
  local private = { "10.0.0.1", "fe80::1" }
  local failed = { code = "servfail", permanent = false }
  local bogus = { code = "bogus", permanent = false }
  local none = { code = "not_found", permanent = false }

  local function both(p)
    return { policy.find("sender", p), policy.find("recipient", p) }
  end

  it("takes a host that failed for a temporary failure before a bogus one", function()
    local p = plan(host { ips = {}, tls = "skip", err = bogus },
      host { ips = {}, tls = "skip", err = failed })
    assert.same({ "failure", "failure" }, both(p))
    p.hosts[2].err = none
    assert.same({ "bogus", "bogus" }, both(p))
    p.hosts[1].err = none
    assert.same({ "broken", "broken" }, both(p))
    p.have_mx = false
    assert.same({ "no_host", "no_host" }, both(p))
  end)

  it("says unroutable only when every address is known", function()
    assert.same({ "unroutable", "unroutable" }, both(plan(host { ips = private })))
    assert.same({ "unroutable", "unroutable" },
      both(plan(host { ips = private }, host { ips = {}, tls = "skip", err = none })))
    assert.same({ "ok", "no_dane" },
      both(plan(host { ips = private }, host { ips = {}, tls = "skip", err = failed })))
    assert.same({ "ok", "no_dane" },
      both(plan(host { ips = private, failed = { ip6 = failed } })))
    local p = plan(host { ips = private })
    p.truncated = 3
    assert.same({ "ok", "no_dane" }, both(p))
  end)

  it("says unroutable of 200 addresses at most", function()
    local many = {}
    for n = 1, 100 do many[n] = "10.0.0." .. n end
    local both_full = { host { ips = many }, host { ips = many } }
    assert.same({ "unroutable", "unroutable" }, both(plan(both_full[1], both_full[2])))
    assert.same({ "ok", "no_dane" }, both(plan(both_full[1], both_full[2], host { ips = private })))
  end)

  it("never says dane behind an insecure MX or of a part of the hosts", function()
    local p = plan(host { tls = "dane" }, host { tls = "dane" })
    assert.same({ "ok", "dane" }, both(p))
    p.truncated = 1
    assert.same({ "ok", "dane_partial" }, both(p))
    p.truncated, p.mx_authentic = nil, false
    assert.same({ "ok", "dane_partial" }, both(p))
    p.have_mx = false -- an insecure denial of MX is no insecure MX
    assert.same({ "ok", "dane" }, both(p))
    assert.same({ "ok", "dane" },
      both(plan(host { tls = "dane" }, host { ips = {}, tls = "skip", err = none })))
    assert.same({ "ok", "dane_partial" }, both(plan(host { tls = "encrypt" })))
  end)

  it("tells TLSA that failed from a deadline before it", function()
    local timeout = { code = "timeout", permanent = false }
    assert.same({ "ok", "dane_broken" },
      both(plan(host { tls = "dane" }, host { tls = "skip", err = bogus })))
    assert.same({ "ok", "dane_broken" },
      both(plan(host { tls = "skip", err = timeout, tlsa_base_domain = "mx.example" })))
    assert.same({ "ok", "no_dane" }, both(plan(host { tls = "skip", err = timeout })))
    assert.same({ "ok", "no_dane" },
      both(plan(host { tls = "skip", err = { code = "no_dane", permanent = false } })))
  end)

  it("says failure of a plan that its deadline ended, whatever its other hosts are", function()
    local expired = { code = "timeout", permanent = false, expired = true }
    local p = plan(host { tls = "dane" }, host { ips = {}, tls = "skip", err = expired })
    p.expired = true
    assert.same({ "failure", "failure" }, both(p))
    assert.equal(expired, policy.unfinished(p))
    -- The deadline may have come when no host was waited for any more.
    p.hosts[2].err = failed
    assert.is_nil(policy.unfinished(p))
    assert.same({ "ok", "dane" }, both(p))
  end)

  it("takes every other error for a failure, and no other role", function()
    for _, code in ipairs { "servfail", "timeout", "cname_loop", "cname_limit", "closed", "new" } do
      assert.equal("failure", policy.find("sender", nil, { code = code }))
    end
    assert.equal("failure", policy.find("sender"))
    assert.error_matches(function() policy.find("from", nil, {}) end, "'sender' or 'recipient'")
  end)
end)

describe("policy.is_finding", function()
  it("knows the findings of each role", function()
    assert.is_true(policy.is_finding("sender", "null_mx"))
    assert.is_true(policy.is_finding("sender", "ok"))
    assert.is_false(policy.is_finding("sender", "dane"))
    assert.is_true(policy.is_finding("recipient", "dane"))
    assert.is_false(policy.is_finding("recipient", "junk"))
    assert.is_false(policy.is_finding("other", "ok"))
  end)
end)

describe("policy.domain", function()
  it("is what follows the last @, as a lower-case A-label", function()
    assert.equal("example.org", policy.domain "user@Example.ORG")
    assert.equal("example.org", policy.domain "user@example.org.")
    assert.equal("b.example", policy.domain "@a.example,@b.example:user@b.example")
    assert.equal("example.org", policy.domain '"a@b.example"@example.org')
    assert.equal("xn--mnchen-3ya.example", policy.domain "user@M\195\156NCHEN.example")
    assert.equal("xn--mnchen-3ya.example", policy.domain "user@XN--mnchen-3YA.example")
    assert.equal("example.org", policy.domain "us|er\1@example.org")
  end)

  it("keeps a name that cannot exist, which plan refuses", function()
    assert.equal("a..b", policy.domain "user@A..b")
    assert.equal("a b", policy.domain "user@a b")
    assert.equal("x\0y", policy.domain "user@x\0y")
  end)

  it("has none for the null sender, no domain and literals", function()
    for address, reason in pairs {
      [""] = "null sender", ["<>"] = "null sender", postmaster = "no domain", ["user@"] = "no domain",
      ["user@[192.0.2.1]"] = "address literal", ["user@192.0.2.1"] = "address literal",
      ["user@[IPv6:2001:db8::1]"] = "address literal", ["user@[future:x]"] = "address literal",
      ["user@IPv6:2001:db8::1"] = "address literal", ["user@2001:db8::1"] = "address literal",
      ["user@[ipv6:broken]"] = "address literal",
    } do
      assert.same({ [2] = reason }, { [2] = select(2, policy.domain(address)) }, address)
      assert.is_nil((policy.domain(address)))
    end
  end)
end)

describe("policy.exclusions", function()
  local excluded = assert(policy.exclusions {
    "Example.ORG", "*.example.net", "*.M\195\188nchen.example", "a_b.example.",
  })

  it("takes a name for itself alone", function()
    assert.is_true(excluded "example.org")
    assert.is_true(excluded "EXAMPLE.org.")
    assert.is_false(excluded "sub.example.org")
    assert.is_true(excluded "a_b.example")
  end)

  it("takes a wildcard for everything below", function()
    assert.is_true(excluded "a.example.net")
    assert.is_true(excluded "a.b.c.example.net")
    assert.is_false(excluded "example.net")
    assert.is_false(excluded "aexample.net")
    assert.is_true(excluded "a.xn--mnchen-3ya.example")
    assert.is_true(excluded "a.m\195\188nchen.example")
  end)

  it("names the entry that is wrong", function()
    local _, reason = policy.exclusions { "good.example", "a.*.example" }
    assert.matches("entry 2: 'a%.%*%.example' is neither", reason)
    assert.matches("entry 1: .* got a table", select(2, policy.exclusions { {} }))
  end)
end)

describe("policy.is_global", function()
  -- The first and last address of the edges of blocks.
  local cases = {
    ["8.8.8.8"] = true, ["9.255.255.255"] = true, ["10.0.0.0"] = false, ["10.255.255.255"] = false,
    ["11.0.0.0"] = true, ["100.63.255.255"] = true, ["100.64.0.0"] = false,
    ["100.127.255.255"] = false, ["100.128.0.0"] = true, ["172.15.255.255"] = true,
    ["172.16.0.0"] = false, ["172.31.255.255"] = false, ["172.32.0.0"] = true,
    ["192.0.0.8"] = false, ["192.0.0.9"] = true, ["192.0.0.10"] = true, ["192.0.0.11"] = false,
    ["192.0.1.0"] = true, ["198.17.255.255"] = true, ["198.19.255.255"] = false,
    ["223.255.255.255"] = true, ["224.0.0.0"] = false, ["255.255.255.255"] = false,
    ["127.0.0.1"] = false, ["0.0.0.0"] = false, ["169.254.1.1"] = false,
    ["2001:4860::1"] = true, ["::"] = false, ["::1"] = false, ["::ffff:8.8.8.8"] = false,
    ["64:ff9b::8.8.8.8"] = true, ["64:ff9b::10.0.0.1"] = false, ["64:ff9b:1::8.8.8.8"] = false,
    ["100::1"] = false, ["2001:1ff:ffff::"] = false, ["2001:200::"] = true, ["2001:2::1"] = false,
    ["2001:2:1::1"] = false, ["2001:20::1"] = true, ["2001:3f::1"] = true, ["2001:40::1"] = false,
    ["2001:db8::1"] = false, ["2001:db9::"] = true, ["2002:808:808::1"] = true,
    ["2002:c0a8:101::1"] = false, ["3ffe::1"] = true, ["3fff::1"] = false, ["3fff:1000::"] = true,
    ["1fff::"] = false, ["4000::"] = false, ["fc00::1"] = false, ["fdff::1"] = false,
    ["fe80::1"] = false, ["febf::1"] = false, ["fec0::1"] = false, ["ff02::1"] = false,
  }
  it("follows the special-purpose registries", function()
    for ip, expected in pairs(cases) do assert.equal(expected, policy.is_global(ip), ip) end
    assert.is_nil(policy.is_global "example.org")
    assert.same({ false, "private", "RFC 1918" }, { policy.is_global "10.1.2.3" })
  end)

  it("knows loopback addresses", function()
    for ip, expected in pairs {
      ["127.0.0.1"] = true, ["127.9.9.9"] = true, ["::1"] = true, ["::ffff:127.0.0.1"] = true,
      ["128.0.0.1"] = false, ["::2"] = false, ["::ffff:10.0.0.1"] = false, ["local"] = false,
    } do
      assert.equal(expected, policy.is_loopback(ip), ip)
    end
  end)
end)

describe("policy.check", function()
  local o = policy.options
  local spec = { resolver = o.resolver, deadline = o.deadline, exclude = o.exclude }
  local function reason(given, prefix) return select(2, policy.check(given, spec, prefix)) end

  it("gives the options back, exclusions compiled", function()
    local checked = assert(policy.check({ deadline = 3, exclude = { "*.example" } }, spec))
    assert.equal(3, checked.deadline)
    assert.is_true(checked.exclude "a.example")
  end)

  it("names the key and what is allowed", function()
    assert.equal("sender.nul_mx: no such key; there are: deadline, exclude, resolver",
      reason({ nul_mx = 1 }, "sender."))
    assert.matches("^deadline: seconds expected, .* got 0$", reason { deadline = 0 })
    assert.matches("^deadline: seconds expected, .* got a string$", reason { deadline = "x" })
    assert.matches("^exclude: entry 1: 'a b' is neither", reason { exclude = { "a b" } })
    assert.matches("^exclude: a list of domains expected", reason { exclude = "example.org" })
    assert.matches("^exclude: .* key 'example.org'", reason { exclude = { ["example.org"] = true } })
    assert.equal("resolver: unknown option 'forwad' to 'new'",
      reason { resolver = { forwad = "127.0.0.1" } })
    assert.matches("^resolver: forward: 'x y' is no address",
      reason { resolver = { forward = "x y" } })
    assert.matches("^resolver: trust_anchor_file: cannot read it: /nowhere/anchor",
      reason { resolver = { trust_anchor_file = "/nowhere/anchor" } })
    assert.equal("sender: a table expected, got a string", reason("x", "sender."))
  end)
end)
