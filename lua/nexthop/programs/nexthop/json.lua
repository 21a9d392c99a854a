--- Results as JSON Lines: the field names of the API in an order that stays, bytes in hex, empty
-- lists as []. (lua-cjson keeps no order, and has no empty list on every system.)
local hex = require "nexthop.hex"
local memo = require "nexthop.memo"
local words = require "nexthop.programs.nexthop.words"

local M = {}

local order, rank = {
  "domain", "host", "input", "ok", "text", "check", "error", "pref", "tls", "code", "message", "permanent",
  "have_mx", "mx_authentic", "orig_next_hop_authentic", "expanded_next_hop_authentic",
  "expanded_next_hop", "nxdomain", "truncated",
  "ips", "authentic", "expanded_authentic", "host_authentic", "ip4_authentic", "ip6_authentic",
  "expanded_host", "dualstack", "failed", "dane_required",
  "usage", "selector", "match_type", "data", "reason",
  "records", "weaker", "unusable", "tlsa_base_domain", "names", "sni", "err",
  "name", "type", "rcode", "security", "section", "ttl", "hosts", "trace",
}, {}
for i, key in ipairs(order) do rank[key] = i end

local short = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- What a terminal would act on is escaped; bytes that are no UTF-8 become U+FFFD.
local text = memo(function(value)
  value = value:gsub('["\\]', short)
  return '"' .. words.filter(value, function(bytes, code)
    if not code then return "\\ufffd" end
    return short[bytes] or ("\\u%04x"):format(code)
  end) .. '"'
end)

local data = memo(function(value) return '"' .. hex.encode(value) .. '"' end)
local field = memo(function(key) return text[key] .. ":" end)

local encode

-- The ranks sort as numbers, which is quicker than to compare names. A key without one comes last.
local function object(value)
  local ranks, others, out = {}, {}, {}
  for key in pairs(value) do
    local at = rank[key]
    if at then ranks[#ranks + 1] = at else others[#others + 1] = key end
  end
  table.sort(ranks)
  table.sort(others)
  for i, at in ipairs(ranks) do
    local key = order[at]
    out[i] = field[key] .. (key == "data" and data[value.data] or encode(value[key]))
  end
  for _, key in ipairs(others) do out[#out + 1] = field[key] .. encode(value[key]) end
  return "{" .. table.concat(out, ",") .. "}"
end

local function list(value)
  local out = {}
  for i, item in ipairs(value) do out[i] = encode(item) end
  return "[" .. table.concat(out, ",") .. "]"
end

function encode(value)
  local kind = type(value)
  if kind == "string" then return text[value] end
  if kind == "number" then
    return value % 1 == 0 and ("%d"):format(value) or ("%.14g"):format(value)
  end
  if kind ~= "table" then return tostring(value) end
  -- nothing in a result is an empty object
  return (next(value) == nil or value[1] ~= nil) and list(value) or object(value)
end

--- One line. `key` is "domain" or "host", `input` what was asked for, `check` what nexthop.programs.nexthop.check says.
function M.line(key, input, result, err, check)
  local out = {}
  if result then
    for name, value in pairs(result) do out[name] = value end
  else
    out.error = { code = err.code, message = err.message, permanent = err.permanent }
    out.trace = err.trace
  end
  if check then out.ok, out.check = check.ok, check.verdicts end
  out[key] = out[key] or input.name or input.text
  if out[key] ~= input.text then out.input = input.text end
  return encode(out) .. "\n"
end

return M
