--- Results as JSON Lines: the field names of the API in an order that stays, bytes in hex, empty
-- lists as []. (lua-cjson keeps no order, and has no empty list on every system.)
local format = require "nexthop.format"
local words = require "nexthop.cli.words"

local M = {}

local order = {}
for rank, key in ipairs {
  "domain", "host", "input", "error", "pref", "tls", "code", "message", "permanent",
  "have_mx", "mx_authentic", "orig_next_hop_authentic", "expanded_next_hop_authentic",
  "expanded_next_hop", "nxdomain", "truncated",
  "ips", "authentic", "expanded_authentic", "host_authentic", "ip4_authentic", "ip6_authentic",
  "expanded_host", "dualstack", "failed", "dane_required",
  "usage", "selector", "match_type", "data", "reason",
  "records", "weaker", "unusable", "tlsa_base_domain", "names", "sni", "err",
  "name", "type", "rcode", "security", "section", "ttl", "hosts", "trace",
} do
  order[key] = rank
end

local function before(a, b)
  local x, y = order[a] or math.huge, order[b] or math.huge
  if x == y then return a < b end
  return x < y
end

local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- What a terminal would act on is escaped; bytes that are no UTF-8 become U+FFFD.
local function text(value)
  value = value:gsub('["\\]', short)
  return '"' .. words.filter(value, function(bytes, code)
    if not code then return "\\ufffd" end
    return short[bytes] or ("\\u%04x"):format(code)
  end) .. '"'
end

local encode

local function object(value)
  local keys, out = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, before)
  for i, key in ipairs(keys) do
    local field = value[key]
    if key == "data" then field = format.hex(field) end
    out[i] = text(key) .. ":" .. encode(field)
  end
  return "{" .. table.concat(out, ",") .. "}"
end

local function list(value)
  local out = {}
  for i, item in ipairs(value) do out[i] = encode(item) end
  return "[" .. table.concat(out, ",") .. "]"
end

function encode(value)
  local kind = type(value)
  if kind == "string" then return text(value) end
  if kind == "number" then
    return value % 1 == 0 and ("%d"):format(value) or ("%.14g"):format(value)
  end
  if kind ~= "table" then return tostring(value) end
  -- nothing in a result is an empty object
  return (next(value) == nil or value[1] ~= nil) and list(value) or object(value)
end

--- One line. `key` is "domain" or "host", `input` what was asked for.
function M.line(key, input, result, err)
  local out = {}
  if result then
    for name, value in pairs(result) do out[name] = value end
  else
    out.error = { code = err.code, message = err.message, permanent = err.permanent }
    out.trace = err.trace
  end
  out[key] = out[key] or input.name or input.text
  if out[key] ~= input.text then out.input = input.text end
  return encode(out) .. "\n"
end

return M
