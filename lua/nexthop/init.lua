--- nexthop: where does mail for a domain go, may that answer be trusted, and what TLS does each
-- host owe. The public module; nexthop.meta describes every function and field.
local core = require "nexthop.core"
local config = require "nexthop.config"
require "nexthop.result_text" -- how results and errors print
require "nexthop.report_text" -- how reports of verify do

local M = {}

M._VERSION = "nexthop " .. require "nexthop.version"

local warnings = setmetatable({}, { __mode = "k" }) -- by resolver

--- What was left out of the configuration of a resolver, and what is wrong with its file of policies.
function M.warnings(resolver)
  local list = {}
  for i, message in ipairs(warnings[resolver] or {}) do list[i] = message end
  list[#list + 1] = resolver:_sts_notice()
  return list
end

--- Makes a resolver.
function M.new(options)
  if options == nil then options = {} end
  if type(options) ~= "table" then
    error("bad argument #1 to 'new' (table expected, got " .. type(options) .. ")", 2)
  end
  local built, err = config.build(options)
  if not built then return nil, err end
  local resolver
  resolver, err = core.new(built)
  if not resolver then return nil, config.blame(err, options) end
  if built.warnings[1] then warnings[resolver] = built.warnings end
  return resolver
end

local default, default_pid

--- The resolver that the functions of this module use.
function M.default()
  local pid = core.getpid()
  if default and default_pid == pid and default:pending() then return default end -- nil: somebody closed it
  local resolver, err = M.new()
  if not resolver then return nil, err end
  default, default_pid = resolver, pid
  return default
end

for name, what in pairs {
  gather_destinations = "domain", gather_ips = "host", gather_tlsa = "host", plan = "domain",
  verify = "domain",
} do
  M[name] = function(input, ...)
    if type(input) ~= "string" then -- the resolver would count itself as the first argument
      error(("bad argument #1 to '%s' (%s name expected, got %s)"):format(name, what, type(input)), 2)
    end
    local resolver, err = M.default()
    if not resolver then return nil, err end
    return resolver[name](resolver, input, ...)
  end
end

--- The names a host's certificate may bear; no DNS. mox GatherTLSANames.
M.gather_tlsa_names = core.gather_tlsa_names

local versions = { __index = function(t, key)
  return type(key) == "string" and rawget(t, key:lower()) or nil
end }

--- Versions of what this runs on: libunbound, openssl, libuv, libidn2, lua.
function M.versions()
  local list = core.versions()
  list.lua = type(jit) == "table" and jit.version or _VERSION -- luacheck: ignore jit
  return setmetatable(list, versions)
end

return M
