-- plan: its results and errors. See also plan_options_spec.lua; plan_dane_spec.lua;
-- plan_faults_spec.lua; and downgrade_spec.lua.
local support = require "tests.support"
local planning = require "tests.support.planning"
local lab = support.lab

local exact, field, plain = planning.exact, planning.field, planning.plain

describe("plan", function()
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

  local function fails(code, domain)
    return support.failed(code, resolver:plan(domain))
  end

  it("tells all there is to know of a domain with DANE", function()
    local p = plan("dane.example")
    local hosts, ttl = p.hosts, p.ttl
    p = plain(p)
    p.hosts, p.ttl = nil, nil
    assert.same({
      domain = "dane.example", have_mx = true, mx_authentic = true,
      orig_next_hop_authentic = true, expanded_next_hop_authentic = true,
      expanded_next_hop = "dane.example",
    }, p)
    support.ttl(300, ttl)
    assert.equal(2, #hosts)
    local pipe = assert(io.popen(("openssl x509 -in '%s' -noout -pubkey"
      .. " | openssl pkey -pubin -outform DER | openssl dgst -sha256"):format(lab.certificate_file)))
    local hash = pipe:read("*a"):match("(%x+)%s*$")
    pipe:close()
    for index, host in ipairs(hosts) do
      local name = ("mx%d.dane.example"):format(index)
      assert.same({ "3 1 1 " .. hash }, { tostring(host.records[1]), host.records[2] })
      support.ttl(300, host.ttl)
      host = plain(host)
      host.records, host.ttl = nil, nil
      assert.same({
        host = name, pref = 10 * index, tls = "dane",
        ips = { "2001:db8::" .. index, "192.0.2." .. index }, dualstack = true,
        authentic = true, expanded_authentic = true, host_authentic = true,
        ip4_authentic = true, ip6_authentic = true, expanded_host = name,
        dane_required = true, unusable = {}, weaker = {},
        tlsa_base_domain = name, sni = name, names = { name, "dane.example" },
      }, host)
    end
  end)

  it("asks each question once", function()
    plan("dane.example")
    local counts = lab:counts()
    for key in pairs(counts) do
      if key:find(" DNSKEY$") or key:find(" DS$") or key:find("^%. ") then
        counts[key] = nil
      end
    end
    assert.same({
      ["dane.example MX"] = 1,
      ["mx1.dane.example A"] = 1, ["mx1.dane.example AAAA"] = 1, ["_25._tcp.mx1.dane.example TLSA"] = 1,
      ["mx2.dane.example A"] = 1, ["mx2.dane.example AAAA"] = 1, ["_25._tcp.mx2.dane.example TLSA"] = 1,
    }, counts)
  end)

  it("takes a domain in any case, with a final dot, as U-label", function()
    assert.equal("dane.example", plan("Dane.EXAMPLE.").domain)
    local p = plan("münchen.example")
    assert.equal("xn--mnchen-3ya.example", p.domain)
    assert.same({ "mx1.dane.example", "xn--mnchen-3ya.example" }, p.hosts[1].names)
  end)

  describe("fails", function()
    it("nxdomain: without a further question", function()
      for domain, missing in pairs {
        ["nothing.example"] = "nothing.example",
        ["dangling.example"] = "gone.example",
        ["dangling.insecure.example"] = "gone.insecure.example",
        ["x.dnamegone.example"] = "x.gone.example",
      } do
        local err = fails("nxdomain", domain)
        assert.equal(missing, err.expanded_next_hop)
        assert.is_false(err.have_mx)
        assert.truthy(err.message:find(domain, 1, true))
      end
      assert.same({ 0, 0, 0 }, { lab:count("*", "A"), lab:count("*", "AAAA"), lab:count("*", "TLSA") })
    end)

    it("no_mail: a null MX and nothing else, whatever its preference", function()
      for _, domain in ipairs { "nullmx.example", "nullmx10.example", "nullmxtwo.example",
        "nullmx.insecure.example" } do
        assert.is_true(fails("no_mail", domain).have_mx)
      end
      assert.equal(0, lab:count("*", "A")) -- RFC 5321 5.1: an MX is there, no fall back to addresses
    end)

    it("invalid_mx: no target is a host name", function()
      for _, domain in ipairs { "mxallbad.example", "mxbadandnull.example", "mxip.example" } do
        assert.is_true(fails("invalid_mx", domain).have_mx)
      end
    end)

    it("cname_loop, cname_limit", function()
      assert.equal(1, #plan("d15-0.example").hosts)
      fails("cname_loop", "loop2.example")
      fails("cname_limit", "d16-0.example")
    end)

    it("bogus, servfail: with what was known", function()
      local err = fails("bogus", "s2broken.example")
      assert.same({ true, "broken.example", false },
        { err.orig_next_hop_authentic, err.expanded_next_hop, err.mx_authentic })
      err = fails("bogus", "i2broken.insecure.example")
      assert.same({ false, "broken.example" }, { err.orig_next_hop_authentic, err.expanded_next_hop })
      fails("bogus", "expired.example")
      for _, action in ipairs { "servfail", "refused", "notimp" } do
        lab:rule { name = "dane.example", type = "MX", action = action }
        resolver = exact()
        fails("servfail", "dane.example")
      end
    end)

    it("invalid_name", function()
      for _, name in ipairs { "", "two words.example", "[]", "[two words]", "[192.0.2.256]",
        ("a"):rep(64) .. ".example", "a\0b.example" } do
        fails("invalid_name", name)
      end
      assert.equal(0, lab:total())
    end)
  end)

  it("drops a null MX among others, and targets that are no host names", function()
    for _, domain in ipairs { "nullmxmixed.example", "nullmxlast.example", "mxsomebad.example" } do
      assert.same({ "mx1.dane.example" }, field(plan(domain).hosts, "host"))
    end
  end)

  it("takes an empty answer for an implicit MX; without an address that host is skip", function()
    local p = plan("nodata.example")
    assert.same({ false, "nodata.example", -1, "skip", "not_found" },
      { p.have_mx, p.hosts[1].host, p.hosts[1].pref, p.hosts[1].tls, p.hosts[1].err.code })
  end)

  it("keeps the other hosts when some have no address", function()
    local found = {}
    for index, host in ipairs(plan("mxeverywhere.example").hosts) do
      found[index] = host.err and host.err.code or host.tls
    end
    assert.same({ "dane", "may", "dane", "may", "bogus", "not_found" }, found)
  end)

  it("has the smallest TTL of the answers it rests on", function()
    local p = plan("ttl.example") -- MX 600, A 60, AAAA 240, TLSA 30
    support.ttl(30, p.ttl)
    support.ttl(30, p.hosts[1].ttl)
    p = plan("ttl.example", { network = "ip6", port = 26 }) -- no such TLSA: 60, of the denial
    support.ttl(60, p.ttl)
    support.ttl(60, p.hosts[1].ttl)
  end)

  it("has a TTL of 0 when a host failed temporarily", function()
    local p = plan("mx-bogustlsa.example")
    assert.equal(0, p.ttl)
    assert.is_true(plan("mxnothing.example").ttl > 0)
  end)

  it("prints what a person wants to read", function()
    assert.truthy(tostring(plan("dane.example")):find(table.concat({
      "dane.example: MX (secure)",
      "  10 mx1.dane.example (secure): DANE: verify",
      "    2001:db8::1 192.0.2.1",
      "    TLSA 3 1 1 ",
    }, "\n"), 1, true))
    local text = tostring(plan("mxeverywhere.example", { max_hosts = 5 }))
    assert.truthy(text:find("  20 mx.nodane.example (secure): no DANE\n", 1, true))
    assert.truthy(text:find("  50 mx.broken.example (insecure): skip, mx.broken.example: ", 1, true))
    assert.truthy(text:find("  1 more hosts left out", 1, true))
    assert.truthy(tostring(plan("implicit.insecure.example").hosts[1]):find(
      "^implicit.insecure.example %(insecure%): no DANE\n"))
  end)

  describe("with a callback", function()
    it("answers the same, later, from inside process", function()
      local blocking = tostring(plan("mxeverywhere.example"))
      local calls, got = 0, nil
      local handle = resolver:plan("mxeverywhere.example", function(result)
        calls, got = calls + 1, result
      end)
      assert.is_function(handle.cancel)
      assert.equal(0, calls)
      assert(resolver:wait())
      assert.equal(1, calls)
      assert.equal(blocking, tostring(got))
    end)

    it("tells errors and literals the same way", function()
      local got = {}
      resolver:plan("nullmx.example", {}, function(_, err) got.null = err.code end)
      resolver:plan("two words", function(_, err) got.name = err.code end)
      resolver:plan("192.0.2.1", function(result) got.literal = result.hosts[1].tls end)
      assert.same({}, got)
      assert.equal(0, resolver:timeout())
      assert(resolver:wait())
      assert.same({ null = "no_mail", name = "invalid_name", literal = "may" }, got)
    end)

    it("keeps its deadline, and a cancelled one is not called", function()
      lab:rule { name = "_25._tcp.mx1.dane.example", action = "silent" }
      local got
      resolver:plan("dane.example", { deadline = 0.7 }, function(result) got = result end)
      local other = resolver:plan("dane.example", function() error("cancelled") end)
      other:cancel()
      assert(resolver:wait(20))
      assert.same({ "skip", "dane" }, field(got.hosts, "tls"))
      support.failed("timeout", nil, got.hosts[1].err)
    end)
  end)end)
