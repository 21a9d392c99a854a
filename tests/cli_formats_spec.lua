-- nexthop --check --format: what a monitoring system reads, and the status that it acts on.
local ca = require "tests.support.ca"
local files = require "tests.support.files"
local program = require "tests.support.program"
local promtool = require "tests.support.promtool"
local support = require "tests.support"
local verifying = require "tests.support.verifying"
local contains = support.contains

local world = verifying.world("vformats.example", 83)

local issuing = ca.authority { name = "fmt-issuing", issuer = ca.authority { name = "fmt-root" } }
local function leaf(label, options)
  options.name, options.names = "fmt-" .. label, { label .. ".vformats.example" }
  return ca.leaf(options)
end
local function key(certificate) return ca.tlsa(certificate, 3, 1, 1) end

local rsa = leaf("rsa", { key = "rsa", to = 60 })
local next_key = ca.stale(3, 1, 1)
local short, shorter = leaf("short", { to = 10 }), leaf("shorter", { to = 2 })
local issued = leaf("issued", { issuer = issuing, to = 10 })
local urgent = leaf("urgent", { issuer = issuing, to = 2 })
local by_issuer = { ca.tlsa(issuing, 2, 1, 1), ca.tlsa(issuing, 2, 0, 1) }

local function host(label, records, certificate, more)
  more = more or {}
  more.tlsa = records
  if not more.servers then more.server = more.server or { certificates = { certificate } } end
  more.text = ("_smtp._tls.mx-%s TXT \"v=TLSRPTv1; rua=mailto:a@b.example\"\n"):format(label)
  world:host(label, more)
end

host("healthy", { key(rsa), next_key }, rsa)
host("short", { key(short), next_key }, short)
host("shorter", { key(shorter), next_key }, shorter)
host("issued", by_issuer, issued)
host("urgent", by_issuer, urgent)
host("changed", { next_key }, rsa)
host("later", { key(rsa), next_key }, nil, { server = { greeting = "421 come back later" } })
host("half", { key(rsa), next_key }, nil, {
  servers = { { certificates = { rsa } }, { greeting = "421 come back later" } },
})
world:records("several MX 10 healthy\nseveral MX 20 later")
world:records("unreached MX 10 later\nunreached MX 20 later")
world:records("addressless MX 10 healthy\naddressless MX 20 nowhere")

