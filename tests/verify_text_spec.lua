-- `nexthop --verify`: what is said about a report, whatever server it came from. The reports are made by
-- hand.
local cjson = require "cjson"
local report = require "tests.support.report"
local support = require "tests.support"
local tally = require "nexthop.programs.nexthop.tally"
local text = require "nexthop.programs.nexthop.text"
local verify = require "nexthop.programs.nexthop.verify"
local contains, lacks = support.contains, support.lacks

local certificate, connection, failed, refused = report.certificate, report.connection, report.failed,
  report.refused
local input = { text = "example", name = "example" }

-- What is printed of these hosts, and the outcome.
local function render(args, hosts, given)
  args.at = args.at or report.now
  return verify.renderer(args, text.new { utf8 = false })(input, report.new(hosts, given))
end

local function tree(host)
  return (render({}, { report.host(host) }))
end

local ec = certificate { key = "ec", bits = 256, spki_sha256 = ("ec"):rep(32) }

describe("the tree", function()
  it("has the plan, and below each host what its connections have shown", function()
    local out = tree {
      tls = "dane", records = { { record = report.record(3, 0x5b), matches = "leaf", key = "rsa" } },
      connections = { connection { keys = "rsa" }, connection { keys = "ecdsa", absent = true } },
    }
    contains(out, "example  MX (secure)  (certificates as of 2027-01-01 00:00 UTC)\n`- 10 mx.example\n",
      "result     ok\n", "TLS owed   dane: TLS, verified", "TLSA       3 1 1 5b5b",
      "matches the RSA certificate\n",
      "|- 192.0.2.1:25 RSA: ok\n", "TLS        TLSv1.3, TLS_AES_256_GCM_SHA384, x25519\n",
      "presents   RSA 2048 of CN=mx.example, for mx.example, until 2027-03-22\n",
      "DANE       3 1 1 " .. ("5b"):rep(32) .. " matches this certificate\n",
      "PKIX       not trusted: self-signed certificate\n",
      "took       connect 1.0 ms, greeting 2.0 ms, EHLO 3.0 ms, STARTTLS 4.0 ms, handshake 12 ms\n",
      "`- 192.0.2.1:25 ECDSA: the server has no certificate of this kind\n")
    lacks(out, "to do", "what ")
  end)

  it("says at which depth and by which name a CA's record matched", function()
    local ca = report.record(2, 0xca)
    contains(tree {
      tls = "dane", plan_records = { ca }, records = { { record = ca, matches = "issuer", key = "ecdsa" } },
      connections = { connection { ip = "2001:db8::1", certificate = ec,
        matched = { record = ca, depth = 1, name = "mx.example" }, pkix = { ok = true } } },
    }, "matches an issuer of the ECDSA certificate\n", "[2001:db8::1]:25: ok\n",
      "matches its issuer (certificate 2 of the chain), and the name mx.example fits\n",
      "PKIX       trusted, and the name fits\n", "presents   ECDSA 256 of")
  end)

  it("tells a record that matched nothing from one for which no certificate came", function()
    contains(tree { tls = "dane", connections = { refused "validation-failure" } },
      "matches no certificate that was seen\n", "result     validation-failure\n",
      "192.0.2.1:25: validation-failure\n", "what       mx.example: it failed\n")
    contains(tree { tls = "dane", connections = { failed("connect-failed", "connect") } },
      "no certificate was seen\n", "192.0.2.1:25: connect-failed\n")
  end)

  it("says what record a host without any would have, and that a server offers no TLS", function()
    local plain = connection { dane = false, matched = false, pkix = false, tls = false }
    plain.dane, plain.matched, plain.pkix, plain.tls = nil, nil, nil, nil
    local open = connection { matched = false }
    open.matched = nil
    contains(tree { tls = "may", connections = { open } }, "its record would be 3 1 1 " .. ("5b"):rep(32))
    contains(tree { tls = "may", connections = { plain } }, "192.0.2.1:25: ok\n",
      "TLS        none is offered\n")
  end)

  it("says what to do about a host that no connection was made to", function()
    local err = { code = "bogus", permanent = false, message = "mx.example: A of mx.example failed" }
    contains(tree { tls = "skip", result = "dnssec-invalid", err = err, temporary = true },
      "result     dnssec-invalid\n", "why        bogus: A of mx.example failed (temporary)\n",
      "to do      repair the signatures or the DS of that zone")
    err = { code = "not_found", permanent = false, message = "mx.example: mx.example has no address" }
    contains(tree { tls = "skip", err = err, temporary = true, ips = {} }, "result     not_found\n",
      "to do      add A or AAAA records for it")
  end)

  it("keeps what a server says on one line, and away from the terminal", function()
    local out = tree { tls = "dane", connections = {
      failed("protocol-error", "greeting", { message = "mx.example said: 220-a\n\27[31m220 b" }),
      connection { certificate = certificate { subject = "CN=\27[2J\226\128\174", names = { "a\10b" } } },
    } }
    contains(out, "what       mx.example said: 220-a / \\x1b[31m220 b\n", "CN=\\x1b[2J\\xe2\\x80\\xae",
      "a\\x0ab")
    assert.is_nil(out:find "[%z\1-\9\11-\31\127]")
  end)

  it("is coloured: green for ok, yellow for what may go away, red for the rest", function()
    local coloured = text.new { utf8 = false, colour = true }
    local function shown(host)
      return (verify.renderer({ at = 1 }, coloured)(input, report.new { report.host(host) }))
    end
    contains(shown { tls = "may", connections = { connection {} } }, ":25: \27[32mok\27[0m\n")
    contains(shown { tls = "may", connections = { failed("timeout", "connect", { temporary = true }) } },
      ":25: \27[33mtimeout\27[0m\n")
    contains(shown { tls = "may", connections = { failed("tls-failed", "handshake") } },
      ":25: \27[31mtls-failed\27[0m\n")
  end)
end)

