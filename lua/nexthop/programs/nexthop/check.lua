--- `nexthop --check`: is every host of one's own domain `dane`, and if not, what is to be mended?
local MAX_ITERATIONS = require("nexthop.programs.nexthop.diagnose").MAX_ITERATIONS
local kinds = require "nexthop.programs.nexthop.weaknesses"
local utf8 = require "nexthop.json.utf8"
local words = require "nexthop.programs.nexthop.words"

local M = {}

-- ---- why an answer is not secure ------------------------------------------------------------

-- "the MX records are not signed: ..."; what is not signed is called so, and all else not secure.
local function not_secure(what, weak)
  if not weak then return what .. " not secure" end
  local missing = weak.kind == "unsigned" and "signed" or "secure"
  return ("%s not %s: %s"):format(what, missing, kinds[weak.kind](weak))
end

-- No TLSA record is asked for: which link of the chain is not secure?
local function insecure(plan, host, facts, mx)
  if plan.have_mx and not plan.mx_authentic then
    return not_secure(("the MX records behind %s are"):format(plan.domain), mx)
  elseif not host.expanded_host then
    return "it is an address, for which there is no DANE: use a host name"
  end
  local weak = facts.addresses
  if weak and weak.link and weak.link ~= (plan.have_mx and host.host or plan.domain) then
    return not_secure(("its alias %s is"):format(weak.link), weak)
  elseif not plan.have_mx and not plan.orig_next_hop_authentic then
    return not_secure(plan.domain .. " is", weak)
  end
  return not_secure("its addresses are", weak)
end

-- ---- names that lead nowhere ------------------------------------------------------------

-- Domains that the DNS does not have, or answers for no other machine.
local reserved = {
  localhost = "RFC 6761 6.3", invalid = "RFC 6761 6.4", test = "RFC 6761 6.2", onion = "RFC 7686",
  ["local"] = "RFC 6762", ["home.arpa"] = "RFC 8375",
}

-- Why no mail from elsewhere can come to a host of such a name.
local function nowhere(plan, host)
  local name = host.expanded_host or host.host
  local above = name:match "([^.]+%.arpa)$" or name:match "([^.]+)$"
  local section = reserved[above]
  if not section then return nil end
  local what = above == "localhost" and "by that name every machine means itself"
    or ("names that end in .%s are reserved, and not in the DNS that others see"):format(above)
  if name ~= host.host then what = ("it is an alias of %s; %s"):format(name, what) end
  return ("%s (%s)%s"):format(what, section, plan.have_mx
    and ": let the MX name a host, or publish the null MX (MX 0 .) if no mail is taken" or "")
end

local families = { ip4 = { "IPv4 address", "-4" }, ip6 = { "IPv6 address", "-6" } }

-- Not so of [host], which is a host itself.
local function was_asked_for_mx(plan)
  for _, entry in ipairs(plan.trace or {}) do
    if entry.type == "MX" then return true end
  end
  return false
end

local function no_address(plan, host, network)
  local family = families[network]
  if family then
    return ("it has no %s, and only those were asked for (%s)"):format(family[1], family[2])
  end
  local first = plan.have_mx and host.host or plan.domain
  local target = host.expanded_host or first
  local alias = target ~= first
  local is = alias and ("it is an alias of %s, which has "):format(target) or "it has "
  local there = alias and " there" or ""
  if plan.have_mx then
    return ("%sno address: add A or AAAA records%s, or take it out of the MX"):format(is, there)
  elseif not was_asked_for_mx(plan) then
    return ("%sno address: add A or AAAA records%s"):format(is, there)
  end
  return ("%sneither MX records nor an address: add MX records%s that name its mail hosts, or the null MX "
    .. "(MX 0 .) if it takes no mail"):format(is, there)
end

-- ---- failures ------------------------------------------------------------

local advice = {
  no_mail = "it takes no mail (null MX), so there is no host to look at",
  nxdomain = "it does not exist",
  invalid_mx = "no MX names a host that could exist: let the MX point to the names of mail servers",
}

local held_back = "until then senders that do DANE hold mail back"
local repairs = {
  bogus = "repair the signatures or the DS of that zone",
  timeout = "see that all name servers of that zone answer",
  servfail = "see that all name servers of that zone answer",
}

