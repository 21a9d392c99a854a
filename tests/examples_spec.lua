-- The programs of examples/ that a person reads and runs: demo.lua and plan.lua.
local files = require "tests.support.files"
local program = require "tests.support.program"
local shell = require "tests.support.shell"
local support = require "tests.support"
local lab = support.lab
local contains, lacks = support.contains, support.lacks

describe("examples", function()
  after_each(files.remove)

  local function output(command)
    return ("%sstatus %d\n"):format(shell.run(command))
  end

  it("demo.lua shows six domains by the program, and how to go on", function()
    local text = output(shell.quote(program.lua) .. " examples/demo.lua")
    for _, domain in ipairs(lab.demo) do
      contains(text, "$ nexthop " .. domain .. "\n" .. domain)
    end
    contains(text, "dane: TLS, verified", "the MX records are not secure", "no_mail: accepts no mail",
      "bogus: MX of broken.example", "an alias of dane.example", "no MX: the name itself is the host",
      "How to go on:", "status 0\n")
    for _, case in ipairs {
      { "right", "result     ok", "matches the RSA certificate", "matches the ECDSA certificate" },
      { "stale", "result     validation-failure",
        "to do      no TLSA record matches the certificate: publish 3 1 1 " },
      { "half", " RSA: ok", " ECDSA: validation-failure", "this ECDSA certificate does not: publish 3 1 1 " },
      { "plain", "result     starttls-not-supported", "to do      turn STARTTLS on" },
    } do
      local name = case[1] .. ".servers.example"
      local shown = text:match("%$ nexthop %-%-verify " .. name:gsub("%.", "%%.") .. "\n(.-)\n\n")
      for i = 2, #case do contains(shown, case[i]) end
    end
    -- it ends with a healthy domain and a sick one
    local pattern = "%$ nexthop %-%-check %-%-verify healthy(.-)\n\n.*verify sick(.-)\n\nHow to"
    local healthy, sick = text:match(pattern)
    contains(healthy, "dane, 3 usable TLSA records\nexit status 0")
    lacks(healthy, "hint", "fail", "warn")
    contains(sick, "mend  sick.servers.example 10 mx.sick.servers.example: dane, 2 usable TLSA records, but "
      .. "see below\n", "key-kinds-differ: ", "digest-of-nothing: ", "no-tlsrpt: ",
      "publish    _25._tcp.mx.sick.servers.example. TLSA 3 1 1 ", "\nexit status 1")
    contains(text, "mx.half.servers.example\tvalidation-failure\nmx.plain.servers.example\tstarttls")
  end)

  it("demo.lua asks for another domain, and says how to go on whatever comes", function()
    -- a name that is none: nothing is asked of the internet
    contains(output(shell.quote(program.lua) .. " examples/demo.lua 'no name'"),
      "$ nexthop no name\n",
      "How to go on:", "status 0\n")
  end)

  it("plan.lua prints hosts, records and what failed", function()
    local command = ("%s examples/plan.lua %%s %s %s"):format(shell.quote(program.lua),
      lab.forward_address,
      lab.anchor_file)
    contains(output(command:format("mxeverywhere.example")),
      "10\tmx1.dane.example\tdane\t2001:db8::1 192.0.2.1",
      "\tnames\tmx1.dane.example mxeverywhere.example", "\tleft alone:\tnothing.example",
      "status 0\n")
    contains(output(command:format("nullmx.example")), "no_mail\tfor good\tnullmx.example: ",
      "status 1\n")
  end)
end)
