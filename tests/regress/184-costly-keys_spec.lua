-- A signed domain could have a hundred TLSA records with keys of which each takes OpenSSL 0.1 s to read: a
-- plan kept the process for 14 s. A mail server or a policy host could do the same with its certificates.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local sts_world = require "tests.support.sts_world"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local zone = chains.zone
local world = verifying.world(zone, 41)
local policies = sts_world.new("costly.example", 67)

local function leaf(name, options)
  options.name, options.names = name, { "*." .. zone }
  return ca.leaf(options)
end
local explicit, exponent = leaf("explicit", { key = "explicit" }), leaf("exponent", { key = "exponent" })
-- The reasons of the records of a host that are unusable, and the number of those that are usable.
local function judged(label)
  local host = assert(support.resolver():plan(label .. "." .. zone)).hosts[1]
  local reasons = {}
  for _, record in ipairs(host.unusable) do reasons[#reasons + 1] = record.reason end
  return reasons, #host.records, host.tls
end

describe("keys that take too long", function()
  local function record_host(label, records) world:host(label, { tlsa = records, server = {
    certificates = { chains.ec } } }) end

  record_host("keys", { ca.tlsa(explicit, 2, 1, 0), ca.tlsa(explicit, 3, 0, 0), ca.tlsa(exponent, 2, 1, 0),
    ca.tlsa(chains.ec, 3, 1, 1) })
  -- More than 16 records with full data, which are good, or only look so.
  local good, bad = {}, {}
  for n = 1, 20 do
    good[n] = ca.tlsa(leaf("full" .. n, {}), n % 2 + 2, 1, 0)
    bad[n] = good[n]:sub(1, -5) .. "0000" -- no point of its curve
  end
  record_host("full", good)
  record_host("fullbad", bad)
  local cases = {}
  for name, certificate in pairs { explicit = explicit, exponent = exponent, plain = chains.ec } do
    for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
      local label = name .. version:gsub("%D", "")
      cases[#cases + 1] = { label = label, title = name .. ", " .. version, ok = certificate == chains.ec }
      world:host(label, { tlsa = { ca.tlsa(certificate, 3, 1, 1) }, server = { certificates = { certificate },
        min = version, max = version } })
    end
  end
  local issuer = ca.authority { name = "deep0" }
  local top = issuer
  for n = 1, 12 do
    issuer = ca.authority { name = "deep" .. n, issuer = issuer }
    if n == 9 or n == 12 then
      world:host("deep" .. n, { tlsa = { ca.tlsa(top, 2, 1, 1) }, server = { certificates = {
        leaf("below-deep" .. n, { issuer = issuer, send_root = true }) } } })
    end
  end
  table.sort(cases, function(a, b) return a.title < b.title end)
  policies:domain("explicit", { certificate = ca.leaf { name = "policy-explicit", key = "explicit",
    issuer = policies.root, names = { "mta-sts.explicit.costly.example" } } })
  policies:domain("plain", {})

  setup(function()
    world:start()
    policies:start()
  end)
  before_each(support.reset)
  after_each(support.close)
  teardown(function()
    policies:stop()
    world:stop()
  end)

  it("make a TLSA record unusable when they describe their curve", function()
    local reasons, usable = judged "keys"
    assert.equal(2, usable)
    assert.equal(2, #reasons)
    for _, reason in ipairs(reasons) do support.contains(reason, "describes its own curve") end
  end)

  it("are read in 16 records of an answer, and the others count", function()
    local reasons, usable, tls = judged "full"
    assert.same({ 0, 20, "dane" }, { #reasons, usable, tls })
    reasons, usable, tls = judged "fullbad"
    assert.same({ 16, 4, "dane" }, { #reasons, usable, tls }) -- and never less than dane
    verifying.bad(world:connection "fullbad", "validation-failure", "handshake")
    verifying.bad(world:connection "full", "validation-failure", "handshake")
  end)

  it("are many in a deep chain, which is verified to ten issuers", function()
    verifying.good(world:connection "deep9", "verified")
    verifying.bad(world:connection "deep12", "certificate-not-trusted", "handshake")
  end)

  for _, case in ipairs(cases) do
    it("in the certificates of a mail server: " .. case.title, function()
      local connection = world:connection(case.label)
      if case.ok then
        verifying.good(connection, "verified")
      else
        verifying.bad(connection, "tls-failed", "handshake")
        support.contains(connection.message, "a certificate whose public key takes too long to use")
      end
    end)
  end

  sts_world.it(it, pending)("in the certificate of a policy host", function()
    local plan = policies:plan "explicit"
    assert.equal("may", plan.hosts[1].tls)
    assert.is_nil(plan.sts)
    support.contains(tostring(plan.sts_err), "mta-sts.explicit.costly.example")
    assert.equal("sts", policies:plan("plain").hosts[1].tls)
  end)
end)
