--- `nexthop --check --authoritative`: asks every name server of every zone that the mail of a domain depends
-- on, each on its own. nexthop.doctor.judge makes findings of what they say.
local findings = require "nexthop.doctor.findings"
local judge = require "nexthop.doctor.judge"
local servers = require "nexthop.doctor.servers"
local signatures = require "nexthop.doctor.signatures"
local tlsa_record = require "nexthop.doctor.tlsa_record"
local new_zones = require("nexthop.doctor.zones").new

local M = {}

-- ---- what to ask ------------------------------------------------------------

local Questions = {}
Questions.__index = Questions

-- Adds a question to the zone of its name; without a type only the zone itself is looked at. Records that are
-- assumed count as if each server had them.
function Questions:add(name, type, assumed)
  local zone, is_failed = self.zones:of(name)
  if not zone then
    if is_failed then self.lost[#self.lost + 1] = name end
    return
  end
  local entry = self.by_zone[zone]
  if not entry then
    entry = { zone = zone, questions = {}, parents = {}, seen = {} }
    self.by_zone[zone] = entry
    self.list[#self.list + 1] = entry
  end
  local key = type and name .. " " .. type
  if key and not entry.seen[key] then
    entry.seen[key] = true
    entry.questions[#entry.questions + 1] = { name = name, type = type, key = key, assumed = assumed }
  end
  return entry
end

-- The rdata of the records that are assumed at a TLSA name, or where an alias there leads to.
function Questions:assumed_at(...)
  local list = {}
  for _, record in ipairs(self.assume) do
    for i = 1, select("#", ...) do
      if record.name == select(i, ...) then
        list[#list + 1] = tlsa_record.rdata(record)
        break
      end
    end
  end
  return list
end

-- A TLSA name, and the empty name `_tcp.HOST` above it.
function Questions:add_tlsa(ask, host, port)
  local above = "_tcp." .. host
  local name = ("_%d.%s"):format(port, above)
  local answer = ask(name, "TLSA")
  local chain = answer and answer.chain or { name }
  for i = 1, #chain - 1 do self:add(chain[i]) end
  self:add(chain[#chain], "TLSA", self:assumed_at(name, chain[#chain]))
  local entry = self:add(above)
  if entry and answer and (#answer.records > 0 or #chain > 1) and not entry.seen[above] then
    entry.seen[above] = true
    entry.parents[#entry.parents + 1] = above
  end
end

function Questions:add_plan(ask, plan, port)
  local domain = plan.expanded_next_hop
  self:add(plan.domain)
  if domain and plan.have_mx then self:add(domain, "MX") end
  for _, host in ipairs(plan.hosts) do
    local target = host.expanded_host
    if target then
      self:add(host.host)
      self:add(target, "A")
      self:add(target, "AAAA")
    end
    if host.tlsa_base_domain then self:add_tlsa(ask, host.tlsa_base_domain, port) end
  end
end

-- ---- asking ------------------------------------------------------------

local always = { "SOA", "DNSKEY", "NSEC3PARAM" }

-- The answer with records that are assumed.
local function with_assumed(answer, assumed)
  local copy, seen = {}, {}
  for key, value in pairs(answer) do copy[key] = value end
  copy.records = {}
  for _, list in ipairs { answer.records, assumed } do
    for _, record in ipairs(list) do
      if not seen[record] then copy.records[#copy.records + 1] = record end
      seen[record] = true
    end
  end
  -- the TTL is not that of a record
  if #answer.records == 0 then copy.ttl = nil end
  return copy
end

-- What one server says: { server, answers = { [question's key] = answer }, bogus = list of keys,
-- failed = list of { name, type, key, code }, denied = { [name] = true }, error (it does not
-- answer at all) }.
local function interview(task, server, entry)
  local zone = entry.zone.name
  local said = { server = server, answers = {}, bogus = {}, denied = {}, failed = {} }
  local function miss(name, type, err)
    if err.expired then return end -- that says nothing of the server
    said.failed[#said.failed + 1] = { name = name, type = type, key = name .. " " .. type, code = err.code }
  end
  local function put(name, type, assumed)
    local key = name .. " " .. type
    local answer, err = server.ask(name, type)
    if not answer and server.is_validated then
      local code = err.code
      answer, err = server.ask_open(name, type)
      if answer and code ~= "timeout" then said.bogus[#said.bogus + 1] = key end
    end
    said.answers[key] = answer and assumed and assumed[1] and with_assumed(answer, assumed) or answer
    if not answer then miss(name, type, err) end
    return answer, err
  end
  if server.is_validated then
    -- Both ask at once, so that a silent server is waited for once and not twice.
    task:all { function() server.ask(zone, "SOA") end, function() server.ask_open(zone, "SOA") end }
  end
  local soa, err = put(zone, "SOA")
  if not soa then
    said.error = err
    return said
  end
  for _, type in ipairs(always) do put(zone, type) end
  for _, question in ipairs(entry.questions) do put(question.name, question.type, question.assumed) end
  for _, name in ipairs(entry.parents) do
    local answer, failure = server.ask_open(name, "A")
    if not answer then miss(name, "A", failure) end
    if answer and answer.rcode == "NXDOMAIN" then said.denied[name] = true end
  end
  return said
end

-- The servers to which there is no way, if nothing is heard of another address of theirs.
local function without_way(servers_of_zone, is_cut_off)
  local reached, out = {}, {}
  for i, one in ipairs(servers_of_zone) do reached[one.name] = reached[one.name] or not is_cut_off[i] end
  for i, one in ipairs(servers_of_zone) do
    if is_cut_off[i] and not reached[one.name] then out[#out + 1] = servers.text(one) end
  end
  return out
end

-- Asks the servers of a zone, several of them side by side. A server that the deadline kept from being asked
-- is left out.
local function survey(task, entry, settings)
  local list, bodies, is_cut_off = {}, {}, {}
  for i, one in ipairs(entry.zone.servers) do
    bodies[i] = function()
      local ok, err = servers.visit(task, entry.zone, one, settings.timeout, settings.left, function(server)
        list[i] = interview(task, server, entry)
      end)
      if ok then return end
      if err then
        list[i] = { server = { text = function() return one.address end }, error = err, failed = {} }
      else
        is_cut_off[i] = true
      end
    end
  end
  task:all(bodies)
  local said = {}
  for i = 1, #entry.zone.servers do
    if list[i] and not (list[i].error and list[i].error.expired) then said[#said + 1] = list[i] end
  end
  entry.no_way = without_way(entry.zone.servers, is_cut_off)
  return said
end

local function first_expiry(said)
  local first
  for _, each in ipairs(said) do
    local one = not each.error and signatures.first_to_end(each)
    if one then first = math.min(first or one.expiration, one.expiration) end
  end
  return first
end

--- Looks at the zones of plans.
-- @param task of nexthop.doctor.tasks, in whose coroutine this runs
-- @param resolver that validates
-- @param plans list of { port, plan }; plan is nil where it failed
-- @param domain
-- @param settings { resolver = options of nexthop.new, network, timeout, critical = days, now = seconds since
-- 1970, left = function() -> seconds until the deadline, or nil, assume = list of records }
-- @return a list of findings; when the first signature of each zone ends, in seconds since 1970, by zone
function M.check(task, resolver, domain, plans, settings)
  local ask = servers.asker(task, resolver, settings.driver, settings.left)
  local ask_open
  local function open(name, type)
    if not ask_open then
      local options = {}
      for key, value in pairs(settings.resolver) do options[key] = value end
      options.trust_anchor_file, options.trust_anchor = false, nil
      local other, driver = servers.open(task, options)
      ask_open = other and servers.asker(task, other, driver, settings.left) or function() return nil end
    end
    return ask_open(name, type)
  end
  local stub = {}
  for zone, list in pairs(settings.resolver.stub or {}) do
    stub[zone:lower():gsub("%.$", "")] = type(list) == "table" and list or { list }
  end
  local questions = setmetatable({ list = {}, by_zone = {}, lost = {}, assume = settings.assume or {},
    zones = new_zones(ask, open, function(list) task:all(list) end,
      { stub = stub, network = settings.network }) }, Questions)
  for _, each in ipairs(plans) do
    if each.plan then
      questions:add_plan(ask, each.plan, each.port)
    else
      questions:add(domain, "MX")
    end
  end
  local out, bodies, expiries = {}, {}, {}
  for i, entry in ipairs(questions.list) do
    bodies[i] = function()
      local said = survey(task, entry, settings)
      expiries[entry.zone.name] = first_expiry(said)
      for _, finding in ipairs(judge.zone(entry, said, settings)) do out[#out + 1] = finding end
    end
  end
  task:all(bodies)
  for _, name in ipairs(task.expired and {} or questions.lost) do
    out[#out + 1] = findings.new("not-all-checked", "error", domain,
      ("the zone of %s is not known, as nothing is answered about it"):format(name),
      { cure = "see that the name servers of that zone and of the zone above answer" })
  end
  return out, expiries
end

return M
