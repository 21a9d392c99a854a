--- The options of --check on the command line, and the ports of all modes that take several.
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

-- The modes in which --port may be repeated.
local takes_ports = { check = true, rollover = true, make_tlsa = true }

-- The ports, each once.
local function ports_of(args, texts)
  local list, seen = {}, {}
  for _, text in ipairs(texts or { args.smtps and "465" or "25" }) do
    local number, reason = port(text)
    if not number then return nil, reason end
    if not seen[number] then list[#list + 1] = number end
    seen[number] = true
  end
  return list
end

--- Checks that the options go together, and fills in defaults.
-- @param ports the values of --port, or nil
-- @return the arguments; or nil and what is wrong
function M.settle(args, ports)
  for _, name in ipairs(own) do
    if args[name] ~= nil and args.mode ~= "check" then return nil, ("--%s needs --check"):format(name) end
  end
  if takes_ports[args.mode] then
    local list, reason = ports_of(args, ports)
    if not list then return nil, reason end
    args.ports = list
  elseif ports and #ports > 1 then
    return nil, "--port may be repeated with --check, --rollover and --make-tlsa alone"
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
  return args
end

return M
