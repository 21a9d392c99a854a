-- verify against real mail servers: Postfix, Exim (whose TLS is GnuTLS) and OpenSMTPD of Debian 13, each with
-- an RSA and an ECDSA certificate.
-- tls_key: smtpd has one kind of key on each port, and this one on the port of TLS from the first byte.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local mtas = require "tests.integration.mtas"
local s_client = require "tests.support.s_client"
local smtpd = require "tests.integration.smtpd"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local zone = chains.zone
local world = verifying.world(zone, 42)
local rsa, ec = ca.tlsa(chains.rsa, 3, 1, 1), ca.tlsa(chains.ec, 3, 1, 1)
local issuer = ca.tlsa(chains.issuer, 2, 0, 1)

-- What each of them is expected to say.
local servers = {
  { name = "postfix", greeting = "^220 mx%.verify%.example ESMTP Postfix",
    extension = "ENHANCEDSTATUSCODES" },
  { name = "exim", greeting = "^220 mx%.verify%.example ESMTP Exim", extension = "SIZE 52428800" },
  { name = "opensmtpd", greeting = "^220 mx%.verify%.example ESMTP OpenSMTPD", extension = "8BITMIME",
    tls_key = "rsa" },
}

for index, each in ipairs(servers) do
  each.address = "127.42.1." .. index
  local function host(label, records)
    world:records(("%s A %s"):format(label, each.address))
    for _, record in ipairs(records) do
      world:records(("_25._tcp.%s TLSA %s\n_465._tcp.%s TLSA %s"):format(label, record, label, record))
    end
  end
  host(each.name .. "-both", { rsa, ec })
  host(each.name .. "-rsa", { rsa })
  host(each.name .. "-issuer", { issuer })
  host(each.name .. "-stale", { ca.stale(3, 1, 1) })
  host(each.name .. "-may", {})
end

setup(function() world:start() end)
before_each(support.reset)
after_each(support.close)
teardown(function() world:stop() end)

for _, each in ipairs(servers) do
  describe("verify, " .. each.name .. ":", function()
    local root, why, server, port, tls_port

    setup(function()
      root, why = mtas.root(each.name)
      if not root then return end
      port, tls_port = tonumber(world.servers:ask "port"), tonumber(world.servers:ask "port")
      server = mtas.start(each.name, root, { address = each.address, port = port, tls_port = tls_port,
        certificates = { rsa = chains.rsa, ec = chains.ec } })
    end)
    before_each(function() smtpd.need(root, why, pending) end)
    teardown(function()
      if server then server:stop() end
    end)

    local function verify(label, options)
      local all = { connect_port = port }
      for key, value in pairs(options or {}) do all[key] = value end
      local report = assert(world:verify(each.name .. "-" .. label, all))
      local found = {}
      for _, connection in ipairs(report.hosts[1].connections) do found[connection.keys] = connection end
      return found, report.hosts[1]
    end

    it("each key kind", function()
      local found, host = verify("both", { keys = { "rsa", "ecdsa", "ed25519" } })
      verifying.good(found.ecdsa, "verified")
      assert.equal("ec", found.ecdsa.tls.chain[1].key)
      if each.tls_key then
        assert.is_true(found.rsa.absent)
      else
        verifying.good(found.rsa, "verified")
        assert.equal("rsa", found.rsa.tls.chain[1].key)
      end
      assert.is_true(found.ed25519.absent)
      assert.same({ true, "TLSv1.3", 2 }, { host.ok, found.ecdsa.tls.version, #found.ecdsa.tls.chain })
    end)

    it("one key kind without a record is found", function()
      local found, host = verify("rsa", { keys = { "rsa", "ecdsa" } })
      verifying.bad(found.ecdsa, "validation-failure", "handshake")
      if not each.tls_key then verifying.good(found.rsa, "verified") end
      assert.is_false(host.ok)
    end)

    it("the issuer's record", function()
      local found = verify("issuer", { keys = { "ecdsa" } })
      verifying.good(found.ecdsa, "verified")
      assert.same({ 1, each.name .. "-issuer." .. zone },
        { found.ecdsa.matched.depth, found.ecdsa.matched.name })
    end)

    it("a stale record, and none", function()
      verifying.bad(verify("stale").any, "validation-failure", "handshake")
      verifying.good(verify("may").any)
    end)

    it("what it says is told", function()
      local connection = verify("both").any
      assert.matches(each.greeting, connection.greeting)
      local extensions = "\n" .. table.concat(connection.extensions, "\n") .. "\n"
      support.contains(extensions, "\nSTARTTLS\n", "\n" .. each.extension .. "\n")
    end)

    it("TLS from the first byte", function()
      local key = each.tls_key or "ecdsa"
      local found = verify("both", { port = 465, connect_port = tls_port, implicit_tls = true,
        keys = { key } })
      verifying.good(found[key], "verified")
      assert.matches(each.greeting, found[key].greeting)
    end)

    it("s_client agrees", function()
      local stale = ca.stale(3, 1, 1)
      for label, records in pairs { both = { rsa, ec }, issuer = { issuer }, stale = { stale } } do
        local name = ("%s-%s.%s"):format(each.name, label, zone)
        local verified, said = s_client(each.address, port, name, records)
        assert.equal(verified, verify(label).any.ok, said)
        assert.equal(label ~= "stale", verified)
      end
    end)

    if each.name == "postfix" then
      it("its log has nothing but EHLO, STARTTLS and QUIT", function()
        local before = #server:text()
        local resolver = support.resolver()
        assert.is_true(assert(world:verify("postfix-both", { connect_port = port }, resolver)).ok)
        resolver:wait(5)
        server:wait(function() return server:text():find("disconnect from", before, true) end)
        local log = server:text():sub(before)
        support.contains(log, "ehlo=1 starttls=1 quit=1 commands=3\n")
        support.lacks(log, "lost connection", "SSL_accept error", "warning")
      end)
    end
  end)
end
