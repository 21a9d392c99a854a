--- The settings of table-nexthop: the file or the socket, the defaults and the checks.
local owed = require "nexthop.mail.owed"
local policy = require "nexthop.policy"
local settings_of = require "nexthop.config.settings"

local M = {}

--- What holds where the configuration says nothing.
M.defaults = { deadline = 0.3, verdicts = { "dane", "encrypt" } }

local is_verdict = {}
for _, verdict in ipairs(owed.verdicts) do is_verdict[verdict] = true end

local spec = {
  resolver = policy.options.resolver,
  deadline = policy.options.deadline,
  exclude = policy.options.exclude,
  metrics_file = policy.options.metrics_file,
  sts_port = policy.options.sts_port, ca_file = policy.options.ca_file,
}

function spec.socket(value)
  if type(value) == "string" and value ~= "" then return value end
  return nil, "the path of a nexthop-server's socket expected"
end

function spec.sts(value)
  if type(value) == "boolean" then return value end
  return nil, "true or false expected, got a " .. type(value)
end

function spec.verdicts(value)
  if type(value) ~= "table" or #value == 0 then
    return nil, "a list of verdicts expected: " .. table.concat(owed.verdicts, ", ")
  end
  local set = {}
  for key, verdict in pairs(value) do
    if type(key) ~= "number" or not is_verdict[verdict] then
      return nil, ("no such verdict: %s; there are: %s"):format(
        tostring(type(key) == "number" and verdict or key), table.concat(owed.verdicts, ", "))
    end
    set[verdict] = true
  end
  return set
end

function spec.rule(value)
  if type(value) == "function" then return value end
  return nil, "a function expected, got a " .. type(value)
end

--- Checks a configuration and completes it with the defaults.
-- @return the settings: `verdicts` as a set, `exclude` compiled; or nil and a message that names the key
function M.check(given)
  local complete = {}
  for key, value in pairs(M.defaults) do complete[key] = value end
  for key, value in pairs(given) do complete[key] = value end
  if complete.sts and given.verdicts == nil then complete.verdicts = owed.verdicts end
  local settings, reason = policy.check(complete, spec)
  if not settings then return nil, reason end
  if not settings.socket and not settings.resolver then -- last: it goes on with what the machine has
    local found
    found, reason = policy.check({ resolver = {} }, spec)
    if not found then return nil, reason end
    settings.resolver = found.resolver
  end
  if settings.socket and settings.resolver then
    return nil, "socket: the server there has a resolver of its own, and 'resolver' would be ignored"
  end
  if settings.verdicts.sts then
    if settings.sts == false then return nil, "verdicts: 'sts' is never a verdict with sts = false" end
    settings.sts = true
  end
  if settings.sts and settings.resolver then
    local ok
    ok, reason = require("nexthop.core").sts()
    if not ok then return nil, reason end
  end
  settings.exclude = settings.exclude or function() return false end
  return settings
end

-- Is this the socket of a nexthop-server? One that is not there is a server that does not run at the moment.
local function is_socket(path)
  local stat, _, code = require("luv").fs_stat(path)
  if stat then return stat.type == "socket" end
  return code == "ENOENT" and not path:find "%.lua$"
end

--- Reads what smtpd.conf names: a configuration file, a Lua program that returns a table, or a socket.
-- @param path nil: the defaults
-- @param is_file is it known to be a file? Else a path where nothing is counts as a socket, unless it ends in
-- ".lua".
-- @return the settings, with `is_file`; or nil and a message that names the file
function M.load(path, is_file)
  if path and not is_file and is_socket(path) then return M.check { socket = path } end
  local options, reason = settings_of.load(path)
  if not options then return nil, reason end
  local settings
  settings, reason = M.check(options)
  if not settings then return nil, path and ("%s: %s"):format(path, reason) or reason end
  settings.is_file = path ~= nil
  return settings
end

return M
