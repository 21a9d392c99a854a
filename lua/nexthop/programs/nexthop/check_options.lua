--- The options of --check on the command line.
local numbers = require "nexthop.programs.nexthop.numbers"

local M = {}

local formats = { nagios = true, openmetrics = true }

M.conversions = {
  format = function(text)
    if formats[text] then return text end
    return nil, ("--format: '%s' is no format (nagios, openmetrics)"):format(text)
  end,
  warning = numbers.whole("--warning", 0, 3650), critical = numbers.whole("--critical", 0, 3650),
}

-- What means nothing without --check.
local own = { "authoritative", "warning", "critical", "quiet", "format" }

local port = numbers.whole("--port", 1, 65535)

--- Checks that the options go together, and fills in defaults.
-- @param ports the values of --port, or nil
-- @return the arguments; or nil and what is wrong
function M.settle(args, ports)
  for _, name in ipairs(own) do
    if args[name] ~= nil and args.mode ~= "check" then return nil, ("--%s needs --check"):format(name) end
  end
  if args.mode ~= "check" then return args end
  if args.quiet and args.json then return nil, "--quiet and --json do not go together" end
  if args.format and args.json then return nil, "--format and --json do not go together" end
  if args.quiet and args.format == "openmetrics" then
    return nil, "--quiet and --format openmetrics do not go together"
  end
  if args.down then return nil, "--check and --down do not go together" end
  args.warning, args.critical = args.warning or math.max(14, args.critical or 0), args.critical or 3
  if args.critical > args.warning then return nil, "--critical is more than --warning" end
  args.ports = {}
  local seen = {}
  for _, text in ipairs(ports or { args.smtps and "465" or "25" }) do
    local number, reason = port(text)
    if not number then return nil, reason end
    if not seen[number] then args.ports[#args.ports + 1] = number end
    seen[number] = true
  end
  return args
end

return M
