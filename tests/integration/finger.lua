-- finger.lua ROOT - compares verify with Postfix's posttls-finger, which is in that root.
--
-- It runs in a network of its own (unshare --net), because posttls-finger asks a name server on port 53 and
-- needs one that validates: there is an unbound of the same root at 127.0.0.1, in front of a lab of our own.
-- Prints a line for each case: "TITLE: same RESULT", or "TITLE: different OURS THEIRS" and what
-- posttls-finger has said, quoted.
local root = assert(arg[1], "usage: finger.lua ROOT")

local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local files = require "tests.support.files"
local lab = require("tests.lab.lab").shared()
local mail_server = require "tests.support.mail_server"
local nexthop = require "nexthop"
local shell = require "tests.support.shell"

local zone = chains.zone
local steps = mail_server.steps
local tlsa, stale = ca.tlsa, ca.stale

-- title; certificate or description of the server; records; is a mail domain asked for
local function leaf(name, options)
  options.name, options.issuer = name, options.issuer or chains.issuer
  return ca.leaf(options)
end
local cases = {
  { "3 1 1", chains.ec, { tlsa(chains.ec, 3, 1, 1) } },
  { "3 0 2", chains.rsa, { tlsa(chains.rsa, 3, 0, 2) } },
  { "3 0 0", chains.ec, { tlsa(chains.ec, 3, 0, 0) } },
  { "3 1 0", chains.ec, { tlsa(chains.ec, 3, 1, 0) } },
  { "3 1 1, stale", chains.ec, { stale(3, 1, 1) } },
  { "3 1 1, stale and right", chains.ec, { stale(3, 1, 1), tlsa(chains.ec, 3, 1, 1) } },
  { "3 1 2, stale, 3 1 1 right", chains.ec, { stale(3, 1, 2), tlsa(chains.ec, 3, 1, 1) } },
  { "3 1 1, expired", chains.expired, { tlsa(chains.expired, 3, 1, 1) } },
  { "3 1 1, not valid yet", chains.future, { tlsa(chains.future, 3, 1, 1) } },
  { "3 1 1, another name", chains.foreign, { tlsa(chains.foreign, 3, 1, 1) } },
  { "3 1 1, self-signed", chains["self-signed"], { tlsa(chains["self-signed"], 3, 1, 1) } },
  { "3 1 1 of the issuer", chains.ec, { tlsa(chains.issuer, 3, 1, 1) } },
  { "2 1 1", chains.ec, { tlsa(chains.issuer, 2, 1, 1) } },
  { "2 0 1", chains.ec, { tlsa(chains.issuer, 2, 0, 1) } },
  { "2 0 0", chains.ec, { tlsa(chains.issuer, 2, 0, 0) } },
  { "2 1 0", chains.ec, { tlsa(chains.issuer, 2, 1, 0) } },
  { "2 0 1 of the root, sent", chains["with-root"], { tlsa(chains.root, 2, 0, 1) } },
  { "2 0 1 of the root, not sent", chains.ec, { tlsa(chains.root, 2, 0, 1) } },
  { "2 0 0 of the root, not sent", chains.ec, { tlsa(chains.root, 2, 0, 0) } },
  { "2 1 0 of the root, not sent", chains.ec, { tlsa(chains.root, 2, 1, 0) } },
  { "2 1 1 of the leaf", chains.ec, { tlsa(chains.ec, 2, 1, 1) } },
  { "2 1 1, expired", chains.expired, { tlsa(chains.issuer, 2, 1, 1) } },
  { "2 1 1, not valid yet", chains.future, { tlsa(chains.issuer, 2, 1, 1) } },
  { "2 1 1, another name", chains.foreign, { tlsa(chains.issuer, 2, 1, 1) } },
  { "2 1 1, another authority", chains.strange, { tlsa(chains.issuer, 2, 1, 1) } },
  { "2 1 1, the mail domain's name, host asked", leaf("finger1", { names = { "mx-h27." .. zone } }),
    { tlsa(chains.issuer, 2, 1, 1) } },
  { "2 1 1, the mail domain's name", leaf("finger2", { names = { "mx-h27." .. zone } }),
    { tlsa(chains.issuer, 2, 1, 1) }, true },
  { "2 1 1, CN alone", leaf("finger3", { cn = "h28." .. zone }), { tlsa(chains.issuer, 2, 1, 1) } },
  { "2 1 1, CN beside another name", leaf("finger4", { cn = "h29." .. zone, names = { "x." .. zone } }),
    { tlsa(chains.issuer, 2, 1, 1) } },
  { "2 1 1, a wildcard within a label", leaf("finger5", { names = { "h3*." .. zone } }),
    { tlsa(chains.issuer, 2, 1, 1) } },
  { "no STARTTLS", { no_starttls = true }, { tlsa(chains.ec, 3, 1, 1) } },
  { "454 to STARTTLS", { starttls = "454 4.7.0 no" }, { tlsa(chains.ec, 3, 1, 1) } },
  { "554 at the greeting", { greeting = "554 5.7.1 no" }, { tlsa(chains.ec, 3, 1, 1) } },
  { "a reply injected behind that to STARTTLS",
    { starttls = { steps.send "220 ready\r\n250 injected\r\n" } }, { tlsa(chains.ec, 3, 1, 1) } },
  { "a handshake that is closed", { handshake = { steps.raw, steps.close } }, { tlsa(chains.ec, 3, 1, 1) } },
  { "RSA and ECDSA, a record of both", { certificates = { chains.rsa, chains.ec } },
    { tlsa(chains.ec, 3, 1, 1), tlsa(chains.rsa, 3, 1, 1) } },
  { "RSA and ECDSA, no record of ECDSA", { certificates = { chains.rsa, chains.ec } },
    { tlsa(chains.rsa, 3, 1, 1) } },
}

