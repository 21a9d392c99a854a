--- Results as trees for a person to read.
local memo = require "nexthop.memo"
local utf8 = require "nexthop.json.utf8"
local words = require "nexthop.programs.nexthop.words"

local unpack = unpack or table.unpack -- luacheck: ignore

local M = {}

local codes = { bold = 1, dim = 2, red = 31, green = 32, yellow = 33 }
local hue = { dane = "green", sts = "green", encrypt = "yellow", may = "yellow", skip = "red" }

local Tree = {}
Tree.__index = Tree

--- A printer. options: colour, utf8 (line drawing, rather than ASCII).
function M.new(options)
  local self = setmetatable({ colour = options.colour, owed = {} }, Tree)
  if options.utf8 then
    self.fork, self.last, self.bar = "├─ ", "└─ ", "│  "
  else
    self.fork, self.last, self.bar = "|- ", "`- ", "|  "
  end
  -- what is in every tree
  self.blank = "   "
  for _, name in ipairs { "fork", "last", "bar", "blank" } do self[name] = self:paint("dim", self[name]) end
  self.column = memo(function(label) return self:paint("dim", ("%-10s"):format(label)) .. " " end)
  self.is_secure = self:paint("green", words.secure(true))
  self.is_insecure = self:paint("yellow", words.secure(false))
  for tls, text in pairs(words.tls) do self.owed[tls] = self:paint(hue[tls], text) end
  return self
end

function Tree:paint(name, text)
  if not self.colour or text == "" then return text end
  return ("\27[%dm%s\27[0m"):format(codes[name], text)
end

function Tree:secure(flag)
  return flag and self.is_secure or self.is_insecure
end

-- "label      text", the label in a column of its own.
function Tree:field(label, text)
  return self.column[label] .. text
end

-- The lines of a node under its branch, whose first line is its title.
function Tree:branch(out, lines, is_last)
  local first, others = is_last and self.last or self.fork, is_last and self.blank or self.bar
  local n = #out
  for i, line in ipairs(lines) do out[n + i] = (i == 1 and first or others) .. line end
end

function Tree:failure(err, name)
  local code = self:paint("red", err.code)
  return ("%s: %s (%s)"):format(code, words.message(err, name),
    err.permanent and "permanent" or "temporary")
end

-- ---- the parts of a host ------------------------------------------------------------

