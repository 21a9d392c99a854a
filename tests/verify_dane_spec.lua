-- verify and DANE: which record matches which certificate, at which depth, and what the result is.
-- RFC 7671 section 5, RFC 7672 section 3.1.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local world = verifying.world(chains.zone, 31)
local tlsa, stale = ca.tlsa, ca.stale

local expired_issuer = ca.authority { name = "expired-issuer", issuer = chains.root, from = -20, to = -10 }
local twin = ca.authority { name = "twin", cn = "issuer", issuer = chains.root }
local no_authority = ca.leaf { name = "no-authority", issuer = chains.root }
local function leaf(name, options)
  options.name, options.names = name, options.names or { "*." .. chains.zone }
  return ca.leaf(options)
end
local below_expired = leaf("below-expired", { issuer = expired_issuer })
local between_expired = leaf("between-expired", { issuer = expired_issuer, send_root = true })
local expired_root = ca.authority { name = "expired-root", from = -20, to = -10 }
local below_expired_root = leaf("below-expired-root", { issuer = expired_root, send_root = true })
local below_twin = leaf("below-twin", { issuer = chains.issuer, alone = true, extra = { twin } })
local below_leaf = leaf("below-leaf", { issuer = no_authority })
local unrelated = leaf("unrelated", { issuer = chains.issuer, alone = true, extra = { chains.stranger } })