local function run(arguments, options)
  local words = { "--check", "--verify", "--connect-port", tostring(world.servers.port), "--helo", "c.test" }
  for _, word in ipairs(arguments) do
    if word:find "^%a" and word ~= "nagios" and word ~= "openmetrics" then
      word = word .. ".vformats.example"
    end
    words[#words + 1] = word
  end
  return program.run(words, options)
end

-- The status, the line before the performance data, and that data.
local function plugin(...)
  local r = run { "--format", "nagios", ... }
  local line, data = r.out:match "^([^\n|]*) | ([^\n|]*)\n"
  return r.status, line or r.out, data, r
end

describe("nexthop --check --format nagios", function()
  setup(function() world:start() end)
  teardown(function() world:stop() end)
  after_each(files.remove)

  it("is OK where all is well, with performance data and the lines of --check behind it", function()
    local status, line, data, r = plugin "mx-healthy"
    assert.same({ 0, "NEXTHOP OK - 1 domain, 1 host, nothing to mend" }, { status, line })
    assert.truthy(data:find "^domains=1;;;0 hosts=1;;;0 hosts_ok=1;;;0 time=%d+%.%d%d%ds;;;0$", data)
    contains(r.out, "\nok    mx-healthy.vformats.example 10 healthy.vformats.example: dane")
    local quiet = run { "--format", "nagios", "--quiet", "mx-healthy" }
    assert.equal(1, select(2, quiet.out:gsub("\n", "")), quiet.out)
  end)

  it("does not look at the dates of a certificate that senders know by its key", function()
    for _, label in ipairs { "mx-short", "mx-shorter" } do
      local status, line, data = plugin(label)
      assert.same({ 0, "NEXTHOP OK - 1 domain, 1 host, nothing to mend" }, { status, line })
      assert.is_nil(data:find "certificate_days")
    end
  end)

  it("warns of a certificate that senders judge by its dates, and is CRITICAL in its last days", function()
    local status, line, data = plugin "mx-issued"
    assert.same({ 1, "NEXTHOP WARNING - issued.vformats.example: its certificate ends in 10.0 days" },
      { status, line })
    contains(data, " certificate_days=10.0;14:;3:")
    assert.equal(0, (plugin("--warning", "9", "mx-issued")))
    assert.equal(2, (plugin("--critical", "11", "mx-issued")))
    status, line = plugin "mx-urgent"
    assert.same({ 2, "NEXTHOP CRITICAL - urgent.vformats.example: its certificate ends in 2.0 days" },
      { status, line })
    status, line = plugin("--at", "+20d", "mx-issued")
    assert.equal(2, status)
    contains(line, "issued.vformats.example: ")
  end)

  it("is CRITICAL for a host that DANE senders cannot deliver to", function()
    local status, line, data, r = plugin "mx-changed"
    assert.same({ 2, "NEXTHOP CRITICAL - changed.vformats.example: uncovered-certificate (and 1 more)" },
      { status, line })
    contains(data, " hosts=1;;;0 hosts_ok=0;;;0 ")
    contains(r.out, "\nfail  changed.vformats.example: uncovered-certificate: the server at ")
  end)

  it("warns of a host of several that cannot be reached, and is CRITICAL if it is the only one", function()
    for _, case in ipairs {
      { 1, "several", "WARNING - later.vformats.example: greeting-refused" },
      { 1, "addressless", "WARNING - nowhere.vformats.example: no-address" },
      { 1, "mx-half", "WARNING - half.vformats.example: greeting-refused" },
      { 2, "mx-later", "CRITICAL - later.vformats.example: greeting-refused" },
      { 2, "unreached", "CRITICAL - later.vformats.example: greeting-refused" },
    } do
      local status, line = plugin(case[2])
      assert.same({ case[1], case[2] }, { status, case[2] })
      contains(line, "NEXTHOP " .. case[3])
    end
  end)

  it("tells the worst of several domains", function()
    local status, line, data = plugin("mx-healthy", "mx-issued", "mx-changed")
    assert.same({ 2, "NEXTHOP CRITICAL - changed.vformats.example: uncovered-certificate (and 2 more)" },
      { status, line })
    contains(data, "domains=3;;;0 hosts=3;;;0 ")
  end)

  it("is UNKNOWN where the resolver is dead, or a word of the command line is wrong", function()
    local r = program.run({ "--check", "--format", "nagios", "--resolver", "127.0.0.1@1", "--anchor",
      program.lab.anchor_file, "--timeout", "1", "dane.example" }, { bare = true })
    assert.equal(3, r.status)
    contains(r.out, "NEXTHOP UNKNOWN - dane.example: MX of dane.example: no answer in time | domains=1;;;0 ")
    r = program.run { "--check", "--format", "nagios", "--warning", "soon", "dane.example" }
    assert.same({ 3, "NEXTHOP UNKNOWN - --warning: 'soon' is no whole number from 0 to 3650\n" },
      { r.status, r.out })
    r = program.run({ "--check", "--format", "nagios", "--anchor", "/nowhere", "dane.example" })
    assert.equal(3, r.status)
    contains(r.out, "NEXTHOP UNKNOWN - ", "/nowhere")
    r = program.run { "--check", "--format", "nagios", "-f", "/nowhere" }
    assert.same({ 3, 1 }, { r.status, (r.out:find("NEXTHOP UNKNOWN - ", 1, true)) })
  end)
end)

describe("nexthop --check --format openmetrics", function()
  setup(function() world:start() end)
  teardown(function() world:stop() end)
  after_each(files.remove)

  it("prints a page with each family and each sample once", function()
    local r = run { "--format", "openmetrics", "mx-healthy", "mx-changed", "several", "mx-issued",
      "mx-healthy" }
    assert.same({ 0, "" }, { r.status, r.err })
    local seen = {}
    for line in r.out:gmatch "[^\n]+" do
      local name = line:match "^(# %u+ %S+)" or line:match "^(.*) %S+$"
      assert.is_nil(seen[name], name)
      seen[name] = line:match "%S+$"
    end
    local v = ".vformats.example"
    assert.same({ "1", "0", "0", "0" }, {
      seen[('nexthop_domain_ok{domain="mx-healthy%s"}'):format(v)],
      seen[('nexthop_domain_ok{domain="mx-changed%s"}'):format(v)],
      seen[('nexthop_host_ok{domain="several%s",host="later%s",tls="dane"}'):format(v, v)],
      seen[('nexthop_connection_ok{host="changed%s",ip="%s",keys="rsa"}'):format(v,
        world.hosts.changed.addresses[1])],
    })
    local record = 'nexthop_tlsa_matches{digest="%s",host="healthy%s",match_type="1",selector="1",usage="3"}'
    assert.same({ "1", "0" },
      { seen[record:format(key(rsa):match "%x+$", v)], seen[record:format(next_key:match "%x+$", v)] })
    local ends = seen[('nexthop_certificate_expiry_timestamp_seconds{host="issued%s",key="ecdsa"}'):format(v)]
    local days = (tonumber(ends) - os.time()) / 86400
    assert.is_true(days > 9.9 and days < 10.1, ends)
    local checked = seen[('nexthop_check_timestamp_seconds{domain="several%s"}'):format(v)]
    assert.is_true(math.abs(tonumber(checked) - os.time()) < 60, checked)
    assert.is_true(tonumber(seen[('nexthop_check_seconds{domain="several%s"}'):format(v)]) > 0)
    assert.equal("# EOF\n", r.out:sub(-6))
  end)

  it("leaves a domain out of which it knows nothing, and says so by its status", function()
    local r = program.run({ "--check", "--format", "openmetrics", "--resolver", "127.0.0.1@1", "--anchor",
      program.lab.anchor_file, "--timeout", "1", "dane.example" }, { bare = true })
    assert.same({ 75, "# EOF\n" }, { r.status, r.out })
    contains(r.err, "nexthop: dane.example: the check says nothing: ")
  end)

  it("goes with --check alone, and with nothing that decides what is printed", function()
    for words, reason in pairs {
      ["--format openmetrics a.example"] = "--format needs --check",
      ["--check --format xml a.example"] = "--format: 'xml' is no format (nagios, openmetrics)",
      ["--check --format openmetrics --json a.example"] = "--format and --json do not go together",
      ["--check --format openmetrics --quiet a.example"] =
        "--quiet and --format openmetrics do not go together",
    } do
      local list = {}
      for word in words:gmatch "%S+" do list[#list + 1] = word end
      local r = program.run(list)
      assert.equal(64, r.status)
      contains(r.err, reason)
    end
  end)

  it("is accepted by promtool", function()
    local r = run { "--format", "openmetrics", "mx-healthy", "mx-changed", "several" }
    assert.same({ 0, "" }, { promtool.check(r.out) })
  end)
end)
