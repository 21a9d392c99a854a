--- The audit of outgoing mail: logs each delivery that had less TLS than the host was owed. smtpd's reports
-- come when a message has been sent, so nothing is stopped here. They say whether there was TLS, but not
-- whether the certificate was verified.
local core = require "nexthop.core"
local findings = require "nexthop.mail.findings"
local opensmtpd = require "nexthop.opensmtpd"
local owed = require "nexthop.mail.owed"
local plan_options = require("nexthop.config.settings").plan_options
local policy = require "nexthop.policy"
local uv = require "luv"

local summary_interval = 3600 -- seconds

local Audit = {}
Audit.__index = Audit

local asks_for_tls = {}
for _, verdict in ipairs(owed.verdicts) do asks_for_tls[verdict] = true end

-- "192.0.2.1:25" or "[2001:db8::1]:25" as an address.
local function address_of(destination)
  return destination and (destination:match "^%[(.*)%]" or destination:match "^(.*):%d+$" or destination)
end

local function has_address(host, bytes)
  for _, ip in ipairs(host.ips) do
    if core.address(ip) == bytes then return true end
  end
  return false
end

-- The host of a plan that has this address. Names do not tell: smtpd reports the name that the address leads
-- back to. Where several hosts have it, the one that is owed most counts.
local function host_at(plan, address)
  local bytes = address and core.address(address)
  local found
  for _, host in ipairs(bytes and plan.hosts or {}) do
    if has_address(host, bytes) then
      if host.tls ~= "may" then return host end
      found = found or host
    end
  end
  return found
end

-- Is it known of every host whether it has an address?
local function has_all_hosts(plan)
  if plan.truncated then return false end
  for _, host in ipairs(plan.hosts) do
    local code = host.err and host.err.code
    if #host.ips == 0 and code and code ~= "not_found" then return false end
  end
  return true
end

-- RFC 8460 4.3: the result type of a delivery in clear to a host that was owed TLS. smtpd tries again without
-- TLS when the handshake has failed.
local function result_of(delivery)
  return delivery.attempts > 1 and "validation-failure" or "starttls-not-supported"
end

-- A delivery in clear to a host that is owed nothing: what MTA-STS has to say of it. RFC 8461 5: in the mode
-- testing such a delivery is reported, and is right.
local function judge_plain(delivery, plan, host)
  if plan.sts_err then -- a policy that could not be had may have asked for TLS
    return { result = plan.sts_err.code, host = host.host, owed = host.tls, message = plan.sts_err.message },
      "unknown"
  elseif host.sts and plan.sts.mode == "testing" then
    return { result = host.sts == "match" and result_of(delivery) or "validation-failure", host = host.host,
      owed = host.tls, policy = "testing" }, "plain"
  end
  return nil, "plain"
end

-- What is wrong with a delivery in clear: fields for the log or nil, and what it counts as.
local function judge(delivery, plan, err)
  if not plan then
    if findings.without_plan(err) == "bogus" then
      return { result = "dnssec-invalid", message = err.message }, "less"
    end
    return nil, "unknown"
  end
  local host = host_at(plan, delivery.address)
  if not host then
    -- Some hosts have another address for each who asks. Addresses that are not global are those of a relay
    -- of our own.
    if has_all_hosts(plan) and owed.is_owed(asks_for_tls, plan) and policy.is_global(delivery.address) then
      return { result = result_of(delivery),
        reason = "every host of the domain is owed TLS, and none has this address" }, "less"
    end
    return nil, "unknown"
  elseif asks_for_tls[host.tls] then
    return { result = result_of(delivery), host = host.host, owed = host.tls }, "less"
  elseif host.tls == "skip" then
    local fields = { host = host.host, owed = "skip", message = host.err and host.err.message }
    if host.err and host.err.code == "bogus" then fields.result = "dnssec-invalid" end
    -- RFC 8460 4.3.3: no type says that the policy does not name the host
    if host.err and host.err.code == "sts_mismatch" then fields.result = "validation-failure" end
    return fields, "less"
  end
  return judge_plain(delivery, plan, host)
