-- verify: what a report has, for each verdict of a plan; calls that fail.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local mail_server = require "tests.support.mail_server"
local nexthop = require "nexthop"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local world = verifying.world(chains.zone, 36)
local lab = support.lab
local steps = mail_server.steps
local record = ca.tlsa(chains.ec, 3, 1, 1)
local zone = chains.zone

describe("verify:", function()
  local it, group = verifying.grouped(it)
  world:host("good", { tlsa = { record }, server = { certificates = { chains.ec } } })
  world:host("plain", { server = { no_starttls = true } })

  it("the report of a domain whose only host is verified", function()
    local report = assert(world:verify "mx-good")
    local host = world.hosts.good
    assert.same({ "mx-good." .. zone, true, 1 }, { report.domain, report.ok, #report.hosts })
    assert.is_nil(report.expired)
    support.ttl(report.plan.ttl, report.ttl)
    assert.same({ "mx-good." .. zone, "dane", host.name },
      { report.plan.domain, report.plan.hosts[1].tls, report.plan.hosts[1].host })
    local entry = report.hosts[1]
    support.fields({ host = host.name, pref = 10, tls = "dane", ok = true }, entry)
    assert.same({ nil, nil, nil }, { entry.result, entry.err, entry.temporary })
    local connection = entry.connections[1]
    support.fields({ ip = host.addresses[1], port = world.servers.port, keys = "any", ok = true,
      dane = "verified", greeting = "220 mail.test ESMTP", extensions = { "PIPELINING", "STARTTLS" },
      sni = host.name }, connection)
    for _, field in ipairs { "result", "stage", "message", "absent", "temporary", "reused" } do
      assert.is_nil(connection[field], field)
    end
    for _, stage in ipairs { "connect", "greeting", "ehlo", "starttls", "handshake" } do
      assert(connection.elapsed[stage] >= 0 and connection.elapsed[stage] < 20 * support.slow, stage)
    end
    host.listening[1]:wait "close"
    assert.same({ "EHLO client.test", "STARTTLS", "QUIT" }, host.listening[1]:commands()[1])
    assert.equal(1, host.listening[1]:count "close-notify")
  end)

  it("prints as something to read", function()
    local report = assert(world:verify "mx-good")
    for _, value in ipairs { report, report.hosts[1], report.hosts[1].connections[1] } do
      assert.matches("%w", tostring(value))
      assert.is_nil(tostring(value):match "^table: ")
    end
    support.contains(tostring(report), "mx-good." .. zone, "good." .. zone)
    support.contains(tostring(report.hosts[1].connections[1]), world.hosts.good.addresses[1])
  end)

  it("a domain, a host in brackets and an address", function()
    for domain, tls in pairs {
      ["good." .. zone] = "dane", ["[good." .. zone .. "]"] = "dane", ["GOOD." .. zone .. "."] = "dane",
      ["mx-good." .. zone] = "dane", [world.hosts.plain.addresses[1]] = "may",
      ["[" .. world.hosts.plain.addresses[1] .. "]"] = "may",
    } do
      local connection, entry = world:connection(domain)
      assert.equal(tls, entry.tls, domain)
      verifying.good(connection, tls == "dane" and "verified" or nil)
    end
  end)

  -- What a server is owed, and what it may do.
  group("a host without DANE (may):", function()
    local function case(title, label, server, result, stage)
      world:host(label, { server = server })
      it(title .. (result and ": " .. result or ": ok"), function()
        local connection, entry, report = world:connection(label)
        assert.same({ "may", {} }, { entry.tls, entry.records })
        assert.is_nil(connection.dane)
        if result then verifying.bad(connection, result, stage) else verifying.good(connection) end
        assert.same({ result == nil, result == nil, result }, { report.ok, entry.ok, entry.result })
      end)
    end
    case("no STARTTLS", "m1", { no_starttls = true })
    case("a trusted chain", "m2", { certificates = { chains.ec } })
    case("an expired certificate for another name", "m3", { certificates = { chains.expired } })
    case("a self-signed certificate", "m4", { certificates = { chains["self-signed"] } })
    case("454 to STARTTLS", "m5", { starttls = "454 4.7.0 no" }, "starttls-not-supported", "starttls")
    case("a handshake that fails", "m6", { handshake = { steps.raw, steps.close } }, "tls-failed",
      "handshake")
    case("a greeting that refuses", "m7", { greeting = "554 no" }, "greeting-refused", "greeting")
    case("an EHLO that is refused", "m8", { ehlo = "502 what" }, "protocol-error", "ehlo")
  end)

  group("a host whose records are unusable (encrypt):", function()
    local unusable = { tlsa = { "1 0 1 " .. ca.hex(chains.ec, "cert", "sha256") } }
    local function case(title, label, server, result, stage)
      world:host(label, { tlsa = unusable.tlsa, server = server })
      it(title .. (result and ": " .. result or ": ok"), function()
        local connection, entry = world:connection(label)
        assert.same({ "encrypt", {} }, { entry.tls, entry.records })
        assert.is_nil(connection.dane)
        if result then verifying.bad(connection, result, stage) else verifying.good(connection) end
        assert.equal(label .. "." .. zone, connection.sni or label .. "." .. zone)
      end)
    end
    case("a trusted chain", "e1", { certificates = { chains.ec } })
    case("an expired, self-signed certificate", "e2", { certificates = { chains["self-signed"] } })
    case("no STARTTLS", "e3", { no_starttls = true }, "starttls-not-supported", "ehlo")
    case("454 to STARTTLS", "e4", { starttls = "454 no" }, "starttls-not-supported", "starttls")
    case("a handshake that fails", "e5", { handshake = { steps.close } }, "tls-failed", "handshake")
  end)

  group("a host that must not be connected to (skip):", function()
    world:host("skip", { tlsa = { record }, server = { certificates = { chains.ec } } })
    local function skipped(result, code, options)
      local report = assert(world:verify("skip", options))
      local entry = report.hosts[1]
      assert.same({ "skip", false, false, {} }, { entry.tls, entry.ok, report.ok, entry.connections })
      assert.equal(result, entry.result)
      assert.equal(code, entry.err.code)
      assert.equal(0, world.hosts.skip.listening[1]:count())
      return entry
    end

    it("its TLSA records are bogus: dnssec-invalid", function()
      lab:rule { name = "_25._tcp.skip." .. zone, type = "TLSA", action = "corrupt" }
      skipped("dnssec-invalid", "bogus")
    end)

    it("its TLSA lookup fails: temporary, without a result", function()
      lab:rule { name = "_25._tcp.skip." .. zone, type = "TLSA", action = "servfail" }
      assert.is_true(skipped(nil, "servfail").temporary)
    end)

    it("it has no DANE where that is required: dane-required", function()
      local report = assert(world:verify("plain", { require_dane = true }))
      assert.same({ "skip", "dane-required", "no_dane", false, {} }, { report.hosts[1].tls,
        report.hosts[1].result, report.hosts[1].err.code, report.ok, report.hosts[1].connections })
    end)

    it("it has no address", function()
      local report = assert(world:verify "mx-noaddress.example")
      assert.same({ false, false, {}, "not_found" }, { report.ok, report.hosts[1].ok,
        report.hosts[1].connections, report.hosts[1].err.code })
    end)
  end)

  group("several addresses:", function()
    world:host("two", { tlsa = { record }, servers = {
      { certificates = { chains.ec } }, { certificates = { chains.rsa } },
    } })
    it("one of them has another certificate", function()
      local entry = assert(world:verify "two").hosts[1]
      assert.equal(2, #entry.connections)
      for _, connection in ipairs(entry.connections) do
        if connection.ip == world.hosts.two.addresses[1] then
          verifying.good(connection, "verified")
        else
          verifying.bad(connection, "validation-failure", "handshake")
        end
      end
      assert.same({ false, "validation-failure", "leaf" }, { entry.ok, entry.result,
        entry.records[1].matches })
      assert.is_nil(entry.temporary)
    end)

    world:host("half", { tlsa = { record }, server = { certificates = { chains.ec } },
      ips = { "127.36.9.9" } })
    it("one of them refuses to be connected to", function()
      local entry = assert(world:verify "half").hosts[1]
      for _, connection in ipairs(entry.connections) do
        if connection.ip == "127.36.9.9" then
          verifying.bad(connection, "connect-failed", "connect")
          assert.is_true(connection.temporary)
        else
          verifying.good(connection, "verified")
        end
      end
      assert.same({ 2, false, "connect-failed", true },
        { #entry.connections, entry.ok, entry.result, entry.temporary })
    end)

    it("ips = \"first\" connects to the first one", function()
      local report = assert(world:verify("two", { ips = "first" }))
      assert.equal(1, #report.hosts[1].connections)
      assert.equal(report.plan.hosts[1].ips[1], report.hosts[1].connections[1].ip)
    end)
  end)

  it("several hosts: each has its entry, in the plan's order", function()
    local report = assert(world:verify "mx-order")
    assert.same({ "good." .. zone, "plain." .. zone, "half." .. zone },
      { report.hosts[1].host, report.hosts[2].host, report.hosts[3].host })
    assert.same({ true, true, false, false },
      { report.hosts[1].ok, report.hosts[2].ok, report.hosts[3].ok, report.ok })
    assert.same({ 5, 10, 20 }, { report.hosts[1].pref, report.hosts[2].pref, report.hosts[3].pref })
  end)
  world:records "mx-order MX 5 good\nmx-order MX 10 plain\nmx-order MX 20 half"

  group("a plan that fails is the error of the call:", function()
    for code, domain in pairs { no_mail = "nullmx.example", nxdomain = "nothing.example",
      invalid_name = "two words", invalid_mx = "mxallbad.example", bogus = "broken.example" } do
      it(code, function()
        local resolver = support.resolver()
        local report, err = resolver:verify(domain, world:options())
        support.failed(code, report, err)
        local _, of_plan = resolver:plan(domain)
        assert.equal(of_plan.message, err.message)
      end)
    end
  end)

  it("nexthop.verify uses the resolver of the process", function()
    assert.is_function(nexthop.verify)
    local _, err = nexthop.verify("two words")
    assert.equal("invalid_name", err.code)
  end)

  setup(function() world:start() end)
  before_each(function()
    support.reset()
    world.servers:forget()
  end)
  after_each(support.close)
  teardown(function() world:stop() end)
end)
