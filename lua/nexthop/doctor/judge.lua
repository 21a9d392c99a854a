--- Findings about a zone, from what each of its name servers says. No DNS.
--
-- An entry is { zone = of zones.lua, questions = list of { name, type, key }, parents = list of names,
-- no_way = list of servers to which this machine has no way }. What a server says is of
-- nexthop.programs.nexthop.authoritative.
local core = require "nexthop.core"
local findings = require "nexthop.doctor.findings"
local hex = require "nexthop.hex"
local keys = require "nexthop.doctor.keys"
local signatures = require "nexthop.doctor.signatures"
local silence = require "nexthop.doctor.silence"
local words = require "nexthop.programs.nexthop.words"

local M = {}

local LOWEST_TTL, HIGHEST_TTL = 300, 86400
local MANY_ITERATIONS = 50 -- more of them, and validators in use take the zone for one that is not signed

local Judge = {}
Judge.__index = Judge

function Judge:add(name, severity, text, more)
  self.out[#self.out + 1] = findings.new(name, severity, self.zone.name, text, more)
end

-- "ns1.example (192.0.2.1)", or the number of those that say the same.
local function names_of(list)
  local names = {}
  for i, said in ipairs(list) do names[i] = said.server:text() end
  return table.concat(names, ", ")
end

-- "at ns1.example", or nothing where it is so at all servers.
function Judge:where(list)
  return #list == #self.alive and "" or " at " .. names_of(list)
end

-- ---- servers that do not answer validly --------------------------------------------------

function Judge:bogus()
  local list = {}
  for _, said in ipairs(self.alive) do
    if #said.bogus > 0 and not said.explained then list[#list + 1] = said end
  end
  for _, said in ipairs(list) do
    self:add("bogus-server", "error", ("what the name server %s says of %s fails DNSSEC validation"):format(
      said.server:text(), said.bogus[1]:gsub("^(%S+) (%S+)$", "%2 of %1")),
      { cure = "see that the signed zone is served there with all of its signatures; until then senders that "
        .. "do DANE hold mail back" })
  end
end

-- ---- servers that differ ------------------------------------------------------------

local function serial_of(soa)
  local rdata = soa and soa.records[1]
  if not rdata or #rdata < 20 then return nil end
  local a, b, c, d = rdata:byte(#rdata - 19, #rdata - 16)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

--- Is one serial number newer than another (RFC 1982)?
function M.is_newer(one, other)
  local distance = (one - other) % 4294967296
  return distance > 0 and distance < 2147483648
end

-- What an answer says, whatever the order of its records.
local function content(answer)
  if not answer then return nil end
  local list = {}
  for i, record in ipairs(answer.records) do list[i] = hex.encode(record) end
  table.sort(list)
  return ("%s %s %s"):format(#list == 0 and answer.rcode or "", table.concat(list, " "),
    answer.chain[#answer.chain])
end

-- The first question that two servers answer differently; nil: there is none.
function Judge:difference(one, other)
  for _, question in ipairs(self.questions) do
    local mine, yours = content(one.answers[question.key]), content(other.answers[question.key])
    if mine and yours and mine ~= yours then return ("%s of %s"):format(question.type, question.name) end
  end
end

function Judge:contradictions()
  local newest
  for _, said in ipairs(self.alive) do
    said.serial = serial_of(said.answers[self.zone.name .. " SOA"])
    if said.serial and (not newest or M.is_newer(said.serial, newest.serial)) then newest = said end
  end
  for _, said in ipairs(newest and self.alive or {}) do
    local what = self:difference(said, newest)
    if said.serial and said.serial ~= newest.serial then
      self:add("lagging-server", what and "error" or "warning",
        ("the name server %s has serial %.0f of the zone, and %s has %.0f%s"):format(said.server:text(),
          said.serial, newest.server:text(), newest.serial,
          what and (": they differ in the %s"):format(what) or ""),
        { cure = "see that it gets the zone from its primary (NOTIFY, AXFR and IXFR, TSIG keys)" })
    elseif what then
      self:add("contradicting-servers", "error",
        ("the name servers %s and %s differ in the %s, and both have serial %.0f"):format(said.server:text(),
          newest.server:text(), what, newest.serial or 0),
        { cure = "load the same zone at both, and raise its serial with each change" })
    end
  end
end

-- ---- names and TTLs ------------------------------------------------------------

-- Calls add(servers) for each group of servers that have the same value.
local function grouped(list, value_of, add)
  local groups, order = {}, {}
  for _, said in ipairs(list) do
    local value = value_of(said)
    if value then
      if not groups[value] then
        groups[value] = {}
        order[#order + 1] = value
      end
      table.insert(groups[value], said)
    end
  end
  for _, value in ipairs(order) do add(groups[value], value) end
end

function Judge:empty_names()
  for _, name in ipairs(self.parents) do
    grouped(self.alive, function(said) return said.denied[name] end, function(list)
      local text = ("the name %s has a TLSA record below it, and is answered with NXDOMAIN%s: resolvers that "
        .. "minimise names (RFC 9156) then find no TLSA record"):format(name, self:where(list))
      self:add("tcp-nxdomain", "error", text, {
        cure = ("use a name server that answers an empty name with NOERROR (RFC 8020), or give %s a "
          .. "record, such as a TXT"):format(name),
      })
    end)
  end
end

function Judge:ttls()
  for _, question in ipairs(self.questions) do
    local function wrong(said)
      local answer = said.answers[question.key]
      if not answer or #answer.records == 0 or not answer.ttl then return nil end
      return (answer.ttl < LOWEST_TTL or answer.ttl > HIGHEST_TTL) and answer.ttl or nil
    end
    grouped(self.alive, wrong, function(list, ttl)
      self:add("ttl-out-of-range", "warning", ("the TTL of the %s of %s is %d s%s, %s"):format(question.type,
        question.name, ttl, self:where(list), ttl < LOWEST_TTL
          and "so that each short failure of the name servers delays mail"
          or "so that old records are used long after a change"),
        { cure = ("set it to a value from %d to %d, such as 3600"):format(LOWEST_TTL, HIGHEST_TTL) })
    end)
  end
end

-- ---- keys ------------------------------------------------------------

local function of_all(self, type)
  local out, seen = {}, {}
  for _, said in ipairs(self.alive) do
    local answer = said.answers[self.zone.name .. " " .. type]
    for _, rdata in ipairs(answer and answer.records or {}) do
      if not seen[rdata] then out[#out + 1] = rdata end
      seen[rdata] = true
    end
  end
  return out
end

local function matching(zone, ds, dnskey)
  for _, rdata in ipairs(dnskey) do
    local key = keys.key(rdata)
    if key and keys.belongs(zone, ds, key, core.digest) then return true end
  end
  return false
end

-- The DS of a key that signs keys; nil: there is none.
local function wanted_ds(zone, dnskey)
  for _, rdata in ipairs(dnskey) do
    local key = keys.key(rdata)
    if key and key.flags == 257 then
      return ("%s. DS %d %d 2 %s"):format(zone, key.tag, key.algorithm,
        hex.encode(core.digest(keys.wire_name(zone) .. rdata, 1)))
    end
  end
end

function Judge:delegation()
  local zone, usable = self.zone.name, 0
  local dnskey, orphans, is_known = of_all(self, "DNSKEY"), {}, false
  for _, said in ipairs(self.alive) do is_known = is_known or said.answers[zone .. " DNSKEY"] ~= nil end
  if not is_known then return end
  for _, rdata in ipairs(self.zone.ds) do
    local ds = keys.ds(rdata)
    if ds and matching(zone, ds, dnskey) then
      usable = usable + 1
    elseif ds then
      orphans[#orphans + 1] = ds.tag
    end
  end
  if #orphans == 0 then return end
  local what = ("the zone above has a DS of key %s, and the zone has no such key"):format(
    table.concat(orphans, ", "))
  if usable > 0 then
    self:add("ds-without-key", "hint", what,
      { cure = "have that DS taken out of the zone above, if it is not that of a key to come" })
    return
  end
  for _, said in ipairs(self.alive) do said.explained = true end
  self:add("ds-without-key", "error", what .. ": all of the zone fails DNSSEC validation",
    { cure = "have the DS of a key of the zone published in the zone above, or sign with that key",
      record = wanted_ds(zone, dnskey) })
end

function Judge:sha1()
  local found = keys.sha1(self.zone.ds, of_all(self, "DNSKEY"))
  if #found.algorithms > 0 then
    self:add("sha1-algorithm", found.other_algorithm and "warning" or "error",
      ("the zone has keys of algorithm %s, which is made with SHA-1: more and more validators take the zone "
        .. "for one that is not signed"):format(table.concat(found.algorithms, ", ")),
      { cure = "move to algorithm 13 (RFC 8624, RFC 9905)" })
  end
  if #found.digests > 0 then
    self:add("sha1-algorithm", found.other_digest and "warning" or "error",
      "the zone above has a DS of digest type 1 (SHA-1) for the zone",
      { cure = found.other_digest and "have that DS taken out of the zone above"
        or "have a DS of digest type 2 published in its place (RFC 8624, RFC 9905)",
        record = not found.other_digest and wanted_ds(self.zone.name, of_all(self, "DNSKEY")) or nil })
  end
end

function Judge:nsec3()
  local most = 0
  for _, rdata in ipairs(of_all(self, "NSEC3PARAM")) do
    if #rdata >= 4 then
      local high, low = rdata:byte(3, 4)
      most = math.max(most, high * 256 + low)
    end
  end
  if most == 0 then return end
  local many = most > MANY_ITERATIONS
  self:add("nsec3-iterations", many and "error" or "hint",
    ("the zone is signed with %s%s"):format(words.count(most, "NSEC3 iteration"),
      many and ": validators take its denials for not signed, or do not answer" or ""),
    { cure = "sign it with 0 iterations and no salt (RFC 9276)" })
end

-- ---- all of it ------------------------------------------------------------

--- Returns the findings about a zone.
-- @param settings { critical = days, now = seconds since 1970 }
function M.zone(entry, said, settings)
  local self = setmetatable({
    zone = entry.zone, questions = entry.questions, parents = entry.parents, no_way = entry.no_way or {},
    alive = {}, out = {},
  }, Judge)
  for _, each in ipairs(said) do
    if not each.error then self.alive[#self.alive + 1] = each end
  end
  silence.judge(self, said)
  if #self.alive == 0 then return self.out end
  self:contradictions()
  self:empty_names()
  self:ttls()
  if #entry.zone.ds > 0 then
    self:delegation()
    signatures.judge(self, settings)
    self:bogus()
    self:sha1()
  end
  self:nsec3()
  return self.out
end

return M