end

local function count(self, what)
  self.counts[what] = self.counts[what] + 1
end

local function tell(self, delivery, fields)
  fields.event, fields.session = "outgoing", delivery.session
  fields.domain, fields.destination, fields.mail = delivery.domain, delivery.destination, delivery.message_id
  fields.tls = delivery.tls or "none"
  self.log:line(fields)
end

-- A delivery whose plan is known, or not needed.
local function finish(self, delivery, plan, err)
  if delivery.tls then
    count(self, "tls")
    if self.verbose then tell(self, delivery, {}) end
    return
  end
  local fields, kind = judge(delivery, plan, err)
  count(self, kind)
  if kind == "less" then fields.count = self.counts.less end
  if fields or self.verbose then tell(self, delivery, fields or { reason = kind }) end
end

-- Asks for the plan of a domain when a recipient there was accepted, so that it is known when the message has
-- been sent.
local function look_up(self, domain)
  local lookup = { waiting = {} }
  local handle = self.supervisor:plan(domain, self.options, function(plan, err)
    lookup.plan, lookup.err, lookup.is_done = plan, err, true
    for _, delivery in ipairs(lookup.waiting) do
      opensmtpd.guarded(self.filter, "audit", nil, finish, self, delivery, plan, err)
    end
  end)
  if not handle then lookup.is_done = true end
  return lookup
end

local function on_recipient(self, event)
  local domain = event.result == "ok" and policy.domain(event.address or "")
  if not domain or self.excludes(domain) then return end
  local lookups = event.session.lookups or {}
  event.session.lookups = lookups
  -- with TLS there is nothing to find out
  lookups[domain] = lookups[domain] or event.session.tls and {} or look_up(self, domain)
end

-- The message has been sent, to all recipients that were accepted. Do not forget them at `tx-rollback` and
-- `tx-reset`: both come when one of several recipients is refused, too.
local function on_sent(self, event)
  local session = event.session
  for domain, lookup in pairs(session.lookups or {}) do
    local delivery = {
      session = session.id, domain = domain, destination = session.destination,
      address = address_of(session.destination), tls = session.tls, attempts = session.attempts,
      message_id = event.message_id,
    }
    count(self, "deliveries")
    if delivery.tls or lookup.is_done then
      finish(self, delivery, lookup.plan, lookup.err)
    else
      table.insert(lookup.waiting, delivery)
    end
  end
  session.lookups = nil
end

local function summarise(self)
  local counts = self.counts
  if counts.deliveries == self.told then return end
  self.told = counts.deliveries
  -- what is still looked up is not known either
  local not_known = counts.deliveries - counts.tls - counts.less - counts.plain
  self.log:line { event = "outgoing-summary", deliveries = counts.deliveries, with_tls = counts.tls,
    less_tls_than_owed = counts.less, nothing_owed = counts.plain, not_known = not_known }
end

--- Ends it, with a summary.
function Audit:close()
  self.timer:close()
  summarise(self)
end

return {
  --- @param filter of nexthop.opensmtpd, before it runs
  -- @param supervisor of nexthop.luv.supervisor
  -- @param settings of nexthop.programs.filter.settings
  -- @param verbose log the deliveries in which nothing was wrong, too
  new = function(filter, supervisor, settings, verbose)
    local self = setmetatable({
      filter = filter, supervisor = supervisor, log = filter.log, verbose = verbose,
      excludes = settings.exclude,
      options = plan_options(settings, settings.deadline, true), timer = uv.new_timer(), told = 0,
      counts = { deliveries = 0, tls = 0, less = 0, plain = 0, unknown = 0 },
    }, Audit)
    self.options.tlsrpt = nil -- the audit sends no report
    self.timer:start(summary_interval * 1000, summary_interval * 1000, function() summarise(self) end)
    filter:on_outgoing("tx-begin", function(event) event.session.lookups = nil end)
    filter:on_outgoing("tx-rcpt", function(event) on_recipient(self, event) end)
    filter:on_outgoing("tx-commit", function(event) on_sent(self, event) end)
    return self
  end,
}
