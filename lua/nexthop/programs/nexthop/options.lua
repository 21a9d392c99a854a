--- The command line: what it may say, and what of it goes to nexthop.new and to each call.
local caches = require "nexthop.config.cache"
local check = require "nexthop.programs.nexthop.check_options"
local numbers = require "nexthop.programs.nexthop.numbers"
local rollover = require "nexthop.programs.nexthop.rollover_options"
local verify = require "nexthop.programs.nexthop.verify_options"

local M = {}

--- The text of --help, which nexthop.programs.options reads, too.
M.usage = [[
usage: nexthop [OPTION ...] DOMAIN ...
       nexthop [OPTION ...] -f PATH

Where does mail for a domain go, and what TLS does each host owe?

DOMAIN is a mail domain (with --ips and --tlsa: a host); [host] is that host itself.

What to do:
  --destinations           only the mail hosts of the domains
  --ips                    only the addresses of hosts
  --tlsa                   only the addresses' status and the TLSA records of hosts
  --check                  is every host dane? one line a host saying what to mend; exit status 0 or 1
                           (with --verify: connect, too)
  --explain                how the decision is made, step by step
  --verify                 connect to the hosts: does each present what it is owed? never sends mail
  --rollover FILE          may the certificate in FILE go live on these hosts now? GO, WAIT or NO
  --make-tlsa FILE         the TLSA record for the certificate or key in FILE (names: hosts, or none)
  --sts-forget DOMAIN      take a domain's MTA-STS policy out of the file of --sts-cache

What else a domain publishes:
  --sts                    its MTA-STS policy, which also decides (RFC 8461)
  --sts-cache FILE         keep policies in this file, which processes may share
  --sts-port PORT          port of the hosts that serve policies (443)
  --tlsrpt                 where it wants reports about TLS (RFC 8460)

With --check:
  --authoritative          ask every name server of the zones on its own: do they agree, do signatures last?
  --warning DAYS           warn when a certificate ends within so many days (14)
  --critical DAYS          call it an error within so many days, and warn of signatures that end (3)
  --quiet                  print nothing of what is right, and no hints
  --format FORMAT          nagios: a plugin's line and status (0 to 3); openmetrics: a page of metrics
                           with --verify the ports 465, 993 and 995 have TLS from the first byte

With --verify:
  --keys KINDS             key kinds to ask for, each in a connection of its own: any, rsa, ecdsa, ed25519
                           (with one domain rsa,ecdsa; with several any)
  --connect-port PORT      port to connect to, if not that of the TLSA records
  --smtps                  TLS from the first byte, no STARTTLS (--port is then 465)
  --helo NAME              name in EHLO (that of this machine)
  --source ADDR            local address to connect from, one a family
  --step SECONDS           for each step of a connection (30)
  --at TIME                judge certificates at that time: +30d, -1w, 2027-01-01, seconds since 1970
  --ca-file FILE           certificates of the CAs that the PKIX verdict rests on, with --sts also for the
                           hosts that serve policies (the system's)
  --global-only            leave out addresses that the Internet cannot reach
  --down                   only the hosts that a DANE sender cannot reach, one a line: host, result

Certificates and their records:
  --assume RECORD          answer as if this record had been there for long: 'NAME TLSA 3 1 1 ...'
  --since TIME             with --rollover: all name servers have the records of now since then (-6h)
  --usage N                with --make-tlsa: 2 for a CA, 3 for the host itself (3)
  --selector N             with --make-tlsa: 0 the certificate, 1 its public key (1)
  --match N                with --make-tlsa: 0 all of it, 1 its SHA2-256, 2 its SHA2-512 (1)

Many domains:
  -f PATH, --file PATH     read names from a file, one a line (-: standard input)
  -j N, --jobs N           so many under way at a time (100, at most 10000)
  --retry N                with --file, ask so many times more for what failed for now (1, at most 100)
  --ordered                results in the order of the input
  --json                   one JSON object a line

How to ask:
  --resolver ADDR          a forwarder (127.0.0.1@5353) instead of those of /etc/resolv.conf
  --tls                    DNS over TLS to the forwarder (ADDR@853#name)
  --recursive              ask the name servers of the root and below, no forwarder
  --stub ZONE=ADDR         name servers of a zone, ZONE=ADDR
  --anchor FILE            DNSSEC trust anchor
  --unbound-conf FILE      an unbound.conf to use
  --timeout SECONDS        for one DNS lookup (10)
  --cache SIZE             memory for the caches, such as 32m, for many domains that are asked again
  --deadline SECONDS       for all of one domain
  --port PORT              port of the TLSA records (25); with --check, --rollover and --make-tlsa it may be
                           repeated
  -4, --ipv4               only IPv4 addresses
  -6, --ipv6               only IPv6 addresses

Other:
  -h, --help               this
  -V, --version            versions of this and of what it runs on

Exit status: 0 all planned; 1 a domain failed permanently; 75 one failed for now, or has no host that
can be used; 64 wrong usage. With --verify: 0 all ok; 1 a host fails what it is owed; 75 nothing worse
than failures for now. With --rollover: 0 GO; 1 NO; 75 WAIT. See nexthop(1).
]]

local function stub(text)
  local zone, address = text:match "^([^=]+)=(.+)$"
  if not zone then return nil, ("--stub: '%s' is not of the form ZONE=ADDRESS"):format(text) end
  return { zone, address }
end

local function cache_size(text)
  local bytes, reason = caches.bytes(text)
  if not bytes then return nil, "--cache: " .. reason end
  return bytes
end

local conversions = {
  jobs = numbers.whole("--jobs", 1, 10000), retry = numbers.whole("--retry", 0, 100),
  port = numbers.whole("--port", 1, 65535), sts_port = numbers.whole("--sts-port", 1, 65535),
  cache = cache_size, timeout = numbers.seconds "--timeout", deadline = numbers.seconds "--deadline",
}
for _, more in ipairs { check.conversions, verify.conversions, rollover.conversions } do
  for name, convert in pairs(more) do conversions[name] = convert end
end

-- The options that say what to do; at most one of them.
local modes = { "destinations", "ips", "tlsa", "check", "explain", "verify", "rollover", "make_tlsa" }

local function settle(args, given)
  local mode
  for _, name in ipairs(modes) do
    if args[name] and not (mode == "check" and name == "verify") then
      if mode then
        return nil, (("--%s and --%s do not go together"):format(mode, name):gsub("_", "-"))
      end
      mode = name
    end
  end
  args.mode = mode or "plan"
  if args.sts_forget then
    if not args.sts_cache then return nil, "--sts-forget needs --sts-cache" end
    if mode or args.file or #args.names > 0 then return nil, "--sts-forget goes with --sts-cache alone" end
    return args
  end
  for _, name in ipairs { "sts", "tlsrpt" } do
    if args[name] and (mode == "destinations" or mode == "ips" or mode == "tlsa") then
      return nil, ("--%s and --%s do not go together"):format(name, mode)
    end
  end
  if not args.sts and (args.sts_cache or args.sts_port) then
    return nil, "--sts-cache and --sts-port need --sts"
  end
  if args.ipv4 and args.ipv6 then return nil, "-4 and -6 do not go together" end
  if args.file and #args.names > 0 then return nil, "either names or --file" end
  if not args.file and #args.names == 0 and args.mode ~= "make_tlsa" then
    return nil, "missing argument 'domain'"
  end
  if args.retry and not args.file then return nil, "--retry needs --file" end
  if args.recursive and #args.resolver > 0 then
    return nil, "--recursive and --resolver do not go together"
  end
  if args.tls and #args.resolver == 0 then return nil, "--tls needs a --resolver (ADDR@853#name)" end
  local ok, reason = rollover.settle(args)
  if ok then ok, reason = verify.settle(args) end
  if not ok then return nil, reason end
  return check.settle(args, given.port)
end

--- Makes arguments of what the parser has read.
-- @return the arguments; or nil and what is wrong
function M.arguments(given, names)
  local args = { names = names, resolver = given.resolver or {}, source = given.source, stub = {},
    assume = given.assume }
  for key, value in pairs(given) do
    if not args[key] then args[key] = type(value) == "table" and value[#value] or value end
  end
  for key, convert in pairs(conversions) do
    if args[key] then
      local value, reason = convert(args[key])
      if not value then return nil, reason end
      args[key] = value
    end
  end
  for i, text in ipairs(given.stub or {}) do
    local pair, reason = stub(text)
    if not pair then return nil, reason end
    args.stub[i] = pair
  end
  return settle(args, given)
end

--- The options of nexthop.new.
function M.resolver(args)
  local options = {
    trust_anchor_file = args.anchor, unbound_conf = args.unbound_conf, timeout = args.timeout,
    tls = args.tls, sts_cache = args.sts_cache, cache = args.cache,
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
  unbound_conf = "--unbound-conf", sts_cache = "--sts-cache",
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

--- The options of resolver:verify.
function M.verify_call(args)
  local call = verify.call(args, args.ipv4 and "ip4" or args.ipv6 and "ip6" or nil)
  call.assume = args.assume
  return call
end

--- The options of each call.
function M.call(args)
  local network = args.ipv4 and "ip4" or args.ipv6 and "ip6" or nil
  if args.mode == "destinations" then return { deadline = args.deadline } end
  if args.mode == "verify" then return M.verify_call(args) end
  if args.mode == "ips" or args.mode == "tlsa" then
    return { deadline = args.deadline, network = network }
  end
  return {
    deadline = args.deadline, network = network, port = args.port, assume = args.assume,
    trace = args.mode == "explain" or args.mode == "check" or args.assume ~= nil or nil,
    max_hosts = args.mode == "check" and 1000 or nil,
    sts = args.sts, tlsrpt = args.tlsrpt, sts_port = args.sts_port, ca_file = args.ca_file,
  }
end

return M
