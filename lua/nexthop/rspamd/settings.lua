--- The section `nexthop` of rspamd's configuration, checked by hand: what UCL made of it is not what
-- somebody wrote (numbers are parsed, an unquoted `no` is false, a repeated key is a list).
local protect = require "nexthop.protect"

local M = {}

--- What holds where the section says nothing.
M.defaults = {
  sender = true, from = false, recipients = true, max_recipients = 10, deadline = 4, resolver = {},
}

-- What was given, in a message. tostring() of one of UCL's tables is nil in rspamd.
local function shown(value)
  if type(value) ~= "table" then return tostring(value) end
  return value[1] ~= nil and "a list (is the key there twice?)" or "a section"
end

local function boolean(value)
  if type(value) == "boolean" then return value end
  return nil, "true or false expected, got " .. shown(value)
end

local function path(value)
  if type(value) == "string" and value:sub(1, 1) == "/" then return value end
  return nil, "an absolute path expected, got " .. shown(value)
end

local checks = {
  sender = boolean, from = boolean, recipients = boolean, check_local = boolean, check_authed = boolean,
  policy = path, sts = boolean, tlsrpt = boolean, ca_file = path,
}

function checks.sts_port(value)
  local is_whole = type(value) == "number" and value == math.floor(value)
  if is_whole and value >= 1 and value <= 65535 then return value end
  return nil, "a port expected, 1 to 65535, got " .. shown(value)
end

-- A longer one fits no address, and rspamd would ask the DNS for it.
function checks.socket(value)
  if type(value) == "string" and #value > 103 then return nil, "a path of at most 103 bytes expected" end
  return path(value)
end

function checks.max_recipients(value)
  if type(value) == "number" and value >= 1 and value == math.floor(value) then return value end
  return nil, "a whole number, 1 or more, expected, got " .. shown(value)
end

function checks.deadline(value)
  if type(value) == "number" and value > 0 and value <= 86400 then return value end
  return nil, "seconds expected, more than 0 and at most 86400, got " .. shown(value)
end

-- What rspamd's lua_maps takes. A list has the entries, or the places of maps; a section describes a map.
local function map_of(what)
  local expected = ("a map (a path or URL) or a list of %s expected"):format(what)
  return function(value)
    if type(value) == "string" then return value end
    if type(value) ~= "table" then return nil, expected .. ", got " .. shown(value) end
    if value[1] == nil and next(value) ~= nil then return value end
    for key, entry in pairs(value) do
      if type(key) ~= "number" or type(entry) ~= "string" then return nil, expected end
    end
    return value
  end
end

checks.exclude_domains = map_of "domains"
checks.exclude_hosts = map_of "host names"
checks.exclude_ips = map_of "addresses"

-- An option of libunbound as it was written: UCL made `yes` true and `4m` a number.
local function text(value)
  if type(value) == "boolean" then return value and "yes" or "no" end
  if type(value) == "number" then
    return value == math.floor(value) and ("%d"):format(value) or tostring(value)
  end
  if type(value) == "table" and value[1] ~= nil then
    local list = {}
    for i, item in ipairs(value) do list[i] = text(item) end
    return list
  end
  return value
end

--- Options of nexthop.new as UCL gives them; they are tried later, by nexthop.policy.
function checks.resolver(value)
  if type(value) ~= "table" or value[1] ~= nil then
    return nil, "one section with the options of nexthop.new expected"
  end
  local resolver = {}
  for key, option in pairs(value) do resolver[key] = option end
  if type(resolver.options) == "table" then
    local options = {}
    for key, option in pairs(resolver.options) do options[key] = text(option) end
    resolver.options = options
  end
  return resolver
end

-- rspamd's own keys of a section.
local ignored = { enabled = true, disabled = true, priority = true }

local function names()
  local list = {}
  for key in pairs(checks) do list[#list + 1] = key end
  table.sort(list)
  return table.concat(list, ", ")
end

-- The file's function(event).
local function load_policy(file)
  local ok, result = protect.file(file)
  if not ok then return nil, "policy: " .. result end
  if type(result) ~= "function" then
    return nil, ("policy: %s: returns a %s, not a function"):format(file, type(result))
  end
  return result
end

local function is_found(module)
  for place in package.cpath:gmatch "[^;]+" do
    local file = io.open((place:gsub("%?", module)), "r")
    if file then
      file:close()
      return true
    end
  end
end

-- Without a server the worker resolves by itself: the C half and luv must be there, and the options
-- must work. Nothing stays: workers are forked later.
local function try_resolver(resolver)
  local ok, policy = pcall(require, "nexthop.policy")
  if not ok then
    if not is_found "nexthop/core" then
      return nil, "without `socket` the C half of nexthop is needed, and it is not installed for LuaJIT: "
        .. "run `make LUA=luajit install PREFIX=/usr` in nexthop's source tree"
    end
    return nil, "without `socket` the C half of nexthop is needed, and it cannot be loaded: "
      .. protect.text(policy):gsub("\n.*", "")
  end
  local good, reason = policy.options.resolver(resolver)
  if not good then return nil, "resolver: " .. reason end
  if not is_found "luv" then -- not loaded: its loop must be made after the fork
    return nil, "without `socket` luv for LuaJIT is needed: install lua-luv"
  end
  return true
end

-- The settings of the keys that are good, and a list of what is wrong with the others.
local function check_keys(given)
  local settings, wrong, keys = {}, {}, {}
  for key, value in pairs(M.defaults) do settings[key] = value end
  for key in pairs(given) do
    if not ignored[key] then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    local checked, reason
    if checks[key] then
      checked, reason = checks[key](given[key])
    else
      reason = "no such key; there are: " .. names()
    end
    if checked == nil then
      wrong[#wrong + 1] = ("%s: %s"):format(tostring(key), reason)
    else
      settings[key] = checked
    end
  end
  return settings, wrong
end

local function check_deadline(settings, task_timeout, warn)
  local longest = task_timeout and task_timeout * 0.75
  if not longest or settings.deadline <= longest then return end
  warn(("deadline: %gs is too close to rspamd's task_timeout of %gs, it is %gs now")
    :format(settings.deadline, task_timeout, longest))
  settings.deadline = longest
end

--- Checks a section and completes it with the defaults.
-- @param given what rspamd_config:get_all_opt gives
-- @param task_timeout rspamd's, in seconds: the deadline is kept below it; nil: there is none
-- @param warn function(text)
-- @return the settings, `policy` as a function; or nil and a list of messages, each of which names its key
function M.check(given, task_timeout, warn)
  if type(given) ~= "table" then return nil, { "a section expected" } end
  local settings, wrong = check_keys(given)
  check_deadline(settings, task_timeout, warn)
  if settings.policy then
    local reason
    settings.policy, reason = load_policy(settings.policy)
    if not settings.policy then wrong[#wrong + 1] = reason end
  end
  if given.socket ~= nil then
    if given.resolver then warn "resolver: not used, the server at `socket` has its own" end
  else
    local ok, reason = try_resolver(settings.resolver)
    if not ok then wrong[#wrong + 1] = reason end
  end
  if #wrong > 0 then return nil, wrong end
  return settings
end

return M
