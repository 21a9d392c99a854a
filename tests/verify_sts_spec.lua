-- verify with MTA-STS: a host that is `sts` must have a certificate that is valid for its own name (RFC 8461
-- 4.2).
local ca = require "tests.support.ca"
local sts_world = require "tests.support.sts_world"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local it = sts_world.it(it, pending)
local zone = "vsts.example"
local policies = sts_world.new("stspolicies.example", 67)
local world = verifying.world(zone, 68)
local root = policies.root
local other = ca.authority { name = "vsts-other" }
local count = 0

-- A mail domain mx-LABEL whose host has this server, and a policy.
local function domain(label, certificate, policy, server)
  count = count + 1
  certificate.name = "vsts" .. count
  if certificate.issuer == nil then certificate.issuer = root end
  certificate.names = certificate.names or { label .. "." .. zone }
  server = server or {}
  server.certificates = { ca.leaf(certificate) }
  world:host(label, { server = server, tlsa = certificate.tlsa and { ca.tlsa(ca.leaf(certificate), 3, 1, 1) },
    text = ('_mta-sts.mx-%s TXT "v=STSv1\\; id=1"\nmta-sts.mx-%s A %s'):format(label, label,
      policies.server.address) })
  policies.names = policies.names or {}
  policies.names[#policies.names + 1] = { "mta-sts.mx-" .. label .. "." .. zone,
    sts_world.text(policy or { mode = "enforce", mx = { label .. "." .. zone } }) }
end

domain("good", {})
domain("wrong", { names = { "another." .. zone } })
domain("old", { from = -20, to = -10 })
domain("foreign", { issuer = other })
domain("cn", { names = {}, cn = "cn." .. zone })
domain("plain", {}, nil, { no_starttls = true })
domain("excluded", {}, { mode = "enforce", mx = { "x." .. zone } })
domain("testing", { issuer = other }, { mode = "testing", mx = { "testing." .. zone } })
domain("invalid", {}, "version: STSv1\n")
domain("dane", { issuer = other, tlsa = true })

describe("verify with sts:", function()
  setup(function()
    local names = {}
    for index, each in ipairs(policies.names) do names[index] = each[1] end
    local leaf = ca.leaf { name = "vsts-web", issuer = root, names = names }
    for _, each in ipairs(policies.names) do policies.server:add(each[1], { certificate = leaf,
      text = each[2] }) end
    world:start()
    policies.server:start()
  end)
  teardown(function()
    policies.server:stop()
    world:stop()
  end)
  after_each(support.close)

  local function verify(label, extra)
    local report = assert(world:verify("mx-" .. label, policies:options(extra)))
    return report.hosts[1].connections[1], report.hosts[1], report
  end

  it("a certificate that is valid for the host's name is ok", function()
    local connection, host, report = verify "good"
    verifying.good(connection)
    assert.same({ "sts", true, true }, { host.tls, host.ok, report.ok })
    assert.is_nil(report.result)
    assert.is_true(connection.pkix.ok)
  end)

  for label, result in pairs {
    wrong = "certificate-host-mismatch", old = "certificate-expired", foreign = "certificate-not-trusted",
    cn = "certificate-host-mismatch",
  } do
    it(("%s: %s"):format(label, result), function()
      local connection, host, report = verify(label)
      verifying.bad(connection, result, "handshake")
      assert.same({ "sts", false, result, false }, { host.tls, host.ok, host.result, report.ok })
    end)
  end

  it("a server without STARTTLS fails what it owes", function()
    local connection, host = verify "plain"
    verifying.bad(connection, "starttls-not-supported", "ehlo")
    assert.same({ "sts", false }, { host.tls, host.ok })
  end)

  it("a host that the policy excludes is not contacted", function()
    local connection, host, report = verify "excluded"
    assert.is_nil(connection)
    assert.same({ "skip", false, "validation-failure", "sts_mismatch" },
      { host.tls, host.ok, host.result, host.err.code })
    assert.is_false(report.ok)
  end)

  it("in the mode testing a host owes nothing", function()
    local connection, host, report = verify "testing"
    verifying.good(connection)
    assert.same({ "may", true, true }, { host.tls, host.ok, report.ok })
    assert.is_false(connection.pkix.ok)
  end)

  it("a policy that is invalid is a result of the report", function()
    local connection, host, report = verify "invalid"
    verifying.good(connection)
    assert.same({ "may", true, false, "sts-policy-invalid" }, { host.tls, host.ok, report.ok, report.result })
  end)

  it("a policy whose certificate is not trusted is a result of the report", function()
    local _, _, report = verify("good", { ca_file = other.file })
    assert.same({ false, "sts-webpki-invalid" }, { report.ok, report.result })
  end)

  it("a policy that cannot be fetched is a result of the report", function()
    local _, _, report = verify("good", { sts_port = 9 })
    assert.same({ false, "sts-policy-fetch-error" }, { report.ok, report.result })
  end)

  it("a host with DANE is judged by DANE", function()
    local connection, host = verify "dane"
    verifying.good(connection, "verified")
    assert.equal("dane", host.tls)
  end)
end)
