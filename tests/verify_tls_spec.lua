-- verify and TLS: faults of the handshake, versions, key kinds, TLS from the first byte, what is told of a
-- certificate.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local files = require "tests.support.files"
local mail_server = require "tests.support.mail_server"
local shell = require "tests.support.shell"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local world = verifying.world(chains.zone, 34)
local steps = mail_server.steps
local record, rsa_record = ca.tlsa(chains.ec, 3, 1, 1), ca.tlsa(chains.rsa, 3, 1, 1)

describe("verify, TLS:", function()
  local it, group = verifying.grouped(it)
  local number = 0

  local function host(server, records)
    number = number + 1
    server.certificates = server.certificates or { chains.ec }
    local label = "tls" .. number
    world:host(label, { tlsa = records or { record }, server = server })
    return label
  end

  -- Verifies with one connection for each of these key kinds, which are returned by their kind.
  local function with_keys(label, keys)
    local report = assert(world:verify(label, { keys = keys }))
    local found = {}
    assert.equal(#keys, #report.hosts[1].connections)
    for _, connection in ipairs(report.hosts[1].connections) do found[connection.keys] = connection end
    return found, report.hosts[1]
  end

  group("the handshake:", function()
    local function bad(title, server)
      local label = host(server)
      it(title .. ": tls-failed", function()
        local connection = world:connection(label)
        verifying.bad(connection, "tls-failed", "handshake")
        assert.is_nil(connection.dane)
      end)
    end
    bad("closed before it", { handshake = { steps.close } })
    bad("closed after the ClientHello", { handshake = { steps.raw, steps.close } })
    bad("reset after the ClientHello", { handshake = { steps.raw, steps.reset } })
    bad("closed within the ServerHello", { handshake = { steps.hello(40), steps.close } })
    bad("reset within the server's first flight", { handshake = { steps.hello(500), steps.reset } })
    bad("a fatal alert", { handshake = { steps.raw, steps.send "\21\3\3\0\2\2\40", steps.silent } })
    bad("text", { handshake = { steps.raw, steps.reply "454 TLS is not available", steps.silent } })
    bad("text after a while, which is no injection", {
      handshake = { steps.sleep(100), steps.reply "250 injected", steps.raw, steps.silent },
    })
    bad("records of zero bytes without end", { handshake = { steps.raw, steps.send(("\0"):rep(9999),
      99999) } })
    bad("records of handshake messages that make no sense", {
      handshake = { steps.raw, steps.send("\22\3\3\0\4\99\0\0\0", 100000), steps.silent },
    })
    bad("no certificate in common", { certificates = {}, ciphers = "ADH" })
  end)

  group("a server that has no other version than", function()
    for _, version in ipairs { "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3" } do
      local label = host { min = version, max = version }
      it(version, function()
        local connection = world:connection(label)
        verifying.good(connection, "verified")
        world.hosts[label].listening[1]:wait "tls"
        local seen, cipher = world.hosts[label].listening[1]:texts("tls")[1]:match "^([^,]*),([^,]*),"
        assert.same({ version, cipher }, { connection.tls.version, connection.tls.cipher })
        assert.equal(version, seen)
        assert.is_string(connection.tls.group)
      end)
    end
  end)

  group("key kinds:", function()
    local both = { certificates = { chains.rsa, chains.ec } }
    local all = host(both, { record, rsa_record })
    it("each certificate of a server is judged", function()
      local found, entry = with_keys(all, { "rsa", "ecdsa" })
      verifying.good(found.rsa, "verified")
      verifying.good(found.ecdsa, "verified")
      assert.same({ "rsa", "ec" }, { found.rsa.tls.chain[1].key, found.ecdsa.tls.chain[1].key })
      assert.same({ 2048, 256 }, { found.rsa.tls.chain[1].bits, found.ecdsa.tls.chain[1].bits })
      local keys = {}
      for _, each in ipairs(entry.records) do
        assert.equal("leaf", each.matches)
        keys[tostring(each.record)] = each.key
      end
      assert.same({ [record] = "ecdsa", [rsa_record] = "rsa" }, keys)
      assert.is_true(entry.ok)
    end)

    local half = host(both, { rsa_record })
    it("a wrong ECDSA certificate is found beside a right RSA one", function()
      local found, entry = with_keys(half, { "rsa", "ecdsa" })
      verifying.good(found.rsa, "verified")
      verifying.bad(found.ecdsa, "validation-failure", "handshake")
      assert.same({ false, "validation-failure", "leaf", "rsa" },
        { entry.ok, entry.result, entry.records[1].matches, entry.records[1].key })
    end)

    for _, version in ipairs { "TLSv1.2", "TLSv1.3" } do
      local label = host({ certificates = { chains.rsa }, max = version, min = version }, { rsa_record })
      it("a kind that the server does not have is absent, and no failure: " .. version, function()
        local found, entry = with_keys(label, { "ecdsa", "rsa", "ed25519" })
        verifying.good(found.rsa, "verified")
        for _, kind in ipairs { "ecdsa", "ed25519" } do
          assert.same({ true, true }, { found[kind].ok, found[kind].absent })
          assert.is_nil(found[kind].result)
        end
        assert.is_nil(found.rsa.absent)
        assert.is_true(entry.ok)
      end)

      local only = host({ certificates = { chains.ec }, max = version, min = version })
      it("all kinds absent is a failure: " .. version, function()
        local found, entry = with_keys(only, { "rsa", "ed25519" })
        verifying.bad(found.rsa, "tls-failed", "handshake")
        verifying.bad(found.ed25519, "tls-failed", "handshake")
        assert.same({ false, "tls-failed" }, { entry.ok, entry.result })
      end)

      local ed = host({ certificates = { chains.rsa, chains.ed25519 }, max = version, min = version },
        { ca.tlsa(chains.ed25519, 3, 1, 1) })
      it("Ed25519 beside RSA: " .. version, function()
        local found = with_keys(ed, { "rsa", "ed25519" })
        verifying.bad(found.rsa, "validation-failure", "handshake")
        verifying.good(found.ed25519, "verified")
        assert.equal("ed25519", found.ed25519.tls.chain[1].key)
      end)
    end

    local old = host({ certificates = { chains.rsa, chains.ec }, max = "TLSv1" }, { record, rsa_record })
    it("of a server that has TLS 1.0 alone", function()
      local found = with_keys(old, { "rsa", "ecdsa" })
      verifying.good(found.rsa, "verified")
      verifying.good(found.ecdsa, "verified")
      assert.same({ "rsa", "ec" }, { found.rsa.tls.chain[1].key, found.ecdsa.tls.chain[1].key })
    end)
  end)

  group("TLS from the first byte:", function()
    local options = { implicit_tls = true }
    local function implicit(title, server, check)
      server.implicit = true
      local label = host(server)
      it(title, function() check((world:connection(label, options)), world.hosts[label].listening[1]) end)
    end
    local function good(connection, server)
      verifying.good(connection, "verified")
      for _, command in ipairs(server:texts "command") do assert.equal("QUIT", command) end
    end
    implicit("a server that greets", {}, function(connection, server)
      good(connection, server)
      assert.equal("220 mail.test ESMTP", connection.greeting)
    end)
    implicit("a server of another protocol", { tls_greeting = "* OK IMAP4rev1 ready" }, good)
    implicit("a server that closes after the handshake", { tls_greeting = { steps.close } }, good)
    implicit("a greeting that refuses: greeting-refused", { tls_greeting = "554 5.7.1 no" },
      function(connection)
        verifying.bad(connection, "greeting-refused", "greeting")
        assert.equal(554, connection.reply)
      end)
    implicit("a server that speaks without TLS: tls-failed", { script = { steps.reply "220 mail", steps.raw,
      steps.silent } },
      function(connection) verifying.bad(connection, "tls-failed", "handshake") end)
    local silent = host { implicit = true, tls_greeting = { steps.silent } }
    it("a server that says nothing after the handshake", function()
      local connection = world:connection(silent, { implicit_tls = true, step = 0.3 * support.slow })
      verifying.good(connection, "verified")
      assert.is_nil(connection.greeting)
    end)
  end)

  local told = host { certificates = { chains.ec } }
  it("tells of a certificate what openssl tells", function()
    local connection = world:connection(told)
    local chain = connection.tls.chain
    assert.equal(2, #chain)
    for index, certificate in ipairs { chains.ec, chains.issuer } do
      local entry = chain[index]
      local der = ca.hex(certificate, "cert")
      assert.equal(der, (entry.der:gsub(".", function(c) return ("%02x"):format(c:byte()) end)))
      assert.equal(ca.hex(certificate, "cert", "sha256"), entry.cert_sha256)
      assert.equal(ca.hex(certificate, "spki", "sha256"), entry.spki_sha256)
      for field, option in pairs { not_before = "startdate", not_after = "enddate" } do
        local text = shell.run(("openssl x509 -in %s -noout -%s"):format(shell.quote(certificate.file),
          option))
        local seconds = shell.run(("date -u -d %s +%%s"):format(shell.quote(text:match "=(.*)\n")))
        assert.equal(tonumber(seconds), entry[field], field)
      end
      assert.matches("CN ?= ?" .. certificate.name, entry.subject)
      assert.matches("CN ?= ?" .. certificate.issuer.name, entry.issuer)
    end
    assert.same({ "*." .. chains.zone }, chain[1].names)
    assert.same({ "ec", 256 }, { chain[1].key, chain[1].bits })
  end)

  group("PKIX beside DANE:", function()
    local function pkix(title, certificate, ca_file, ok)
      local label = host({ certificates = { certificate } }, { ca.tlsa(certificate, 3, 1, 1) })
      it(title, function()
        local connection = world:connection(label, { ca_file = ca_file })
        verifying.good(connection, "verified")
        assert.equal(ok, connection.pkix.ok)
        assert.equal(not ok, connection.pkix.reason ~= nil)
        if ok == false then assert.matches("%a+", connection.pkix.reason) end
      end)
    end
    pkix("a root that is trusted", chains.ec, chains.root.file, true)
    pkix("a root that is not trusted", chains.ec, chains.stranger.file, false)
    pkix("a name that is another", chains.foreign, chains.root.file, false)
    pkix("a certificate that has expired", chains.expired, chains.root.file, false)
    pkix("a leaf that is sent without its issuer", chains.alone, chains.root.file, false)

    it("a ca_file that cannot be read is an error", function()
      local report, err = world:verify(told, { ca_file = "/nowhere/ca.pem" })
      support.failed("config", report, err)
      support.contains(err.message, "/nowhere/ca.pem")
      report, err = world:verify(told, { ca_file = files.new "no certificate" })
      support.failed("config", report, err)
    end)
  end)

  setup(function() world:start() end)
  before_each(support.reset)
  after_each(support.close)
  teardown(function() world:stop() end)

  it("no server was told anything but EHLO, STARTTLS and QUIT", function()
    assert(world:polite() > number)
  end)
end)
