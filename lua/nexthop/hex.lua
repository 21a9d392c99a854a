--- Bytes as hex digits and back.
local M = {}

local digits, bytes = {}, {}
for byte = 0, 255 do
  local pair = ("%02x"):format(byte)
  digits[string.char(byte)] = pair
  bytes[pair], bytes[pair:upper()] = string.char(byte), string.char(byte)
end

--- "\1\255" -> "01ff"
function M.encode(data)
  return (data:gsub(".", digits))
end

--- "01ff" -> "\1\255"
function M.decode(text)
  return (text:gsub("%x%x", function(pair) return bytes[pair] or bytes[pair:lower()] end))
end

return M
