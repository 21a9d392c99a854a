-- `make demo`: what nexthop finds, and why, on six domains of the signed lab that the tests use; what it sees
-- when it connects to mail servers that the demo starts; and what the doctor says of a healthy domain and a
-- sick one. `make demo DOMAIN=example.org`: the same for a real domain, asked of this system's resolver.
--
-- Runs the program bin/nexthop, so that what it shows can be typed.
local domain = arg[1]

local quote = require("tests.support.shell").quote

local function say(...)
  print(table.concat({ ... }, "\n"))
end

local is_surprised = false

-- Runs the program; shown is what a user would type.
-- @param expected exit status, which is shown, too; with another one the demo fails at its end
local function run(shown, arguments, expected)
  local echo = expected and "; echo \"exit status $?\"" or ""
  say("$ nexthop " .. shown .. echo)
  io.stdout:flush()
  local command = ("%s bin/nexthop %s"):format(quote(arg[-1] or "lua5.4"), arguments)
  if expected then
    local ended = os.execute(("%s; status=$?; echo \"exit status $status\"; [ $status = %d ]"):format(command,
      expected))
    is_surprised = is_surprised or not (ended == true or ended == 0)
  else
    os.execute(command)
  end
  print()
end

local next_steps = {
  "How to go on:",
  "  make demo DOMAIN=example.org      a real domain, through this system's resolver",
  '  eval "$(make -s lua-env)"         then: nexthop --explain example.org; nexthop --help;',
  '                                    lua5.4 -lnexthop, and: > nexthop.plan "example.org"',
  "  make test                         all tests",
  "  make lab                          a shell on the signed lab, to try the commands of docs/",
  "  man -l man/nexthop.1, docs/       the program, the Lua module, and all the rest",
}

if domain and domain ~= "" then
  say(("Where does mail for %s go, may that be trusted, and what TLS does each host owe?"):format(domain),
    "Asked of the resolver in /etc/resolv.conf, validated here.", "")
  run(domain, quote(domain))
  say("And how that was decided:", "")
  run("--explain " .. domain, "--explain " .. quote(domain))
  say((table.concat(next_steps, "\n"):gsub("make demo DOMAIN=example.org      a real domain, .-\n",
    "make demo                         six domains of the signed lab, each another case\n")))
  os.exit(0)
end

local found, lab = pcall(require, "tests.lab.lab")
if not found then
  io.stderr:write("examples/demo.lua: run it from the source tree, by `make demo`\n")
  os.exit(1)
end
say("Starting the lab: a root, its children, keys and signatures made now, served on 127.0.0.1.", "")
lab = lab.start():share()

local introductions = {
  ["dane.example"] = "A signed domain whose hosts publish TLSA records: their keys are known beforehand.",
  ["insecure.example"] = "The zone is not signed: mail goes there, but the answer may be anybody's.",
  ["nullmx.example"] = "A null MX (RFC 7505): this domain takes no mail, and says so.",
  ["broken.example"] = "Signed, but the signatures are wrong: an attack or a mistake, and no answer.",
  ["alias.example"] = "An alias: its mail goes where that of dane.example goes, its name counts too.",
  ["implicit.example"] = "No MX at all: the domain itself is the host (RFC 5321 5.1), DANE included.",
}

local lab_options = ("--resolver %s --anchor %s "):format(lab.forward_address, quote(lab.anchor_file))

for number, name in ipairs(lab.demo) do
  say(("%d. %s"):format(number, introductions[name] or name), "")
  run(name, lab_options .. name)
end

say("How such a decision is made, step by step:", "")
run("--explain dane.example", lab_options .. "--explain dane.example")
say("And what the owner of a domain would have to mend, for monitoring:", "")
run("--check mxeverywhere.example", lab_options .. "--check mxeverywhere.example", 1)

-- ---- connecting ------------------------------------------------------------

local servers = require("tests.lab.mail_demo").start(lab)
local verify_options = ("%s--connect-port %d --verify "):format(lab_options, servers.port)

say("What do the servers really present? Mail servers run on 127.0.0.0/8 now, on a high port, and the",
  "DNS has records for them. `nexthop --verify` connects to them. It sends no mail.", "")
local all = {}
for number, case in ipairs(servers.cases) do
  say(("%d. %s"):format(number, case.introduction), "")
  run("--verify " .. case.domain, verify_options .. case.domain)
  all[number] = case.domain
end
say("For scripts: the hosts that a sender with DANE cannot reach.", "")
local list = table.concat(all, " ")
run("--verify --keys rsa,ecdsa --down " .. list, verify_options .. "--keys rsa,ecdsa --down " .. list)

-- ---- MTA-STS ------------------------------------------------------------

local core = require "nexthop.core"
if core.sts() then
  local policies = require("tests.lab.sts_demo").start()
  local sts_options = ("%s--sts --tlsrpt --sts-port %d --ca-file %s "):format(lab_options, policies.port,
    quote(policies.ca_file))
  say("Most large providers have no DANE and publish an MTA-STS policy, at a web server. It counts with",
    "`--sts`. A web server runs on 127.0.0.0/8 now.", "")
  for number, case in ipairs(policies.cases) do
    say(("%d. %s"):format(number, case.introduction), "")
    run("--sts --tlsrpt " .. case.domain, sts_options .. case.domain)
  end
  policies.stop()
end

-- ---- the doctor ------------------------------------------------------------

say("For the owner of a domain: the doctor connects and names each fault, what to do, and the record to",
  "publish. With --authoritative it also asks each name server of the zones.", "")
for number, case in ipairs(servers.doctor) do
  say(("%d. %s"):format(number, case.introduction), "")
  run("--check --verify " .. case.domain, verify_options .. "--check " .. case.domain, case.status)
end

servers.stop()
lab:stop()
say(table.concat(next_steps, "\n"))
if is_surprised then
  io.stderr:write("examples/demo.lua: an exit status is not that which it should be\n")
  os.exit(1)
end
