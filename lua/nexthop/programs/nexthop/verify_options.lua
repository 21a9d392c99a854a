--- The options of --verify on the command line.
local core = require "nexthop.core"
local numbers = require "nexthop.programs.nexthop.numbers"

local M = {}

-- ---- values ------------------------------------------------------------

local units = { s = 1, m = 60, h = 3600, d = 86400, w = 604800 }

-- Days from 1970-01-01 to a date of the Gregorian calendar; nil if there is no such date.
local function days(year, month, day)
  local lengths = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
  if year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) then lengths[2] = 29 end
  if not lengths[month] or day < 1 or day > lengths[month] then return nil end
  local before = year - 1
  local total = before * 365 + math.floor(before / 4) - math.floor(before / 100) + math.floor(before / 400)
  for i = 1, month - 1 do total = total + lengths[i] end
  return total + day - 1 - 719162
end

--- Reads a time: "+30d" and "-1w" from now, "2027-01-01" (its beginning in UTC), seconds since 1970.
-- @param text
-- @param now seconds since 1970
-- @return seconds since 1970; nil: it is no time
function M.time(text, now)
  local sign, count, unit = text:match "^([+-])(%d+)([smhdw])$"
  local year, month, day = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)$"
  local result
  if sign then
    result = now + (sign == "-" and -1 or 1) * tonumber(count) * units[unit]
  elseif year then
    local whole = days(tonumber(year), tonumber(month), tonumber(day))
    result = whole and whole * 86400
  elseif text:find "^%d+$" then
    result = tonumber(text)
  end
  -- 253402300800 is the first second of the year 10000, which no certificate can name
  return result and result >= 0 and result < 253402300800 and result or nil
end

local function at(text)
  local result = M.time(text, os.time())
  if result then return result end
  return nil, ("--at: '%s' is no time: +30d or -1w (s, m, h, d, w), 2027-01-01, or seconds since 1970")
    :format(text)
end

local kinds = { any = true, rsa = true, ecdsa = true, ed25519 = true }

local function keys(text)
  local list, seen = {}, {}
  for kind in (text .. ","):gmatch "([^,]*)," do
    if not kinds[kind] then
      return nil, ("--keys: '%s' is no key kind (any, rsa, ecdsa, ed25519)"):format(kind)
    end
    if not seen[kind] then list[#list + 1] = kind end
    seen[kind] = true
  end
  return list
end

local function helo(text)
  if #text > 255 or text:find "[^!-~]" or text == "" then
    return nil, ("--helo: '%s' is no name for EHLO"):format(text)
  end
  return text
end

local function ca_file(path)
  local file, reason = io.open(path, "rb")
  local readable = file and file:read(1)
  if file then file:close() end
  if readable then return path end
  return nil, ("--ca-file: %s"):format(reason or path .. ": it has nothing that can be read")
end

local function sources(list)
  local families = {}
  for _, text in ipairs(list) do
    local bytes = core.address(text)
    if not bytes then return nil, ("--source: '%s' is no IP address"):format(text) end
    local family = #bytes == 16 and "IPv6" or "IPv4"
    if families[family] then return nil, ("--source: two %s addresses"):format(family) end
    families[family] = true
  end
  return list
end

M.conversions = {
  at = at, keys = keys, helo = helo, ca_file = ca_file, source = sources,
  step = numbers.seconds "--step", connect_port = numbers.whole("--connect-port", 1, 65535),
}

-- ---- together ------------------------------------------------------------

-- What means nothing without --verify.
local own = { "keys", "connect_port", "smtps", "helo", "source", "step", "at", "global_only",
  "down" }

--- Checks that the options go together, and fills in defaults.
-- @return the arguments; or nil and what is wrong
function M.settle(args)
  for _, name in ipairs(own) do
    if args[name] ~= nil and not args.verify then
      return nil, ("--%s needs --verify"):format((name:gsub("_", "-")))
    end
  end
  if args.ca_file and not args.verify and not args.sts then
    return nil, "--ca-file needs --verify or --sts"
  end
  if not args.verify then return args end
  if args.down and args.json then return nil, "--down and --json do not go together" end
  args.port = args.port or args.smtps and 465 or nil
  args.keys = args.keys or args.mode == "verify" and (args.file or #args.names > 1)
    and { "any" } or { "rsa", "ecdsa" }
  return args
end

--- The options of resolver:verify.
-- @param network "ip4", "ip6" or nil
function M.call(args, network)
  return {
    deadline = args.deadline, network = network, port = args.port, keys = args.keys,
    connect_port = args.connect_port, implicit_tls = args.smtps, helo = args.helo, source = args.source,
    step = args.step, at = args.at, ca_file = args.ca_file, global_only = args.global_only,
    sts = args.sts, tlsrpt = args.tlsrpt, sts_port = args.sts_port,
  }
end

return M
