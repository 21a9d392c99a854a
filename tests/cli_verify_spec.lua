-- nexthop --verify, as a person and a script use it: on real connections to scripted mail servers.
local ca = require "tests.support.ca"
local cjson = require "cjson"
local files = require "tests.support.files"
local mail_server = require "tests.support.mail_server"
local program = require "tests.support.program"
local support = require "tests.support"
local verifying = require "tests.support.verifying"
local contains, lacks = support.contains, support.lacks

local world = verifying.world("vprogram.example", 77)

local root = ca.authority { name = "vp-root" }
local function signed(label, options)
  options.name, options.issuer, options.names = "vp-" .. label, root, { label .. ".vprogram.example" }
  return ca.leaf(options)
end

local rsa, ec = signed("good", { key = "rsa" }), ca.leaf { name = "vp-ec", names = { "ec.test" } }
local by_ca, issued = signed("issued", { to = 20, send_root = true }), ca.tlsa(root, 2, 0, 1)
local both = { ca.tlsa(rsa, 3, 1, 1), ca.tlsa(ec, 3, 1, 1) }

world:host("good", { tlsa = both, server = { certificates = { rsa, ec } } })
world:host("stale", { tlsa = { ca.stale(3, 1, 1) }, server = { certificates = { rsa } } })
world:host("half", { tlsa = { both[1] }, server = { certificates = { rsa, ec } } })
world:host("plain", { tlsa = { both[1] }, server = { no_starttls = true } })
world:host("issued", { tlsa = { issued }, server = { certificates = { by_ca } } })
world:host("other", { tlsa = { issued }, server = { certificates = { by_ca } } })
world:host("later", { tlsa = { both[1] }, server = { greeting = "421 come back later" } })
world:host("mute", { tlsa = { both[1] }, server = { greeting = { mail_server.steps.silent } } })
world:host("smtps", { text = "_465._tcp.smtps TLSA " .. both[1],
  server = { certificates = { rsa }, implicit = true } })
world:host("nodane", { server = { certificates = { rsa } } })
world:host("noisy", { tlsa = { both[1] }, server = { greeting = "521 \27[31mno\194\155mail" } })
world:host("shared", { tlsa = { both[1] }, server = { certificates = { rsa } } })
for number = 1, 30 do world:records(("shared%d MX 10 shared"):format(number)) end
for number = 1, 3 do world:records(("later%d MX 10 later"):format(number)) end

