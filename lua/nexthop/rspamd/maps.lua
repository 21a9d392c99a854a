--- Maps of the configuration, as rspamd's lua_maps makes them: a path or URL, a list of those, a section.
-- A prefix names the type (`glob;`, `regexp;`). Names without such a type have the rules of exclusions:
-- `example.org` is that name, `*.example.net` is everything below it.
local lua_maps = require "lua_maps"
local rspamd_ip = require "rspamd_ip"
local domains = require "nexthop.rspamd.domains"

local M = {}

-- Types of which we read the keys ourselves; others compare by their own rules.
local keyed = { set = true, hash = true, plain = true }

local function type_of(source) return source:match "^([%l_]+);" end

-- Is this the place of a map, and not an entry?
local function is_place(text)
  return type_of(text) ~= nil or text:find "^/" ~= nil or text:find "^%l[%l+]*://" ~= nil
end

local function is_list(given) return type(given) == "table" and given[1] ~= nil end

local function is_entries(given)
  if not is_list(given) then return false end
  for _, text in ipairs(given) do
    if is_place(text) then return false end
  end
  return true
end

-- The map; or nil and why there is none.
local function add_map(given, kind, description)
  if type(given) == "table" and given.external then return nil, "an external map cannot be used here" end
  if is_list(given) then
    local places = {} -- lua_maps of 3.4 knows a file by its path alone, and changes the list
    for i, text in ipairs(given) do places[i] = text:gsub("^file://", "") end
    given = places
  end
  local map = lua_maps.map_add_from_ucl(given, kind, description)
  if not map then
    return nil, "cannot be had: " .. (type(given) == "string" and given or "the map of the section or list")
  end
  return map
end

-- A set, as rspamd calls no function of ours for a map that has become empty. Its keys are compiled
-- when they are others than before: rspamd's comparison knows neither wildcards nor U-labels.
local function follow(map, key, warn)
  local digest, excludes
  return function(name)
    local now = map:get_data_digest()
    if now ~= digest then
      local entries = {}
      for entry in pairs(map:get_stats(false) or {}) do entries[#entries + 1] = entry end
      digest, excludes = now, domains.exclusions(entries, key, warn)
    end
    return excludes(name)
  end
end

local function ask(map)
  return function(what)
    local found = map:get_key(what)
    return found ~= nil and found ~= false and (type(found) ~= "table" or next(found) ~= nil)
  end
end

--- A map of names.
-- @param key the option's, for messages
-- @param given its value
-- @param warn function(text), for an entry in a file that is no name
-- @return function(name) -> boolean; or nil and what is wrong
function M.names(key, given, description, warn)
  if is_entries(given) then
    local wrong
    local excludes = domains.exclusions(given, key, function(text) wrong = wrong or text end)
    if wrong then return nil, wrong end
    return excludes
  end
  local map, reason = add_map(given, "set", description)
  if not map then return nil, ("%s: %s"):format(key, reason) end
  local kind = type_of(is_list(given) and given[1] or type(given) == "string" and given or "") or "set"
  local data = rawget(map, "__data")
  if keyed[kind] and type(data) == "userdata" then return follow(data, key, warn) end
  return ask(map)
end

-- Is this an address or a network?
local function is_network(text)
  local address, bits = text:match "^([%x:.]+)/(%d+)$"
  local ip = rspamd_ip.from_string(address or text)
  if not ip or not ip:is_valid() then return false end
  return not bits or tonumber(bits) <= (ip:get_version() == 4 and 32 or 128)
end

--- A map of addresses and networks.
-- @return function(address, as text) -> boolean; or nil and what is wrong
function M.addresses(cfg, key, given, description)
  local map, reason
  if type(given) == "string" and is_network(given) then given = { given } end
  if is_entries(given) then
    for _, text in ipairs(given) do
      if not is_network(text) then
        return nil, ("%s: '%s' is neither an address nor a network"):format(key, text)
      end
    end
    map = cfg:radix_from_ucl(given)
    reason = "cannot be had"
  else
    map, reason = add_map(given, "radix", description)
  end
  if not map then return nil, ("%s: %s"):format(key, reason) end
  local is_in = ask(map)
  return function(address)
    local ip = rspamd_ip.from_string(address)
    return ip ~= nil and ip:is_valid() and is_in(ip)
  end
end

return M
