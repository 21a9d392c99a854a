--- What each name server of a zone says of a name, in the form in which nexthop.doctor.rollover judges it.
local servers = require "nexthop.doctor.servers"
local tlsa_record = require "nexthop.doctor.tlsa_record"

local M = {}

local TLSA, CNAME, DNAME, NSEC, NSEC3 = 52, 5, 39, 47, 50

-- The inception of the signatures that cover one of these types: the smallest or the largest one.
local function inception(answer, choose, ...)
  local found
  for _, one in ipairs(answer.signatures) do
    for _, covered in ipairs { ... } do
      if one.covered == covered then found = found and choose(found, one.inception) or one.inception end
    end
  end
  return found
end

-- Caches may keep records for as long as they were signed for, even if a server says less.
local function longest_ttl(answer, ...)
  local ttl = answer.ttl
  for _, one in ipairs(answer.signatures) do
    for _, covered in ipairs { ... } do
      if one.covered == covered then ttl = math.max(ttl, one.original_ttl) end
    end
  end
  return ttl
end

local function number_at(bytes, at)
  local a, b, c, d = bytes:byte(at, at + 3)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

-- Returns why the SOA is not known, if it is not: nothing else says for how long caches may have what was
-- there before.
local function add_soa(state, ask, zone)
  local soa, err = ask(zone.name, "SOA")
  if not soa then return err.message end
  local rdata = soa.records[1]
  if not rdata or #rdata < 20 then return ("it has no SOA of %s"):format(zone.name) end
  local numbers = #rdata - 19 -- serial, refresh, retry, expire, minimum
  state.serial, state.refresh = number_at(rdata, numbers), number_at(rdata, numbers + 4)
  state.minimum = number_at(rdata, numbers + 16)
end

local CUT_SHORT = { usage = 255, selector = 255, match_type = 255, data = "" }

-- The state of TLSA records, with those that are assumed.
local function of_records(state, answer, options)
  local list = {}
  for _, rdata in ipairs(answer.records) do
    list[#list + 1] = tlsa_record.of_rdata(rdata) or CUT_SHORT
  end
  for _, assumed in ipairs(options.assumed) do
    local is_there = false
    for _, record in ipairs(list) do is_there = is_there or tlsa_record.equal(record, assumed) end
    if not is_there then list[#list + 1] = assumed end
  end
  state.count, state.records = #list, {}
  for _, record in ipairs(list) do
    if options.is_usable(record) then state.records[#state.records + 1] = record end
  end
  if #answer.records > 0 then
    state.ttl, state.inception = longest_ttl(answer, TLSA), inception(answer, math.min, TLSA)
  else
    state.ttl, state.inception = answer.ttl, inception(answer, math.max, NSEC, NSEC3)
  end
end

-- Returns why the answer says nothing, if so.
local function read(state, answer, name, type, zone, options)
  if zone.secure and not answer.secure then
    return "its answer is not secure"
  elseif type == "CNAME" then
    state.count, state.records, state.alias = 0, {}, answer.records[1]
    state.ttl = longest_ttl(answer, CNAME, DNAME)
    state.inception = inception(answer, math.min, CNAME, DNAME) or inception(answer, math.max, NSEC, NSEC3)
  elseif #answer.chain > 1 then
    return ("it says that %s is an alias"):format(name)
  else
    of_records(state, answer, options)
  end
end

local function of_server(task, zone, server, name, type, options)
  local state = { server = server.name, address = server.address }
  local reason
  local ok, err = servers.visit(task, zone, server, options.timeout, options.left, function(one)
    state.server = one:text()
    local answer, failure = one.ask(name, type)
    reason = not answer and failure.message
      or answer and (read(state, answer, name, type, zone, options) or add_soa(state, one.ask, zone))
  end)
  if not ok then reason = err and err.message or "this machine has no way to it" end
  return reason and { server = state.server, address = state.address, failed = reason } or state
end

-- A name server with two addresses is heard if one of them is.
local function without_deaf(list, zone)
  local heard, out = {}, {}
  for _, one in ipairs(list) do
    if not one.state.failed then heard[one.name] = true end
  end
  for _, one in ipairs(list) do
    if not one.state.failed or not heard[one.name] then out[#out + 1] = one.state end
  end
  for _, name in ipairs(zone.unknown or {}) do
    out[#out + 1] = { server = name, failed = "it " .. zone.why[name].text }
  end
  if zone.left_over then out[#out + 1] = { server = "a name server", failed = zone.left_over } end
  if #out == 0 then out[1] = { server = zone.name, failed = "none of its name servers can be asked" } end
  return out
end

--- Asks every server of a zone.
-- @param task of nexthop.doctor.tasks
-- @param zone of nexthop.doctor.zones
-- @param type "TLSA" or "CNAME"
-- @param options { assumed = list of records of this name, is_usable = function(record), timeout, left }
-- @return list of STATE of nexthop.doctor.rollover, in the order of the servers
function M.of(task, zone, name, type, options)
  local bodies, found = {}, {}
  for i, server in ipairs(zone.servers) do
    bodies[i] = function() found[i] = of_server(task, zone, server, name, type, options) end
  end
  task:all(bodies)
  local list = {}
  for i, server in ipairs(zone.servers) do
    list[i] = { name = server.name, state = found[i] }
  end
  return without_deaf(list, zone)
end

--- Takes the inception away where a server signs each answer anew: it then says nothing. The same holds where
-- it is not known, because the server did not answer again.
-- @param before, after lists of STATE, the second one of a moment later
-- @return true if there is such a server
function M.find_live_signers(before, after)
  local again, found = {}, false
  for _, state in ipairs(after) do again[state.server] = state end
  for _, state in ipairs(before) do
    local other = again[state.server]
    if state.inception and (not other or other.inception ~= state.inception) then
      state.inception, found = nil, true
    end
  end
  return found
end

return M
