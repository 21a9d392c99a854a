--- The settings of nexthop-monitor: the file, the defaults and the checks.
local core = require "nexthop.core"
local http = require "nexthop.luv.http"
local settings_of = require "nexthop.config.settings"
local verify_options = require "nexthop.programs.nexthop.verify_options"

local M = {}

--- What holds where the configuration says nothing.
M.defaults = {
  resolver = {}, interval = 3600, retry = 300, listen = "127.0.0.1:9646", warning = 14, critical = 3,
  keys = { "rsa", "ecdsa" }, ports = { 25 }, jobs = 8, deadline = 120, authoritative = true,
}

local function is_list(value)
  if type(value) ~= "table" then return false end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  return count == #value
end

local function whole(from, to, what)
  return function(value)
    if type(value) == "number" and value >= from and value <= to and value % 1 == 0 then return value end
    return nil, ("%s expected, %d to %d, got %s"):format(what, from, to, tostring(value))
  end
end

local function seconds(from, to)
  return function(value)
    if type(value) == "number" and value >= from and value <= to then return value end
    return nil, ("seconds expected, %g to %g, got %s"):format(from, to, tostring(value))
  end
end

local function boolean(value)
  if type(value) == "boolean" then return value end
  return nil, "true or false expected, got a " .. type(value)
end

local function text(value)
  if type(value) == "string" and value ~= "" then return value end
  return nil, "a string expected, got " .. (value == "" and "an empty one" or "a " .. type(value))
end

-- Each item of a list that has at least one.
local function list_of(what, check)
  return function(value)
    if not is_list(value) or #value == 0 then return nil, ("a list of %s expected"):format(what) end
    local out = {}
    for i, item in ipairs(value) do
      local checked, reason = check(item)
      if checked == nil then return nil, reason end
      out[i] = checked
    end
    return out
  end
end

local function domain(value)
  local name = type(value) == "string" and core.name(value)
  if name then return name end
  return nil, ("'%s' is no domain"):format(tostring(value))
end

local function domains(value)
  local list, reason = list_of("domains", domain)(value)
  if not list then return nil, reason end
  local out, seen = {}, {}
  for _, name in ipairs(list) do
    if not seen[name] then out[#out + 1] = name end
    seen[name] = true
  end
  table.sort(out)
  return out
end

local function listen(value)
  local endpoint = type(value) == "string" and http.endpoint(value)
  if endpoint and core.address(endpoint.host) then return endpoint end
  return nil, ("an address with a port expected, such as 127.0.0.1:9646 or [::1]:9646, got %s"):format(
    tostring(value))
end

-- A command that is started without a shell.
local function on_change(value)
  local words, reason = list_of("strings, a program and its arguments,", function(word)
    if type(word) == "string" and not word:find "%z" then return word end
    return nil, ("a string expected, got a %s"):format(type(word))
  end)(value)
  if not words then return nil, reason end
  if words[1]:sub(1, 1) ~= "/" then
    return nil, ("the path of the program must begin with /, and is '%s'"):format(words[1])
  end
  return words
end

local function folder(value)
  local path, reason = text(value)
  if not path then return nil, reason end
  local uv = require "luv"
  local stat = uv.fs_stat(path)
  if not stat or stat.type ~= "directory" then
    return nil, ("%s: %s"):format(path, stat and "is no folder" or "there is no such folder")
  elseif not uv.fs_access(path, "W") then
    return nil, path .. ": nothing can be written there"
  end
  return (path:gsub("(.)/+$", "%1"))
end

-- The same checks as those of the options of nexthop(1).
local function converted(name, expected)
  local convert = verify_options.conversions[name]
  return function(value)
    if type(value) ~= expected then return nil, ("a %s expected, got a %s"):format(expected, type(value)) end
    local result, reason = convert(value)
    if result == nil then return nil, (reason:gsub("^%-%-[%w-]+: ", "")) end
    return result
  end
end

local kind = converted("keys", "string")

local port = whole(1, 65535, "a port")

local spec = {
  resolver = settings_of.options.resolver,
  domains = domains, interval = seconds(1, 604800), retry = seconds(0.1, 604800), listen = listen,
  warning = whole(0, 3650, "days"), critical = whole(0, 3650, "days"),
  keys = list_of("key kinds", function(value)
    local kinds, reason = kind(value)
    return kinds and kinds[1], reason
  end),
  on_change = on_change, state = folder,
  ports = list_of("ports", port), connect_port = port,
  helo = converted("helo", "string"), source = converted("source", "table"), step = seconds(0.1, 600),
  ca_file = settings_of.options.ca_file, deadline = seconds(1, 3600), jobs = whole(1, 1000, "a number"),
  authoritative = boolean,
  network = function(value)
    if value == "ip4" or value == "ip6" then return value end
    return nil, ("\"ip4\" or \"ip6\" expected, got %s"):format(tostring(value))
  end,
}

-- What two keys say together.
local function check_together(settings)
  if settings.retry > settings.interval then return "retry: it must not be more than interval" end
  if settings.critical > settings.warning then return "critical: it must not be more than warning" end
end

local function is_number(value)
  return type(value) == "number" and value >= 1
end

-- A default gives way to a value that was given.
local function adjust(complete, given)
  if given.retry == nil and is_number(given.interval) then
    complete.retry = math.min(complete.retry, given.interval)
  end
  if given.warning == nil and is_number(given.critical) then
    complete.warning = math.max(complete.warning, given.critical)
  elseif given.critical == nil and is_number(given.warning) then
    complete.critical = math.min(complete.critical, given.warning)
  end
end

--- Checks a configuration and completes it with the defaults.
-- @return the settings; or nil and a message that names the key
function M.check(given)
  local complete = {}
  for key, value in pairs(M.defaults) do complete[key] = value end
  for key, value in pairs(given) do complete[key] = value end
  adjust(complete, given)
  if complete.domains == nil then return nil, "domains: it is missing; a list of domains expected" end
  local resolver = complete.resolver
  complete.resolver = nil
  local settings, reason = settings_of.check(complete, spec)
  reason = reason or settings and check_together(settings)
  if reason then return nil, reason end
  local last -- it goes on with what the machine has
  last, reason = settings_of.check({ resolver = resolver }, spec)
  if not last then return nil, reason end
  settings.resolver = last.resolver
  return settings
end

--- Reads a configuration file, a Lua program that returns a table.
-- @return the settings; or nil and a message that names the file
function M.load(path)
  local options, reason = settings_of.load(path)
  if not options then return nil, reason end
  local settings
  settings, reason = M.check(options)
  if not settings then return nil, ("%s: %s"):format(path, reason) end
  return settings
end

--- The arguments of nexthop.programs.nexthop.doctor.
function M.arguments(settings)
  return {
    mode = "check", verify = true, authoritative = settings.authoritative, json = true,
    ports = settings.ports, warning = settings.warning, critical = settings.critical, keys = settings.keys,
    connect_port = settings.connect_port, helo = settings.helo, source = settings.source,
    step = settings.step, ca_file = settings.ca_file, deadline = settings.deadline,
    timeout = settings.resolver.timeout, ipv4 = settings.network == "ip4", ipv6 = settings.network == "ip6",
    resolver_options = settings.resolver, reuse = settings.retry / 2,
  }
end

return M
