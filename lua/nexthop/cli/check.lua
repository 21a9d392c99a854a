--- `nexthop --check`: is every host of one's own domain `dane`, and if not, what is to be mended?
local words = require "nexthop.cli.words"

local M = {}

local function sign(name)
  return ("sign the zone of %s with DNSSEC and have its DS published in the zone above"):format(name)
end

local function tlsa_name(host, port)
  return ("_%d._tcp.%s"):format(port, host.tlsa_base_domain or host.host)
end

local advice = {
  no_mail = "it takes no mail (null MX), so there is no host to look at",
  nxdomain = "it does not exist",
  invalid_mx = "no MX names a host that could exist: let the MX point to the names of mail servers",
  not_found = "it has no address: add A or AAAA records, or take it out of the MX",
}

local held_back = "until then senders that do DANE hold mail back"

local function failed(err, name)
  if advice[err.code] then return advice[err.code] end
  local what = words.message(err, name)
  if err.code == "bogus" then
    what = what .. "; repair the signatures or the DS of that zone, " .. held_back
  elseif err.code == "timeout" or err.code == "servfail" then
    what = what .. "; see that all name servers of that zone answer, " .. held_back
  end
  return what
end

-- No TLSA record counts for this host: which link of the chain is not signed?
local function insecure(plan, host)
  if plan.have_mx and not plan.mx_authentic then
    local name = plan.orig_next_hop_authentic and plan.expanded_next_hop or plan.domain
    return ("the MX records behind %s are not signed: %s"):format(plan.domain, sign(name))
  elseif not host.expanded_host then
    return "it is an address, for which there is no DANE: use a host name"
  elseif not plan.have_mx and not plan.orig_next_hop_authentic then
    return ("%s is not signed: %s"):format(plan.domain, sign(plan.domain))
  elseif host.expanded_host ~= host.host and host.host_authentic then
    return ("its alias %s is not signed: %s"):format(host.expanded_host, sign(host.expanded_host))
  end
  return "its addresses are not signed: " .. sign(host.host)
end

-- An answer to the question for TLSA records that is not signed, and so does not count: the name.
local function unsigned_tlsa(plan, i)
  for _, entry in ipairs(plan.trace or {}) do
    if entry.host == i and entry.type == "TLSA" and entry.security == "insecure" then return entry.name end
  end
end

local function unusable(host)
  local reasons = {}
  for i, record in ipairs(host.unusable) do reasons[i] = words.clean(record.reason) end
  return table.concat(reasons, "; ")
end

-- True and what is good about the host, or false and what to mend.
local function judge(plan, i, port)
  local host = plan.hosts[i]
  if host.tls == "dane" then
    local text = "dane, " .. words.count(#host.records, "usable TLSA record")
    if #host.unusable > 0 then
      text = ("%s (%d not usable: %s)"):format(text, #host.unusable, unusable(host))
    end
    for family, err in pairs(host.failed or {}) do
      text = ("%s, but %s failed: %s"):format(text, family, words.message(err, host.host))
    end
    return true, text
  elseif host.tls == "encrypt" then
    return false, ("none of its TLSA records is usable (%s): publish one such as 3 1 1 at %s")
      :format(unusable(host), tlsa_name(host, port))
  elseif host.tls == "skip" then
    return false, failed(host.err, host.host)
  elseif host.tlsa_base_domain and unsigned_tlsa(plan, i) then
    return false, ("what there is at %s is not signed, and does not count: publish a TLSA record such as "
      .. "3 1 1 in a signed zone (an alias at that name must lead into one)"):format(unsigned_tlsa(plan, i))
  elseif host.tlsa_base_domain then
    return false, ("it is signed, but has no TLSA record: publish one such as 3 1 1 at %s")
      :format(tlsa_name(host, port))
  end
  return false, insecure(plan, host)
end

--- One line a host, and whether all of them are `dane`; of a plan with its trace. The third result says the
-- same for programs: { ok, host (nil: the domain itself), text } for each line.
function M.lines(tree, name, plan, err, port)
  local out, good, verdicts = {}, true, {}
  local function add(ok, subject, text, host)
    good = good and ok
    verdicts[#verdicts + 1] = { ok = ok, host = host, text = text }
    out[#out + 1] = ("%s  %s: %s\n"):format(
      ok and tree:paint("green", "ok  ") or tree:paint("red", "mend"), subject, text)
  end
  if not plan then
    add(false, words.name(name), failed(err, name))
    return table.concat(out), good, verdicts
  end
  for i, host in ipairs(plan.hosts) do
    local ok, text = judge(plan, i, port)
    add(ok, host.pref >= 0 and ("%s %d %s"):format(plan.domain, host.pref, host.host) or host.host, text,
      host.host)
  end
  if plan.truncated then
    add(false, plan.domain, words.count(plan.truncated, "more host") .. " not looked at: too many MX records")
  end
  return table.concat(out), good, verdicts
end

return M