describe("in the REPL a report", function()
  local metatables = require("nexthop.core").metatables
  -- What tostring() makes of a report and of the first connection of its first host.
  local function printed(host)
    local made = report.new { report.host(host) }
    local function set(value, name) return setmetatable(value, metatables[name]) end
    for _, each in ipairs(made.hosts[1].connections) do
      set(each, "connection")
      if each.matched then set(each.matched.record, "record") end
    end
    for _, entry in ipairs(made.hosts[1].records) do set(entry.record, "record") end
    set(made.hosts[1], "report_host")
    return tostring(set(made, "report")), tostring(made.hosts[1]), tostring(made.hosts[1].connections[1])
  end
  local digest = ("5b"):rep(32)

  it("is a line on the domain, one on each host and one on each connection", function()
    local whole, host, first = printed { tls = "dane", connections = { connection { keys = "rsa" },
      connection { keys = "ecdsa", absent = true } } }
    assert.equal("192.0.2.1 port 25, rsa: ok: TLSv1.3, 3 1 1 " .. digest .. " matches", first)
    assert.equal("10 mx.example: dane, ok\n  " .. first
      .. "\n  192.0.2.1 port 25, ecdsa: ok: no certificate of this kind", host)
    assert.equal("example: ok\n  " .. host:gsub("\n", "\n  "), whole)
  end)

  it("says what failed, and which record matches nothing", function()
    local none = { { record = report.record(3, 1), matches = "none" } }
    local whole = printed { tls = "dane", records = none, connections = { refused "validation-failure" } }
    assert.equal("example: not ok\n  10 mx.example: dane, validation-failure\n"
      .. "    192.0.2.1 port 25: validation-failure: mx.example: it failed\n"
      .. "    TLSA 3 1 1 " .. ("01"):rep(32) .. " matches nothing", whole)
    lacks(printed { tls = "dane", records = none, connections = { failed("timeout", "greeting") } }, "TLSA")
  end)

  it("names the certificate of a CA and the name that fit", function()
    local _, _, first = printed { tls = "dane", connections = { connection {
      matched = { record = report.record(2, 0x5b), depth = 1, name = "mx.example" } } } }
    contains(first, "2 1 1 " .. digest .. " matches at depth 1, name mx.example")
  end)
end)

