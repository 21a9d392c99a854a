-- MTA-STS in the programs: nexthop --sts, the lookup server, the filter's and the plugin's configuration,
-- findings.
local files = require "tests.support.files"
local filter_settings = require "nexthop.programs.filter.settings"
local nexthop_server = require "nexthop.server"
local policy = require "nexthop.policy"
local program = require "tests.support.program"
local rspamd_settings = require "nexthop.rspamd.settings"
local sts_world = require "tests.support.sts_world"
local support = require "tests.support"

local it = sts_world.it(it, pending)
local zone = "stsprog.example"
local world = sts_world.new(zone, 63)
local enforced = { mode = "enforce", mx = { "mx.@" } }
world:domain("good", { policy = enforced,
  records = '_smtp._tls.@. TXT "v=TLSRPTv1\\; rua=mailto:a\\064b.example"' })
world:domain("bad", { policy = { mode = "enforce", mx = { "other.@" } } })
world:domain("half", { policy = enforced, mx = { "mx.@", "mx2.@" } })
world:domain("testing", { policy = { mode = "testing", mx = { "other.@" } } })
world:domain("broken", { policy = "version: STSv1\n" })
world:domain("none", { record = false })
world:domain("dane", { policy = { mode = "enforce", mx = { "mx2.@" } }, mx = { "mx.@", "mx2.@" },
  tlsa = { "3 1 1 " .. ("ab"):rep(32) } })
world:domain("encrypt", { policy = enforced, tlsa = { "3 1 1 abcd" } })

