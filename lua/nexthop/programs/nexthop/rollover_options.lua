--- The options of --make-tlsa, --rollover and --assume on the command line.
local numbers = require "nexthop.programs.nexthop.numbers"
local tlsa_record = require "nexthop.doctor.tlsa_record"
local verify = require "nexthop.programs.nexthop.verify_options"

local M = {}

local function since(text)
  local result = verify.time(text, os.time())
  if not result then
    return nil, ("--since: '%s' is no time: -1d or -6h (s, m, h, d, w), 2027-01-01, or seconds since 1970")
      :format(text)
  elseif result > os.time() then
    return nil, ("--since: '%s' is still to come"):format(text)
  end
  return result
end

local function assume(list)
  local records = {}
  for i, text in ipairs(list) do
    local record, reason = tlsa_record.parse(text)
    if not record then return nil, ("--assume: '%s': %s"):format(text, reason) end
    records[i] = record
  end
  return records
end

M.conversions = {
  usage = numbers.whole("--usage", 0, 3), selector = numbers.whole("--selector", 0, 1),
  match = numbers.whole("--match", 0, 2), since = since, assume = assume,
}

-- Which modes take an option.
local modes_of = {
  usage = { make_tlsa = true }, selector = { make_tlsa = true }, match = { make_tlsa = true },
  since = { rollover = true }, assume = { plan = true, check = true, explain = true, rollover = true },
}
local needs = {
  assume = "--assume goes with a plan, --check, --explain or --rollover",
  since = "--since needs --rollover",
}

--- Checks that the options go together.
-- @return the arguments; or nil and what is wrong
function M.settle(args)
  for _, name in ipairs { "usage", "selector", "match", "since", "assume" } do
    if args[name] ~= nil and not modes_of[name][args.mode] then
      return nil, needs[name] or ("--%s needs --make-tlsa"):format(name)
    end
  end
  if args.file and (args.mode == "rollover" or args.mode == "make_tlsa") then
    return nil, ("--file and --%s do not go together"):format((args.mode:gsub("_", "-")))
  end
  if args.json and args.mode == "make_tlsa" then return nil, "--json and --make-tlsa do not go together" end
  return args
end

return M