local function run(arguments, options)
  local words = { "--verify", "--connect-port", tostring(world.servers.port), "--helo", "client.test" }
  for _, word in ipairs(arguments) do
    words[#words + 1] = word:find "^mx%-" and word .. ".vprogram.example" or word
  end
  return program.run(words, options)
end

local function json(arguments, options)
  table.insert(arguments, 1, "--json")
  local r, objects = run(arguments, options), {}
  for line in r.out:gmatch "[^\n]+" do objects[#objects + 1] = cjson.decode(line) end
  return objects, r
end

local function server(label) return world.hosts[label].listening[1] end

describe("nexthop --verify", function()
  setup(function() world:start() end)
  teardown(function() world:stop() end)
  before_each(function() world.servers:forget() end)
  after_each(files.remove)

  it("shows below the plan what each kind of certificate gave, and ends with 0 when all is ok", function()
    local r = run { "mx-good" }
    assert.same({ 0, "" }, { r.status, r.err })
    contains(r.out, "mx-good.vprogram.example  MX (secure)\n`- 10 good.vprogram.example\n", "result     ok\n",
      "TLSA       " .. both[1], "matches the RSA certificate\n", "matches the ECDSA certificate\n",
      " RSA: ok\n",
      " ECDSA: ok\n", "TLS        TLSv1.3, ", "presents   RSA 2048 of ", "presents   ECDSA 256 of ",
      ("DANE       %s matches this certificate\n"):format(both[2]), "PKIX       not trusted: ",
      "took       connect ")
    assert.same({ { "EHLO client.test", "STARTTLS", "QUIT" }, { "EHLO client.test", "STARTTLS", "QUIT" } },
      server("good"):commands())
  end)

  it("finds a stale record, and says what to publish", function()
    local r = run { "mx-stale" }
    assert.equal(1, r.status)
    contains(r.out, "result     validation-failure\n", "matches no certificate that was seen\n",
      ("to do      no TLSA record matches the certificate: publish %s at _25._tcp.stale.vprogram.example")
        :format(both[1]), "the server has no certificate of this kind\n")
  end)

  it("finds a wrong ECDSA certificate beside a right RSA one", function()
    local r = run { "mx-half" }
    assert.equal(1, r.status)
    contains(r.out, " RSA: ok\n", " ECDSA: validation-failure\n",
      "to do      the RSA certificate matches, this ECDSA certificate does not: publish " .. both[2])
  end)

  it("finds a missing STARTTLS", function()
    local r = run { "mx-plain" }
    assert.equal(1, r.status)
    contains(r.out, "result     starttls-not-supported\n", "to do      turn STARTTLS on in the server")
  end)

  it("finds a wrong name, and a certificate that will have ended at another time", function()
    local r = run { "mx-other" }
    assert.equal(1, r.status)
    contains(r.out, "certificate-host-mismatch\n",
      "the certificate is for issued.vprogram.example: let the CA issue "
        .. "a certificate for other.vprogram.example or mx-other.vprogram.example")
    r = run { "--keys", "any", "mx-issued" }
    assert.equal(0, r.status)
    contains(r.out,
      "matches its issuer (certificate 2 of the chain), and the name issued.vprogram.example fits")
    assert.equal(0, run({ "--keys", "any", "--at", "+10d", "mx-issued" }).status)
    r = run { "--keys", "any", "--at", "+30d", "mx-issued" }
    assert.equal(1, r.status)
    contains(r.out, "(certificates as of ", "certificate-expired\n", " ended on ")
    r = run { "--keys", "any", "--at", "2001-01-01", "mx-issued" }
    contains(r.out, "(certificates as of 2001-01-01 00:00 UTC)", "certificate-not-trusted\n", " begins on ")
  end)

  it("ends with 75 for failures that may go away, and with 1 when there is a worse one", function()
    local r = run { "--keys", "any", "mx-later" }
    assert.equal(75, r.status)
    contains(r.out, ": greeting-refused\n", "421 come back later",
      "to do      the server refuses for now")
    assert.equal(1, run({ "mx-later", "mx-plain", "mx-good" }).status)
    assert.equal(1, run({ "mx-good", "nullmx.example" }).status)
    assert.equal(75, run({ "mx-good", "broken.example" }).status)
  end)

  it("--step bounds a server that says nothing", function()
    local r = run { "--step", "0.3", "--keys", "any", "mx-mute" }
    assert.equal(75, r.status)
    contains(r.out, ": timeout\n", "the server takes the connection and then says nothing more in time")
  end)

  it("--deadline does, too", function()
    local objects, r = json { "--deadline", tostring(0.7 * support.slow), "--keys", "any", "mx-mute" }
    assert.same({ 75, true, "timeout" }, { r.status, objects[1].expired, objects[1].hosts[1].result })
  end)

  it("--keys chooses the kinds; with several domains there is one connection for any kind", function()
    run { "--keys", "ecdsa", "mx-half" }
    assert.equal(1, server("half"):count())
    local objects = json { "mx-half", "mx-good" }
    assert.same({ "any", "any" }, { objects[1].hosts[1].connections[1].keys,
      objects[2].hosts[1].connections[1].keys })
    assert.same({ 1, 1 }, { #objects[1].hosts[1].connections, #objects[2].hosts[1].connections })
  end)

  it("--helo, --source", function()
    run { "--helo", "me.test", "--source", "127.0.0.9", "--keys", "any", "mx-good" }
    assert.same({ { "EHLO me.test", "STARTTLS", "QUIT" } }, server("good"):commands())
    contains(server("good"):texts("open")[1], "127.0.0.9")
  end)

  it("--ca-file", function()
    contains(run({ "--ca-file", root.file, "--keys", "rsa", "mx-good" }).out,
      "PKIX       trusted, and the name fits\n")
    local r = run { "--ca-file", files.new "no certificate\n", "mx-good" }
    assert.equal(64, r.status)
  end)

  it("--smtps, whose TLSA records are those of port 465", function()
    local r = run { "--smtps", "--keys", "any", "mx-smtps" }
    assert.equal(0, r.status)
    contains(r.out, "TLSA       " .. both[1], "DANE       ")
    assert.same({ { "QUIT" } }, server("smtps"):commands())
  end)

  it("--global-only connects to no address of this machine", function()
    local r = run { "--global-only", "mx-good" }
    assert.equal(0, server("good"):count())
    assert.equal(1, r.status)
    contains(r.out, "result     not_found\n",
      "why        not_found: none of its addresses is global (permanent)\n")
    lacks(r.out, "to do")
  end)

  it("shows a host without records, and the record that it would have", function()
    local r = run { "--keys", "any", "mx-nodane" }
    assert.equal(0, r.status)
    contains(r.out, "TLS owed   may: ", ": ok\n", "its record would be " .. both[1])
  end)

  it("takes a host in brackets, and an address", function()
    local address = world.hosts.good.addresses[1]
    local r = run { "[good.vprogram.example]", address }
    assert.equal(0, r.status)
    contains(r.out, "good.vprogram.example  no MX: the name itself is the host (secure)\n", "DANE       ",
      address .. "  an address, no DNS asked\n`- " .. address .. "\n", "its record would be ")
    assert.equal(2, server("good"):count())
  end)

  it("lets nothing that a server says reach the terminal as it is", function()
    for _, mode in ipairs { "--json", "--down", "--keys=any" } do
      local r = run { mode, "mx-noisy" }
      assert.equal(1, r.status)
      assert.is_nil(r.out:gsub("\t", ""):find "[%z\1-\9\11-\31\127-\255]", r.out)
    end
  end)

  it("--json has the API's fields", function()
    local objects = json { "mx-half", "--keys", "rsa,ecdsa" }
    local host = objects[1].hosts[1]
    assert.same({ "mx-half.vprogram.example", false, "half.vprogram.example", "validation-failure", "dane" },
      { objects[1].domain, objects[1].ok, host.host, host.result, host.tls })
    local first, second = host.connections[1], host.connections[2]
    assert.same({ "rsa", true, "verified", 0 }, { first.keys, first.ok, first.dane, first.matched.depth })
    assert.same({ "ecdsa", false, "failed", "ec" },
      { second.keys, second.ok, second.dane, second.tls.chain[1].key })
    assert.equal(ca.hex(ec, "spki", "sha256"), second.tls.chain[1].spki_sha256)
    assert.equal(ca.hex(ec, "cert"), second.tls.chain[1].der)
    contains(second.advice, "publish " .. both[2])
    assert.same({ { "leaf", "rsa" } }, { { host.records[1].matches, host.records[1].key } })
    assert.same(objects[1].plan.hosts[1].sni, first.sni)
  end)

  it("--down lists for scripts the hosts that a DANE sender cannot reach", function()
    local r = run { "--down", "--keys", "rsa,ecdsa", "mx-good", "mx-stale", "mx-half", "mx-plain",
      "mx-nodane",
      "broken.example" }
    assert.equal(1, r.status)
    assert.equal("stale.vprogram.example\tvalidation-failure\nhalf.vprogram.example\tvalidation-failure\n"
      .. "plain.vprogram.example\tstarttls-not-supported\nbroken.example\tbogus\n", r.out)
  end)

  it("is coloured on a terminal", function()
    local shown = program.on_terminal { "--verify", "--connect-port", tostring(world.servers.port),
      "--helo", "c.test",
      "mx-half.vprogram.example" }
    contains(shown, "\27[32mok", "\27[31mvalidation-failure")
  end)

  describe("with many domains", function()
    local function list(label, count)
      local names = {}
      for number = 1, count do names[number] = ("%s%d.vprogram.example"):format(label, number) end
      return table.concat(names, "\n")
    end

    it("contacts a host that they share once, and says how all went", function()
      local r = run({ "--json", "-f", "-" }, { stdin = list("shared", 30) })
      assert.equal(0, r.status)
      assert.equal(30, select(2, ("\n" .. r.out):gsub('\n{"domain":"shared%d+.vprogram.example","ok":true,',
        "")))
      assert.equal(1, server("shared"):count())
      contains(r.err, "30 domains: 30 ok, 0 failing, 0 temporary, 0 no_mail, 0 errors (")
    end)

    it("contacts a dead one once in each pass", function()
      local r = run({ "--json", "--retry", "1", "-f", "-" }, { stdin = list("later", 3) })
      assert.equal(75, r.status)
      assert.equal(2, server("later"):count())
      contains(r.err, "3 domains: 0 ok, 0 failing, 3 temporary, 0 no_mail, 0 errors (")
      run({ "--json", "--retry", "0", "-f", "-" }, { stdin = list("later", 3) })
      assert.equal(3, server("later"):count())
    end)
  end)

  it("stops at SIGINT with what is done, and leaves no connection behind", function()
    local names = files.new "mx-mute.vprogram.example\nmx-good.vprogram.example\n"
    local p = program.start { "--verify", "--json", "--connect-port", tostring(world.servers.port), "--helo",
      "client.test", "-f", names }
    assert.equal("mx-good.vprogram.example", cjson.decode(p:line()).domain)
    server("mute"):wait "open"
    p:signal "INT"
    local r = p:finish()
    assert.same({ 130, {} }, { r.status, r.lines })
    contains(r.err, "interrupted; 1 domain: 1 ok, 0 failing")
    server("mute"):wait "close"
  end)
end)
