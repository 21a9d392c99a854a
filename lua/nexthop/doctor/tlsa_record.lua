--- TLSA records as text and as rdata, and the record that a certificate or a key has. No DNS.
local core = require "nexthop.core"
local hex = require "nexthop.hex"

local M = {}

--- The name at which the records of a host stand.
function M.name(host, port)
  return ("_%d._tcp.%s"):format(port, host)
end

--- "3 1 1 5891b5b5..."
function M.text(record)
  return ("%d %d %d %s"):format(record.usage, record.selector, record.match_type, hex.encode(record.data))
end

--- Makes the record of a certificate or a key.
-- @param object one of core.certificates()
-- @return { usage, selector, match_type, data }; or nil and the reason
function M.of(object, usage, selector, match_type)
  if selector == 0 and object.kind ~= "certificate" then
    return nil, "selector 0 needs a certificate, and there is only a key"
  end
  local bytes = selector == 0 and object.der or object.spki
  local data = core.digest(bytes, match_type)
  return { usage = usage, selector = selector, match_type = match_type, data = data }
end

--- Reads rdata; nil: it is cut short.
function M.of_rdata(rdata)
  local usage, selector, match_type = rdata:byte(1, 3)
  if not match_type then return nil end
  return { usage = usage, selector = selector, match_type = match_type, data = rdata:sub(4) }
end

--- The rdata of a record.
function M.rdata(record)
  return string.char(record.usage, record.selector, record.match_type) .. record.data
end

-- The numbers by their names (RFC 7218).
local names = {
  { ["pkix-ta"] = 0, ["pkix-ee"] = 1, ["dane-ta"] = 2, ["dane-ee"] = 3 },
  { cert = 0, spki = 1 },
  { full = 0, ["sha2-256"] = 1, ["sha2-512"] = 2 },
}

local function number(text, which)
  local n = text and (names[which][text:lower()] or text:find "^%d%d?%d?$" and tonumber(text))
  return n and n <= 255 and n or nil
end

--- Reads a record as it stands in a zone file: the name, perhaps a TTL and a class, TLSA, and the data, which
-- may have spaces or stand in brackets.
-- @return { name, usage, selector, match_type, data }; or nil and what is wrong
function M.parse(text)
  local words = {}
  for word in text:gsub("[()]", " "):gmatch "%S+" do words[#words + 1] = word end
  local name, at = words[1] and core.name(words[1]), 2
  if not name then return nil, "it does not begin with the name of the record" end
  while words[at] and (words[at]:find "^%d+$" or words[at]:upper() == "IN") do at = at + 1 end
  if (words[at] or ""):upper() ~= "TLSA" then return nil, "there is no TLSA behind the name" end
  local record = { name = name }
  for i, field in ipairs { "usage", "selector", "match_type" } do
    record[field] = number(words[at + i], i)
    if not record[field] then return nil, ("the %s is no number from 0 to 255"):format(field) end
  end
  local data = table.concat(words, "", at + 4)
  if data == "" or #data % 2 == 1 or data:find "%X" then
    return nil, "the data is not an even number of hex digits"
  end
  record.data = hex.decode(data)
  return record
end

--- Are two records the same?
function M.equal(a, b)
  return a.usage == b.usage and a.selector == b.selector and a.match_type == b.match_type
    and a.data == b.data
end

return M
