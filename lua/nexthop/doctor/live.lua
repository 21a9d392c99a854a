--- Findings about what the hosts present: a report of resolver:verify against the TLSA records. No network.
--
-- Whether a host is prepared for the next certificate is told by the relation of its records (RFC 7671 8.1,
-- 8.4), and not by their number: two records that have one certificate in common are worth as much as one.
local findings = require "nexthop.doctor.findings"
local repairs = require "nexthop.programs.nexthop.repairs"
local roots = require "nexthop.doctor.roots"
local utf8 = require "nexthop.json.utf8"
local words = require "nexthop.programs.nexthop.words"

local M = {}

local Live = {}
Live.__index = Live

function Live:add(name, severity, text, more)
  more = more or {}
  more.port = self.port
  self.out[#self.out + 1] = findings.new(name, severity, self.host.host, text, more)
end

-- "_25._tcp.mx.example. TLSA 3 1 1 ab..."
function Live:record(text)
  return ("_%d._tcp.%s. TLSA %s"):format(self.port, self.planned.tlsa_base_domain or self.host.host, text)
end

local function leaf_of(connection)
  return connection.tls and connection.tls.chain and connection.tls.chain[1] or nil
end

-- ---- connections that fail ------------------------------------------------------------

-- Has another connection been verified by DANE?
function Live:is_verified_elsewhere(fits)
  for _, other in ipairs(self.connections) do
    if other.ok and other.dane == "verified" and fits(other) then return true end
  end
  return false
end

-- A certificate that no record matches.
function Live:uncovered(connection)
  local leaf = leaf_of(connection)
  if not leaf or self.is_uncovered[leaf.spki_sha256] then return end
  self.is_uncovered[leaf.spki_sha256] = true
  local kind = repairs.kind(leaf.key)
  local name = "uncovered-certificate"
  local why = "no TLSA record matches it"
  if self:is_verified_elsewhere(function(other)
    local another = leaf_of(other)
    return other.ip == connection.ip and another and another.key ~= leaf.key
  end) then
    name = "key-kinds-differ"
    why = "no TLSA record matches it, though one matches a certificate of another kind"
  elseif self:is_verified_elsewhere(function(other) return other.ip ~= connection.ip end) then
    name, why = "addresses-differ", "no TLSA record matches it, though one matches that of another address"
  end
  self:add(name, "error", ("the server at %s presents a certificate with the %s key %s..., and %s"):format(
    connection.ip, kind or "", leaf.spki_sha256:sub(1, 16), why):gsub("  +", " "), {
      cure = "publish a record of its key, or install a certificate there that a record is for; until then "
        .. "senders that do DANE hold mail back",
      record = self:record("3 1 1 " .. leaf.spki_sha256),
    })
end

-- Has the finding about records of issuers that are not sent said this already? Not of a host that has
-- records of keys, too.
function Live:is_explained(connection)
  return self.has_missing_issuer
    and (connection.result == "validation-failure" or connection.result == "certificate-not-trusted")
end

function Live:failures()
  local seen = {}
  for _, connection in ipairs(self.connections) do
    local result = connection.result
    if connection.ok or self:is_explained(connection) then -- luacheck: ignore 542
      -- nothing is to be said
    elseif result == "validation-failure" then
      self:uncovered(connection)
    elseif findings.names[result] and not seen[result .. connection.ip] then
      seen[result .. connection.ip] = true
      local case = { report = self.report, host = self.host, planned = self.planned, port = self.port,
        at = self.at, connection = connection }
      self:add(result, "error", words.one_line(connection.message or result),
        { cure = repairs.advice(case) })
    end
  end
end

-- ---- records ------------------------------------------------------------

-- The certificates that were seen, by what `key_of` says of each.
function Live:certificates(key_of)
  local list, seen = {}, {}
  for _, connection in ipairs(self.connections) do
    local leaf = leaf_of(connection)
    if leaf and not seen[key_of(leaf)] then
      seen[key_of(leaf)] = true
      list[#list + 1] = { leaf = leaf, connection = connection }
    end
  end
  return list
end

-- The records of one usage: those that match what was seen, and those that do not.
function Live:split(usage)
  local matched, others = {}, {}
  for _, entry in ipairs(self.host.records or {}) do
    if entry.record.usage == usage then
      local list = entry.matches ~= "none" and matched or others
      if list == matched or not findings.is_digest_of_nothing(entry.record) then
        list[#list + 1] = entry.record
      end
    end
  end
  return matched, others
end

-- Is everything known that a record could match?
function Live:has_seen_all()
  local kinds, presented = {}, false
  for _, connection in ipairs(self.connections) do
    kinds[connection.keys] = true
    if connection.result == "certificate-expired" or connection.dane then presented = true end
    if connection.temporary and not connection.ok then return false end
  end
  return presented and kinds.rsa == true and kinds.ecdsa == true
end

-- Records of usage 3 that match nothing are of the next keys, or stale. There can be one next key for each
-- key that is in use.
function Live:stale(matched, others)
  if #others == 0 or not self:has_seen_all() then return end
  local keys = #self:certificates(function(leaf) return leaf.spki_sha256 end)
  local is_next = #matched > 0 and #others <= keys
  for _, record in ipairs(others) do
    local text = ("the record %s matches no certificate that the host presents"):format(words.record(record))
    if is_next then
      self:add("stale-record", "hint", text .. ": it is that of the next key, or it is stale",
        { cure = "take it out of the zone if it is not that of the next key" })
    else
      self:add("stale-record", "warning", #matched == 0 and text
        or ("%s, and there are more of these than keys in use"):format(text),
        { cure = "take it out of the zone, once records of the certificates in use are there" })
    end
  end
end

-- Records of usage 2 of which none matches: the issuer is not in what the server sends. A record whose issuer
-- is sent makes the others reserves, which are no fault.
function Live:missing_issuers(matched, others)
  if #matched > 0 or #others == 0 then return end
  local seen = self:certificates(function(leaf) return leaf.cert_sha256 end)
  if #seen == 0 then return end
  local chain = seen[1].connection.tls.chain
  local top = chain[#chain]
  local better = #chain > 1 and "2 1 1 " .. top.spki_sha256 or "3 1 1 " .. top.spki_sha256
  for _, record in ipairs(others) do
    local root = roots.find(record, self.ca_file)
    self:add("root-not-sent", self.is_ok and "warning" or "error",
      ("the record %s is that of %s, which the server does not send"):format(words.record(record),
        root and ("the root %s"):format(utf8.clean(root)) or "an issuer"),
      { cure = "let the server send that certificate behind its own, or publish the record of one "
        .. "that it sends",
        record = self:record(better) })
  end
end

function Live:preparation(leaves, next_keys, issuers, other_issuers)
  if not self.is_ok or not self:has_seen_all() then return end
  if #issuers > 0 and (#issuers + #other_issuers > 1 or #leaves > 0) then return end
  if #leaves > 0 and #next_keys > 0 then return end
  if #leaves == 0 and #issuers == 0 then return end
  local what = #leaves > 0 and "all TLSA records are those of the certificate in use"
    or "the only TLSA record is that of one issuer"
  self:add("not-prepared", "hint", what .. ": none is there for the one that comes after it", {
    cure = #leaves > 0 and "make the next key now and publish its record beside this one (RFC 7671 8.1), or "
      .. "that of the issuer (2 1 1)"
      or "publish the record of a second issuer, or of the key (3 1 1), beside it",
  })
end

function Live:records()
  local leaves, next_keys = self:split(3)
  local issuers, other_issuers = self:split(2)
  self:missing_issuers(issuers, other_issuers)
  self.has_missing_issuer = #issuers == 0 and #other_issuers > 0 and #leaves + #next_keys == 0
  self:stale(leaves, next_keys)
  self:preparation(leaves, next_keys, issuers, other_issuers)
end

-- ---- dates ------------------------------------------------------------

local function day(seconds)
  return os.date("!%Y-%m-%d", math.floor(seconds))
end

--- The certificate of a connection that ends first, among those that count.
function M.first_to_end(connection)
  local chain, first = connection.tls.chain, nil
  local matched = connection.matched
  for i = 1, matched and matched.record.usage == 2 and matched.depth + 1 or 1 do
    if chain[i] and (not first or chain[i].not_after < first.not_after) then first = chain[i] end
  end
  return first
end

--- Do the dates of a certificate count for nobody whose mail may be held back? So it is between mail servers
-- with a record of usage 3 (RFC 7671 5.1). Mail clients, and senders that follow an MTA-STS policy, look at
-- dates.
-- @param plan that the report is of
function M.is_dateless(connection, port, plan)
  return port == 25 and connection.matched ~= nil and connection.matched.record.usage == 3
    and not (plan.sts and plan.sts.mode == "enforce")
end

function Live:dates(warning, critical)
  for _, each in ipairs(self:certificates(function(leaf) return leaf.cert_sha256 end)) do
    local connection = each.connection
    local certificate = M.first_to_end(connection)
    local left = (certificate.not_after - self.at) / 86400
    local what = ("the certificate of %s"):format(words.shorten(utf8.clean(certificate.subject or ""), 120))
    local is_dateless = M.is_dateless(connection, self.port, self.report.plan)
    local why = is_dateless and ": dates do not count for the record 3 x x, but for senders that do no DANE "
      .. "and verify certificates" or ""
    if connection.result == "certificate-expired" or left >= warning then -- luacheck: ignore 542
      -- said by failures(), or nothing is to be said
    elseif left < 0 then
      self:add("certificate-expired", is_dateless and "hint" or "error", ("%s ended on %s%s"):format(what,
        day(certificate.not_after), why), { cure = "renew it" })
    else
      self:add("certificate-expiring", is_dateless and "hint" or left < critical and "error" or "warning",
        ("%s ends on %s, in %.1f days%s"):format(what, day(certificate.not_after), left, why),
        { cure = "renew it; publish the record of the new key first, if the key changes (RFC 7671 8.1)" })
    end
  end
end

-- ---- addresses to which there is no way ------------------------------------------------------------

-- Leaves out the connections that failed because this machine has no way to the address, as one without IPv6
-- has to all IPv6 addresses, and marks them `left_out`. A host to which there is no way at all keeps them.
function Live:leave_out(has_route)
  local heard, silent, seen, is_ok = {}, {}, {}, true
  for _, connection in ipairs(self.host.connections) do
    if connection.result == "connect-failed" and has_route and not has_route(connection.ip) then
      if not seen[connection.ip] then silent[#silent + 1] = connection.ip end
      seen[connection.ip] = true
    else
      heard[#heard + 1] = connection
      is_ok = is_ok and connection.ok
    end
  end
  self.connections, self.is_ok = self.host.connections, self.host.ok
  if #silent == 0 or #heard == 0 then return end
  self.connections, self.is_ok = heard, is_ok
  for _, connection in ipairs(self.host.connections) do connection.left_out = seen[connection.ip] end
  for _, ip in ipairs(silent) do
    self:add("not-all-checked", "hint",
      ("this machine has no way to %s, and nothing is known of the server there"):format(ip),
      { cure = "check the host from a machine that has a way there, too" })
  end
end

-- ---- all of it ------------------------------------------------------------

--- Returns the findings about a report.
-- @param report of resolver:verify
-- @param settings { port, at = seconds since 1970, warning, critical (days), ca_file, has_route =
-- function(address) (nil: there is a way to all), left_out = { [host] = true } (nothing is said of what they
-- present) }
function M.judge(report, settings)
  local out = {}
  for i, host in ipairs(report.hosts) do
    local self = setmetatable({
      out = out, report = report, host = host, planned = report.plan.hosts[i], port = settings.port,
      at = settings.at, ca_file = settings.ca_file, is_uncovered = {},
    }, Live)
    if not (settings.left_out and settings.left_out[host.host]) then
      self:leave_out(settings.has_route)
      if host.tls == "dane" then self:records() end
      self:failures()
      self:dates(settings.warning, settings.critical)
    end
  end
  return out
end

return M
