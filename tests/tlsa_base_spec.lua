-- gather_tlsa: which of two base domains it is, aliases of TLSA names, and failures, which must never
-- pass for "no DANE".
local support = require "tests.support"
local lab = support.lab

-- Asserts DANE at this base domain.
local function dane(resolver, host, options, base)
  local result, err = resolver:gather_tlsa(host, options)
  assert.is_nil(err, tostring(err))
  assert.is_true(result.dane_required)
  assert.equal(1, #result.records)
  assert.equal(base, result.tlsa_base_domain)
  return result
end

local function none(resolver, host, options)
  local result, err = resolver:gather_tlsa(host, options)
  assert.is_nil(err, tostring(err))
  assert.is_false(result.dane_required)
  assert.same({}, result.records)
  assert.same({}, result.unusable)
  assert.equal(host, result.tlsa_base_domain)
  return result
end

local function failure(code, resolver, host, options, base)
  local err = support.failed(code, resolver:gather_tlsa(host, options))
  assert.is_true(err.dane_required)
  assert.same({}, err.records)
  assert.equal(base or host, err.tlsa_base_domain)
  support.contains(err.message, host .. ": ")
  return err
end

-- A call and its outcome from a cold cache, from the cache that leaves, and from one that knows related
-- hosts.
local function always(outcome, host, related, ...)
  local resolver = support.resolver()
  outcome(resolver, host, ...)
  outcome(resolver, host, ...)
  resolver = support.resolver()
  support.look_up(resolver, related)
  outcome(resolver, host, ...)
  return outcome(resolver, host, ...)
end

local function limit(...)
  return failure("cname_limit", ...)
end

local function loop(...)
  return failure("cname_loop", ...)
end

local function bogus(...)
  return failure("bogus", ...)
end

describe("gather_tlsa with an expanded host", function()
  before_each(support.reset)
  after_each(support.close)

  local function expanded(name, authentic)
    return { expanded_host = name, expanded_authentic = authentic ~= false }
  end

  it("takes its records and does not ask for the host's", function()
    dane(support.resolver(), "hs2child.example", expanded "mx.child.example", "mx.child.example")
    assert.equal(0, lab:count("_25._tcp.hs2child.example"))
  end)

  it("takes the host's when it has none", function()
    for _, other in ipairs { "mx.nodane.example", "nothing.example" } do
      local resolver = support.resolver { options = { ["qname-minimisation"] = "no" } }
      dane(resolver, "hs2child.example", expanded(other), "hs2child.example")
    end
    local names = {}
    for _, query in ipairs(lab:queries()) do
      if query.type == "TLSA" then
        names[#names + 1] = query.name
      end
    end
    assert.same({ "_25._tcp.mx.nodane.example", "_25._tcp.hs2child.example",
      "_25._tcp.nothing.example", "_25._tcp.hs2child.example" }, names)
  end)

  it("takes the host's when its own are insecure", function()
    dane(support.resolver(), "hs2child.example", expanded "mx.insecure.example", "hs2child.example")
    dane(support.resolver(), "hs2child.example", expanded "nothing.optout.example", "hs2child.example")
    dane(support.resolver(), "hs2child.example", expanded "ts2insecure.example", "hs2child.example")
  end)

  it("takes its unusable records before the host's", function()
    local result = assert(support.resolver():gather_tlsa("hs2child.example",
      expanded "t-allbad.example"))
    assert.is_true(result.dane_required)
    assert.equal("t-allbad.example", result.tlsa_base_domain)
    assert.equal(4, #result.unusable)
    assert.equal(0, lab:count("_25._tcp.hs2child.example"))
  end)

  it("does not ask for it when it is not authentic", function()
    dane(support.resolver(), "hs2child.example", expanded("mx.child.example", false),
      "hs2child.example")
    dane(support.resolver(), "hs2child.example", { expanded_host = "mx.child.example" },
      "hs2child.example")
    assert.equal(0, lab:count("_25._tcp.mx.child.example"))
  end)

  it("asks once when it is the host", function()
    local resolver = support.resolver { options = { ["qname-minimisation"] = "no" } }
    none(resolver, "mx.nodane.example", expanded "MX.nodane.Example.")
    assert.equal(1, lab:count("_25._tcp.mx.nodane.example"))
  end)

  it("has the host for its base domain when neither has records", function()
    local resolver = support.resolver { options = { ["qname-minimisation"] = "no" } }
    local result = none(resolver, "mx.nodane.example", expanded "noaddress.example")
    support.ttl(60, result.ttl)
    assert.equal(1, lab:count("_25._tcp.noaddress.example", "TLSA"))
    assert.equal(1, lab:count("_25._tcp.mx.nodane.example", "TLSA"))
  end)

  it("takes the result of gather_ips as it is", function()
    local resolver = support.resolver()
    local function both(host)
      local ips = assert(resolver:gather_ips(host))
      return assert(resolver:gather_tlsa(host, ips)).tlsa_base_domain
    end
    assert.equal("mx.child.example", both("hs2child.example"))
    assert.equal("hs2insecure.example", both("hs2insecure.example"))
    assert.equal("hs2i2s.example", both("hs2i2s.example"))
    assert.equal("bogus4.example", both("bogus4.example")) -- with `failed`
    assert.equal("mx15.com.example", both("mx15.com.example"))
    assert.equal("mxbackup.net.example", both("mx20.com.example"))
  end)

  local failures = { servfail = "servfail", refused = "servfail", notimp = "servfail",
    corrupt = "bogus", nodata = "bogus", nxdomain = "bogus", strip = "bogus" }
  for action, code in pairs(failures) do
    it("does not try the host after a failure: " .. action, function()
      lab:rule { name = "_25._tcp.mx2.dane.example", type = "TLSA", action = action }
      local resolver = support.resolver()
      for _ = 1, 2 do
        local err = failure(code, resolver, "mx1.dane.example", expanded "mx2.dane.example",
          "mx2.dane.example")
        support.contains(err.message, "TLSA of _25._tcp.mx2.dane.example")
      end
      assert.equal(0, lab:count("_25._tcp.mx1.dane.example"))
    end)
  end

  it("does not try the host after silence", function()
    lab:rule { name = "_25._tcp.mx2.dane.example", type = "TLSA", action = "silent" }
    local err = failure("timeout", support.resolver { timeout = 0.5 }, "mx1.dane.example",
      expanded "mx2.dane.example", "mx2.dane.example")
    support.contains(err.message, "TLSA of _25._tcp.mx2.dane.example")
    assert.equal(0, lab:count("_25._tcp.mx1.dane.example"))
  end)

  it("does not try the host after a bogus zone, loop or limit", function()
    bogus(support.resolver(), "hs2child.example", expanded "mx.expired.example", "mx.expired.example")
    loop(support.resolver(), "hs2child.example", expanded "tloop2.example", "tloop2.example")
    limit(support.resolver(), "hs2child.example", expanded "t11.example", "t11.example")
    assert.equal(0, lab:count("_25._tcp.hs2child.example"))
  end)

  it("fails when the host's lookup does", function()
    lab:rule { name = "_25._tcp.hs2child.example", type = "TLSA", action = "servfail" }
    local err = failure("servfail", support.resolver(), "hs2child.example",
      expanded "mx.nodane.example")
    support.contains(err.message, "TLSA of _25._tcp.hs2child.example")
  end)
end)

describe("gather_tlsa that fails", function()
  before_each(support.reset)
  after_each(support.close)

  local failures = { servfail = "servfail", refused = "servfail", notimp = "servfail",
    formerr = "servfail", garbage = "servfail", loop = "servfail",
    corrupt = "bogus", nodata = "bogus", nxdomain = "bogus", strip = "bogus" }
  for action, code in pairs(failures) do
    it("requires DANE: " .. action, function()
      lab:rule { name = "_25._tcp.mx1.dane.example", type = "TLSA", action = action }
      local err = failure(code, support.resolver(), "mx1.dane.example")
      support.contains(err.message, "TLSA of _25._tcp.mx1.dane.example")
    end)
  end

  it("requires DANE: silence, or the deadline", function()
    lab:rule { name = "_25._tcp.mx1.dane.example", type = "TLSA", action = "silent" }
    failure("timeout", support.resolver { timeout = 0.4 }, "mx1.dane.example")
    failure("timeout", support.resolver(), "mx1.dane.example", { deadline = 0.4 })
  end)

  it("requires DANE for records with a bad signature", function()
    local err = bogus(support.resolver(), "bogustlsa.example")
    support.contains(err.message, "TLSA of _25._tcp.bogustlsa.example", "signature")
    assert.is_nil(err.unusable[1])
  end)

  for _, zone in ipairs { "wrongds", "expired", "broken", "deadds" } do
    it("requires DANE in the bogus zone " .. zone, function()
      always(bogus, ("mx.%s.example"):format(zone), {})
    end)

    it("requires DANE for an alias into the bogus zone " .. zone, function()
      local err = always(bogus, ("ts2%s.example"):format(zone), {})
      support.contains(err.message, (" of tlsa.%s.example "):format(zone))
    end)
  end

  it("requires DANE when what the alias leads to cannot be had", function()
    lab:rule { name = "tlsa.child.example", type = "TLSA", action = "servfail" }
    local err = failure("servfail", support.resolver(), "ts2child.example")
    support.contains(err.message, "TLSA of tlsa.child.example")
  end)

  it("does not matter behind an insecure alias", function()
    lab:rule { name = "tlsa.example", type = "TLSA", action = "servfail" }
    none(support.resolver(), "host.insecure.example")
    lab:rule { name = "_25._tcp.mx.insecure.example", type = "TLSA", action = "servfail" }
    failure("servfail", support.resolver(), "mx.insecure.example")
  end)
end)

describe("gather_tlsa of an alias", function()
  before_each(support.reset)
  after_each(support.close)

  for _, links in ipairs { 1, 2, 9, 10 } do
    it(("follows %d CNAMEs, whatever is in the cache"):format(links), function()
      local host = ("t%d.example"):format(links)
      local related = { ("t%d-%d.example"):format(links, links) }
      always(dane, host, related, nil, host)
    end)
  end

  for _, links in ipairs { 11, 12, 17 } do
    it(("gives %d CNAMEs up, whatever is in the cache"):format(links), function()
      local host = ("t%d.example"):format(links)
      local related = { ("t%d-%d.example"):format(links, links), ("t%d-5.example"):format(links) }
      local err = always(limit, host, related)
      support.contains(err.message, "_25._tcp." .. host, ("t%d-11.example"):format(links))
    end)
  end

  it("finds loops, whatever is in the cache", function()
    for names = 1, 3 do
      local host = ("tloop%d.example"):format(names)
      local err = always(loop, host, { ("tloop%db.example"):format(names) })
      support.contains(err.message, "_25._tcp." .. host)
    end
  end)

  it("takes loops and long chains that are insecure for no records", function()
    always(none, "tloop1.insecure.example", {})
    always(none, "tloop2.insecure.example", { "tloop2b.insecure.example" })
    always(none, "tlong.insecure.example", { "tlong9.insecure.example" })
  end)

  it("to nothing has no records", function()
    support.ttl(60, always(none, "tdangling.example", { "gone.example" }).ttl)
  end)

  it("follows a DNAME", function()
    always(dane, "mx.dname.example", { "nodata.dname.example" }, nil, "mx.dname.example")
    always(none, "mx.dnameinsecure.example", { "nodata.dnameinsecure.example" })
  end)

  it("follows it while secure", function()
    for _, zone in ipairs { "child", "nsec3", "optout", "nsec3iter" } do
      local host = ("ts2%s.example"):format(zone)
      always(dane, host, { ("mx.%s.example"):format(zone) }, nil, host)
    end
    always(none, "ts2insecure.example", { "mx.insecure.example" })
    always(none, "ts2i2s.example", { "ti2s.insecure.example" })
    always(none, "host.insecure.example", { "mx.example" })
  end)

  it("has the smallest TTL on the way", function()
    support.ttl(30, dane(support.resolver(), "tttl.example", nil, "tttl.example").ttl)
  end)
end)
