--- What nexthop.server and its clients say to each other: one JSON object a line. Results and errors
-- go out as they are, with TLSA data in hex, and come back with their bytes and metatables.
--
-- Encoding needs nothing; decoding needs lua-cjson.
local errors = require "nexthop.errors"
local hex = require "nexthop.hex"
local json = require "nexthop.json.encode"

local M = {}

--- The longest line, without its end.
M.max_line = 65536

--- Encoded as `null`.
M.null = json.null

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

--- Encodes an object as one line, its newline included.
M.encode = json.line

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
    if kind == "plan" then assert(type(host.ips) == "table" and type(host.tls) == "string") end
    restore(host, kind == "plan" and "plan_host" or "host")
  end
  if kind == "plan" then assert(type(value.hosts) == "table" and value.hosts[1]) end
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
  return nil, restore(errors.new("servfail", "the server gave no result"), "error")
end

return M
