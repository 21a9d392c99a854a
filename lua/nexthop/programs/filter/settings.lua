--- The settings of filter-nexthop: the file, the defaults and the checks.
local policy = require "nexthop.policy"
local settings_of = require "nexthop.config.settings"

local M = {}

M.actions = { "proceed", "log", "junk", "reject", "tempfail" }

--- What holds where the configuration says nothing.
M.defaults = {
  resolver = {},
  deadline = 10,
  outgoing = "off",
  sender = {
    null_mx = "reject", no_host = "junk", broken = "junk", unroutable = "junk", bogus = "log",
    failure = "proceed",
  },
  recipient = {
    null_mx = "reject", no_host = "proceed", broken = "proceed", unroutable = "proceed",
    bogus = "log", failure = "proceed",
    dane = "log", sts = "log", dane_partial = "log", dane_broken = "log", no_dane = "proceed",
  },
}

local is_action = {}
for _, action in ipairs(M.actions) do is_action[action] = true end

--- Is this one of M.actions?
function M.is_action(value)
  return is_action[value] == true
end

local function check_action(value)
  if is_action[value] then return value end
  return nil, ("no such action: %s; there are: %s"):format(tostring(value),
    table.concat(M.actions, ", "))
end

local function actions_of(role)
  local spec = {}
  for _, finding in ipairs(policy.findings[role]) do spec[finding] = check_action end
  return function(given)
    local checked, reason = policy.check(given, spec, ".")
    if not checked then return nil, reason end
    for finding, action in pairs(M.defaults[role]) do
      if checked[finding] == nil then checked[finding] = action end
    end
    return checked
  end
end

local spec = {
  resolver = policy.options.resolver,
  deadline = policy.options.deadline,
  exclude = policy.options.exclude,
  sts = policy.options.sts, tlsrpt = policy.options.tlsrpt,
  sts_port = policy.options.sts_port, ca_file = policy.options.ca_file,
  metrics_file = policy.options.metrics_file,
  sender = actions_of "sender",
  recipient = actions_of "recipient",
  outgoing = function(value)
    if value == "off" or value == "log" then return value end
    return nil, ("\"off\" or \"log\" expected, got %s"):format(tostring(value))
  end,
  policy = function(value)
    if type(value) == "function" then return value end
    return nil, "a function expected, got a " .. type(value)
  end,
}

--- Checks a configuration and completes it with the defaults.
-- @return the settings, `exclude` compiled; or nil and a message that names the key
function M.check(given)
  local complete = {}
  for key, value in pairs(M.defaults) do complete[key] = value end
  for key, value in pairs(given) do complete[key] = value end
  local resolver = complete.resolver
  complete.resolver = nil
  local settings, reason = policy.check(complete, spec)
  if not settings then return nil, reason end
  complete = { resolver = resolver } -- last: it goes on with what the machine has
  complete, reason = policy.check(complete, spec)
  if not complete then return nil, reason end
  settings.resolver = complete.resolver
  settings.exclude = settings.exclude or function() return false end
  return settings
end

--- Reads a configuration file, a Lua program that returns a table.
-- @param path nil: the defaults
-- @return the settings; or nil and a message that names the file
function M.load(path)
  local options, reason = settings_of.load(path)
  if not options then return nil, reason end
  local settings
  settings, reason = M.check(options)
  if not settings then return nil, path and ("%s: %s"):format(path, reason) or reason end
  return settings
end

return M
