--- Text from outside, looked through by character: what is UTF-8, and what would change how a terminal shows
-- the text around it.
local M = {}

-- Returns the length of the valid UTF-8 sequence at `at` and its code point (RFC 3629 4); nil: there is none.
local function sequence(text, at)
  local first = text:byte(at)
  local n = first < 0x80 and 1 or first >= 0xc2 and first < 0xe0 and 2 or first >= 0xe0 and first < 0xf0 and 3
    or first >= 0xf0 and first < 0xf5 and 4
  if not n then return nil end
  if n == 1 then return 1, first end
  local code = first % 2 ^ (7 - n)
  for i = at + 1, at + n - 1 do
    local byte = text:byte(i)
    if not byte or byte < 0x80 or byte > 0xbf then return nil end
    code = code * 64 + byte % 64
  end
  if n == 3 and (code < 0x800 or code >= 0xd800 and code <= 0xdfff) or n == 4
    and (code < 0x10000 or code > 0x10ffff) then return nil end
  return n, code
end

-- Controls, C1 controls, and what turns the direction of text.
local function is_harmful(code)
  return code < 0x20 or code >= 0x7f and code <= 0x9f or code == 0x61c or code >= 0x200e and code <= 0x200f
    or code >= 0x2028 and code <= 0x202e or code >= 0x2066 and code <= 0x2069 or code == 0xfeff
end

--- Keeps the harmless UTF-8 of a text, and replaces the rest by what replace(bytes, code) returns.
-- @param replace `code` is nil for a byte that is not UTF-8
function M.filter(text, replace)
  if not text:find "[^ -~]" then return text end
  local out, at = {}, 1
  while at <= #text do
    local n, code = sequence(text, at)
    local bytes = text:sub(at, at + (n or 1) - 1)
    out[#out + 1] = (not code or is_harmful(code)) and replace(bytes, code) or bytes
    at = at + #bytes
  end
  return table.concat(out)
end

local function escape(bytes)
  return (bytes:gsub(".", function(c) return ("\\x%02x"):format(c:byte()) end))
end

--- Returns text as it may go to a terminal: nothing in it but what is seen.
function M.clean(text)
  return M.filter(tostring(text), escape)
end

return M