describe("verify, DANE:", function()
  local it, group = verifying.grouped(it)
  local cases, number = {}, 0

  -- A host whose server has this certificate and which has these records.
  local function add(title, certificate, records, expected)
    number = number + 1
    local label = "dane" .. number
    world:host(label, { tlsa = records, server = { certificates = { certificate } } })
    cases[#cases + 1] = { title = title, label = label, records = records, expected = expected }
  end

  -- expected: depth, named (does the host's name count), matches (of the first record, "leaf" of usage 3
  -- and "issuer" of usage 2 by default)
  local function verified(title, certificate, records, expected)
    add(title, certificate, records, expected or {})
  end
  local function failed(title, certificate, records, result, matches)
    add(title, certificate, records, { result = result, matches = matches })
  end

  for _, numbers in ipairs { { 3, 1, 1 }, { 3, 1, 2 }, { 3, 0, 1 }, { 3, 0, 2 }, { 3, 0, 0 }, { 3, 1, 0 } } do
    verified(("%d %d %d of the leaf"):format(numbers[1], numbers[2], numbers[3]), chains.ec,
      { tlsa(chains.ec, numbers[1], numbers[2], numbers[3]) })
  end
  verified("3 1 1 of an RSA leaf", chains.rsa, { tlsa(chains.rsa, 3, 1, 1) })
  verified("3 0 1 of an Ed25519 leaf", chains.ed25519, { tlsa(chains.ed25519, 3, 0, 1) })
  -- RFC 7672 section 3.1.1: names, dates and the chain do not bind usage 3.
  verified("usage 3, a leaf for another name", chains.foreign, { tlsa(chains.foreign, 3, 1, 1) })
  verified("usage 3, a leaf without any name", chains.nameless, { tlsa(chains.nameless, 3, 1, 1) })
  verified("usage 3, an expired leaf", chains.expired, { tlsa(chains.expired, 3, 1, 1) })
  verified("usage 3, a leaf that is not valid yet", chains.future, { tlsa(chains.future, 3, 0, 1) })
  verified("usage 3, a self-signed leaf", chains["self-signed"], { tlsa(chains["self-signed"], 3, 1, 1) })
  failed("3 1 1 of another key", chains.ec, { tlsa(chains.rsa, 3, 1, 1) }, "validation-failure")
  failed("3 0 1 of another certificate", chains.ec, { stale(3, 0, 1) }, "validation-failure")
  failed("3 1 1 of the issuer", chains.ec, { tlsa(chains.issuer, 3, 1, 1) }, "validation-failure", false)

  for _, numbers in ipairs { { 2, 1, 1 }, { 2, 1, 2 }, { 2, 0, 1 }, { 2, 0, 2 }, { 2, 0, 0 }, { 2, 1, 0 } } do
    verified(("%d %d %d of the issuer"):format(numbers[1], numbers[2], numbers[3]), chains.ec,
      { tlsa(chains.issuer, numbers[1], numbers[2], numbers[3]) }, { depth = 1 })
  end
  verified("2 0 1 of the root, which is sent", chains["with-root"], { tlsa(chains.root, 2, 0, 1) },
    { depth = 2 })
  verified("2 1 1 of the root, which is sent", chains["with-root"], { tlsa(chains.root, 2, 1, 1) },
    { depth = 2 })
  failed("2 0 1 of the root, which is not sent", chains.ec, { tlsa(chains.root, 2, 0, 1) },
    "validation-failure")
  failed("2 1 2 of the root, which is not sent", chains.ec, { tlsa(chains.root, 2, 1, 2) },
    "validation-failure")
  verified("2 0 0 of the root, which is not sent", chains.ec, { tlsa(chains.root, 2, 0, 0) },
    { depth = 2, matches = false })
  verified("2 1 0 of the root, which is not sent", chains.ec, { tlsa(chains.root, 2, 1, 0) },
    { depth = false, matches = false })
  verified("2 0 0 of the issuer, the leaf is sent alone", chains.alone, { tlsa(chains.issuer, 2, 0, 0) },
    { depth = 1, matches = false })
  failed("2 0 1 of the issuer, the leaf is sent alone", chains.alone, { tlsa(chains.issuer, 2, 0, 1) },
    "validation-failure")
  failed("2 1 1 of the leaf itself", chains.ec, { tlsa(chains.ec, 2, 1, 1) }, "validation-failure", false)
  failed("2 0 1 of a self-signed leaf", chains["self-signed"], { tlsa(chains["self-signed"], 2, 0, 1) },
    "validation-failure", false)
  failed("2 1 1 of another authority", chains.strange, { tlsa(chains.issuer, 2, 1, 1) }, "validation-failure")
  failed("2 1 1 of a certificate that is sent and did not sign", unrelated,
    { tlsa(chains.stranger, 2, 1, 1) }, "certificate-not-trusted")
  failed("usage 2, another certificate with the issuer's name", below_twin, { tlsa(twin, 2, 1, 1) },
    "certificate-not-trusted")
  failed("usage 2, an issuer that is no authority", below_leaf, { tlsa(no_authority, 2, 0, 1) },
    "certificate-not-trusted")
  failed("usage 2, a leaf for another name", chains.foreign, { tlsa(chains.issuer, 2, 1, 1) },
    "certificate-host-mismatch")
  failed("usage 2, an expired leaf", chains.expired, { tlsa(chains.issuer, 2, 1, 1) }, "certificate-expired")
  -- The dates of a trust anchor are no part of a path (RFC 5280 section 6.1.1 (d)). OpenSSL looks at them
  -- when
  -- it is self-signed.
  verified("usage 2, an issuer that has expired and is the anchor", below_expired,
    { tlsa(expired_issuer, 2, 1, 1) }, { depth = 1 })
  failed("usage 2, an expired root", below_expired_root, { tlsa(expired_root, 2, 1, 1) },
    "certificate-expired")
  failed("usage 2, an expired issuer below the anchor", between_expired, { tlsa(chains.root, 2, 1, 1) },
    "certificate-expired")
  failed("usage 2, a leaf that is not valid yet", chains.future, { tlsa(chains.issuer, 2, 1, 1) },
    "certificate-not-trusted")

  for _, case in ipairs(cases) do
    local expected = case.expected
    it(("%s: %s"):format(case.title, expected.result or "verified"), function()
      local connection, host, report = world:connection(case.label)
      local usage = tonumber(case.records[1]:sub(1, 1))
      local failure = expected.result ~= nil
      if failure then
        verifying.bad(connection, expected.result, "handshake")
        assert.equal("failed", connection.dane)
      else
        verifying.good(connection, "verified")
        assert.equal(usage == 2 and host.host or nil, connection.matched.name)
        assert.equal(case.records[1], tostring(connection.matched.record))
        if expected.depth ~= false then assert.equal(expected.depth or 0, connection.matched.depth) end
      end
      assert.same({ "dane", not failure, expected.result, not failure },
        { host.tls, host.ok, host.result, report.ok })
      local matches = expected.matches
      if matches == nil then
        matches = usage == 3 and "leaf" or "issuer"
        if expected.result == "validation-failure" then matches = "none" end
      end
      assert.equal(1, #host.records)
      assert.equal(case.records[1], tostring(host.records[1].record))
      if matches then assert.equal(matches, host.records[1].matches) end
    end)
  end

  -- Several records, some of which match.
  group("several records:", function()
    local function several(title, certificate, records, expected)
      number = number + 1
      local label = "several" .. number
      world:host(label, { tlsa = records, server = { certificates = { certificate } } })
      it(title, function()
        local connection, host = world:connection(label)
        local matches = {}
        for _, each in ipairs(host.records) do
          matches[tostring(each.record)] = each.matches
          assert.equal(each.matches ~= "none" and "ecdsa" or nil, each.key)
        end
        assert.same(expected.matches, matches)
        if expected.result then
          verifying.bad(connection, expected.result, "handshake")
        else
          verifying.good(connection, "verified")
          if expected.record then assert.equal(expected.record, tostring(connection.matched.record)) end
        end
      end)
    end

    local own, issuer = tlsa(chains.ec, 3, 1, 1), tlsa(chains.issuer, 2, 1, 1)
    several("this key and the next", chains.ec, { own, stale(3, 1, 1) },
      { matches = { [own] = "leaf", [stale(3, 1, 1)] = "none" }, record = own })
    several("a stale leaf and its issuer", chains.ec, { stale(3, 1, 1), issuer },
      { matches = { [issuer] = "issuer", [stale(3, 1, 1)] = "none" }, record = issuer })
    local foreign = tlsa(chains.foreign, 3, 1, 1)
    several("a leaf and its issuer, the name is another", chains.foreign, { foreign, issuer },
      { matches = { [foreign] = "leaf", [issuer] = "issuer" }, record = foreign })
    several("none of three", chains.ec, { stale(3, 1, 1), stale(3, 0, 1), stale(2, 1, 1) },
      { matches = { [stale(3, 1, 1)] = "none", [stale(3, 0, 1)] = "none", [stale(2, 1, 1)] = "none" },
        result = "validation-failure" })
    -- RFC 7671 section 9: the weaker digest does not count where there is a stronger one.
    several("the stronger digest is stale", chains.ec, { own, stale(3, 1, 2) },
      { matches = { [stale(3, 1, 2)] = "none" }, result = "validation-failure" })
    local full = tlsa(chains.ec, 3, 1, 0)
    several("full data beside a stale digest", chains.ec, { full, stale(3, 1, 2) },
      { matches = { [full] = "leaf", [stale(3, 1, 2)] = "none" }, record = full })
    local leaf512 = tlsa(chains.ec, 3, 0, 2)
    several("the digests of one usage and selector say nothing of another's", chains.ec,
      { stale(3, 1, 2), leaf512, own },
      { matches = { [stale(3, 1, 2)] = "none", [leaf512] = "leaf" }, record = leaf512 })
    -- Each form of a certificate is made once, and all records are compared with it.
    local every, marks = {}, {}
    for _, of in ipairs {
      { chains.ec, 3, "leaf" }, { chains.issuer, 2, "issuer" }, { chains.foreign, 3, "none" },
      { chains.stranger, 2, "none" }, { chains.ec, 2, "none" } } do
      for selector = 0, 1 do
        for match_type = 0, 2, 2 do
          every[#every + 1] = tlsa(of[1], of[2], selector, match_type)
          marks[every[#every]] = of[3]
        end
      end
    end
    several("every form of certificates of the chain and of others", chains.ec, every, { matches = marks })
  end)

  setup(function() world:start() end)
  before_each(support.reset)
  after_each(support.close)
  teardown(function() world:stop() end)

  it("no server was told anything but EHLO, STARTTLS and QUIT", function()
    assert(world:polite() >= 2 * number)
  end)
end)
