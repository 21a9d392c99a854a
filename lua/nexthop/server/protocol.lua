--- What nexthop.server and its clients say to each other: one JSON object a line. Results and errors
-- go out as they are, with TLSA data in hex, and come back with their bytes and metatables.
--
-- Encoding needs nothing; decoding needs lua-cjson.
local hex = require "nexthop.hex"
local memo = require "nexthop.memo"

local M = {}

--- The longest line, without its end.
M.max_line = 65536

--- Encoded as `null`.
M.null = setmetatable({}, { __tostring = function() return "null" end })

local strict -- a cjson of our own, when it is needed

--- Decodes JSON; a function(text) -> value that raises, and what it gives for null. Replaceable:
-- rspamd has a JSON of its own.
function M.json()
  if not strict then
    strict = require("cjson").new()
    strict.decode_invalid_numbers(false) -- no NaN, no 0x10
  end
  return strict.decode, strict.null
end

-- ---- encoding ------------------------------------------------------------

-- Fields that are lists, also when they are empty.
local lists = {
  hosts = true, ips = true, records = true, weaker = true, unusable = true, names = true, trace = true,
}

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(c)
  return escapes[c] or ("\\u%04x"):format(c:byte())
end

-- The forms of a character in UTF-8 (RFC 3629 4).
local characters = {
  "^[\194-\223][\128-\191]", "^\224[\160-\191][\128-\191]", "^[\225-\236\238\239][\128-\191][\128-\191]",
  "^\237[\128-\159][\128-\191]", "^\240[\144-\191][\128-\191][\128-\191]",
  "^[\241-\243][\128-\191][\128-\191][\128-\191]", "^\244[\128-\143][\128-\191][\128-\191]",
}

-- Bytes that are no UTF-8 would make the line no JSON; a message may quote them.
local function repair(run)
  local good, at = {}, 1
  while at <= #run do
    local stop
    for _, form in ipairs(characters) do
      stop = stop or select(2, run:find(form, at))
    end
    good[#good + 1] = stop and run:sub(at, stop) or "?"
    at = (stop or at) + 1
  end
  return table.concat(good)
end

local function quote(text)
  if not text:find '[%c"\\\128-\255]' then return '"' .. text .. '"' end -- nearly all
  if text:find "[\128-\255]" then text = text:gsub("[\128-\255]+", repair) end
  return '"' .. text:gsub('[%c"\\]', escape) .. '"'
end

local function number(value)
  if value ~= value or value == math.huge or value == -math.huge then return "null" end
  if value == math.floor(value) and math.abs(value) < 2 ^ 53 then return ("%d"):format(value) end
  local text = ("%.14g"):format(value)
  return tonumber(text) == value and text or ("%.17g"):format(value)
end

local text_of = memo(function(value)
  if type(value) == "number" then return number(value) end
  return type(value) == "boolean" and tostring(value) or quote(tostring(value))
end)
local hex_of = memo(function(data) return '"' .. hex.encode(data) .. '"' end)
local field_of = memo(function(name) return quote(tostring(name)) .. ":" end)

-- The pieces of the line that is being made: one list, whatever is in what, and the same each time.
local pieces, last = {}, 0

local put_table

-- key: under which the value stands, for what depends on it
local function put(value, key)
  if type(value) == "table" then return put_table(value, key) end
  last = last + 1
  pieces[last] = key == "data" and type(value) == "string" and hex_of[value] or text_of[value]
end

function put_table(value, key)
  local before, after, empty = "{", "}", "{}"
  if value == M.null then
    before, after, empty = nil, nil, "null"
  elseif lists[key] or value[1] ~= nil then
    before, after, empty = "[", "]", "[]"
    for _, item in ipairs(value) do
      last = last + 1
      pieces[last] = before
      put(item)
      before = ","
    end
  else
    for name, item in pairs(value) do
      pieces[last + 1], pieces[last + 2] = before, field_of[name]
      last = last + 2
      put(item, name)
      before = ","
    end
  end
  last = last + 1
  pieces[last] = before == "," and after or empty
end

--- A table as one line of JSON, its end included.
function M.encode(value)
  last = 0
  put(value)
  pieces[last + 1] = "\n"
  return table.concat(pieces, "", 1, last + 1)
end

-- ---- decoding ------------------------------------------------------------

-- nil for null, and whole numbers as integers where Lua has those.
local function clean(value, null)
  if value == null then return nil end
  if type(value) == "table" then
    for key, item in pairs(value) do value[key] = clean(item, null) end
  elseif type(value) == "number" and value == math.floor(value) and math.abs(value) < 2 ^ 53 then
    return math.floor(value)
  end
  return value
end

--- The object of a line.
-- @return table; or nil and why it is none
function M.decode(line)
  if not line:find "^%s*{" then return nil, "not a JSON object" end
  local decode, null = M.json()
  local ok, value = pcall(decode, line)
  if not ok or type(value) ~= "table" then
    return nil, "no valid JSON: " .. (tostring(value):gsub("[^\32-\126]+", " "))
  end
  return clean(value, null)
end

-- ---- what was a result is one again ---------------------------------------------

-- Without the C half (a client need not have it) results have no metatables.
local function metatables()
  if not M.metatables then
    local ok, core = pcall(require, "nexthop.core")
    if ok then require "nexthop.result_text" end -- how they print
    M.metatables = ok and core.metatables or {}
  end
  return M.metatables
end

local function restore(value, kind)
  if type(value) ~= "table" then return value end
  local meta = metatables()
  for _, name in ipairs { "records", "weaker", "unusable" } do
    for _, record in ipairs(value[name] or {}) do
      record.data = hex.decode(record.data)
      setmetatable(record, meta.record)
    end
  end
  for _, host in ipairs(value.hosts or {}) do
    restore(host, kind == "plan" and "plan_host" or "host")
  end
  restore(value.err, "error")
  for _, err in pairs(value.failed or {}) do restore(err, "error") end
  return setmetatable(value, meta[kind])
end

local kinds = {
  gather_destinations = "destinations", gather_ips = "ips", gather_tlsa = "tlsa", plan = "plan",
}

local function restore_answer(op, answer)
  local result, err = answer.result, answer.error
  assert(type(err or result) == "table")
  if err then return nil, restore(err, "error") end
  if kinds[op] then return restore(result, kinds[op]) end
  restore(result.plan, "plan")
  restore(result.error, "error")
  return result
end

--- Gives an answer's result or error its bytes and metatables back, in place.
-- @param op what was asked
-- @param answer as M.decode gives it
-- @return result; or nil and the error
function M.restore(op, answer)
  local ok, result, err = pcall(restore_answer, op, answer)
  if ok then return result, err end -- else it was no nexthop-server that spoke
  return nil, restore({ code = "servfail", message = "the server gave no result", permanent = false },
    "error")
end

return M
