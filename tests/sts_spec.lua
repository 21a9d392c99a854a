-- plan with MTA-STS (RFC 8461) and TLSRPT (RFC 8460): policies on a real web server, with certificates of an
-- authority of the tests, in signed zones.
local ca = require "tests.support.ca"
local files = require "tests.support.files"
local ports = require "tests.support.ports"
local socket = require "socket"
local sts_world = require "tests.support.sts_world"
local support = require "tests.support"
local lab = support.lab

local it = sts_world.it(it, pending)
local zone = "sts.example"
local world = sts_world.new(zone, 60)
local matching = { "mx.@" }

-- The result of a plan in short: the verdicts of its hosts, the mode, where it comes from, what failed.
local function short(plan)
  local tls = {}
  for index, host in ipairs(plan.hosts) do tls[index] = host.tls .. (host.sts and "/" .. host.sts or "") end
  return table.concat(tls, " "), plan.sts and plan.sts.mode, plan.sts and plan.sts.source,
    plan.sts_err and plan.sts_err.code
end

local cases = {}

-- A domain whose plan has these values.
local function case(title, label, domain, tls, mode, code)
  world:domain(label, domain)
  cases[#cases + 1] = { title = title, label = label, tls = tls, mode = mode, code = code }
end

local function enforce(...) return { mode = "enforce", mx = { ... } } end
local fetch_error, invalid, webpki = "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"

-- Modes and names of hosts.
case("enforce: a host that matches is sts", "enforce", {}, "sts/match", "enforce")
case("enforce: a host that does not match is skip", "mismatch", { policy = enforce "other.@" },
  "skip/mismatch", "enforce")
case("enforce: of two hosts one matches", "half",
  { mx = { "mx.@", "mx2.@" }, policy = enforce("x.example", "mx2.@") }, "skip/mismatch sts/match", "enforce")
case("testing: nothing changes, and the match is said", "testing", { policy = { mode = "testing",
  mx = matching } },
  "may/match", "testing")
case("testing: nothing changes, and the mismatch is said", "testing-no",
  { policy = { mode = "testing", mx = { "other.@" } } }, "may/mismatch", "testing")
case("none: nothing changes", "none", { policy = { mode = "none" } }, "may", "none")
case("none with mx: nothing changes", "none-mx", { policy = { mode = "none", mx = { "other.@" } } }, "may",
  "none")
case("a wildcard matches one label", "wild", { policy = enforce "*.@" }, "sts/match", "enforce")
case("a wildcard does not match two labels", "wild2", { mx = { "a.mx.@" }, policy = enforce "*.@" },
  "skip/mismatch", "enforce")
case("a wildcard does not match the domain itself", "wild0", { mx = { "@" }, policy = enforce "*.@" },
  "skip/mismatch", "enforce")
case("upper case in mx matches", "upper", { policy = enforce "MX.Upper.STS.example" }, "sts/match", "enforce")
case("a final dot in mx matches", "dot", { policy = enforce "mx.@." }, "sts/match", "enforce")
case("lines that end with CR LF", "crlf",
  { policy = "version: STSv1\r\nmode: enforce\r\nmx: mx.@\r\nmax_age: 86400\r\n" }, "sts/match", "enforce")
case("unknown keys are ignored", "unknown",
  { policy = "version: STSv1\nmode: enforce\nsomething: else\nmx: mx.@\nmax_age: 86400" }, "sts/match",
  "enforce")
case("an IDN", "xn--mnchen-3ya", {}, "sts/match", "enforce")
case("no MX: the host is the domain itself", "implicit", { mx = false, records = "@. A 127.60.0.2",
  policy = enforce "@" }, "sts/match", "enforce")
case("no MX: the domain itself does not match", "implicit-no", { mx = false, records = "@. A 127.60.0.2",
  policy = enforce "mx.@" }, "skip/mismatch", "enforce")
case("an id of 32 characters", "long-id", { record = "v=STSv1; id=" .. ("Z"):rep(32) }, "sts/match",
  "enforce")

-- The TXT record.
case("no record: no policy, and nothing is wrong", "norecord", { record = false }, "may")
case("other TXT records: no policy, and nothing is wrong", "others",
  { record = { "v=spf1 -all", "v=STSv2; id=1", "v=STSv1" } }, "may")
case("other TXT records beside it", "beside", { record = { "v=spf1 -all", "v=STSv1; id=1" } }, "sts/match",
  "enforce")
case("two records", "two", { record = { "v=STSv1; id=1", "v=STSv1; id=2" } }, "may", nil, invalid)
case("a valid record and one that is not", "twobad", { record = { "v=STSv1; id=1", "v=STSv1; id=" } },
  "may", nil, invalid)
case("an id with a hyphen", "badid", { record = "v=STSv1; id=2024-01-01" }, "may", nil, invalid)
case("a record without id", "noid", { record = "v=STSv1; ext=1" }, "may", nil, invalid)
case("a record in pieces", "pieces", { record = '"v=ST" "Sv1\\; i" "" "d=1\\;"' }, "sts/match", "enforce")
case("a record behind an alias", "alias", { record = false, records = "_mta-sts.@. CNAME sts-record" },
  "sts/match", "enforce")
world:records 'sts-record TXT "v=STSv1\\; id=1"'
case("a record behind an alias that leads nowhere", "aliasnone",
  { record = false, records = "_mta-sts.@. CNAME nowhere" }, "may")

-- The web server.
case("a redirect is not followed", "redirect", { web = { redirect = "https://mta-sts.enforce." .. zone
  .. "/" } },
  "may", nil, fetch_error)
case("status 404", "missing", { web = { status = 404 } }, "may", nil, fetch_error)
case("status 500", "broken", { web = { status = 500 } }, "may", nil, fetch_error)
case("status 204", "empty", { web = { status = 204 } }, "may", nil, fetch_error)
case("another type", "html", { web = { type = "text/html" } }, "may", nil, fetch_error)
case("a type that only begins so", "plainer", { web = { type = "text/plainer" } }, "may", nil, fetch_error)
case("the type in upper case, with parameters", "charset", { web = { type = '"Text/Plain; charset=utf-8"' } },
  "sts/match", "enforce")
local long = "version: STSv1\nmode: none\nmax_age: 9\nx: "
long = long .. ("x"):rep(65536 - #long)
case("64 KB are taken", "large", { web = { text = long } }, "may", "none")
case("a byte more is not", "toolarge", { web = { text = long .. "x" } }, "may", nil, fetch_error)
case("an empty policy", "nothing", { web = { text = "" } }, "may", nil, invalid)
case("another version", "version", { policy = "version: STSv2\nmode: none\nmax_age: 9\n" }, "may", nil,
  invalid)
case("no max_age", "noage", { policy = "version: STSv1\nmode: none\n" }, "may", nil, invalid)
case("enforce without mx", "nomx", { policy = "version: STSv1\nmode: enforce\nmax_age: 9\n" }, "may", nil,
  invalid)
case("addresses in mx", "address", { policy = enforce("mx.@", "192.0.2.1") }, "may", nil, invalid)
case("a policy that is cut off", "cut", { policy = "version: STSv1\nmode: enfo" }, "may", nil, invalid)
case("no policy host", "nohost", { web = false }, "may", nil, fetch_error)
case("a policy host that nobody listens on", "deaf", { web_address = "127.60.0.99" }, "may", nil, fetch_error)
case("a policy host behind an alias", "webalias",
  { web = { text = "version: STSv1\nmode: enforce\nmx: mx.webalias." .. zone .. "\nmax_age: 99\n" } },
  "sts/match", "enforce")
case("a policy host of which one address does not answer", "second",
  { records = "mta-sts.@. AAAA ::ffff:7f3c:63" }, "sts/match", "enforce")

-- Its certificate.
local other = ca.authority { name = "sts-other-root" }
local function web_leaf(label, options)
  options.name = "sts-web-" .. label
  if options.issuer == nil then options.issuer = world.root end
  options.names = options.names or { "mta-sts." .. label .. "." .. zone }
  return ca.leaf(options)
end
local function certificate(title, label, options, ...)
  case(title, label, { certificate = web_leaf(label, options) }, ...)
end
certificate("a certificate of another authority", "foreign", { issuer = other }, "may", nil, webpki)
certificate("a certificate that has signed itself", "self", { issuer = false }, "may", nil, webpki)
certificate("a certificate with another name", "othername", { names = { "www." .. zone } }, "may", nil,
  webpki)
certificate("a certificate with the name of the domain alone", "apex", { names = { "apex." .. zone } },
  "may", nil, webpki)
certificate("a certificate that has expired", "expired", { from = -20, to = -10 }, "may", nil, webpki)
certificate("a certificate of a time to come", "future", { from = 10, to = 20 }, "may", nil, webpki)
certificate("a certificate whose CN alone fits", "cn", { names = {}, cn = "mta-sts.cn." .. zone }, "may",
  nil, webpki)
certificate("a certificate with a wildcard", "wildcert", { names = { "*.wildcert." .. zone } },
  "sts/match", "enforce")
certificate("a certificate with a wildcard in a label", "partial", { names = { "mta*.partial." .. zone } },
  "may", nil, webpki)

-- DANE beside it: the policy never overrides it.
local leaf = ca.leaf { name = "sts-mx", issuer = world.root, names = { "mx." .. zone } }
local good, bad = ca.tlsa(leaf, 3, 1, 1), "3 1 1 abcd"
case("DANE and a policy that names the host", "dane", { tlsa = { good } }, "dane/match", "enforce")
case("DANE and a policy that does not name the host", "dane-no", { tlsa = { good }, policy = enforce "x.@" },
  "dane/mismatch", "enforce")
case("unusable TLSA records and a policy that names the host", "encrypt", { tlsa = { bad } },
  "encrypt/match", "enforce")
case("unusable TLSA records and a policy that does not", "encrypt-no", { tlsa = { bad },
  policy = enforce "x.@" },
  "encrypt/mismatch", "enforce")
case("DANE at one host, the policy decides about the other", "dane-half",
  { mx = { "mx.@", "mx2.@", "mx3.@" }, tlsa = { good }, policy = enforce "mx2.@" },
  "dane/mismatch sts/match skip/mismatch", "enforce")
case("DANE and the mode testing", "dane-testing", { tlsa = { good }, policy = { mode = "testing",
  mx = matching } },
  "dane/match", "testing")
case("a host without address stays skip", "noaddress", { hosts = false }, "skip/match", "enforce")

-- TLSRPT.
world:domain("report", { web = false, record = false,
  records = '_smtp._tls.@. TXT "v=TLSRPTv1\\; rua=mailto:a\\064" "b.example,https://c.example/d"' })
world:domain("report2", { web = false, record = false,
  records = '_smtp._tls.@. TXT "v=TLSRPTv1\\; rua=mailto:a\\064b.example"\n' ..
    '_smtp._tls.@. TXT "v=TLSRPTv1\\; rua=mailto:c\\064d.example"' })
world:domain("nullmx", { mx = false, records = "@. MX 0 ." })
world:domain("silent", { web_address = "127.60.0.3" })
world:domain("slow", { web = { rate = 10 } })
world:domain("expiry", { policy = { mode = "enforce", mx = matching, max_age = 99999999 } })
world:domain("bogus", {})
world:domain("bogusweb", {})
world:domain("servfail", {})
world:domain("tlsafails", { tlsa = { good } })

describe("plan with sts:", function()
  setup(function() world:start() end)
  teardown(function() world:stop() end)
  before_each(support.reset)
  after_each(support.close)

  for _, each in ipairs(cases) do
    it(each.title, function()
      local plan = assert(world:plan(each.label))
      assert.same({ each.tls, each.mode, each.mode and "fetch", each.code }, { short(plan) })
      if each.code then
        assert.is_false(plan.sts_err.permanent)
        support.contains(tostring(plan.sts_err), each.label .. "." .. zone)
      end
    end)
  end

  it("a host that is sts has its own name for SNI and certificate", function()
    local host = assert(world:plan "enforce").hosts[1]
    assert.same({ "mx.enforce." .. zone }, host.names)
    assert.equal("mx.enforce." .. zone, host.sni)
    assert.is_nil(host.err)
  end)

  it("a host that the policy does not name has an error that may go away", function()
    local host = assert(world:plan "mismatch").hosts[1]
    assert.same({ "sts_mismatch", false }, { host.err.code, host.err.permanent })
    support.contains(host.err.message, "mx.mismatch." .. zone)
    assert.same({ "127.60.0.2" }, host.ips)
    assert.is_nil(host.names)
  end)

  it("the policy with all its fields", function()
    local before = os.time()
    local plan = assert(world:plan "expiry")
    local expires = plan.sts.expires
    assert.same({ mode = "enforce", id = "1", max_age = 31557600, mx = { "mx.expiry." .. zone },
      source = "fetch",
      expires = expires }, plan.sts)
    assert(expires >= before + 31557600 and expires <= os.time() + 31557600)
  end)

  it("without the option nothing is asked or fetched", function()
    local plan = assert(support.resolver():plan("enforce." .. zone))
    assert.equal("may", plan.hosts[1].tls)
    assert.is_nil(plan.sts)
    assert.equal(0, lab:count("*", "TXT"))
  end)

  it("the TTL is that of the record, too", function()
    local plan = assert(world:plan "enforce")
    support.ttl(60, plan.ttl)
  end)

  it("an address literal has no policy", function()
    local plan = assert(support.resolver():plan("[127.60.0.2]", world:options()))
    assert.same({ "may" }, { short(plan) })
    assert.equal(0, lab:count("*", "TXT"))
  end)

  it("a host in brackets has no policy", function()
    local plan = assert(support.resolver():plan("[mx.enforce." .. zone .. "]", world:options()))
    assert.same({ "may" }, { short(plan) })
  end)

  it("a null MX is a null MX", function()
    support.failed("no_mail", world:plan "nullmx")
  end)

  it("a domain that does not exist does not exist", function()
    support.failed("nxdomain", world:plan "nosuchdomain")
  end)

  -- The policy of that domain cannot be had because a lookup has failed. Its web server is not asked.
  local function fails_before_its_fetch(label, message)
    local plan = assert(world:plan(label))
    assert.same({ "may", nil, nil, fetch_error }, { short(plan) })
    support.contains(plan.sts_err.message, message)
    assert.equal(0, world:fetches(label))
    return plan
  end

  it("a record that cannot be looked up", function()
    lab:rule { name = "_mta-sts.servfail." .. zone, action = "servfail" }
    local plan = fails_before_its_fetch("servfail", "_mta-sts.servfail." .. zone)
    assert.equal(0, plan.ttl)
  end)

  it("a record whose signature is wrong", function()
    lab:rule { name = "_mta-sts.bogus." .. zone, type = "TXT", action = "corrupt" }
    fails_before_its_fetch("bogus", "DNSSEC")
  end)

  it("a policy host whose address has a wrong signature", function()
    lab:rule { name = "mta-sts.bogusweb." .. zone, action = "corrupt" }
    fails_before_its_fetch("bogusweb", "DNSSEC")
  end)

  it("TLSA that cannot be looked up stays skip", function()
    lab:rule { name = "_25._tcp.mx.tlsafails." .. zone, action = "servfail" }
    local plan = assert(world:plan "tlsafails")
    assert.same({ "skip/match", "enforce", "fetch" }, { short(plan) })
    assert.same({ "servfail", true }, { plan.hosts[1].err.code, plan.hosts[1].dane_required })
  end)

  it("with require_dane a host without it stays skip", function()
    local plan = assert(world:plan("enforce", { require_dane = true }))
    assert.equal("no_dane", plan.hosts[1].err.code)
  end)

  it("a silent policy host costs no more than the deadline", function()
    local listener = assert(socket.bind("127.60.0.3", world.server.port))
    local plan = assert(world:plan("silent", { deadline = 0.5 }))
    listener:close()
    assert.same({ "may", nil, nil, fetch_error }, { short(plan) })
    assert.same({ true, true }, { plan.expired, plan.sts_err.expired })
    support.contains(plan.sts_err.message, "deadline")
  end)

  it("a slow policy host costs no more than the deadline", function()
    local resolver = support.resolver()
    local plan = assert(world:plan("slow", { deadline = 0.5 }, resolver))
    assert.same({ "may", nil, nil, fetch_error }, { short(plan) })
    assert.equal(0, resolver:pending())
  end)

  it("a call that is cancelled ends its fetch", function()
    local resolver = support.resolver()
    local handle = resolver:plan("slow." .. zone, world:options(), function() error "it was cancelled" end)
    resolver:wait(0.3)
    assert.is_true(handle:cancel())
    assert.is_nil(resolver:timeout())
    assert.equal(0, resolver:pending())
  end)

  it("a resolver that is closed ends its fetches", function()
    local resolver, code = support.resolver()
    resolver:plan("slow." .. zone, world:options(), function(_, err) code = err.code end)
    resolver:wait(0.3)
    resolver:close()
    assert.equal("closed", code)
  end)

  it("a policy that is announced to be longer than it is", function()
    local folder = files.folder()
    assert(os.execute("mkdir -p " .. folder .. "/.well-known"))
    files.write(folder .. "/.well-known/mta-sts.txt", "HTTP/1.0 200 ok\r\nContent-Type: text/plain\r\n"
      .. "Content-Length: 200\r\n\r\nversion: STSv1\nmode: enforce\nmx: mx.silent." .. zone
      .. "\nmax_age: 1\n")
    local port = ports.free "127.60.0.3"
    local server = assert(io.popen(("unset LD_PRELOAD; cd %s && exec openssl s_server -HTTP -quiet "
      .. "-naccept 1 -accept 127.60.0.3:%d -cert %s -key %s 2>&1"):format(folder, port, world.leaf.chain,
        world.leaf.key)))
    local plan
    for _ = 1, 200 do -- until it listens
      plan = assert(world:plan("silent", { sts_port = port }))
      if not plan.sts_err.message:find "[Cc]onnect" then break end
      socket.sleep(0.01)
    end
    server:close()
    assert.same({ "may", nil, nil, fetch_error }, { short(plan) })
    support.lacks(plan.sts_err.message, "time")
  end)

  it("a file of authorities that is missing is a bad configuration", function()
    local err = support.failed("config", world:plan("enforce", { ca_file = "/nonexistent/ca.pem" }))
    support.contains(err.message, "/nonexistent/ca.pem")
  end)

  it("without ca_file the authorities of the system count", function()
    local plan = assert(support.resolver():plan("enforce." .. zone, { sts = true,
      sts_port = world.server.port }))
    assert.same({ "may", nil, nil, webpki }, { short(plan) })
  end)

  it("the port is 443", function()
    local plan = assert(support.resolver():plan("enforce." .. zone, { sts = true,
      ca_file = world.root.file }))
    assert.same({ "may", nil, nil, fetch_error }, { short(plan) })
  end)

  it("a proxy of the environment is not used", function()
    local child = require "tests.support.child"
    local said, status = child.run([[
      local nexthop = require "nexthop"
      local address, anchor, port, ca, domain = ...
      local r = assert(nexthop.new { forward = address, trust_anchor_file = anchor })
      local plan = assert(r:plan(domain, { sts = true, sts_port = tonumber(port), ca_file = ca }))
      print(plan.hosts[1].tls, plan.sts_err)
    ]], { before = "export https_proxy=http://127.0.0.1:1 ALL_PROXY=http://127.0.0.1:1" },
      lab.forward_address,
      lab.anchor_file, world.server.port, world.root.file, "enforce." .. zone)
    assert.same({ "sts\tnil\n", 0 }, { said, status })
  end)

  it("libcurl is loaded when a policy is asked for, and no earlier", function()
    local child = require "tests.support.child"
    local said, status = child.run([[
      local nexthop = require "nexthop"
      local address, anchor, port, ca, domain = ...
      local r = assert(nexthop.new { forward = address, trust_anchor_file = anchor })
      local function say(...)
        local maps = io.open("/proc/self/maps"):read "*a"
        print(maps:find("libcurl", 1, true) and "loaded" or "not loaded", ...)
      end
      say(assert(r:plan(domain, { tlsrpt = true })).hosts[1].tls)
      say(assert(r:plan(domain, { sts = true, sts_port = tonumber(port), ca_file = ca })).hosts[1].tls)
    ]], nil, lab.forward_address, lab.anchor_file, world.server.port, world.root.file, "enforce." .. zone)
    assert.same({ "not loaded\tmay\nloaded\tsts\n", 0 }, { said, status })
  end)

  it("many calls for a domain fetch once", function()
    local resolver, n, before = support.resolver(), 0, world:fetches "enforce"
    for _ = 1, 50 do
      resolver:plan("enforce." .. zone, world:options(), function(plan) n = n + (plan.hosts[1].tls == "sts"
        and 1 or 0) end)
    end
    assert.is_true(resolver:wait(10 * support.slow))
    assert.equal(50, n)
    assert.equal(before + 1, world:fetches("enforce", before + 1))
  end)

  it("the trace has the record and its section", function()
    local plan, found = assert(world:plan("enforce", { trace = true, tlsrpt = true })), {}
    for _, entry in ipairs(plan.trace) do
      if entry.type == "TXT" then found[#found + 1] = { entry.name, entry.security, entry.rcode,
        entry.section } end
    end
    table.sort(found, function(a, b) return a[1] < b[1] end)
    assert.same({ { "_mta-sts.enforce." .. zone, "secure", "NOERROR", "RFC 8461 3.1" },
      { "_smtp._tls.enforce." .. zone, "secure", "NXDOMAIN", "RFC 8460 3" } }, found)
  end)

  it("tlsrpt: where reports go", function()
    local plan = assert(support.resolver():plan("report." .. zone, { tlsrpt = true }))
    assert.same({ rua = { "mailto:a@b.example", "https://c.example/d" } }, plan.tlsrpt)
    assert.is_nil(plan.sts)
    assert.equal(0, lab:count("_mta-sts.report." .. zone, "TXT"))
  end)

  it("tlsrpt: two records are none", function()
    assert.is_nil(assert(support.resolver():plan("report2." .. zone, { tlsrpt = true })).tlsrpt)
  end)

  it("tlsrpt: no record is none", function()
    local plan = assert(support.resolver():plan("enforce." .. zone, { tlsrpt = true }))
    assert.is_nil(plan.tlsrpt)
    assert.is_nil(plan.tlsrpt_err)
  end)

  it("tlsrpt: a lookup that fails is not `no record`", function()
    lab:rule { name = "_smtp._tls.report." .. zone, type = "TXT", action = "servfail" }
    local plan = assert(support.resolver():plan("report." .. zone, { tlsrpt = true }))
    assert.is_nil(plan.tlsrpt)
    assert.equal("servfail", plan.tlsrpt_err.code)
    assert.equal(0, plan.ttl)
    support.contains(tostring(plan), "_smtp._tls.report." .. zone)
    lab:clear()
    lab:rule { name = "_smtp._tls.report." .. zone, type = "TXT", action = "silent" }
    local options = { tlsrpt = true, deadline = 0.5 * support.slow }
    plan = assert(support.resolver():plan("report." .. zone, options))
    assert.is_nil(plan.tlsrpt)
    assert.same({ "timeout", true, true }, { plan.tlsrpt_err.code, plan.tlsrpt_err.expired, plan.expired })
  end)
end)