function Tree:addresses(lines, r, name)
  if #r.ips > 0 then
    local how = self:secure(r.expanded_authentic)
    if not r.expanded_host then
      how = "no DNS asked"
    elseif r.ip4_authentic ~= nil and r.ip6_authentic ~= nil and r.ip4_authentic ~= r.ip6_authentic then
      how = ("IPv4 %s, IPv6 %s"):format(self:secure(r.ip4_authentic), self:secure(r.ip6_authentic))
    end
    lines[#lines + 1] = self:field("addresses", ("%s (%s)"):format(table.concat(r.ips, " "), how))
  end
  if r.expanded_host and r.expanded_host ~= name then
    lines[#lines + 1] = self:field("alias of",
      ("%s (the alias: %s)"):format(r.expanded_host, self:secure(r.host_authentic)))
  end
  if not r.failed then return end
  for _, family in ipairs { "ip6", "ip4" } do
    local err = r.failed[family]
    -- what made the whole host fail is said there
    if err and not (r.err and r.err.message == err.message) then
      lines[#lines + 1] = self:field(family == "ip6" and "no IPv6" or "no IPv4", self:failure(err, name))
    end
  end
end

-- seen: of Tree:host.
function Tree:records(lines, r, seen)
  for _, record in ipairs(r.records or {}) do
    lines[#lines + 1] = self:field("TLSA", words.record(record))
    lines[#lines + 1] = self:field("", words.meaning(record))
    if seen then lines[#lines + 1] = self:field("", seen.note(record)) end
  end
  for _, record in ipairs(r.weaker or {}) do
    lines[#lines + 1] = self:field("TLSA", self:paint("dim", words.record(record)))
    lines[#lines + 1] = self:field("", "left out: there is a stronger digest (RFC 7671 9)")
  end
  for _, record in ipairs(r.unusable or {}) do
    lines[#lines + 1] = self:field("TLSA", self:paint("dim", words.record(record)))
    lines[#lines + 1] = self:field("", self:paint("yellow", "not usable: ") .. utf8.clean(record.reason))
  end
end

--- The lines of a host of a plan.
-- @param seen what a connection to it has shown: { result, note = function(record) -> text }; nil: none was
-- made
function Tree:host(plan, host, seen)
  local title = host.host
  if host.pref >= 0 then title = ("%d %s"):format(host.pref, title) end
  local lines = { self:paint("bold", title) }
  if seen then lines[2] = self:field("result", seen.result) end
  lines[#lines + 1] = self:field("TLS owed", self.owed[host.tls])
  if host.err then
    lines[#lines + 1] = self:field("why", self:failure(host.err, host.host))
  elseif host.tls == "may" then
    lines[#lines + 1] = self:field("why", words.no_dane(plan, host))
  end
  self:addresses(lines, host, host.host)
  self:records(lines, host, seen)
  if host.names then
    local names = table.concat(host.names, ", ")
    if host.tls == "dane" and not words.names_count(host.records) then
      names = names .. " (not looked at with DANE-EE)"
    end
    lines[#lines + 1] = self:field("names", names)
  end
  if host.sni then lines[#lines + 1] = self:field("SNI", host.sni) end
  if host.sts then
    local mode = plan.sts.mode
    local text = host.sts == "match" and ("the policy (%s) names it"):format(mode)
      or self:paint("yellow", ("the policy (%s) does not name it"):format(mode))
    lines[#lines + 1] = self:field("MTA-STS", text)
  end
  return lines
end

function Tree:error(err, name)
  return self:single(words.name(name), { self:failure(err, name) })
end

-- "dane.example  MX (secure)": where a domain's mail goes, in one line.
function Tree:next_hop(d, name, secure)
  local line = self:paint("bold", name)
  if not d.expanded_next_hop then return line .. "  an address, no DNS asked" end
  if d.expanded_next_hop ~= name then
    line = ("%s  an alias of %s (%s)"):format(line, d.expanded_next_hop,
      self:secure(d.orig_next_hop_authentic))
  end
  local how = d.have_mx and "MX" or d.nxdomain and "does not exist" or "no MX: the name itself is the host"
  return ("%s  %s (%s)"):format(line, how, self:secure(secure))
end

-- What the domain publishes beside its MX, a node each.
function Tree:published(plan)
  local nodes = {}
  local function node(label, ...) nodes[#nodes + 1] = { self:paint("bold", label), ... } end
  if plan.sts then
    local lines = { self:field("policy", words.sts(plan.sts)) }
    for i, mx in ipairs(plan.sts.mx) do lines[#lines + 1] = self:field(i == 1 and "mx" or "", mx) end
    if plan.sts_err then lines[#lines + 1] = self:field("but", self:failure(plan.sts_err, plan.domain)) end
    node("MTA-STS", unpack(lines))
  elseif plan.sts_err then
    node("MTA-STS", self:field("not known", self:failure(plan.sts_err, plan.domain)))
  end
  if plan.tlsrpt then
    node("TLSRPT", self:field("reports", utf8.clean(table.concat(plan.tlsrpt.rua, ", "))))
  elseif plan.tlsrpt_err then
    node("TLSRPT", self:field("not known", self:failure(plan.tlsrpt_err, plan.domain)))
  end
  return nodes
end

--- A plan as a tree.
-- @param host_lines function(i) -> the lines of its host number i
-- @param remark text for the first line, or nil
function Tree:hosts(plan, host_lines, remark)
  local secure = plan.have_mx and plan.mx_authentic or not plan.have_mx and plan.expanded_next_hop_authentic
  local out, nodes = { self:next_hop(plan, plan.domain, secure) .. (remark or "") }, {}
  for i in ipairs(plan.hosts) do nodes[i] = host_lines(i) end
  if plan.truncated then nodes[#nodes + 1] = { words.count(plan.truncated, "more host") .. " left out" } end
  for _, node in ipairs(self:published(plan)) do nodes[#nodes + 1] = node end
  for i, node in ipairs(nodes) do self:branch(out, node, i == #nodes) end
  return table.concat(out, "\n") .. "\n"
end

function Tree:plan(plan)
  return self:hosts(plan, function(i) return self:host(plan, plan.hosts[i]) end)
end

function Tree:destinations(d, name)
  local out = { self:next_hop(d, name, d.expanded_next_hop_authentic) }
  for i, host in ipairs(d.hosts) do
    self:branch(out, { host.pref >= 0 and ("%d %s"):format(host.pref, host.host) or host.host },
      i == #d.hosts)
  end
  return table.concat(out, "\n") .. "\n"
end

-- A name, then fields below.
function Tree:single(name, lines)
  local out = { self:paint("bold", name) }
  self:branch(out, lines, true)
  return table.concat(out, "\n") .. "\n"
end

function Tree:ips(r, name)
  local lines = {}
  self:addresses(lines, r, name)
  return self:single(name, lines)
end

function Tree:tlsa(r, name)
  local lines = {}
  if not (r.authentic or r.host_authentic) then
    lines[1] = self:field("no DANE",
      "its addresses are not secure, TLSA is not asked for (RFC 7672 2.2.2)")
  elseif not r.dane_required then
    lines[1] = self:field("no DANE",
      ("secure addresses, but no TLSA record of %s that is secure"):format(r.tlsa_base_domain))
  else
    lines[1] = self:field("base", r.tlsa_base_domain)
    self:records(lines, r)
    if #r.records == 0 then lines[#lines + 1] = self:field("TLS owed", words.tls.encrypt) end
  end
  return self:single(name, lines)
end

return M
