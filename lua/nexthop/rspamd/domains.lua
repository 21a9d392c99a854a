--- Domains as rspamd gives them, and the map of those that are not looked at. Needs no C: only a domain
-- that is not ASCII does, and stays as it is where the C half of nexthop is not installed.
local exclusions = require "nexthop.mail.exclusions"

local M = {}

local function to_ascii(domain)
  if not domain:find "[\128-\255]" then return domain:lower() end
  local ok, core = pcall(require, "nexthop.core")
  return ok and core.name(domain) or domain:lower()
end

--- The domain to look up of one of task:get_from() or task:get_recipients(): rspamd leaves the case as
-- it is, and strips the brackets of address literals.
-- @return domain; or nil and why there is none
function M.of(address)
  local domain = address.domain
  if address.addr == "" or address.addr == "<>" then return nil, "null sender" end
  if not domain or domain == "" then return nil, "no domain" end
  if domain:find "[:%[%]]" or domain:find "^%d+%.%d+%.%d+%.%d+$" then return nil, "address literal" end
  return (to_ascii(domain):gsub("%.$", ""))
end

--- Compiles lines or a list: `example.org` is that name, `*.example.net` everything below it.
-- @param entries list of strings
-- @param key the option that has them, for messages
-- @param warn function(text), for entries that are none
-- @return function(domain) -> boolean
function M.exclusions(entries, key, warn)
  return exclusions.compile(entries, function(text)
    local name = to_ascii(text):gsub("%.$", "")
    if name == "" or name:find "[%s*/@]" or name:find("..", 1, true) then return nil end
    return name
  end, function(reason) warn(key .. ": " .. reason) end)
end

return M