local function failed(err, name, alive)
  if advice[err.code] then return advice[err.code] end
  local what = words.message(err, name)
  if err.expired or what:find("the deadline came", 1, true) then return what end
  local help = repairs[err.code]
  if help and alive then return ("%s; %s, %s"):format(what, help, held_back) end
  if alive == false then
    return what .. "; nothing else is answered here (SOA of arpa is not), so this says nothing about "
      .. "that zone"
  end
  return what
end

-- ---- TLSA records ------------------------------------------------------------

local function tlsa_name(host, port)
  return ("_%d._tcp.%s"):format(port, host.tlsa_base_domain or host.host)
end

local function alias_of(tlsa)
  local target = tlsa.chain[#tlsa.chain]
  if target == tlsa.name then return nil end
  local text = ("%s is an alias of %s"):format(tlsa.name, target)
  return target, tlsa.dname and ("%s (by the DNAME at %s)"):format(text, tlsa.dname) or text
end

-- An alias at a TLSA name that leads to no record.
local function useless_alias(plan, host, tlsa)
  local target, text = alias_of(tlsa)
  if target == host.host or target == host.expanded_host or target == plan.domain then
    return ("%s, the host itself, which has no TLSA record: put one such as 3 1 1 in the place of the alias")
      :format(text)
  end
  local what = tlsa.rcode == "NXDOMAIN" and "which does not exist" or "which has no TLSA record"
  local weak = tlsa.weak
  if weak and weak.kind ~= "unproven" then
    return ("%s, %s and is not in a secure zone either%s"):format(text, what,
      tlsa.dname and "" or ": put a TLSA record such as 3 1 1 in the place of the alias")
  end
  return ("%s, %s: publish a TLSA record such as 3 1 1 there%s"):format(text, what,
    tlsa.dname and "" or ", or in the place of the alias")
end

-- There is no record, and that is not secure either. The denial alone may be what does not count: a record
-- in the same zone would.
local function unproven(tlsa, at)
  if tlsa.weak.kind ~= "unproven" then
    return ("there is no TLSA record at %s, and that is not secure: %s"):format(at,
      kinds[tlsa.weak.kind](tlsa.weak))
  end
  local why = ""
  if tlsa.iterations > MAX_ITERATIONS then
    why = (", with %d NSEC3 iterations where validators take %d at most and RFC 9276 wants 0"):format(
      tlsa.iterations, MAX_ITERATIONS)
  elseif tlsa.optout then
    why = ", as its zone has NSEC3 opt-out"
  end
  return ("its addresses are secure, but it has no TLSA record (the proof of that does not count%s): "
    .. "publish one such as 3 1 1 at %s"):format(why, at)
end

-- TLSA records were asked for, and none counts.
local function no_tlsa(plan, host, facts, port)
  local at, denied = tlsa_name(host, port), nil
  local list = facts.tlsa or {}
  for _, tlsa in ipairs(list) do
    if tlsa.count > 0 and not tlsa.secure then
      local what = ("what there is at %s is not %s, and does not count: "):format(tlsa.name,
        tlsa.weak and tlsa.weak.kind ~= "unsigned" and "secure" or "signed")
      if tlsa.weak and tlsa.weak.kind ~= "unsigned" then return what .. kinds[tlsa.weak.kind](tlsa.weak) end
      return what .. "publish a TLSA record such as 3 1 1 in a signed zone (an alias at that name must lead "
        .. "into one)"
    end
  end
  for _, tlsa in ipairs(list) do
    if alias_of(tlsa) then return useless_alias(plan, host, tlsa) end
    if tlsa.name == at and tlsa.weak then denied = tlsa end
  end
  if denied then return unproven(denied, at) end
  return ("it is signed, but has no TLSA record: publish one such as 3 1 1 at %s"):format(at)
end

local function unusable(host)
  local reasons = {}
  for i, record in ipairs(host.unusable) do reasons[i] = utf8.clean(record.reason) end
  return table.concat(reasons, "; ")
end

local function none_usable(host, facts, port)
  local at = tlsa_name(host, port)
  for _, tlsa in ipairs(facts.tlsa or {}) do
    local target = tlsa.name == at and alias_of(tlsa)
    if target then at = ("%s, of which %s is an alias"):format(target, at) end
  end
  return ("none of its TLSA records is usable (%s): publish one such as 3 1 1 at %s")
    :format(unusable(host), at)
end

local names_of_failures = {
  no_mail = "no-mail", nxdomain = "no-such-domain", invalid_name = "no-such-domain",
  invalid_mx = "no-valid-mx", bogus = "bogus-answers",
}

-- The name of the finding about an error.
local function name_of(err)
  return err.expired and "not-all-checked" or names_of_failures[err.code] or "lookup-failed"
end

-- True and what is good about the host; or false, what to mend, and the name of the finding.
local function judge(plan, i, port, facts)
  local host, here = plan.hosts[i], facts.hosts and facts.hosts[i] or {}
  if host.tls == "dane" then
    local text = "dane, " .. words.count(#host.records, "usable TLSA record")
    if #host.unusable > 0 then
      text = ("%s (%d not usable: %s)"):format(text, #host.unusable, unusable(host))
    end
    for family, err in pairs(host.failed or {}) do
      text = ("%s, but %s failed: %s"):format(text, family, words.message(err, host.host))
    end
    return true, text
  elseif host.tls == "sts" then
    return true, "sts, protected by the MTA-STS policy"
  elseif host.tls == "skip" and host.err.code == "sts_mismatch" then
    return false, ("the MTA-STS policy does not name it, and senders that enforce the policy hold mail back: "
      .. "add a line `mx: %s` to the policy and change the id"):format(host.host), "sts-mismatch"
  elseif host.tls == "encrypt" then
    return false, none_usable(host, here, port), "no-usable-tlsa"
  elseif host.tls == "skip" and host.err.code == "not_found" then
    local reserved_name = nowhere(plan, host)
    return false, reserved_name or no_address(plan, host, facts.network),
      reserved_name and "reserved-name" or "no-address"
  elseif host.tls == "skip" then
    return false, failed(host.err, host.host, here.alive), name_of(host.err)
  elseif nowhere(plan, host) then
    return false, nowhere(plan, host), "reserved-name"
  elseif host.tlsa_base_domain then
    return false, no_tlsa(plan, host, here, port), "no-tlsa"
  end
  return false, insecure(plan, host, here, facts.mx), host.expanded_host and "not-secure" or "mx-is-address"
end

-- What is wrong with the MTA-STS policy: names of findings, and texts.
local function sts_faults(plan)
  local out = {}
  if plan.sts_err then
    out[1] = { plan.sts_err.expired and "not-all-checked" or "sts-policy",
      ("%s (%s)"):format(words.message(plan.sts_err, plan.domain), plan.sts_err.code) }
  end
  for _, host in ipairs(plan.sts and plan.sts.mode == "testing" and plan.hosts or {}) do
    if host.sts == "mismatch" then
      local text = "the MTA-STS policy (testing) does not name %s: add a line `mx: %s`"
      out[#out + 1] = { "sts-mismatch", text:format(host.host, host.host) }
    end
  end
  return out
end

--- Judges the hosts of a plan with its trace.
-- @param facts what diagnose.lua has found; without it no more is said than the plan tells
-- @return a list of { ok, host (nil: the domain itself), subject, text, name (of the finding; nil: ok) }
function M.verdicts(name, plan, err, port, facts)
  facts = facts or {}
  if not plan then
    return { { ok = false, subject = words.name(name), text = failed(err, name, facts.alive),
      name = name_of(err) } }
  end
  local out = {}
  for i, host in ipairs(plan.hosts) do
    local ok, text, finding = judge(plan, i, port, facts)
    local subject = host.pref >= 0 and ("%s %d %s"):format(plan.domain, host.pref, host.host) or host.host
    out[i] = { ok = ok, host = host.host, subject = subject, text = text, name = finding }
  end
  for _, text in ipairs(sts_faults(plan)) do
    out[#out + 1] = { ok = false, subject = plan.domain, name = text[1], text = text[2] }
  end
  if plan.truncated then
    out[#out + 1] = { ok = false, subject = plan.domain, name = "too-many-hosts",
      text = words.count(plan.truncated, "more host") .. " not looked at: too many MX records" }
  end
  return out
end

return M
