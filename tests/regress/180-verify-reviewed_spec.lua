-- What a review of verify found: a handshake without encryption was "verified" where a kind of key was asked
-- for; a certificate of another kind was taken for the wanted one before TLS 1.2; a reply of class 6 was a
-- refusal; a record of a bare key without its certificate had the depth of the leaf; a socket stayed open
-- when nobody waited any more.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local mail_server = require "tests.support.mail_server"
local support = require "tests.support"
local testos = require "testos"
local verifying = require "tests.support.verifying"

local world = verifying.world(chains.zone, 64)
local ec, rsa = ca.tlsa(chains.ec, 3, 1, 1), ca.tlsa(chains.rsa, 3, 1, 1)
local steps = mail_server.steps

describe("verify", function()
  local it = verifying.grouped(it)
  world:host("null-rsa", { tlsa = { rsa },
    server = { certificates = { chains.rsa }, max = "TLSv1.2",
      ciphers = "NULL-SHA256:ECDHE-RSA-NULL-SHA" } })
  world:host("null-ec", { tlsa = { ec },
    server = { certificates = { chains.ec }, max = "TLSv1.2", ciphers = "ECDHE-ECDSA-NULL-SHA" } })
  world:host("old", { tlsa = { ec },
    server = { certificates = { chains.ec }, min = "TLSv1", max = "TLSv1" } })
  world:host("six", { tlsa = { ec }, server = { script = { steps.reply "650 hello", steps.serve } } })
  world:host("bare", { tlsa = { ca.tlsa(chains.issuer, 2, 1, 0) },
    server = { certificates = { chains.alone } } })
  world:host("good", { tlsa = { ec }, server = { certificates = { chains.ec } } })
  setup(function() world:start() end)
  before_each(support.reset)
  after_each(support.close)
  teardown(function() world:stop() end)

  it("never takes a connection without encryption", function()
    for label, kind in pairs { ["null-rsa"] = "rsa", ["null-ec"] = "ecdsa" } do
      for _, keys in ipairs { "any", kind, "ed25519" } do
        verifying.bad(world:connection(label, { keys = { keys } }), "tls-failed", "handshake")
      end
    end
  end)

  it("takes no certificate of another kind than it has asked for", function()
    local connection = world:connection("old", { keys = { "ed25519" } })
    verifying.bad(connection, "tls-failed", "handshake")
    assert.is_nil(connection.dane)
    verifying.good(world:connection("old", { keys = { "ecdsa" } }), "verified")
    local report = assert(world:verify("old", { keys = { "any", "ed25519" } }))
    assert.is_true(report.hosts[1].connections[2].absent)
  end)

  it("knows no reply of class 6", function()
    verifying.bad(world:connection "six", "protocol-error", "greeting")
  end)

  it("tells the depth of an issuer that the server does not send", function()
    local connection, host = world:connection "bare"
    verifying.good(connection, "verified")
    assert.equal(1, connection.matched.depth)
    assert.equal("issuer", host.records[1].matches)
  end)

  it("asks to be run until the server has closed", function()
    local resolver = support.resolver()
    resolver:plan("good." .. chains.zone)
    local before = testos.descriptors()
    verifying.good(world:connection("good", nil, resolver), "verified")
    local stop = os.time() + 5 * support.slow
    while resolver:timeout() and os.time() < stop do resolver:process() end
    assert.equal(before, testos.descriptors())
  end)
end)
