-- verify and politeness: one contact for each (address, port, name sent, key kind), however many domains
-- share it; bounds on what is under way at once.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local mail_server = require "tests.support.mail_server"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local zone = chains.zone
local world = verifying.world(zone, 37)
local steps = mail_server.steps
local record, issued = ca.tlsa(chains.ec, 3, 1, 1), ca.tlsa(chains.issuer, 2, 1, 1)
local DOMAINS = 100

describe("verify, reuse:", function()
  local it, group = verifying.grouped(it)
  -- A server that takes a moment, so that connections meet.
  local function slow(server)
    server.greeting = { steps.sleep(60), steps.reply "220 mail.test" }
    return server
  end

  world:host("shared", { tlsa = { record }, server = { certificates = { chains.ec } } })
  for index = 1, DOMAINS do world:records(("d%d MX 10 shared"):format(index)) end
  local shared

  -- The reports of these domains, verified side by side, by their domains.
  local function all(resolver, domains, options)
    local reports, count = {}, 0
    for _, domain in ipairs(domains) do
      resolver:verify(domain .. "." .. zone, world:options(options), function(report, err)
        reports[domain] = report or err
        count = count + 1
      end)
    end
    while count < #domains do resolver:wait(1) end
    return reports
  end

  local function first(report) return report.hosts[1].connections[1] end

  before_each(function()
    support.reset()
    world.servers:forget()
    shared = world.hosts.shared.listening[1]
  end)

  it(DOMAINS .. " domains of one host side by side: one connection", function()
    local domains = {}
    for index = 1, DOMAINS do domains[index] = "d" .. index end
    for domain, report in pairs(all(support.resolver(), domains)) do
      assert.is_true(report.ok)
      assert.equal(domain .. "." .. zone, report.domain)
      verifying.good(first(report), "verified")
    end
    assert.equal(1, shared:count())
  end)

  it("one after the other: one connection, and the later ones say so", function()
    local resolver = support.resolver()
    local one, two = world:connection("d1", nil, resolver), world:connection("d2", nil, resolver)
    verifying.good(one, "verified")
    verifying.good(two, "verified")
    assert.same({ nil, true }, { one.reused, two.reused })
    assert.is_true(two.reused)
    assert.same({ one.greeting, one.tls.chain[1].cert_sha256 }, { two.greeting,
      two.tls.chain[1].cert_sha256 })
    assert.equal(1, shared:count())
  end)

  it("reuse = 0 makes a new contact", function()
    local resolver = support.resolver()
    for _ = 1, 3 do
      local connection = world:connection("d1", { reuse = 0 }, resolver)
      verifying.good(connection, "verified")
      assert.is_nil(connection.reused)
    end
    assert.equal(3, shared:count())
  end)

  it("two resolvers share nothing", function()
    world:connection("d1", nil, support.resolver())
    world:connection("d1", nil, support.resolver())
    assert.equal(2, shared:count())
  end)

  it("another helo, key kind or source is another contact", function()
    local resolver = support.resolver()
    local options = { {}, { helo = "other.test" }, { keys = { "ecdsa" } }, { source = { "127.37.200.1" } } }
    for count, each in ipairs(options) do
      for _ = 1, 2 do verifying.good((world:connection("d1", each, resolver)), "verified") end
      assert.equal(count, shared:count())
    end
  end)

  -- The contact is one, the verdict each domain's own.
  world:host("judged", { tlsa = { issued }, server = {
    certificates = { ca.leaf { name = "judged", issuer = chains.issuer, names = { "mx-judged." .. zone } } },
  } })
  world:records "also MX 10 judged"
  it("the verdict is made anew for each domain's names", function()
    local resolver = support.resolver()
    local one, two = world:connection("mx-judged", nil, resolver), world:connection("also", nil, resolver)
    verifying.good(one, "verified")
    assert.equal("mx-judged." .. zone, one.matched.name)
    verifying.bad(two, "certificate-host-mismatch", "handshake")
    assert.equal(1, world.hosts.judged.listening[1]:count())
  end)

  world:host("refuses", { tlsa = { record }, server = { greeting = "554 5.7.1 no" } })
  it("a failed contact is reused, too", function()
    local resolver = support.resolver()
    for _ = 1, 3 do
      verifying.bad((world:connection("refuses", nil, resolver)), "greeting-refused", "greeting")
    end
    assert.equal(1, world.hosts.refuses.listening[1]:count())
  end)

  group("bounds:", function()
    local domains, servers = {}, {}
    local shared_ip
    -- Eight names of one address, each sent as SNI, so that each is a contact.
    world:host("many", { tlsa = { record }, server = slow { certificates = { chains.ec } } })
    shared_ip = world.hosts.many.addresses[1]
    for index = 1, 8 do
      local label = "many" .. index
      world:records(("%s A %s\n_25._tcp.%s TLSA %s"):format(label, shared_ip, label, record))
      domains[index] = label
    end

    it("two connections to one address at once", function()
      local server = world.hosts.many.listening[1]
      for _, report in pairs(all(support.resolver(), domains)) do assert.is_true(report.ok) end
      assert.equal(8, server:count())
      server:wait("close", 8)
      assert.equal(2, server:peak())
    end)

    it("per_ip = 1, and 4", function()
      local server = world.hosts.many.listening[1]
      for _, bound in ipairs { 1, 4 } do
        world.servers:forget()
        all(support.resolver(), domains, { per_ip = bound })
        server:wait("close", 8)
        assert.equal(bound, server:peak())
      end
    end)

    local labels = {}
    for index = 1, 9 do
      labels[index] = "wide" .. index
      world:host(labels[index], { tlsa = { record }, server = slow { certificates = { chains.ec } } })
    end
    it("max_connections = 3", function()
      for index, label in ipairs(labels) do servers[index] = world.hosts[label].listening[1] end
      for _, report in pairs(all(support.resolver(), labels, { max_connections = 3 })) do
        assert.is_true(report.ok)
      end
      for _, server in ipairs(servers) do server:wait "close" end
      assert.equal(3, mail_server.peak(servers))
    end)

    world:host("stuck", { tlsa = { record }, server = { greeting = { steps.silent } } })
    world:records(("waits A %s\n_25._tcp.waits TLSA %s"):format(world.hosts.stuck.addresses[1], record))
    it("waiting for a place is no step", function()
      local step = 0.4 * support.slow
      local reports = all(support.resolver(), { "stuck", "waits" }, { per_ip = 1, step = step })
      for _, report in pairs(reports) do
        verifying.bad(first(report), "timeout", "greeting")
        assert(first(report).elapsed.connect < step)
      end
      local server = world.hosts.stuck.listening[1]
      server:wait("close", 2)
      assert.equal(1, server:peak())
    end)
  end)

  setup(function() world:start() end)
  after_each(support.close)
  teardown(function() world:stop() end)

  it("no server was told anything but EHLO, STARTTLS and QUIT", function()
    world:connection "d1"
    assert(world:polite() > 0)
  end)
end)