describe("--down", function()
  local function down(hosts, given)
    return (render({ down = true }, hosts, given))
  end
  local function host(name, tls, connections, more)
    more = more or {}
    more.host, more.tls, more.connections = name, tls, connections
    return report.host(more)
  end

  it("lists the hosts that a DANE sender cannot reach, and why", function()
    assert.equal("b.example\tvalidation-failure\nc.example\tstarttls-not-supported\n"
      .. "d.example\tconnect-failed\n"
      .. "e.example\tdnssec-invalid\nf.example\tservfail\n", down {
        host("a.example", "dane", { connection {} }),
        host("b.example", "dane", { connection { keys = "rsa" }, refused("validation-failure", {
          keys = "ecdsa" }) }),
        host("c.example", "encrypt", { failed("starttls-not-supported", "ehlo") }),
        host("d.example", "may", { failed("connect-failed", "connect") }),
        host("e.example", "skip", {}, { result = "dnssec-invalid", err = { code = "bogus" } }),
        host("f.example", "skip", {}, { err = { code = "servfail" } }),
      })
  end)

  it("leaves out a host with one address that works, and one that takes mail without TLS", function()
    assert.equal("", down {
      host("a.example", "dane", { connection {}, refused("validation-failure", { ip = "192.0.2.2" }) }),
      host("b.example", "may", { failed("starttls-not-supported", "starttls") }),
      host("c.example", "may", { failed("tls-failed", "handshake") }),
    })
  end)

  it("has the domain in the place of hosts that cannot be found", function()
    local render_down = verify.renderer({ down = true }, text.new {})
    local said = render_down(input, nil, { code = "bogus", permanent = false,
      message = "example: MX failed" })
    assert.equal("example\tbogus\n", said)
  end)
end)

describe("--json", function()
  it("has the report with its advice, lists that are empty, and certificates in hex", function()
    local out = render({ json = true }, { report.host { tls = "dane", connections = {
      refused "validation-failure",
      failed("connect-failed", "connect", { extensions = {} }) } } })
    local object = cjson.decode(out)
    assert.same({ "example", false, "validation-failure" }, { object.domain, object.ok,
      object.hosts[1].result })
    local first = object.hosts[1].connections[1]
    assert.same({ "308201", 25, "any" }, { first.tls.chain[1].der, first.port, first.keys })
    contains(first.advice, "publish 3 1 1")
    contains(object.hosts[1].connections[2].advice, "see that the server listens")
    assert.equal("mx.example", object.plan.hosts[1].sni)
    contains(out, '{"domain":"example","ok":false,', '"extensions":[]',
      '{"ip":"192.0.2.1","port":25,"keys":"any","ok":false,"result":"validation-failure",')
  end)

  it("says of a domain that failed that it is not ok", function()
    local out = verify.renderer({ json = true }, text.new {})(input, nil,
      { code = "no_mail", permanent = true, message = "example: accepts no mail" })
    assert.same({ domain = "example", ok = false, error = { code = "no_mail", permanent = true,
      message = "example: accepts no mail" } }, cjson.decode(out))
  end)
end)

describe("the exit status", function()
  -- Of reports and codes of errors, and the summary.
  local function total(...)
    local count = tally.new "verify"
    for _, each in ipairs { ... } do
      if each.code then
        count:add(tally.outcome_of_report(nil, each))
      else
        count:add(tally.outcome_of_report(report.new { report.host(each) }))
      end
    end
    return count:status(), count:summary()
  end
  local good = { tls = "dane", connections = { connection {} } }
  local wrong = { tls = "dane", connections = { refused "validation-failure" } }
  local away = { tls = "may", temporary = true, connections = { failed("timeout", "connect", {
    temporary = true }) } }

  it("is 0 when all is ok, 75 when nothing is worse than a failure for now, and 1 for anything else",
    function()
      assert.equal(0, (total(good, good)))
      assert.equal(75, (total(good, away)))
      assert.equal(1, (total(good, away, wrong)))
      assert.equal(1, (total(good, { code = "no_mail", permanent = true })))
      assert.equal(75, (total(good, { code = "servfail", permanent = false })))
    end)

  it("is 64 for an option that does not work", function()
    assert.equal(64, (total(good, { code = "config", permanent = false })))
  end)

  it("comes with a summary in which a domain counts once", function()
    assert.equal("6 domains: 2 ok, 1 failing, 1 temporary, 1 no_mail, 1 errors", select(2, total(good, good,
      wrong,
      away, { code = "no_mail", permanent = true }, { code = "bogus", permanent = false })))
  end)

  it("is that of the worst host, and what may go away is asked for again", function()
    local outcome = tally.outcome_of_report(report.new { report.host(good), report.host(wrong),
      report.host(away) })
    assert.same({ "failing", true, false, true },
      { outcome.kind, outcome.permanent, outcome.temporary, outcome.again })
    assert.is_falsy(tally.outcome_of_report(report.new { report.host(wrong) }).again)
    assert.is_falsy(tally.outcome_of_report(report.new { report.host { tls = "skip", temporary = true,
      err = { code = "not_found", permanent = false } } }).again)
  end)
end)
