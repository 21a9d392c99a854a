--- What a plan means for mail: one finding for a sender's or a recipient's domain, shared by the
-- OpenSMTPD filter, the rspamd plugin, the lookup server and scripts of one's own.
--
--   local domain = policy.domain(address)             -- nil: nothing to look up
--   resolver:plan(domain, function(plan, err)
--     print(policy.find("sender", plan, err))         -- "null_mx", "ok", ...
--   end)
local core = require "nexthop.core"
local addresses = require "nexthop.mail.addresses"

local M = {}

--- The findings of each role, in the order in which they are told, without `ok`.
M.findings = {
  sender = { "null_mx", "no_host", "broken", "unroutable", "bogus", "failure" },
  recipient = {
    "null_mx", "no_host", "broken", "unroutable", "bogus", "failure",
    "dane", "dane_partial", "dane_broken", "no_dane",
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

M.is_global = addresses.is_global
M.is_loopback = addresses.is_loopback

-- ---- findings ------------------------------------------------------------

-- A domain without a plan: what its error means. All others are `failure`.
local by_code = {
  no_mail = "null_mx", nxdomain = "no_host", invalid_name = "no_host", invalid_mx = "broken",
  bogus = "bogus",
}

-- What is said of a domain none of whose hosts has an address.
local function without_address(plan)
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

-- Is every address of every mail host one that the Internet cannot reach? Not known, so not said,
-- when a host or a family of addresses failed or hosts were left out.
local function is_unroutable(plan)
  if plan.truncated then return false end
  for _, host in ipairs(plan.hosts) do
    if host.err and host.err.code ~= "not_found" and host.err.code ~= "no_dane" then return false end
    if host.failed and next(host.failed) ~= nil then return false end
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
  return code ~= "no_dane"
end

local function dane_of(plan)
  local all, some = not plan.truncated, false
  if plan.have_mx and not plan.mx_authentic then all = false end -- RFC 7672 2.2.1: not protected
  for _, host in ipairs(plan.hosts) do
    if is_broken(host) then return "dane_broken" end
    if #host.ips > 0 then
      if host.tls ~= "dane" then all = false end
      if host.tls == "dane" or host.tls == "encrypt" then some = true end
    end
  end
  if not some then return "no_dane" end
  return all and "dane" or "dane_partial"
end

--- The error of the first host that the deadline kept from being looked up. Such a plan holds no more
-- than what was known by then, and its finding is `failure`.
-- @param plan
-- @return an error with `expired`; or nil when the plan is whole
function M.unfinished(plan)
  if not plan.expired then return nil end
  for _, host in ipairs(plan.hosts) do
    if host.err and host.err.expired then return host.err end
  end
  return nil
end

--- The finding for what resolver:plan() gave.
-- @param role "sender" or "recipient"
-- @param plan the plan, or nil
-- @param err the error in its place
-- @return a finding: one of M.findings[role], or "ok"
function M.find(role, plan, err)
  if not known[role] then
    error("bad argument #1 to 'find' ('sender' or 'recipient' expected)", 2)
  end
  if not plan then return by_code[err and err.code] or "failure" end
  if M.unfinished(plan) then return "failure" end
  local reachable = false
  for _, host in ipairs(plan.hosts) do
    if #host.ips > 0 then reachable = true end
  end
  if not reachable then return without_address(plan) end
  if is_unroutable(plan) then return "unroutable" end
  return role == "recipient" and dane_of(plan) or "ok"
end

-- ---- addresses and domains -------------------------------------------------

-- With or without brackets, and other kinds than IP addresses in brackets (RFC 5321 4.1.3).
local function is_literal(domain)
  if domain:find "^%[.*%]$" then return true end
  if domain:lower():find "^ipv6:" then return true end
  return core.address(domain) ~= nil
end

--- The domain of a mail address, as a lower-case A-label. One that cannot exist is returned as it
-- is, in lower case: plan() refuses it with `invalid_name`, and the finding is `no_host`.
-- @param address without angle brackets
-- @return domain; or nil and why there is none to look up: "null sender", "no domain",
-- "address literal"
function M.domain(address)
  if address == "" or address == "<>" then return nil, "null sender" end
  local domain = address:match "^.*@(.*)$"
  if not domain or domain == "" then return nil, "no domain" end
  if is_literal(domain) then return nil, "address literal" end
  return core.name(domain) or domain:lower()
end

local function exclusion(entry)
  if type(entry) ~= "string" then
    return nil, ("a domain expected, got a %s"):format(type(entry))
  end
  local wildcard, rest = entry:match "^(%*%.)(.*)$"
  local name, reason = core.name(rest or entry)
  if not name then
    return nil, ("'%s' is neither a domain nor '*.' and a domain (%s)"):format(entry, reason)
  end
  return name, wildcard ~= nil
end

--- Compiles a list of domains that are not to be looked up: `example.org` is that name,
-- `*.example.net` everything below it, at any depth, but not itself.
-- @param list strings, in any case, as U- or A-labels
-- @return a function(domain) -> boolean; or nil and what is wrong with which entry
function M.exclusions(list)
  local names, below, count = {}, {}, 0
  for key in pairs(list) do
    if type(key) == "number" then count = count + 1 end
  end
  for i = 1, count do -- a nil, a misspelt variable for one, must not hide what follows
    local name, wildcard = exclusion(list[i])
    if not name then return nil, ("entry %d: %s"):format(i, wildcard) end
    if wildcard then below[name] = true else names[name] = true end
  end
  return function(domain)
    domain = core.name(domain) or domain:lower()
    if names[domain] then return true end
    local dot = domain:find(".", 1, true)
    while dot do
      if below[domain:sub(dot + 1)] then return true end
      dot = domain:find(".", dot + 1, true)
    end
    return false
  end
end

-- ---- options of the glue --------------------------------------------------------

--- Checks options against what is allowed.
-- @param given the table of options
-- @param spec { key = function(value) -> value; or nil and what is allowed }; see M.options
-- @param prefix for messages about a table in a table: "sender.", or "." in a function of a spec
-- @return the options that are given, as the functions returned them; or nil and a message that
-- names the key and what is allowed
function M.check(given, spec, prefix)
  prefix = prefix or ""
  if type(given) ~= "table" then
    prefix = prefix:gsub("%.$", "")
    return nil, ("%s%sa table expected, got a %s"):format(prefix, prefix ~= "" and ": " or "",
      type(given))
  end
  local keys = {}
  for key in pairs(spec) do keys[#keys + 1] = key end
  table.sort(keys)
  local checked = {}
  for key, value in pairs(given) do
    local check = spec[key]
    if not check then
      return nil, ("%s%s: no such key; there are: %s"):format(prefix, tostring(key),
        table.concat(keys, ", "))
    end
    local result, reason = check(value)
    if result == nil then
      return nil, prefix .. key .. (reason:sub(1, 1) == "." and reason or ": " .. reason)
    end
    checked[key] = result
  end
  return checked
end

--- Functions for M.check: of options that all of the glue has.
M.options = {}

--- Options of nexthop.new: tried, with all that goes with it (trust anchors ...). What may work
-- out another time (no memory, no descriptors) is no fault of theirs.
function M.options.resolver(value)
  if type(value) ~= "table" then return nil, "options of nexthop.new expected, as a table" end
  local nexthop = require "nexthop"
  local ok, resolver, err = pcall(nexthop.new, value)
  if not ok then return nil, (tostring(resolver):gsub("^.-:%d+: ", "")) end
  if resolver then
    resolver:close()
  elseif err.code == "config" then
    return nil, err.message
  end
  return value
end

--- Seconds, more than 0.
function M.options.deadline(value)
  if type(value) ~= "number" or not (value > 0 and value <= 86400) then
    local got = type(value) == "number" and tostring(value) or "a " .. type(value)
    return nil, "seconds expected, more than 0 and at most 86400, got " .. got
  end
  return value
end

--- A list for M.exclusions; the result is its function.
function M.options.exclude(value)
  if type(value) ~= "table" then return nil, "a list of domains expected" end
  for key in pairs(value) do
    if type(key) ~= "number" then
      return nil, ("a list of domains expected, it has the key '%s'"):format(tostring(key))
    end
  end
  return M.exclusions(value)
end

return M
