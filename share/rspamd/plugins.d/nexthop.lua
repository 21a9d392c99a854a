-- The plugin nexthop for rspamd looks up the mail hosts of sender and recipient domains. Its code is in
-- nexthop.rspamd.
local lua_util = require "lua_util"
local logger = require "rspamd_logger"

if rawget(_G, "confighelp") then
  rspamd_config:add_example(nil, "nexthop", "Mail hosts of sender and recipient domains, DNSSEC, DANE", [[
nexthop {
  # socket = "/run/nexthop/nexthop.sock";   # a nexthop-server; without it each worker resolves by itself
  resolver { forward = "127.0.0.1"; }
  deadline = 4s;
}
]])
  return
end

local ok, plugin = pcall(require, "nexthop.rspamd")
if ok then
  plugin.register(rspamd_config)
else
  local reason = tostring(plugin)
  if reason:find("module 'nexthop.rspamd' not found", 1, true) then
    reason = "its modules are not installed for LuaJIT: "
      .. "run `make LUA=luajit install PREFIX=/usr` in its source tree"
  end
  logger.errx(rspamd_config, "nexthop: %s", (reason:gsub("\n.*", "")))
  lua_util.disable_module("nexthop", "config")
end