local unbound_conf = [[
server:
    directory: ""
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    interface: 127.0.0.1
    do-not-query-localhost: no
    do-ip6: no
    trust-anchor: "%s"
remote-control:
    control-enable: no
]]

local function run(command)
  local said, status = shell.run(command)
  if status ~= 0 then error(command .. ": " .. said, 0) end
  return said
end

-- The resolver of posttls-finger; returns a command that ends it.
local function start_unbound()
  local text = unbound_conf:format(lab.anchor)
  for name, address in pairs(lab:stub()) do
    text = text .. ("stub-zone:\n    name: %q\n    stub-addr: %s\n"):format(name, address)
  end
  files.write(root .. "/etc/finger.conf", text)
  files.write(root .. "/etc/resolv.conf", "nameserver 127.0.0.1\noptions edns0 trust-ad\n")
  run("rm -f " .. root .. "/tmp/finger.*")
  run(("(setpriv --pdeathsig TERM chroot %s /usr/sbin/unbound -d -c /etc/finger.conf "
    .. ">%s/tmp/finger.log 2>&1 & echo $! >%s/tmp/finger.pid)"):format(root, root, root))
  return "kill " .. files.read(root .. "/tmp/finger.pid")
end

local function finger(domain, port)
  local said = shell.run(("chroot %s env MAIL_CONFIG=/etc/finger /usr/sbin/posttls-finger -c -l dane "
    .. "-L summary,certmatch -t 20 %s"):format(root, shell.quote(("%s:%d"):format(domain, port))))
  return said:find("Verified TLS connection established", 1, true) ~= nil, said
end

local function add_zone(port)
  local lines = {}
  for index, case in ipairs(cases) do
    lines[#lines + 1] = ("h%d A 127.50.0.%d\nmx-h%d MX 10 h%d"):format(index, index, index, index)
    for _, record in ipairs(case[3]) do
      lines[#lines + 1] = ("_%d._tcp.h%d TLSA %s"):format(port, index, record)
    end
  end
  lab:add_zones { { name = zone, text = table.concat(lines, "\n") .. "\n" } }
end

local function main()
  local servers = mail_server.start()
  add_zone(servers.port)
  for index, case in ipairs(cases) do
    local server = case[2].chain and { certificates = { case[2] } } or case[2]
    server.certificates = server.certificates or { chains.ec }
    servers:host("127.50.0." .. index, server)
  end
  run(("mkdir -p %s/etc/finger && printf 'compatibility_level = 3.6\\nmaillog_file = /dev/stdout\\n"
    .. "smtp_dns_support_level = dnssec\\n' >%s/etc/finger/main.cf"):format(root, root))
  local stop = start_unbound()
  local resolver = assert(nexthop.new(lab:options()))
  for index, case in ipairs(cases) do
    local name = ("%sh%d.%s"):format(case[4] and "mx-" or "", index, zone)
    if not case[4] then name = "[" .. name .. "]" end
    local report = assert(resolver:verify(name, { port = servers.port, helo = "client.test" }))
    local ours = report.hosts[1].connections[1]
    local theirs, said = finger(name, servers.port)
    local result = ours.result or "verified"
    if ours.ok == theirs then
      print(("%s: same %s"):format(case[1], result))
    else
      print(("%s: different %s %s: %q"):format(case[1], result, tostring(theirs), said))
    end
  end
  run(stop)
  resolver:close()
  servers:stop()
  lab:stop()
end

local ok, err = pcall(main)
if not ok then
  print("failed: " .. tostring(err))
  os.exit(1)
end
