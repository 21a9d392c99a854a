--- Trust anchors, as records and in files: read and checked here, since libunbound reports no bad one
-- and then validates nothing.
local checks = require "nexthop.config.checks"
local core = require "nexthop.core"

local M = {}

-- What every validator can use (RFC 8624 3.1, 3.3). libunbound ignores an anchor of another kind without
-- a word, and then validates nothing: so no Ed448 (Debian's, on nettle, has none), and nothing of SHA-1
-- (RFC 9905; a build may be without).
local algorithms = { [8] = 1, [10] = 1, [13] = 1, [14] = 1, [15] = 1 }
local digest_bytes = { [2] = 32, [4] = 48 }
local key_letters = { [13] = 88, [14] = 128, [15] = 44 } -- of RSA keys: any number

-- The owner of an anchor. One that is no name (a byte-order mark before it) is above nothing, and then
-- nothing is validated. "@" is the origin of a file, the root.
local function owner_of(text)
  local name = (text == "." or text == "@") and "." or core.name(text)
  return name and name ~= "." and name .. "." or name
end

--- A DS or DNSKEY record in text: its owner if it can be an anchor, else nil and the reason.
function M.owner(record)
  local fields = {}
  for field in record:gmatch "%S+" do fields[#fields + 1] = field end
  local at
  for i = 2, math.min(#fields, 5) do
    local f = fields[i]:upper()
    if f == "DS" or f == "DNSKEY" then at = i break end
    if f ~= "IN" and not f:find "^%d+[SMHDW]?$" then break end
  end
  if not at then return nil, "is no DS or DNSKEY record" end
  local a, b, c = tonumber(fields[at + 1]), tonumber(fields[at + 2]), tonumber(fields[at + 3])
  local data = table.concat(fields, "", at + 4)
  if not (a and b and c) or data == "" then return nil, "is cut short" end
  if fields[at]:upper() == "DS" then -- key tag, algorithm, digest type
    if not algorithms[b] then return nil, "is of an algorithm that cannot be used" end
    if not digest_bytes[c] then return nil, "has a digest type that cannot be used" end
    if data:find "%X" or #data ~= digest_bytes[c] * 2 then
      return nil, "has a digest of the wrong length"
    end
  else -- flags, protocol, algorithm
    if b ~= 3 then return nil, "has a protocol other than 3" end
    if not algorithms[c] then return nil, "is of an algorithm that cannot be used" end
    if math.floor(a / 256) % 2 == 0 then return nil, "is no zone key" end
    if math.floor(a / 128) % 2 == 1 then return nil, "is a revoked key" end
    if data:find "[^%w+/=]" or #data < 40 or #data % 4 ~= 0 or #data ~= (key_letters[c] or #data) then
      return nil, "has no valid key"
    end
  end
  local owner = owner_of(fields[1])
  if not owner then return nil, "has an owner that is no name" end
  return owner
end

--- The records of a text: comments cut, parentheses joined.
function M.records(text)
  local records, depth, current = {}, 0, ""
  for whole in (text .. "\n"):gmatch "([^\n]*)\n" do
    local line = whole:gsub(";[^\n]*", ""):gsub("\r", "")
    for c in line:gmatch "[()]" do depth = depth + (c == "(" and 1 or -1) end
    current = current .. " " .. line:gsub("[()]", " ")
    if depth <= 0 then
      if current:find "%S" and not current:find "^%s*%$" then
        records[#records + 1] = current:match "^%s*(.-)%s*$"
      end
      current, depth = "", 0
    end
  end
  return records
end

-- A BIND configuration without its comments, of which there are three kinds, none of them in a string.
local function without_comments(text)
  local kept, at = {}, 1
  while true do
    local from = text:find('["#/]', at)
    kept[#kept + 1] = text:sub(at, (from or #text + 1) - 1)
    if not from then return table.concat(kept) end
    local first, two = text:sub(from, from), text:sub(from, from + 1)
    if first == '"' then
      at = (text:find('"', from + 1, true) or #text) + 1
      kept[#kept + 1] = text:sub(from, at - 1)
    elseif two == "/*" then
      at = (select(2, text:find("*/", from + 2, true)) or #text) + 1
    elseif first == "#" or two == "//" then
      at = text:find("\n", from, true) or #text + 1
    else
      kept[#kept + 1], at = first, from + 1
    end
  end
end

--- BIND's clauses that hold keys, and of them what libunbound knows.
M.key_clauses = { ["trust-anchors"] = true, ["managed-keys"] = true, ["trusted-keys"] = true }
M.trusted_keys = { ["trusted-keys"] = true }

-- The keys of a BIND configuration as records; nil when it has no clause with keys.
local function bind_records(text, wanted)
  local records
  for clause, body in without_comments(text):gmatch "([%w-]+)%s*(%b{})" do
    if wanted[clause] then
      records = records or {}
      for entry in body:sub(2, -2):gmatch "[^;]+" do
        local owner, rest = entry:gsub('"', " "):match "^%s*(%S+)%s+(.*)$"
        local kind = rest and rest:match "^%a+%-(%a+)" -- initial-ds, static-key, ...
        if kind then rest = rest:gsub("^%S+", "") end
        if rest then
          records[#records + 1] = owner .. (kind == "ds" and " IN DS " or " IN DNSKEY ")
            .. rest:gsub("%s+", " ")
        end
      end
    end
  end
  return records
end

--- libunbound takes an empty or a broken file and then validates nothing: read it ourselves. Returns the
-- owner of the first anchor, and the anchors as records where they mean the same outside of the file: those
-- of a BIND configuration, which libunbound does not read as one, that can be used, and those of a file of
-- plain records that all can be used. Given so, they stay what they are when the file is written anew.
function M.check_file(path, what, wanted)
  local text, reason = checks.read_file(path)
  if not text then checks.fail("%s: cannot read it: %s", what, reason) end
  local owner, why, usable = nil, nil, {}
  local of_bind = wanted and bind_records(text, wanted)
  local plain = not of_bind and not (text:find "^%s*[$@]" or text:find "\n%s*[$@]")
  for _, record in ipairs(of_bind or wanted ~= M.trusted_keys and M.records(text) or {}) do
    local name, bad = M.owner(record)
    owner, why = owner or name, why or bad
    usable[#usable + 1] = name and record
    plain = plain and name ~= nil
  end
  if not owner then
    checks.fail("%s: %s holds no usable trust anchor%s", what, path,
      why and " (its first record " .. why .. ")" or "")
  end
  return owner, (of_bind or plain) and usable or nil
end

return M
