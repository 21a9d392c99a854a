-- verify and servers that are odd and right: what a server may do, and what becomes of several connections of
-- one host.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local mail_server = require "tests.support.mail_server"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local zone = chains.zone
local world = verifying.world(zone, 43)
local steps = mail_server.steps
local record, rsa_record = ca.tlsa(chains.ec, 3, 1, 1), ca.tlsa(chains.rsa, 3, 1, 1)

-- A leaf that is sent with so many copies of its issuer's issuer behind it.
local function padded(name, count)
  local extra = {}
  for index = 1, count do extra[index] = chains.root end
  return ca.leaf { name = name, issuer = chains.issuer, names = { "*." .. zone }, extra = extra }
end

describe("verify, odd servers:", function()
  local it, group = verifying.grouped(it)
  local number = 0

  local function host(server, records)
    number = number + 1
    server.certificates = server.certificates or { chains.ec }
    local label = "odd" .. number
    world:host(label, { tlsa = records or { record }, server = server })
    return label
  end

  local function good(title, server, check, records)
    local label = host(server, records)
    it(title .. ": verified", function()
      local connection = world:connection(label)
      verifying.good(connection, "verified")
      if check then check(connection, world.hosts[label].listening[1]) end
    end)
  end

  good("closes after the handshake", { handshake = { steps.tls, steps.close } })
  good("resets after the handshake", { handshake = { steps.tls, steps.reset } })
  good("asks for a certificate of the client", { ask = "optional" })
  good("asks for a certificate of the client, TLS 1.2", { ask = "optional", max = "TLSv1.2" })
  good("has another group, and asks for a second ClientHello", { groups = "P-521" }, function(connection)
    assert.equal("secp521r1", connection.tls.group:gsub("^P%-521$", "secp521r1"):lower())
  end)
  good("has no key exchange but RSA's", {
    certificates = { chains.rsa }, ciphers = "AES128-SHA", max = "TLSv1.2",
  }, function(connection)
    assert.same({ "TLSv1.2", "AES128-SHA" }, { connection.tls.version, connection.tls.cipher })
  end, { rsa_record })
  good("has no cipher but CHACHA20", { ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305", max = "TLSv1.2" })
  good("speaks ESMTP in upper and lower case", { ehlo = "250-Mail.Test\n250-pipelining\n250 StartTls" })
  good("takes a moment between two lines of a reply", {
    ehlo = { steps.send "250-mail.test\r\n", steps.sleep(100), steps.send "250-", steps.sleep(100),
      steps.send "STARTTLS\r\n250 X\r\n" },
  }, function(connection) assert.same({ "STARTTLS", "X" }, connection.extensions) end)

  it("a certificate of the client is required, TLS 1.2: tls-failed", function()
    verifying.bad((world:connection "required"), "tls-failed", "handshake")
  end)
  world:host("required", { tlsa = { record }, server = { certificates = { chains.ec }, ask = "required",
    max = "TLSv1.2" } })

  group("a chain", function()
    good("of 20 certificates", { certificates = { padded("padded20", 18) } }, function(connection)
      assert.equal(20, #connection.tls.chain)
    end, { ca.tlsa(chains.issuer, 2, 1, 1) })

    good("of more than 64 KB: no more is told", { certificates = { padded("padded170", 170) } },
      function(connection)
        local size = 0
        for _, each in ipairs(connection.tls.chain) do size = size + #each.der end
        assert(size <= 65536 and size > 60000, size)
        assert.equal(1, connection.matched.depth)
      end, { ca.tlsa(chains.issuer, 2, 1, 1) })

    local label = host({ certificates = { padded("padded400", 400) } }, { ca.tlsa(chains.issuer, 2, 1, 1) })
    it("of more than OpenSSL takes: tls-failed", function()
      verifying.bad((world:connection(label)), "tls-failed", "handshake")
    end)
  end)

  group("several connections:", function()
    world:host("four", { tlsa = { record, rsa_record }, servers = {
      { certificates = { chains.ec, chains.rsa } }, { certificates = { chains.ec, chains.rsa } },
    } })
    it("each key kind at each address", function()
      local report = assert(world:verify("four", { keys = { "rsa", "ecdsa" } }))
      local seen = {}
      for _, connection in ipairs(report.hosts[1].connections) do
        verifying.good(connection, "verified")
        seen[connection.ip .. " " .. connection.keys] = true
      end
      local expected = {}
      for _, address in ipairs(world.hosts.four.addresses) do
        expected[address .. " rsa"], expected[address .. " ecdsa"] = true, true
      end
      assert.same(expected, seen)
      assert.equal(4, #report.hosts[1].connections)
    end)

    -- A host is temporary when all of its failures are.
    world:host("mixed", { tlsa = { record }, server = { certificates = { chains.rsa } },
      ips = { "127.43.9.9" } })
    it("a refused one beside a wrong certificate is no temporary failure", function()
      local entry = assert(world:verify "mixed").hosts[1]
      local results = {}
      for index, connection in ipairs(entry.connections) do results[index] = connection.result end
      table.sort(results)
      assert.same({ "connect-failed", "validation-failure" }, results)
      assert.is_false(entry.ok)
      assert.is_nil(entry.temporary)
    end)

    world:host("down", { tlsa = { record }, servers = {}, ips = { "127.43.9.8", "127.43.9.9" } })
    it("nothing listens anywhere: connect-failed, temporary", function()
      local entry = assert(world:verify "down").hosts[1]
      assert.same({ false, "connect-failed", true }, { entry.ok, entry.result, entry.temporary })
      for _, connection in ipairs(entry.connections) do
        verifying.bad(connection, "connect-failed", "connect")
        assert.is_nil(connection.elapsed.greeting)
      end
    end)

    world:host("six", { tlsa = { record }, server = { certificates = { chains.ec } }, ips = { "::1" } })
    it("IPv6 beside IPv4", function()
      local started, server = pcall(world.servers.host, world.servers, "::1",
        { certificates = { chains.rsa } })
      if not started then return pending "there is no ::1 here" end
      local report = assert(world:verify("six", { ips = "first" }))
      server:stop()
      local results = {}
      for _, connection in ipairs(report.hosts[1].connections) do
        results[connection.ip] = connection.result or "verified"
      end
      assert.same({ ["::1"] = "validation-failure", [world.hosts.six.addresses[1]] = "verified" }, results)
    end)
  end)

  -- A record's key is the kind whose chain it matched, and one record may match several connections.
  world:host("shared", { tlsa = { ca.tlsa(chains.issuer, 2, 0, 1) },
    server = { certificates = { chains.ec, chains.rsa } } })
  it("the issuer's record matches the chains of both kinds", function()
    local report = assert(world:verify("shared", { keys = { "rsa", "ecdsa" } }))
    for _, connection in ipairs(report.hosts[1].connections) do
      verifying.good(connection, "verified")
      assert.equal(1, connection.matched.depth)
    end
    assert.equal("issuer", report.hosts[1].records[1].matches)
    assert.is_not_nil(({ rsa = true, ecdsa = true })[report.hosts[1].records[1].key])
  end)

  setup(function() world:start() end)
  before_each(support.reset)
  after_each(support.close)
  teardown(function() world:stop() end)

  it("no server was told anything but EHLO, STARTTLS and QUIT", function()
    assert(world:polite() > number)
  end)
end)
