--- Makes errors: tables with code, message and permanent, as the C half returns them.
local unpack = unpack or table.unpack -- luacheck: ignore

local M = {}

--- Replaces control characters, so that a message is one line whatever it quotes.
function M.one_line(text)
  return (text:gsub("%c", function(c) return ("\\%03d"):format(c:byte()) end))
end

--- Makes an error. Where the C half is loaded, tostring() of it gives the message.
-- @param code see nexthop.Code; the error is permanent only with `bad_request`
-- @param format of the message, as for string.format, with its values behind it
function M.new(code, format, ...)
  local values = { ... }
  for i, value in ipairs(values) do values[i] = M.one_line(tostring(value)) end -- %s of Lua 5.1 ends at a NUL
  local core = package.loaded["nexthop.core"]
  return setmetatable({
    code = code, message = M.one_line(format:format(unpack(values))), permanent = code == "bad_request",
  }, core and core.metatables.error)
end

return M
