--- The command line: what it may say, and what of it goes to nexthop.new and to each call.
local argparse = require "argparse"

local M = {}

local function seconds(option)
  return function(text)
    local n = text:find "^[%d.]+$" and tonumber(text)
    if not n or n < 0.001 or n > 86400 then
      return nil, ("%s: '%s' is no number of seconds from 0.001 to 86400"):format(option, text)
    end
    return n
  end
end

local function whole(option, low, high)
  return function(text)
    local n = text:find "^%d+$" and tonumber(text)
    if not n or n < low or n > high then
      return nil, ("%s: '%s' is no whole number from %d to %d"):format(option, text, low, high)
    end
    return n
  end
end

local function stub(text)
  local zone, address = text:match "^([^=]+)=(.+)$"
  if not zone then return nil, ("--stub: '%s' is not of the form ZONE=ADDRESS"):format(text) end
  return { zone, address }
end

local function parser()
  local p = argparse("nexthop", "Where does mail for a domain go, and what TLS does each host owe?")
    :epilog("Exit status: 0 all planned; 1 a domain failed permanently; 75 one failed for now, or has no "
      .. "host that can be used; 64 wrong usage. See nexthop(1).")
    :add_help(false) -- argparse's own exits at once
  p:argument("domain", "mail domains (with --ips and --tlsa: hosts); [host] is that host itself")
    :args "*":target "names"

  p:group("What to do",
    p:flag("--destinations", "only the mail hosts of the domains"),
    p:flag("--ips", "only the addresses of hosts"),
    p:flag("--tlsa", "only the addresses' status and the TLSA records of hosts"),
    p:flag("--check", "is every host dane? one line a host saying what to mend; exit status 0 or 1"),
    p:flag("--explain", "how the decision is made, step by step"))
  p:group("Many domains",
    p:option("-f --file", "read names from a file, one a line (-: standard input)"):argname "PATH",
    p:option("-j --jobs", "so many under way at a time (100, at most 10000)"):argname "N"
      :convert(whole("--jobs", 1, 10000)),
    p:option("--retry", "with --file, ask so many times more for what failed for now (1, at most 100)")
      :argname "N":convert(whole("--retry", 0, 100)),
    p:flag("--ordered", "results in the order of the input"),
    p:flag("--json", "one JSON object a line"))
  p:group("How to ask",
    p:option("--resolver", "a forwarder (127.0.0.1@5353) instead of those of /etc/resolv.conf"):argname "ADDR"
      :count "*",
    p:flag("--tls", "DNS over TLS to the forwarder (ADDR@853#name)"),
    p:flag("--recursive", "ask the name servers of the root and below, no forwarder"),
    p:option("--stub", "name servers of a zone, ZONE=ADDR"):argname "ZONE=ADDR":count "*":convert(stub),
    p:option("--anchor", "DNSSEC trust anchor"):argname "FILE",
    p:option("--unbound-conf", "an unbound.conf to use"):argname "FILE":target "unbound_conf",
    p:option("--timeout", "for one DNS lookup (10)"):argname "SECONDS":convert(seconds "--timeout"),
    p:option("--deadline", "for all of one domain"):argname "SECONDS":convert(seconds "--deadline"),
    p:option("--port", "port of the TLSA records (25)"):argname "PORT":convert(whole("--port", 1, 65535)),
    p:flag("-4 --ipv4", "only IPv4 addresses"),
    p:flag("-6 --ipv6", "only IPv6 addresses"))
  p:group("Other",
    p:flag("-h --help", "this"),
    p:flag("-V --version", "versions of this and of what it runs on"))
  return p
end

-- The options that say what to do; at most one of them.
local modes = { "destinations", "ips", "tlsa", "check", "explain" }

local function settle(args)
  local mode
  for _, name in ipairs(modes) do
    if args[name] then
      if mode then return nil, ("--%s and --%s do not go together"):format(mode, name) end
      mode = name
    end
  end
  args.mode = mode or "plan"
  if args.ipv4 and args.ipv6 then return nil, "-4 and -6 do not go together" end
  if args.file and #args.names > 0 then return nil, "either names or --file" end
  if not args.file and #args.names == 0 then return nil, "missing argument 'domain'" end
  if args.retry and not args.file then return nil, "--retry needs --file" end
  if args.recursive and #args.resolver > 0 then
    return nil, "--recursive and --resolver do not go together"
  end
  if args.tls and #args.resolver == 0 then return nil, "--tls needs a --resolver (ADDR@853#name)" end
  return args
end

--- Reads the command line. Returns the arguments (`help`: the text), or nil and what is wrong.
function M.parse(argv)
  local p = parser()
  local list = {}
  for i = 1, #argv do list[i] = argv[i] end
  local ok, args = p:pparse(list)
  if ok and (args.help or args.version) then
    args.help = args.help and p:get_help() .. "\n"
    return args
  elseif ok then
    local settled, reason = settle(args)
    if settled then return settled end
    args = reason
  end
  return nil, ("%s\n\nError: %s\n"):format(p:get_usage(), args)
end

--- The options of nexthop.new.
function M.resolver(args)
  local options = {
    trust_anchor_file = args.anchor, unbound_conf = args.unbound_conf, timeout = args.timeout,
    tls = args.tls,
  }
  if #args.resolver > 0 then options.forward = args.resolver end
  if args.recursive then options.resolv_conf = false end
  for _, pair in ipairs(args.stub) do
    options.stub = options.stub or {}
    local zone = options.stub[pair[1]] or {}
    options.stub[pair[1]] = zone
    zone[#zone + 1] = pair[2]
  end
  return options
end

local names = {
  forward = "--resolver", tls = "--tls", stub = "--stub", trust_anchor_file = "--anchor",
  unbound_conf = "--unbound-conf",
}

-- What such messages advise, and how that is said of the command line.
local hints = {
  { "(resolv_conf = false resolves from the root)", "(--recursive resolves from the root)" },
  { "name it as trust_anchor_file", "name it with --anchor" },
  { "name the file as trust_anchor_file instead", "name the file with --anchor instead" },
  { "name one as trust_anchor_file, or say trust_anchor_file = false to go without DNSSEC",
    "name one with --anchor" },
  { "--tls: forward '", "--tls: --resolver '" },
  { ", name it as tls_cert_bundle", "" },
}

--- A message of nexthop.new about its options, as one about those of the command line.
function M.complaint(message)
  message = message:gsub("^resolv_conf: ", ""):gsub("^[%a_]+", names)
  for _, hint in ipairs(hints) do
    local from, to = message:find(hint[1], 1, true)
    if from then message = message:sub(1, from - 1) .. hint[2] .. message:sub(to + 1) end
  end
  return message
end

--- The options of each call.
function M.call(args)
  local network = args.ipv4 and "ip4" or args.ipv6 and "ip6" or nil
  if args.mode == "destinations" then return { deadline = args.deadline } end
  if args.mode == "ips" or args.mode == "tlsa" then
    return { deadline = args.deadline, network = network }
  end
  return {
    deadline = args.deadline, network = network, port = args.port,
    trace = args.mode == "explain" or args.mode == "check" or nil,
    max_hosts = args.mode == "check" and 1000 or nil,
  }
end

return M
