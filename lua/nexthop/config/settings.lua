--- Reads and checks the options of the filter, the lookup server and the plugin.
local exclusions = require "nexthop.mail.exclusions"
local protect = require "nexthop.protect"

local M = {}

--- Checks options against what is allowed: policy.check() of nexthop.meta.policy.
-- @param prefix for messages about a table in a table: "sender.", or "." in a function of a spec
function M.check(given, spec, prefix)
  prefix = prefix or ""
  if type(given) ~= "table" then
    prefix = prefix:gsub("%.$", "")
    return nil, ("%s%sa table expected, got a %s"):format(prefix, prefix ~= "" and ": " or "",
      type(given))
  end
  local keys = {}
  for key in pairs(spec) do keys[#keys + 1] = key end
  table.sort(keys)
  local checked = {}
  for key, value in pairs(given) do
    local check = spec[key]
    if not check then
      return nil, ("%s%s: no such key; there are: %s"):format(prefix, tostring(key),
        table.concat(keys, ", "))
    end
    local result, reason = check(value)
    if result == nil then
      return nil, prefix .. key .. (reason:sub(1, 1) == "." and reason or ": " .. reason)
    end
    checked[key] = result
  end
  return checked
end

--- Functions for M.check: of options that all of the glue has.
M.options = {}

--- Options of nexthop.new: tried, with all that goes with it (trust anchors ...). What may work
-- out another time (no memory, no descriptors) is no fault of theirs.
function M.options.resolver(value)
  if type(value) ~= "table" then return nil, "options of nexthop.new expected, as a table" end
  local nexthop = require "nexthop"
  local ok, resolver, err = pcall(nexthop.new, value)
  if not ok then return nil, (tostring(resolver):gsub("^.-:%d+: ", "")) end
  if resolver then
    resolver:close()
  elseif err.code == "config" then
    return nil, err.message
  end
  return value
end

--- Seconds, more than 0.
function M.options.deadline(value)
  if type(value) ~= "number" or not (value > 0 and value <= 86400) then
    local got = type(value) == "number" and tostring(value) or "a " .. type(value)
    return nil, "seconds expected, more than 0 and at most 86400, got " .. got
  end
  return value
end

--- Ask for the MTA-STS policy of recipients' domains, too?
function M.options.sts(value)
  if type(value) ~= "boolean" then return nil, "true or false expected, got a " .. type(value) end
  if value then
    local ok, reason = require("nexthop.core").sts()
    if not ok then return nil, reason end
  end
  return value
end

--- Ask for the TLSRPT record, too?
function M.options.tlsrpt(value)
  if type(value) == "boolean" then return value end
  return nil, "true or false expected, got a " .. type(value)
end

--- The port of the hosts that serve policies.
function M.options.sts_port(value)
  if type(value) == "number" and value >= 1 and value <= 65535 and value % 1 == 0 then return value end
  return nil, "a port expected, 1 to 65535, got " .. tostring(value)
end

--- A file of certificate authorities for these hosts.
function M.options.ca_file(value)
  if type(value) ~= "string" then return nil, "a path expected, got a " .. type(value) end
  local file, reason = io.open(value, "r")
  if not file then return nil, reason end
  file:close()
  return value
end

--- The options of plan() that settings have.
-- @param is_recipient the domain is a recipient's; for others no policy is asked for
function M.plan_options(settings, deadline, is_recipient)
  local options = { deadline = deadline }
  if is_recipient and (settings.sts or settings.tlsrpt) then
    options.sts, options.tlsrpt = settings.sts, settings.tlsrpt
    options.sts_port, options.ca_file = settings.sts_port, settings.ca_file
  end
  return options
end

--- The file for the metrics. Whether it can be written is not looked at: that may change.
function M.options.metrics_file(value)
  if type(value) == "string" and value:sub(1, 1) == "/" and value:sub(-1) ~= "/" then return value end
  return nil, ("the path of a file expected, from the root on, got %s"):format(tostring(value))
end

--- A list of domains; the result is a function(domain), see nexthop.mail.exclusions.
function M.options.exclude(value)
  if type(value) ~= "table" then return nil, "a list of domains expected" end
  for key in pairs(value) do
    if type(key) ~= "number" then
      return nil, ("a list of domains expected, it has the key '%s'"):format(tostring(key))
    end
  end
  return exclusions.of(value)
end

--- Reads a configuration file: Lua that returns a table.
-- @param path nil: there is no file, and the defaults hold
-- @return the table, not checked; or nil and why not, the path in it
function M.load(path)
  if not path then return {} end
  local ok, options = protect.file(path)
  if not ok then return nil, options end
  if type(options) ~= "table" then
    return nil, ("%s: it must return a table, and returns a %s"):format(path, type(options))
  end
  return options
end

return M
