--- What a plan means for mail: one finding for a sender's or a recipient's domain.
local addresses = require "nexthop.mail.addresses"

local M = {}

--- The findings of each role, in the order in which they are told, without `ok`.
M.findings = {
  sender = { "null_mx", "no_host", "broken", "unroutable", "bogus", "failure" },
  recipient = {
    "null_mx", "no_host", "broken", "unroutable", "bogus", "failure",
    "dane", "sts", "dane_partial", "dane_broken", "no_dane",
  },
}

local known = { sender = { ok = true }, recipient = { ok = true } }
for role, list in pairs(M.findings) do
  for _, name in ipairs(list) do known[role][name] = true end
end

--- Is this the name of a finding of that role (`ok` included)?
function M.is_finding(role, name)
  return known[role] ~= nil and known[role][name] == true
end

-- A domain without a plan: what its error means. All others are `failure`.
local by_code = {
  no_mail = "null_mx", nxdomain = "no_host", invalid_name = "no_host", invalid_mx = "broken",
  bogus = "bogus",
}

--- What is said of a domain none of whose hosts has an address.
function M.without_address(plan)
  local bogus = false
  for _, host in ipairs(plan.hosts) do
    local err = host.err
    if err and err.code == "bogus" then
      bogus = true
    elseif err and err.code ~= "not_found" and not err.permanent then
      return "failure"
    end
  end
  if bogus then return "bogus" end
  return plan.have_mx and "broken" or "no_host"
end

local MAX_ADDRESSES = 200 -- that are looked at: a domain may have a hundred thousand

-- Is every address of every mail host one that the Internet cannot reach? Not known, so not said,
-- when a host or a family of addresses failed, hosts were left out, or there are too many addresses.
local function is_unroutable(plan)
  if plan.truncated then return false end
  local left = MAX_ADDRESSES
  for _, host in ipairs(plan.hosts) do
    local code = host.err and host.err.code
    if code and code ~= "not_found" and code ~= "no_dane" and code ~= "sts_mismatch" then return false end
    if host.failed and next(host.failed) ~= nil then return false end
    left = left - #host.ips
    if left < 0 then return false end
    for _, ip in ipairs(host.ips) do
      if addresses.is_global(ip) ~= false then return false end
    end
  end
  return true
end

-- Was it TLSA that could not be looked up? Its addresses could, and a deadline that came while
-- they were asked for leaves no base domain.
local function is_broken(host)
  if host.tls ~= "skip" or #host.ips == 0 then return false end
  local code = host.err and host.err.code
  if code == "timeout" then
    return host.tlsa_base_domain ~= nil or host.dane_required == true
      or host.err.dane_required == true
  end
  return code ~= "no_dane" and code ~= "sts_mismatch"
end

-- Behind an insecure MX a host with DANE is not protected by it (RFC 7672 2.2.1). It is protected when the
-- policy of the domain names it, and its certificate is verified as that of a host that is `sts`.
local function dane_of(plan)
  local secure = not (plan.have_mx and not plan.mx_authentic)
  local dane, protected, some, usable = secure and not plan.truncated, not plan.truncated, false, false
  for _, host in ipairs(plan.hosts) do
    if is_broken(host) then return "dane_broken" end
    if #host.ips > 0 then
      usable = usable or not (host.err and host.err.code == "sts_mismatch")
      if host.tls ~= "dane" then dane = false end
      if host.tls ~= "sts" and not (secure and host.tls == "dane") then protected = false end
      if host.tls == "dane" or host.tls == "encrypt" then some = true end
    end
  end
  if not usable then return "failure" end -- the policy excludes every host, for now
  if dane and some then return "dane" end
  if protected then return "sts" end
  return some and "dane_partial" or "no_dane"
end

--- The error of the first host that the deadline kept from being looked up; nil when the plan is whole.
function M.unfinished(plan)
  if not plan.expired then return nil end
  for _, host in ipairs(plan.hosts) do
    if host.err and host.err.expired then return host.err end
  end
  return nil
end

--- The finding of a domain that has no plan, by its error.
function M.without_plan(err)
  return by_code[err and err.code] or "failure"
end

--- The finding for what resolver:plan() gave: one of M.findings[role], or "ok".
function M.find(role, plan, err)
  if not known[role] then
    error("bad argument #1 to 'find' ('sender' or 'recipient' expected)", 2)
  end
  if not plan then return M.without_plan(err) end
  if M.unfinished(plan) then return "failure" end
  local reachable = false
  for _, host in ipairs(plan.hosts) do
    if #host.ips > 0 then reachable = true end
  end
  if not reachable then return M.without_address(plan) end
  if is_unroutable(plan) then return "unroutable" end
  return role == "recipient" and dane_of(plan) or "ok"
end

return M
