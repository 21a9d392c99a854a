--- Encodes results, errors and requests as JSON: TLSA data and certificates in hex, empty lists as [],
-- fields in an order that stays. Bytes that are not UTF-8 become U+FFFD; what a terminal would act
-- on is escaped.
--
-- Libraries do less: lua-cjson keeps no order and has no empty list on every system; dkjson rounds numbers to
-- 14 digits, and passes on bytes that are not UTF-8.
local hex = require "nexthop.hex"
local memo = require "nexthop.memo"
local utf8 = require "nexthop.json.utf8"

local M = {}

--- Encoded as `null`.
M.null = setmetatable({}, { __tostring = function() return "null" end })

local order, rank = {
  "verdict", "until", "agreed",
  "domain", "host", "input", "ip", "port", "keys", "ok", "result", "temporary", "absent",
  "reused", "text", "check", "findings", "error", "pref", "tls", "code", "stage", "message",
  "advice", "permanent",
  "have_mx", "mx_authentic", "orig_next_hop_authentic", "expanded_next_hop_authentic",
  "expanded_next_hop", "nxdomain", "truncated",
  "ips", "authentic", "expanded_authentic", "host_authentic", "ip4_authentic", "ip6_authentic",
  "expanded_host", "dualstack", "failed", "dane_required",
  "usage", "selector", "match_type", "data", "reason",
  "records", "weaker", "unusable", "tlsa_base_domain", "names", "sni", "err",
  "name", "severity", "type", "rcode", "security", "section",
  "dane", "matched", "record", "matches", "key", "depth", "pkix",
  "version", "cipher", "group", "chain", "subject", "cure", "issuer", "not_before", "not_after", "bits",
  "cert_sha256", "spki_sha256", "der", "greeting", "extensions", "reply",
  "elapsed", "connect", "ehlo", "starttls", "handshake",
  "connections", "ttl", "hosts", "trace", "plan",
}, {}
for i, key in ipairs(order) do rank[key] = i end

-- Fields that are lists, also when they are empty.
local lists = {
  hosts = true, ips = true, records = true, weaker = true, unusable = true, names = true, trace = true,
  check = true, findings = true, connections = true, chain = true, extensions = true,
  reasons = true,
}

-- Fields that hold raw bytes, in hex.
local is_raw = { data = true, der = true }

local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(bytes, code)
  return short[bytes] or ("\\u%04x"):format(code or 0xfffd)
end

local function quote(text)
  if text:find '["\\]' then text = text:gsub('["\\]', short) end
  return '"' .. utf8.filter(text, escape) .. '"'
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

-- The pieces of the text that is being made: one list, however deep the tables are.
local pieces, last = {}, 0

-- An iterator of the fields of a table, in order. Ranks are compared as numbers, which is faster than to
-- compare names. A name without a rank comes last.
local function sorted_pairs(value)
  local ranks, others = {}, {}
  for name in pairs(value) do
    if rank[name] then ranks[#ranks + 1] = rank[name] else others[#others + 1] = name end
  end
  table.sort(ranks)
  if #others > 1 then table.sort(others, function(a, b) return tostring(a) < tostring(b) end) end
  local at, known = 0, #ranks
  return function()
    at = at + 1
    local name = others[at - known] -- nil at the end
    if at <= known then name = order[ranks[at]] end
    return name, value[name]
  end
end

local is_sorted

local put_table

-- name: of the field that holds the value
local function put(value, name)
  if type(value) == "table" then return put_table(value, name) end
  last = last + 1
  pieces[last] = is_raw[name] and type(value) == "string" and hex_of[value] or text_of[value]
end

local function put_field(name, item, before)
  pieces[last + 1], pieces[last + 2] = before, field_of[name]
  last = last + 2
  put(item, name)
end

function put_table(value, name)
  local before, after, empty = "{", "}", "{}"
  if value == M.null then
    before, after, empty = nil, nil, "null"
  elseif lists[name] or value[1] ~= nil then
    before, after, empty = "[", "]", "[]"
    for _, item in ipairs(value) do
      last = last + 1
      pieces[last] = before
      put(item)
      before = ","
    end
  elseif is_sorted then
    for field, item in sorted_pairs(value) do
      put_field(field, item, before)
      before = ","
    end
  else
    for field, item in pairs(value) do
      put_field(field, item, before)
      before = ","
    end
  end
  last = last + 1
  pieces[last] = before == "," and after or empty
end

--- Returns a table as one line of JSON, its newline included.
-- @param sorted do the fields come in the order above? That is for people and takes twice as long.
function M.line(value, sorted)
  last, is_sorted = 0, sorted
  put(value)
  pieces[last + 1] = "\n"
  return table.concat(pieces, "", 1, last + 1)
end

return M
