--- The zones that names are in, the DS that the zone above has for them, and the addresses of their name
-- servers.
--
-- A zone is { name, ds = list of rdata, secure = has it a DS that is secure?, servers = { { name, address },
-- ... }, unknown = list of names of servers without an address, why = { [name] = { text, is_failed,
-- is_unasked } } of these, failed = could its NS not be validated?, ds_error = the error in place of its DS
-- records, left_over = a clause about the addresses that are not in `servers` because there are too many;
-- nil: none is left over }.
local words = require "nexthop.programs.nexthop.words"

local M = {}

--- So many addresses of a zone are asked, and the addresses of so many of its name servers are looked up.
-- Whoever runs a zone can give it thousands. The root and most domains of the top level have 26.
M.MOST = 32

local Zones = {}
Zones.__index = Zones

--- Returns an object that finds zones.
-- @param ask function(name, type): the validated answer, or nil and the error
-- @param ask_open the same without validation
-- @param all function(list of functions), which runs them side by side
-- @param options { stub = { [zone] = list of addresses }, network = "ip4", "ip6" or nil }
function M.new(ask, ask_open, all, options)
  return setmetatable({ ask = ask, ask_open = ask_open, all = all, options = options, zones = {},
    silent = {} }, Zones)
end

-- The NS of a name that is the apex of a zone; nil: it is none. The second result says that they could not be
-- validated, and beside nil that nothing is known of the name.
local function name_servers(self, name)
  local answer = self.ask(name, "NS")
  local failed = not answer
  if failed then answer = self.ask_open(name, "NS") end
  if answer and #answer.chain == 1 and #answer.records > 0 then return answer.records, failed end
  if answer then return nil end
  -- Nobody answers for a zone of its own, but the zone above knows of it.
  local ds = self.ask(name, "DS")
  return ds and #ds.records > 0 and {} or nil, ds == nil or #ds.records > 0
end

local families = { { "ip4", "A" }, { "ip6", "AAAA" } }

local function dotted(address)
  if #address ~= 4 then
    local parts = {}
    for i = 1, 16, 2 do parts[#parts + 1] = ("%x"):format(address:byte(i) * 256 + address:byte(i + 1)) end
    return table.concat(parts, ":")
  end
  return ("%d.%d.%d.%d"):format(address:byte(1, 4))
end

local no_address = {
  ip4 = { text = "has no IPv4 address, and only those were asked for (-4)", is_unasked = true },
  ip6 = { text = "has no IPv6 address, and only those were asked for (-6)", is_unasked = true },
}

-- The addresses of a name server. Where there are none, the second result says why.
local function addresses_of(self, name, failed)
  local list, network = {}, self.options.network
  local why = no_address[network] or { text = "has no address" }
  for _, family in ipairs(families) do
    if not network or network == family[1] then
      local answer, err = self.ask(name, family[2])
      answer = answer or failed and self.ask_open(name, family[2])
      for _, address in ipairs(answer and answer.records or {}) do list[#list + 1] = dotted(address) end
      if not answer then
        why = { text = "has addresses that cannot be looked up: " .. (err.message or err.code),
          is_failed = true }
      end
    end
  end
  return list, why
end

-- How many of the addresses of each name server are asked: one of each, then a second one, and so on.
local function shares(found)
  local taken, count, k = {}, 0, 0
  for i in ipairs(found) do taken[i] = 0 end
  repeat
    k = k + 1
    local before = count
    for i, list in ipairs(found) do
      if list[k] and count < M.MOST then taken[i], count = k, count + 1 end
    end
  until count == before
  return taken
end

-- What is said of a zone that has more addresses or names of name servers than are asked.
local function left_over(zone, addresses, names)
  local more = {}
  if addresses > 0 then more[#more + 1] = words.count(addresses, "more address") end
  if names > 0 then more[#more + 1] = words.count(names, "more name server") end
  return #more > 0 and ("only %d addresses of the name servers of %s are asked, and it has %s"):format(
    M.MOST, zone.name, table.concat(more, " and ")) or nil
end

local function add_addresses(self, zone, names)
  local stubs = self.options.stub and self.options.stub[zone.name]
  for _, address in ipairs(stubs or {}) do
    zone.servers[#zone.servers + 1] = { name = address, address = address }
  end
  if stubs then return end
  local found, why, bodies, rest = {}, {}, {}, 0
  for i = 1, math.min(#names, M.MOST) do
    local name = names[i]
    bodies[i] = function() found[i], why[i] = addresses_of(self, name, zone.failed) end
  end
  self.all(bodies)
  local taken = shares(found)
  for i, list in ipairs(found) do
    local name = names[i]
    for k = 1, taken[i] do zone.servers[#zone.servers + 1] = { name = name, address = list[k] } end
    if #list == 0 then zone.unknown[#zone.unknown + 1], zone.why[name] = name, why[i] end
    rest = rest + #list - taken[i]
  end
  zone.left_over = left_over(zone, rest, #names - #found)
end

--- The zone that a name is in; nil for the root zone, and where nothing is answered.
-- @return the zone; or nil, and whether a lookup has failed on the way
function Zones:of(name)
  local is_failed = false
  name = name:lower():gsub("%.$", "")
  while name ~= "" do
    local zone = self.zones[name]
    if zone == nil then
      local servers, failed = name_servers(self, name)
      zone = servers and { name = name, servers = {}, unknown = {}, why = {}, failed = failed } or false
      self.zones[name], self.silent[name] = zone, not zone and failed
      if zone then
        local ds, err = self.ask(name, "DS")
        zone.ds, zone.secure = ds and ds.records or {}, ds ~= nil and ds.secure and #ds.records > 0
        zone.ds_error = not ds and err or nil
        add_addresses(self, zone, servers)
      end
    end
    if zone then return zone end
    is_failed = is_failed or self.silent[name]
    name = name:match "%.(.*)$" or ""
  end
  return nil, is_failed
end

return M