describe("MTA-STS in", function()
  setup(function() world:start() end)
  teardown(function() world:stop() end)
  after_each(support.close)

  local function run(...)
    return program.run { "--sts", "--sts-port", tostring(world.server.port), "--ca-file", world.root.file,
      ... }
  end

  it("nexthop --sts: a host that is protected", function()
    local r = run("--tlsrpt", "good." .. zone)
    assert.equal(0, r.status)
    support.contains(r.out,
      "sts: TLS, verified by certificate authorities with the host's own name (MTA-STS)",
      "the policy (enforce) names it", "enforce, id 1, fetched now, known until ",
      "mx         mx.good." .. zone, "reports    mailto:a@b.example")
  end)

  it("nexthop --sts: a host that the policy excludes", function()
    local r = run("bad." .. zone)
    assert.equal(75, r.status)
    support.contains(r.out, "sts_mismatch", "the MTA-STS policy of bad." .. zone
      .. " does not name this host")
  end)

  it("nexthop --sts: a policy that is invalid", function()
    local r = run("broken." .. zone)
    assert.equal(0, r.status)
    support.contains(r.out, "may: TLS if the host offers it", "not known", "sts-policy-invalid",
      "ends without a mode")
  end)

  it("nexthop --sts --json", function()
    local r = run("--json", "good." .. zone)
    support.contains(r.out, '"tls":"sts"', '"mode":"enforce"', '"source":"fetch"', '"sts":"match"')
  end)

  it("nexthop --sts --explain: the story with its sections", function()
    local r = run("--explain", "good." .. zone)
    support.contains(r.out, "What does it publish about TLS?", "TXT of _mta-sts.good." .. zone,
      "[RFC 8461 3.1]",
      "[RFC 8461 3.3]", "its hosts: mx.good." .. zone .. " [RFC 8461 3.2]",
      "the policy names this host [RFC 8461 4.1]",
      "the certificate must be valid for mx.good." .. zone .. " [RFC 8461 4.2]")
    support.contains(run("--explain", "bad." .. zone).out, "it is enforced [RFC 8461 5]")
    support.contains(run("--explain", "testing." .. zone).out,
      "the mode is testing: it excludes no host [RFC 8461 5]")
    support.contains(run("--explain", "broken." .. zone).out, "sts-policy-invalid: ", "[RFC 8461 3]")
    support.contains(run("--explain", "--tlsrpt", "good." .. zone).out,
      "reports go to mailto:a@b.example [RFC 8460 3]")
  end)

  it("nexthop --sts --check: what to mend", function()
    local r = run("--check", "good." .. zone)
    assert.equal(0, r.status)
    support.contains(r.out, "ok    good." .. zone .. " 10 mx.good." .. zone
      .. ": sts, protected by the MTA-STS policy")
    r = run("--check", "bad." .. zone)
    assert.equal(1, r.status)
    support.contains(r.out, "mend", "add a line `mx: mx.bad." .. zone .. "`")
    support.contains(run("--check", "testing." .. zone).out,
      "the MTA-STS policy (testing) does not name mx.testing.")
    support.contains(run("--check", "broken." .. zone).out, "mend  broken." .. zone .. ": ",
      "(sts-policy-invalid)")
  end)

  it("nexthop --sts --check: a deadline says nothing about the policy", function()
    support.lab:rule { name = "_mta-sts.good." .. zone, type = "TXT", action = "silent" }
    local r = run("--check", "--json", "--deadline", tostring(1 * support.slow), "good." .. zone)
    support.lab:clear()
    support.contains(r.out, '"not-all-checked"', "the deadline came before its MTA-STS policy was known")
    support.lacks(r.out, '"sts-policy"')
  end)

  it("nexthop --sts with many names counts them", function()
    local r = program.run({ "--sts", "--sts-port", tostring(world.server.port), "--ca-file", world.root.file,
      "-f", "-" }, { stdin = ("good.%s\nnone.%s\n"):format(zone, zone) })
    support.contains(r.err, "2 domains: 0 dane, 1 sts, 0 encrypt, 1 may")
  end)

  it("nexthop --sts-cache and --sts-forget", function()
    local path = files.path ".sts"
    assert.equal(0, run("--sts-cache", path, "good." .. zone).status)
    support.contains(run("--sts-cache", path, "good." .. zone).out, "fetched before")
    local r = program.run { "--sts-cache", path, "--sts-forget", "good." .. zone }
    assert.same({ 0, "good." .. zone .. ": forgotten\n" }, { r.status, r.out })
    r = program.run { "--sts-cache", path, "--sts-forget", "good." .. zone }
    assert.same({ 1, "good." .. zone .. ": there is no policy of it\n" }, { r.status, r.out })
    support.contains(run("--sts-cache", path, "good." .. zone).out, "fetched now")
    os.remove(path)
  end)

  it("nexthop: wrong usage", function()
    for _, words in ipairs { { "--sts-forget", "a.example" }, { "--sts-cache", "x", "a.example" },
      { "--sts", "--tlsa", "a.example" }, { "--sts", "--sts-port", "0", "a.example" },
      { "--sts", "--sts-cache", "/nonexistent/x", "a.example" },
      { "--sts-cache", "x", "--sts-forget", "a.example", "b.example" } } do
      assert.equal(64, program.run(words).status, table.concat(words, " "))
    end
  end)

  it("findings of recipients", function()
    local resolver = support.resolver()
    local found = {} -- of plans whose hosts have addresses that can be reached
    for _, label in ipairs { "good", "bad", "half", "testing", "broken", "dane", "encrypt" } do
      local plan = assert(world:plan(label, nil, resolver))
      for _, host in ipairs(plan.hosts) do
        for index in ipairs(host.ips) do host.ips[index] = "8.8.8.8" end
      end
      found[label] = policy.find("recipient", plan)
    end
    assert.same({ good = "sts", bad = "failure", half = "no_dane", testing = "no_dane", broken = "no_dane",
      dane = "sts", encrypt = "dane_partial" }, found)
    assert.equal("unroutable", policy.find("recipient", world:plan("good", nil, resolver)))
    assert.is_true(policy.is_finding("recipient", "sts"))
    assert.is_false(policy.is_finding("sender", "sts"))
  end)

  it("the filter's configuration", function()
    local settings = assert(filter_settings.check { sts = true, tlsrpt = true, recipient = { sts = "reject" },
      resolver = support.lab:options() })
    assert.same({ true, true, "reject" }, { settings.sts, settings.tlsrpt, settings.recipient.sts })
    assert.equal("log", assert(filter_settings.check { resolver = support.lab:options() }).recipient.sts)
    local bad, reason = filter_settings.check { sts = "yes", resolver = support.lab:options() }
    assert.is_nil(bad)
    support.contains(reason, "sts: true or false expected")
    bad, reason = filter_settings.check { ca_file = "/nonexistent", resolver = support.lab:options() }
    assert.is_nil(bad)
    support.contains(reason, "ca_file: /nonexistent")
    bad, reason = filter_settings.check { sender = { sts = "log" }, resolver = support.lab:options() }
    assert.is_nil(bad)
    support.contains(reason, "sender.sts: no such key")
  end)

  it("the plugin's configuration", function()
    assert.is_true(rspamd_settings.check({ sts = true, socket = "/run/x" }, 8, function() end).sts)
    local settings, wrong = rspamd_settings.check({ sts = "yes", sts_port = 0, socket = "/run/x" }, 8,
      function() end)
    assert.is_nil(settings)
    assert.same({ "sts: true or false expected, got yes", "sts_port: a port expected, 1 to 65535, got 0" },
      wrong)
  end)

  it("the lookup server: its configuration decides for plans and recipients", function()
    local server = assert(nexthop_server.new { resolver = support.lab:options(), sts = true, tlsrpt = true,
      sts_port = world.server.port, ca_file = world.root.file })
    local operations = require "nexthop.server.operations"
    local function ask(op, options)
      local request, answer = { id = 1, op = op, domain = "good." .. zone }, nil
      local _, operation = operations.check(request)
      operation.run(server, request, options, function(result) answer = result end)
      server.resolver:wait(10)
      return answer
    end
    local plan = ask("plan", {})
    assert.same({ "sts", "mailto:a@b.example" }, { plan.hosts[1].tls, plan.tlsrpt.rua[1] })
    assert.equal("may", ask("plan", { sts = false }).hosts[1].tls)
    assert.equal("sts", ask("recipient", {}).plan.hosts[1].tls)
    assert.equal("may", ask("sender", {}).plan.hosts[1].tls)
    assert.equal("sts", ask("sender", { sts = true }).plan.hosts[1].tls)
    assert.has_error(function() ask("plan", { ca_file = "/etc/passwd" }) end,
      "option 'ca_file' is the server's to set")
    assert.has_error(function() ask("plan", { sts_port = 25 }) end,
      "option 'sts_port' is the server's to set")
    server:close()
  end)
end)
