-- verify: its options beside those of plan.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local world = verifying.world(chains.zone, 41)
local zone = chains.zone

describe("verify, options:", function()
  world:host("good", { tlsa = { ca.tlsa(chains.ec, 3, 1, 1) }, server = { certificates = { chains.ec } } })
  world:host("aged", { tlsa = { ca.tlsa(chains.issuer, 2, 1, 1) },
    server = { certificates = { chains.ec } } })
  it("at judges dates as of another day", function()
    local resolver, day = support.resolver(), 86400
    local function at(days) return (world:connection("aged", { at = os.time() + days * day }, resolver)) end
    verifying.good(at(20), "verified")
    verifying.bad(at(40), "certificate-expired", "handshake")
    verifying.bad(at(-10), "certificate-not-trusted", "handshake")
    assert.equal(1, world.hosts.aged.listening[1]:count())
    -- usage 3 has no dates
    verifying.good((world:connection("good", { at = os.time() + 4000 * day })), "verified")
  end)

  it("at is the time of PKIX, too", function()
    local options = { ca_file = chains.root.file, at = os.time() + 86400 }
    assert.is_true((world:connection("good", options)).pkix.ok)
    options.at = os.time() + 40 * 86400
    local connection = world:connection("good", options)
    verifying.good(connection, "verified")
    assert.is_false(connection.pkix.ok)
    assert.matches("expired", connection.pkix.reason)
  end)

  it("source is where connections come from", function()
    local connection = world:connection("good", { source = { "127.41.200.7" } })
    verifying.good(connection, "verified")
    assert.same({ "127.41.200.7" }, world.hosts.good.listening[1]:clients())
  end)

  it("a source of another machine: connect-failed", function()
    local connection = world:connection("good", { source = { "192.0.2.77" } })
    verifying.bad(connection, "connect-failed", "connect")
    assert.equal(0, world.hosts.good.listening[1]:count())
  end)

  it("helo is what EHLO says", function()
    verifying.good((world:connection("good", { helo = "somebody.example" })), "verified")
    assert.equal("EHLO somebody.example", world.hosts.good.listening[1]:commands()[1][1])
  end)

  it("without helo EHLO says a name", function()
    local options = world:options()
    options.helo = nil
    assert.is_true(assert(support.resolver():verify("good." .. zone, options)).ok)
    assert.matches("^EHLO [%w%-%.%[%]:]+$", world.hosts.good.listening[1]:commands()[1][1])
  end)

  it("global_only leaves these addresses out", function()
    local report = assert(world:verify("good", { global_only = true }))
    assert.same({ "dane", {}, false, false }, { report.hosts[1].tls, report.hosts[1].connections,
      report.hosts[1].ok, report.ok })
    assert.equal(0, world.hosts.good.listening[1]:count())
  end)

  it("port is that of the TLSA name, and of the server", function()
    local server = world.servers:host(world.hosts.good.addresses[1], { certificates = { chains.ec } },
      world.servers.port + 1)
    local report = assert(world:verify("good", { port = server.port, connect_port = false }))
    server:stop()
    assert.same({ "may", server.port, true },
      { report.hosts[1].tls, report.hosts[1].connections[1].port, report.ok })
  end)

  it("an option that cannot be raises", function()
    local resolver = support.resolver()
    for name, bad in pairs {
      keys = { { "dsa" }, {}, "rsa", { 1 } }, ips = { "some" }, step = { 0, -1, "x" }, at = { "now" },
      connect_port = { 0, 65536, "smtp" }, helo = { "", "two words", "a\r\nMAIL FROM:<>", 5 },
      max_connections = { 0, -1 }, per_ip = { 0 }, reuse = { -1 }, source = { "x", { "nothing" } },
      implicit_tls = { "yes" }, global_only = { 1 }, ca_file = { 5 }, nonsense = { 1 },
    } do
      for _, value in ipairs(bad) do
        local ok, err = pcall(resolver.verify, resolver, "good." .. zone, { [name] = value })
        assert.is_false(ok, ("%s = %s"):format(name, tostring(value)))
        support.contains(tostring(err), name)
      end
    end
  end)

  setup(function() world:start() end)
  before_each(function()
    support.reset()
    world.servers:forget()
  end)
  after_each(support.close)
  teardown(function() world:stop() end)
end)
