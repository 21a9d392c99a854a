--- The option `cache`: the memory that the caches of a resolver may use together.
local M = {}

local units = { [""] = 1, k = 1024, m = 1024 ^ 2, g = 1024 ^ 3 }
local MIN, MAX = 1024 ^ 2, 64 * 1024 ^ 3

-- The parts, in sixteenths. Ours answers a plan that is asked again; libunbound's are for what is asked anew.
-- A message of libunbound is small beside the records that it refers to. docs/operations.md has figures.
local OURS = 7
local parts = {
  { "msg-cache-size", 2 }, { "rrset-cache-size", 5 }, { "key-cache-size", 1 }, { "neg-cache-size", 1 },
}

-- A policy of MTA-STS that is forgotten is protection that is lost: never fewer bytes than these.
local POLICIES_MIN = 16 * 1024 ^ 2
-- Bytes of the whole for one entry of what libunbound knows of a server, and libunbound's own number of them.
local SERVER, SERVERS_MIN = 4096, 10000

--- Bytes of a value of the option: a number, or text such as "32m".
-- @return the bytes; or nil and what was expected
function M.bytes(value)
  local expected = "bytes, or text like \"32m\" with k, m or g, from 1m to 64g expected, got "
  local n = value
  if type(value) == "string" then
    local digits, unit = value:match "^(%d+)([kKmMgG]?)$"
    n = digits and tonumber(digits) * units[unit:lower()]
  elseif type(value) ~= "number" then
    return nil, expected .. "a " .. type(value)
  end
  if not n or not (n >= MIN and n <= MAX) or n % 1 ~= 0 then
    return nil, expected .. (type(value) == "string" and "'" .. value .. "'" or tostring(value))
  end
  return n
end

--- The steps that set libunbound's caches.
function M.steps(bytes)
  local steps = {}
  local function set(name, n)
    local text = ("%.0f"):format(n)
    steps[#steps + 1] = { "option", name .. ":", text, ("cache: '%s' = '%s'"):format(name, text) }
  end
  for _, part in ipairs(parts) do set(part[1], math.floor(bytes / 16 * part[2])) end
  set("infra-cache-numhosts", math.max(SERVERS_MIN, math.floor(bytes / SERVER)))
  return steps
end

--- The bytes for our own cache.
function M.ours(bytes)
  return math.floor(bytes / 16 * OURS)
end

--- The bytes for policies of MTA-STS, which are there beside the caches.
function M.policies(bytes)
  return math.max(POLICIES_MIN, math.floor(bytes / 4))
end

return M
