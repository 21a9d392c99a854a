-- Reports of resolver:verify made by hand, for what prints them: no network, no resolver.
--
--   local report = require "tests.support.report"
--   local r = report.new { report.host { tls = "dane", connections = { report.connection { ... } } } }
local M = {}

--- The time at which the certificates of these reports are judged: 2027-01-01.
M.now = 1798761600

local function merged(defaults, given)
  for key, value in pairs(given or {}) do defaults[key] = value end
  return defaults
end

--- A TLSA record. The byte is all that its digest is made of.
function M.record(usage, byte)
  return { usage = usage, selector = 1, match_type = 1, data = string.char(byte):rep(32) }
end

--- A certificate as a chain has it.
function M.certificate(given)
  return merged({
    subject = "CN=mx.example", issuer = "CN=CA", names = { "mx.example" }, not_before = M.now - 86400 * 10,
    not_after = M.now + 86400 * 80, key = "rsa", bits = 2048, cert_sha256 = ("c0"):rep(32),
    spki_sha256 = ("5b"):rep(32), der = "\48\130\1",
  }, given)
end

--- A connection that went well.
-- @param given fields in place of the defaults; `certificate` stands for the chain
function M.connection(given)
  local connection = merged({
    ip = "192.0.2.1", port = 25, keys = "any", ok = true, dane = "verified",
    matched = { record = M.record(3, 0x5b), depth = 0 }, pkix = { ok = false,
      reason = "self-signed certificate" },
    tls = { version = "TLSv1.3", cipher = "TLS_AES_256_GCM_SHA384", group = "x25519",
      chain = { given and given.certificate or M.certificate() } },
    greeting = "220 mx.example ESMTP", extensions = { "PIPELINING", "STARTTLS" },
    elapsed = { connect = 0.001, greeting = 0.002, ehlo = 0.003, starttls = 0.004, handshake = 0.012 },
  }, given)
  connection.certificate = nil
  return connection
end

--- A connection that failed before a certificate came.
function M.failed(result, stage, given)
  local connection = M.connection { ok = false, result = result, stage = stage,
    message = "mx.example: it failed" }
  connection.dane, connection.matched, connection.pkix, connection.tls = nil, nil, nil, nil
  return merged(connection, given)
end

--- A connection whose certificate was not what is owed.
function M.refused(result, given)
  local connection = M.connection(merged({
    ok = false, dane = "failed", result = result, stage = "handshake", message = "mx.example: it failed",
  }, given))
  connection.matched = given and given.matched
  return connection
end

--- A host of a report; its planned half is in the field `planned`.
-- @param given tls, host, pref, err, temporary, connections, plan_records (of the plan), records (of the
-- report)
function M.host(given)
  local connections, ok = given.connections or {}, given.tls ~= "skip" and #(given.connections or {}) > 0
  local result
  for _, connection in ipairs(connections) do
    ok = ok and connection.ok
    result = result or connection.result
  end
  local name, dane = given.host or "mx.example", given.tls == "dane"
  return {
    host = name, pref = given.pref or 10, tls = given.tls, ok = ok, result = given.result or result,
    err = given.err,
    temporary = given.temporary, connections = connections, records = given.records or {},
    planned = {
      host = name, pref = given.pref or 10, tls = given.tls, ips = given.ips or { "192.0.2.1" },
      authentic = true,
      expanded_authentic = true, host_authentic = true, expanded_host = name, dualstack = false,
      dane_required = dane, records = given.plan_records or dane and { M.record(3, 0x5b) } or {}, weaker = {},
      unusable = {}, tlsa_base_domain = name, names = dane and { name, "example" } or nil,
      sni = dane and name or nil, err = given.err,
    },
  }
end

--- A report of these hosts.
function M.new(hosts, given)
  local ok, planned = true, {}
  for i, host in ipairs(hosts) do
    ok = ok and host.ok
    planned[i], host.planned = host.planned, nil
  end
  return merged({
    domain = "example", ok = ok, ttl = 60, hosts = hosts,
    plan = {
      domain = "example", have_mx = true, mx_authentic = true, orig_next_hop_authentic = true,
      expanded_next_hop_authentic = true, expanded_next_hop = "example", hosts = planned, ttl = 60,
    },
  }, given)
end

return M
