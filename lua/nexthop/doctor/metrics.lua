--- Metrics of checked domains, for `nexthop --check --format openmetrics` and nexthop-monitor.
--
--   local known = metrics.of("example.org", state, { at = os.time(), seconds = 1.5 })   -- plain: may be kept
--   metrics.add(page, { known, ... })                                                 -- as JSON
local findings = require "nexthop.doctor.findings"
local core = require "nexthop.core"
local hex = require "nexthop.hex"
local live = require "nexthop.doctor.live"

local M = {}

-- In the order of the page.
local families = {
  { "nexthop_domain_ok", "Has the check of the domain found nothing to mend? Hints do not count." },
  { "nexthop_host_ok", "The same of a mail host of the domain; tls is what it is owed." },
  { "nexthop_connection_ok", "Did the host present what it is owed at this address, for this kind of key?" },
  { "nexthop_tlsa_matches", "Does the TLSA record match a certificate that the host presents?" },
  { "nexthop_certificate_expiry_timestamp_seconds", "When the certificate ends, in seconds since 1970.",
    "seconds" },
  { "nexthop_signature_expiry_timestamp_seconds",
    "When the first DNSSEC signature of the zone ends, in seconds since 1970.", "seconds" },
  { "nexthop_check_timestamp_seconds", "When the domain was checked, in seconds since 1970.", "seconds" },
  { "nexthop_check_seconds", "How long the check of the domain took.", "seconds" },
}

local label_orders = {
  nexthop_domain_ok = { "domain" },
  nexthop_host_ok = { "domain", "host", "tls" },
  nexthop_connection_ok = { "host", "ip", "keys" },
  nexthop_tlsa_matches = { "host", "usage", "selector", "match_type", "digest" },
  nexthop_certificate_expiry_timestamp_seconds = { "host", "key" },
  nexthop_signature_expiry_timestamp_seconds = { "zone" },
  nexthop_check_timestamp_seconds = { "domain" },
  nexthop_check_seconds = { "domain" },
}

-- ---- of one domain ------------------------------------------------------------

-- The text of a sample's labels, which tells it from others of its family.
local function key_of(name, labels)
  local parts = { name }
  for i, label in ipairs(label_orders[name]) do parts[i + 1] = labels[label] end
  return table.concat(parts, "\n")
end

local Samples = {}
Samples.__index = Samples

-- Adds a sample. What several ports or addresses have in common has the worse of their values, which is the
-- smaller one: 0 is not ok, and a certificate that ends earlier counts.
function Samples:put(name, labels, value)
  if type(value) == "boolean" then value = value and 1 or 0 end
  local key = key_of(name, labels)
  local sample = self.by_key[key]
  if sample then
    sample.value = math.min(sample.value, value)
    return
  end
  sample = { name = name, labels = labels, value = value }
  self.by_key[key], self.list[#self.list + 1] = sample, sample
end

-- Whole records may stand in the DNS; a label has the digest of such a one.
local function digest_of(record)
  return hex.encode(record.match_type == 0 and core.digest(record.data, 1) or record.data)
end

local kinds = { ec = "ecdsa" }

local function add_report(self, report)
  for _, host in ipairs(report.hosts) do
    local has_presented = false
    for _, connection in ipairs(host.connections) do
      if not connection.left_out then
        self:put("nexthop_connection_ok", { host = host.host, ip = connection.ip, keys = connection.keys },
          connection.ok)
      end
      local chain = connection.tls and connection.tls.chain
      if chain and chain[1] then
        has_presented = true
        local key = chain[1].key or "unknown"
        self:put("nexthop_certificate_expiry_timestamp_seconds",
          { host = host.host, key = kinds[key] or key }, live.first_to_end(connection).not_after)
      end
    end
    -- without a certificate it is not known what a record matches
    for _, entry in ipairs(has_presented and host.records or {}) do
      local record = entry.record
      self:put("nexthop_tlsa_matches", {
        host = host.host, usage = tostring(record.usage), selector = tostring(record.selector),
        match_type = tostring(record.match_type), digest = digest_of(record),
      }, entry.matches ~= "none")
    end
  end
end

--- Makes plain data, which may be kept as JSON, of what nexthop.programs.nexthop.doctor has found.
-- @param state { ports, findings, signatures }
-- @param check { at = seconds since 1970, seconds = how long it took }
function M.of(domain, state, check)
  local self = setmetatable({ list = {}, by_key = {} }, Samples)
  local is_bad = {}
  for _, finding in ipairs(state.findings) do
    if findings.are_bad { finding } then is_bad[finding.subject] = true end
  end
  self:put("nexthop_domain_ok", { domain = domain }, not findings.are_bad(state.findings))
  for _, entry in ipairs(state.ports) do
    -- Hosts that were to be looked at, and were not, are neither well nor not.
    for _, host in ipairs(entry.plan and not entry.verify_err and entry.plan.hosts or {}) do
      self:put("nexthop_host_ok", { domain = domain, host = host.host, tls = host.tls },
        not is_bad[host.host])
    end
    if entry.report then add_report(self, entry.report) end
  end
  for zone, expiry in pairs(state.signatures or {}) do
    self:put("nexthop_signature_expiry_timestamp_seconds", { zone = zone }, expiry)
  end
  self:put("nexthop_check_timestamp_seconds", { domain = domain }, check.at)
  self:put("nexthop_check_seconds", { domain = domain }, check.seconds)
  return { at = check.at, samples = self.list }
end

local function is_sample(value)
  local order = type(value) == "table" and label_orders[value.name]
  if not order or type(value.value) ~= "number" or type(value.labels) ~= "table" then return false end
  local count = 0
  for _ in pairs(value.labels) do count = count + 1 end
  for _, label in ipairs(order) do
    if type(value.labels[label]) ~= "string" then return false end
  end
  return count == #order
end

--- Is this what of() gives? What was kept may be damaged, or of another version, and names of labels stand in
-- a page as they are.
function M.is_known(value)
  if type(value) ~= "table" or type(value.at) ~= "number" or type(value.samples) ~= "table" then
    return false
  end
  for _, sample in ipairs(value.samples) do
    if not is_sample(sample) then return false end
  end
  return true
end

-- ---- of many domains ------------------------------------------------------------

--- Adds the metrics of domains to a page of nexthop.metrics.text. Several domains may have the same hosts and
-- zones: what was seen last counts.
-- @param list of what of() gives; two of the same age count in this order
function M.add(page, list)
  local order = {}
  for i, known in ipairs(list) do order[i] = { known = known, index = i } end
  table.sort(order, function(a, b)
    if a.known.at ~= b.known.at then return a.known.at < b.known.at end
    return a.index < b.index
  end)
  local latest, by_name = {}, {}
  for _, entry in ipairs(order) do
    for _, sample in ipairs(entry.known.samples) do
      local key = key_of(sample.name, sample.labels)
      if not latest[key] then
        by_name[sample.name] = by_name[sample.name] or {}
        table.insert(by_name[sample.name], key)
      end
      latest[key] = sample
    end
  end
  for _, family in ipairs(families) do
    local name = family[1]
    local keys = by_name[name]
    if keys then
      page:family(name, "gauge", family[2], family[3])
      table.sort(keys)
      for _, key in ipairs(keys) do page:sample(name, latest[key].labels, latest[key].value) end
    end
  end
end

return M
