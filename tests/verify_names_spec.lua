-- verify and names: which names a certificate of usage 2 may have (RFC 7672 section 3.2.2, RFC 6125), and
-- which name is sent as SNI.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local zone = chains.zone
local world = verifying.world(zone, 32)
local record = ca.tlsa(chains.issuer, 2, 1, 1)

describe("verify, names:", function()
  local it, group = verifying.grouped(it)
  local number = 0

  -- A leaf of ours; in its names @ is the host's name, and # the zone.
  local function leaf(host, options)
    number = number + 1
    local all = { name = "names" .. number, issuer = chains.issuer, names = {}, cn = options.cn }
    local function whole(name) return (name:gsub("@", host .. "." .. zone):gsub("#", zone)) end
    for index, name in ipairs(options.names or {}) do all.names[index] = whole(name) end
    if options.cn then all.cn = whole(options.cn) end
    return ca.leaf(all)
  end

  local function case(fits, title, label, options)
    world:host(label, { tlsa = { record }, server = { certificates = { leaf(label, options) } } })
    it(title, function()
      local connection, host, report = world:connection(label)
      assert.same({ label .. "." .. zone }, report.plan.hosts[1].names)
      assert.equal("issuer", host.records[1].matches)
      if fits then
        verifying.good(connection, "verified")
        assert.equal(label .. "." .. zone, connection.matched.name)
      else
        verifying.bad(connection, "certificate-host-mismatch", "handshake")
        support.contains(connection.message, label .. "." .. zone)
      end
    end)
  end

  group("a certificate fits", function()
    case(true, "by its only name", "exact", { names = { "@" } })
    case(true, "by the last of several names", "last",
      { names = { "a.example", "b.example", "c.example", "@" } })
    case(true, "whatever the case", "case", { names = { "CASE.Verify.Example" } })
    case(true, "by a wildcard", "wild", { names = { "*.#" } })
    case(true, "by a wildcard for an A-label", "xn--mnchen-3ya", { names = { "*.#" } })
    case(true, "by a wildcard below the host's parent", "a.deep", { names = { "*.deep.#" } })
    case(true, "with an empty subject", "empty", { cn = false, names = { "@" } })
    case(true, "by its CN where it has no DNS name", "cn", { cn = "@" })
    case(true, "by a CN with a wildcard where it has no DNS name", "cnwild", { cn = "*.#" })
  end)

  group("a certificate does not fit", function()
    case(false, "by another name", "other", { names = { "another.#" } })
    case(false, "by a longer name that ends alike", "long", { names = { "x@" } })
    case(false, "by the name of its parent", "parent", { names = { "#" } })
    case(false, "by a name below its own", "child", { names = { "mx.@" } })
    case(false, "by a wildcard below its own name", "below", { names = { "*.@" } })
    case(false, "by a wildcard for one label when there are two", "a.two", { names = { "*.#" } })
    case(false, "by a wildcard with letters after it", "partial", { names = { "*al.#" } })
    case(false, "by a wildcard with letters before it", "before", { names = { "bef*.#" } })
    case(false, "by a wildcard that is not the first label", "mx.inner", { names = { "mx.*.#" } })
    case(false, "by a wildcard alone", "bare", { names = { "*" } })
    case(false, "by two wildcards", "a.b", { names = { "*.*.#" } })
    case(false, "by its CN where it has a DNS name", "cnother", { cn = "@", names = { "another.#" } })
    case(false, "by another CN", "cnwrong", { cn = "another.#" })
    case(false, "without any name", "none", { cn = false })
  end)

  -- The names of RFC 7672 3.2.2 beside the host's own.
  world:host("hop", { tlsa = { record }, server = { certificates = { leaf("mx-hop",
    { names = { "@" } }) } } })
  it("the mail domain's name fits beside the host's", function()
    local connection, host = world:connection "mx-hop"
    verifying.good(connection, "verified")
    assert.equal("mx-hop." .. zone, connection.matched.name)
    assert.equal("hop." .. zone, host.host)
  end)

  it("the mail domain's name does not fit when the host alone is asked for", function()
    verifying.bad((world:connection("[hop." .. zone .. "]")), "certificate-host-mismatch", "handshake")
  end)

  -- An alias: the base domain is its end where that has records (RFC 7672 2.2.2).
  world:host("end", { tlsa = { record }, server = {
    certificates = { chains.foreign }, sni = { ["end." .. zone] = { leaf("end", { names = { "@" } }) } },
  } })
  world:records "start CNAME end"
  world:records "mx-start MX 10 start"
  it("an alias: SNI and name are those of its end", function()
    local connection, host = world:connection "mx-start"
    verifying.good(connection, "verified")
    assert.equal("start." .. zone, host.host)
    assert.same({ "end." .. zone, "end." .. zone }, { connection.matched.name, connection.sni })
    world.hosts["end"].listening[1]:wait "tls"
    assert.matches(",end%.verify%.example$", world.hosts["end"].listening[1]:texts("tls")[1])
  end)

  group("certificates by SNI:", function()
    local own = "sni." .. zone
    world:host("sni", { tlsa = { ca.tlsa(chains.rsa, 3, 1, 1) }, server = {
      certificates = { chains["self-signed"] }, sni = { [own] = { chains.rsa } },
    } })
    it("the one for the host's name is judged", function()
      local connection = world:connection "sni"
      verifying.good(connection, "verified")
      assert.equal(own, connection.sni)
      assert.equal(ca.hex(chains.rsa, "cert", "sha256"), connection.tls.chain[1].cert_sha256)
    end)

    world:host("snidefault", { tlsa = { ca.tlsa(chains.rsa, 3, 1, 1) }, server = {
      certificates = { chains.rsa }, sni = { ["snidefault." .. zone] = { chains["self-signed"] } },
    } })
    it("the default one does not count when the name has its own", function()
      local connection = world:connection "snidefault"
      verifying.bad(connection, "validation-failure", "handshake")
      assert.equal(ca.hex(chains["self-signed"], "cert", "sha256"), connection.tls.chain[1].cert_sha256)
    end)

    world:host("snimay", { server = { certificates = { chains.ec } } })
    it("a host without DANE gets its own name", function()
      local connection = world:connection "snimay"
      verifying.good(connection)
      assert.equal("snimay." .. zone, connection.sni)
      world.hosts.snimay.listening[1]:wait "tls"
      assert.matches(",snimay%.verify%.example$", world.hosts.snimay.listening[1]:texts("tls")[1])
    end)

    it("an address gets none", function()
      local server = world.hosts.snimay.listening[1]
      world.servers:forget()
      local connection = world:connection("[" .. server.address .. "]")
      verifying.good(connection)
      assert.is_nil(connection.sni)
      server:wait "tls"
      assert.matches(",$", server:texts("tls")[1])
    end)
  end)

  setup(function() world:start() end)
  before_each(support.reset)
  after_each(support.close)
  teardown(function() world:stop() end)

  it("no server was told anything but EHLO, STARTTLS and QUIT", function()
    assert(world:polite() > 0)
  end)
end)
