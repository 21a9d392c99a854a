--- `nexthop --explain`: the story of a decision, from the trace of a plan: what was asked, what came
-- back, secure or not, and which section of which RFC decided.
local utf8 = require "nexthop.json.utf8"
local words = require "nexthop.programs.nexthop.words"

local M = {}

-- ---- what came back ------------------------------------------------------------

local function addresses_of(host, v6)
  local list = {}
  for _, ip in ipairs(host.ips) do
    if (ip:find(":", 1, true) ~= nil) == v6 then list[#list + 1] = ip end
  end
  return #list > 0 and table.concat(list, " ") or "no address"
end

local function mx_list(plan)
  local list = {}
  for i, host in ipairs(plan.hosts) do list[i] = ("%d %s"):format(host.pref, host.host) end
  if plan.truncated then list[#list + 1] = words.count(plan.truncated, "more host") end
  return table.concat(list, ", ")
end

local came_back = {}

function came_back.MX(_, plan, err)
  if err then return err.code == "no_mail" and 'a null MX, "."' or "an answer that leads to no host" end
  return plan.have_mx and mx_list(plan) or "no MX record"
end

function came_back.A(_, _, _, host)
  return addresses_of(host, false)
end

function came_back.AAAA(_, _, _, host)
  return addresses_of(host, true)
end

function came_back.TLSA(entry, _, _, host, next_entry)
  if next_entry and next_entry.type == "CNAME" then return "more aliases than are followed" end
  -- the records are in the last answer, or nowhere
  if not next_entry and host.dane_required and not host.err then
    return words.count(#host.records + #host.weaker + #host.unusable, "record")
  end
  return entry.security == "secure" and "no TLSA record" or "no TLSA record that is secure"
end

function came_back.TXT(entry, plan)
  if entry.section == "RFC 8460 3" then return plan.tlsrpt and "a record" or "no record that is valid" end
  local is_invalid = plan.sts_err and plan.sts_err.code == "sts-policy-invalid" and not plan.sts
  return is_invalid and "no record that is valid, or no valid policy behind it" or "an answer"
end

-- Asked for name by name, to tell which link of a chain is secure: the next question tells the target,
-- and where there is none the result does, but for a TLSA record's name.
function came_back.CNAME(entry, plan, err, host, next_entry)
  local failure = err or host and host.err
  local code = failure and failure.code
  local target
  if next_entry and next_entry.type == "CNAME" then
    target = next_entry.name
  elseif code == "cname_loop" or code == "cname_limit" then
    return "one more alias"
  elseif entry.section ~= "RFC 7672 2.2.3" then
    target = host and host.expanded_host or not host and (plan or err).expanded_next_hop or nil
  end
  if target and target ~= entry.name then return "an alias that leads to " .. target end
  if target or code == "bogus" or code == "servfail" or next_entry and next_entry.name == entry.name then
    return "no alias"
  end
  return code and "an answer" or "an alias"
end

local function answer_of(entry, ...)
  if entry.security == "failed" then
    return entry.rcode == "TIMEOUT" and "no answer in time" or "failed: " .. entry.rcode
  elseif entry.security == "bogus" then
    return "bogus: it fails DNSSEC validation"
  elseif entry.rcode == "NXDOMAIN" then
    return "no such name"
  end
  return (came_back[entry.type] or function() return "an answer" end)(entry, ...)
end

-- ---- the story ------------------------------------------------------------

local Story = {}
Story.__index = Story

function Story:line(text, ...)
  self.out[#self.out + 1] = select("#", ...) > 0 and text:format(...) or text
end

function Story:heading(text, ...)
  self:line("")
  self:line(self.tree:paint("bold", text:format(...)))
end

function Story:asked(entries, i, host)
  local entry = entries[i]
  local security = entry.security
  self.steps = self.steps + 1
  local answer = answer_of(entry, self.plan, self.err, host, entries[i + 1])
  if security == "secure" or security == "insecure" then
    answer = ("%s (%s)"):format(answer, self.tree:secure(security == "secure"))
  else
    answer = self.tree:paint("red", answer)
  end
  self:line("%3d. %s of %s: %s   [%s]", self.steps, entry.type, entry.name, answer, entry.section)
end

function Story:so(section, text, ...)
  self:line("     -> %s [%s]", text:format(...), section)
end

-- ---- conclusions ------------------------------------------------------------

local failures = {
  no_mail = "RFC 7505 3", bogus = "RFC 7672 2.1.1", servfail = "RFC 7672 2.1.2", timeout = "RFC 7672 2.1.2",
}

function Story:destinations()
  local plan, err = self.plan, self.err
  if err then
    self:so(failures[err.code] or "RFC 5321 5.1", "%s: %s", err.code, words.message(err, self.name))
    return
  end
  if not plan.expanded_next_hop then
    self:so("RFC 5321 4.1.3", "an address is its own host; no DNS is asked, and there is no DANE")
    return
  end
  if plan.expanded_next_hop ~= plan.domain then
    self:so("RFC 5321 5.1", "%s is an alias (%s) of %s", plan.domain,
      words.secure(plan.orig_next_hop_authentic), plan.expanded_next_hop)
  end
  if plan.have_mx and plan.mx_authentic then
    self:so("RFC 7672 2.2.1", "the MX records are secure: DANE may be used behind them")
  elseif plan.have_mx then
    self:so("RFC 7672 2.2.1", "the MX records are not secure, who wrote them is open: TLSA is not asked for")
  else
    self:so("RFC 5321 5.1", "no MX: the name itself is the host")
  end
end

function Story:addresses(host)
  local plan = self.plan
  if not host.expanded_host then return end
  local secure = host.expanded_authentic or host.ip4_authentic or host.ip6_authentic
  if host.expanded_host ~= host.host then
    self:so("RFC 7672 2.2.2", "%s is an alias (%s) of %s", host.host, words.secure(host.host_authentic),
      host.expanded_host)
  end
  if #host.ips == 0 then return end
  if secure and host.tlsa_base_domain then
    self:so("RFC 7672 2.2.2", "its addresses are secure: TLSA is asked for")
  elseif host.tlsa_base_domain then
    self:so("RFC 7672 2.2.2", "a secure alias into an insecure zone: TLSA is asked for at the alias alone")
  elseif secure and not (plan.have_mx and not plan.mx_authentic) then
    self:so("RFC 7672 2.2.2", "not every name on the way is secure: TLSA is not asked for")
  elseif not secure then
    self:so("RFC 7672 2.2.2", "its addresses are not secure: TLSA is not asked for")
  end
end

function Story:verdict(host)
  if host.tls == "skip" then
    local skip, why = self.tree:paint("red", "skip"), words.message(host.err, host.host)
    if host.err.code == "not_found" then
      self:so("RFC 5321 5.1", "%s: %s", skip, why)
    elseif host.err.code == "sts_mismatch" then
      self:so("RFC 8461 5", "%s: %s, and it is enforced", skip, why)
    else
      self:so("RFC 7672 2.1.1", "%s: %s; a failure never means \"no DANE\"", skip, why)
    end
    return
  end
  for _, record in ipairs(host.unusable) do
    self:so("RFC 7672 3.1", "not usable: %s: %s", words.record(record), utf8.clean(record.reason))
  end
  if #host.weaker > 0 then
    self:so("RFC 7671 9", "%s left out: a stronger digest is there", words.count(#host.weaker, "record"))
  end
  if host.tls == "dane" then
    for _, record in ipairs(host.records) do
      self:so("RFC 7672 3.1", "%s: %s", words.record(record), words.meaning(record))
    end
    local dane = self.tree:paint("green", "dane")
    self:so("RFC 7672 2.2", "%s: TLS, and the certificate must match a record", dane)
    if words.names_count(host.records) then
      self:so("RFC 7672 3.2.2", "with DANE-TA it must also bear one of: %s", table.concat(host.names, ", "))
    end
    self:so("RFC 7672 8.1", "the name sent in TLS (SNI): %s", host.sni)
  elseif host.tls == "sts" then
    self:so("RFC 8461 4.1", "the policy names this host")
    self:so("RFC 8461 4.2", "%s: TLS, and the certificate must be valid for %s",
      self.tree:paint("green", "sts"), host.host)
  elseif host.tls == "encrypt" then
    self:so("RFC 7672 2.2", "%s: there are records, none usable: TLS, but not verified",
      self.tree:paint("yellow", "encrypt"))
  else
    self:so("RFC 7672 2.2", "%s: no DANE; TLS if the host offers it", self.tree:paint("yellow", "may"))
  end
end

-- What the domain publishes beside its MX.
function Story:published()
  local plan = self.plan
  if plan.sts_err then
    self:so("RFC 8461 3", "%s: %s", plan.sts_err.code, words.message(plan.sts_err, self.name))
  end
  if plan.sts then
    local section = plan.sts.source == "fetch" and "RFC 8461 3.3" or "RFC 8461 5.1"
    self:so(section, "the policy: %s", words.sts(plan.sts))
    if #plan.sts.mx > 0 then self:so("RFC 8461 3.2", "its hosts: %s", table.concat(plan.sts.mx, ", ")) end
    if plan.sts.mode ~= "enforce" then
      self:so("RFC 8461 5", "the mode is %s: it excludes no host", plan.sts.mode)
    end
  end
  if plan.tlsrpt then
    self:so("RFC 8460 3", "reports go to %s", utf8.clean(table.concat(plan.tlsrpt.rua, ", ")))
  elseif plan.tlsrpt_err then
    self:so("RFC 8460 3", "where reports go is not known: %s", words.message(plan.tlsrpt_err, self.name))
  end
end

-- What was asked to know where the mail goes, and for each host.
local function split(trace)
  local first, parts, published = {}, {}, {}
  for _, entry in ipairs(trace) do
    local part = entry.type == "TXT" and published or first
    if entry.host then
      part = parts[entry.host] or {}
      parts[entry.host] = part
    end
    part[#part + 1] = entry
  end
  return first, parts, published
end

--- The story as text.
function M.story(tree, name, plan, err)
  local self = { tree = tree, name = name, plan = plan, err = err, out = {}, steps = 0 }
  setmetatable(self, Story)
  local first, parts, published = split((plan or err).trace or {})

  self:line(tree:paint("bold", ("How the decision about %s is made"):format(words.name(name))))
  self:heading("Where does its mail go?")
  for k in ipairs(first) do self:asked(first, k) end
  self:destinations()
  if plan and #published > 0 then
    self:heading("What does it publish about TLS?")
    for k in ipairs(published) do self:asked(published, k) end
    self:published()
  end
  for i, host in ipairs(plan and plan.hosts or {}) do
    self:heading("%s%s", host.host, host.pref >= 0 and (" (preference %d)"):format(host.pref) or "")
    local asked_tlsa = false
    for k, entry in ipairs(parts[i] or {}) do
      if entry.type == "TLSA" and not asked_tlsa then
        asked_tlsa = true
        self:addresses(host)
      end
      self:asked(parts[i], k, host)
    end
    if not asked_tlsa then self:addresses(host) end
    self:verdict(host)
  end
  self:line("")
  return table.concat(self.out, "\n") .. "\n"
end

return M
