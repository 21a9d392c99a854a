--- The selector nexthop_finding(ROLE) for the rules of rspamd. The plugin registers it. Plugins that read
-- their rules before that, as multimap does, know it only if rspamd.local.lua has registered it:
--
--   require("nexthop.rspamd.selector").register(rspamd_config)
local results = require "nexthop.rspamd.results"
local symbols = require "nexthop.rspamd.symbols"

local M = {}

local function get_value(task, args)
  local role = args and args[1] or "sender"
  if not symbols[role] then
    require("rspamd_logger").errx(task,
      "nexthop_finding: '%s' is no role; there are: sender, mime_from, reply_to, recipient", role)
    return nil
  end
  local list = results.findings(task, role)
  if #list == 0 then return nil end
  if role == "sender" then return list[1], "string" end
  return list, "string_list"
end

local registered = false

--- Registers the selector, once. It gives a string for the sender, of which there is one, and a list for the
-- other roles; nothing where nothing was found.
function M.register(cfg)
  if registered then return end
  registered = true
  require("lua_selectors").register_extractor(cfg, "nexthop_finding", {
    get_value = get_value,
    description = "Findings of the plugin nexthop: nexthop_finding('sender'), or 'mime_from', 'reply_to', "
      .. "'recipient'",
  })
end

return M
