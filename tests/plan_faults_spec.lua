-- plan: what fails is never taken for "no DANE" (RFC 7672 section 2.1.2), on every kind of fault.
local support = require "tests.support"
local exact = require("tests.support.planning").exact
local lab = support.lab

describe("plan, faults:", function()
  local resolver

  -- A resolver that knows nothing yet and asks for what is asked, not for the names above it.
  local function fresh()
    resolver = exact(support.patient, { timeout = 1 })
  end

  before_each(function()
    support.reset()
    fresh()
  end)
  after_each(support.close)
  teardown(function() lab:clear() end)

  local function host(domain, index)
    local p = assert(resolver:plan(domain, { deadline = 20, trace = true }))
    return p.hosts[index or 1], p
  end

  -- TLSA may be asked for early. What was not needed is not told.
  local function not_relied_on(p, name)
    for _, entry in ipairs(p.trace) do
      assert.is_false(entry.name == name and entry.type == "TLSA", name .. " is in the trace")
    end
  end

  local function skipped(code, each)
    assert.same({ tls = "skip", code = code }, { tls = each.tls, code = each.err and each.err.code })
    assert.same({ {}, {}, {} }, { each.records, each.weaker, each.unusable })
    assert.is_nil(each.sni)
    assert.is_nil(each.names)
    assert.is_false(each.err.permanent)
  end

  -- What the server does, and the error's code. Denials without a signature prove nothing.
  local faults = {
    { "SERVFAIL", { action = "servfail" }, "servfail" },
    { "REFUSED", { action = "refused" }, "servfail" },
    { "NOTIMP", { action = "notimp" }, "servfail" },
    { "FORMERR", { action = "formerr" }, "servfail" },
    { "silence", { action = "silent" }, "timeout" },
    { "truncation and no TCP", { action = "truncate", tcp = "refuse" }, "servfail" },
    { "garbage", { action = "garbage" }, "servfail" },
    { "a broken signature", { action = "corrupt" }, "bogus" },
    { "no signature", { action = "strip" }, "bogus" },
    { "a forged NXDOMAIN", { action = "nxdomain" }, "bogus" },
    { "a forged empty answer", { action = "nodata" }, "bogus" },
    { "forged records", { action = "answer", records = { {
      name = "_25._tcp.mx1.dane.example", type = "TLSA", ttl = 60, rdata = "030101" .. ("ab"):rep(32),
    } } }, "bogus" },
  }

  for _, fault in ipairs(faults) do
    it("TLSA, " .. fault[1], function()
      local rule = { name = "_25._tcp.mx1.dane.example" }
      for key, value in pairs(fault[2]) do
        rule[key] = value
      end
      lab:rule(rule)
      local first, p = host("dane.example")
      skipped(fault[3], first)
      assert.equal(2, #first.ips)
      assert.equal("dane", p.hosts[2].tls)
      assert.truthy(first.err.message:find("_25._tcp.mx1.dane.example", 1, true))
    end)
  end

  it("TLSA broken after signing, expired, behind aliases into bogus zones", function()
    for _, domain in ipairs { "mx-bogustlsa.example", "mx-ts2broken.example", "mx-ts2expired.example",
      "mx-ts2wrongds.example", "mx-ts2deadds.example" } do
      skipped("bogus", host(domain))
    end
  end)

  it("TLSA aliases in a loop, too many of them", function()
    skipped("cname_loop", host("[tloop2.example]"))
    skipped("cname_limit", host("mx-t11.example"))
    assert.equal("dane", host("mx-t10.example").tls)
  end)

  it("TLSA at the expansion fails: the alias is not tried", function()
    for action, code in pairs { servfail = "servfail", nodata = "bogus" } do
      lab:rule { name = "_25._tcp.mxbackup.com.example", action = action }
      skipped(code, host("[mx15.com.example]"))
      fresh()
    end
    assert.equal(0, lab:count("_25._tcp.mx15.com.example"))
  end)

  it("TLSA at the alias fails, behind a proven denial at the expansion", function()
    lab:rule { name = "_25._tcp.mx15.com.example", action = "servfail" }
    skipped("servfail", host("[mx15.com.example]"))
    assert.equal(1, lab:count("_25._tcp.mxbackup.com.example", "TLSA"))
  end)

  -- 2.1.3: all behind an insecure alias is insecure, whatever it is; the alias itself must be known.
  it("behind an insecure TLSA alias nothing matters, the alias does", function()
    for _, action in ipairs { "servfail", "corrupt" } do
      lab:rule { name = "tlsa.example", type = "TLSA", action = action }
      assert.equal("may", host("mx-ts2i2s.example").tls)
      fresh()
    end
    lab:clear()
    fresh()
    lab:rule { name = "ti2s.insecure.example", action = "servfail" }
    skipped("servfail", host("mx-ts2i2s.example"))
  end)

  -- 2.2.2: problematic name servers; no query, no harm.
  it("TLSA of an insecure host may fail: it is not relied on", function()
    for _, action in ipairs { "servfail", "corrupt", "silent" } do
      lab:rule { name = "*.mx.insecure.example", action = action }
      fresh()
      local first, p = host("mxinsecure.example")
      assert.equal("may", first.tls)
      assert.is_nil(first.err)
      assert.is_false(first.dane_required)
      not_relied_on(p, "_25._tcp.mx.insecure.example")
      local stats = resolver:stats()
      assert.same({ 0, 0, 0 }, { stats.bogus, stats.servfail, stats.timeouts })
      lab:clear()
    end
  end)

  it("TLSA of a host that is known to be insecure is not asked for", function()
    host("mxinsecure.example")
    lab:reset()
    host("mxinsecure.example")
    assert.equal(0, lab:count("_25._tcp.mx.insecure.example"))
  end)

  for _, fault in ipairs(faults) do
    local function break_it(name, type)
      lab:rule { name = name, type = type, action = fault[2].action, tcp = fault[2].tcp,
        records = fault[2].records }
    end

    it("both families, " .. fault[1], function()
      for _, type in ipairs { "A", "AAAA", "CNAME" } do
        break_it("mx1.dane.example", type)
      end
      local first, p = host("dane.example")
      skipped(fault[3], first)
      assert.same({}, first.ips)
      not_relied_on(p, "_25._tcp.mx1.dane.example")
      assert.equal("dane", p.hosts[2].tls)
    end)

    it("one family, " .. fault[1] .. ": the other's addresses do, and its status", function()
      break_it("mx1.dane.example", "A")
      local first = host("dane.example")
      assert.same({ "dane", { "2001:db8::1" }, fault[3] },
        { first.tls, first.ips, first.failed.ip4.code })
      assert.is_nil(first.failed.ip6)
      assert.is_nil(first.err)
    end)

    it("the MX, " .. fault[1] .. ": no host at all", function()
      break_it("dane.example", "MX")
      local p, err = resolver:plan("dane.example", { deadline = 20 })
      assert.is_nil(p)
      assert.same({ fault[3], false }, { err.code, err.permanent })
      assert.equal(0, lab:count("mx1.dane.example"))
    end)
  end

  it("a failed family beside an empty one is the failure, not \"no address\"", function()
    lab:rule { name = "only6.example", type = "AAAA", action = "servfail" }
    skipped("servfail", host("mx-only6.example"))
    lab:rule { name = "only4.example", type = "A", action = "corrupt" }
    skipped("bogus", host("mx-only4.example"))
  end)

  -- 2.1.2 and 2.1.3: whether the first alias is secure decides between TLSA and none.
  describe("without a cache, the question for the first alias fails, and that of", function()
    local function forgetful()
      resolver = support.resolver { options = {
        ["rrset-cache-size"] = "0", ["msg-cache-size"] = "0", ["cache-max-ttl"] = "0",
      } }
    end

    it("a host: skip, not \"insecure\"", function()
      forgetful()
      assert.equal("dane", host("mx-hs2insecure.example").tls)
      lab:rule { name = "hs2insecure.example", type = "CNAME", action = "servfail" }
      forgetful()
      local first, p = host("mx-hs2insecure.example")
      skipped("servfail", first)
      not_relied_on(p, "_25._tcp.hs2insecure.example")
    end)

    it("an implicit MX: it is owed no \"may\"", function()
      forgetful()
      assert.equal("dane", host("is2insecure.example").tls)
      lab:rule { name = "is2insecure.example", type = "CNAME", action = "servfail" }
      forgetful()
      lab:reset()
      local p, err = resolver:plan("is2insecure.example")
      assert.equal("servfail", (p and p.hosts[1].err or err).code)
      assert.equal(0, lab:count("_25._tcp.is2insecure.example"))
    end)
  end)

  it("a denial of the MX that is stripped or forged is no implicit MX", function()
    for _, action in ipairs { "nodata", "nxdomain", "strip" } do
      lab:rule { name = "implicit.example", type = "MX", action = action }
      local p, err = resolver:plan("implicit.example")
      assert.is_nil(p)
      assert.same({ action, "bogus" }, { action, err.code })
    end
  end)

  it("a dead host among many: the others are right, the plan ends by its deadline", function()
    for _, number in ipairs { 3, 7 } do
      lab:rule { name = ("mx%d.hundred.example"):format(number), action = "silent" }
    end
    lab:rule { name = "_25._tcp.mx5.hundred.example", action = "silent" }
    local started = os.time()
    local p = assert(resolver:plan("hundred.example", { deadline = 2 }))
    assert.is_true(os.time() - started < 10)
    assert.equal(20, #p.hosts)
    for number, each in ipairs(p.hosts) do
      local dead = number == 3 or number == 5 or number == 7
      assert.same({ number, dead and "skip" or "may", dead and "timeout" or nil },
        { each.pref, each.tls, each.err and each.err.code })
      assert.equal((number == 3 or number == 7) and 0 or 2, #each.ips)
    end
  end)
end)
