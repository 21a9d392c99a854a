-- `nexthop --verify`: what it advises for each result. The reports are made by hand.
local repairs = require "nexthop.programs.nexthop.repairs"
local report = require "tests.support.report"
local support = require "tests.support"
local contains, lacks = support.contains, support.lacks

local certificate, connection = report.certificate, report.connection
local failed, refused = report.failed, report.refused
local ec = certificate { key = "ec", bits = 256, spki_sha256 = ("ec"):rep(32) }

-- What is advised for the last connection of a host.
local function advice(host, port)
  local made = report.host(host)
  local planned, at = made.planned, report.now
  return repairs.advice {
    report = report.new { made }, host = made, planned = planned,
    connection = made.connections[#made.connections],
    port = port or 25, at = at,
  }
end

describe("the advice", function()
  local stale = ("publish 3 1 1 %s at _25._tcp.mx.example"):format(("5b"):rep(32))

  it("for a stale record names the record to publish, and the certificate to restore", function()
    contains(advice { tls = "dane", connections = { refused "validation-failure" } },
      "no TLSA record matches the certificate: " .. stale
        .. ", or restore the certificate that the record is for",
      "senders that do DANE hold mail back")
    contains(advice({ tls = "dane", connections = { refused "validation-failure" } }, 465),
      "at _465._tcp.mx.example")
    contains(advice { tls = "dane", connections = { refused "validation-failure" },
      plan_records = { report.record(3, 1), report.record(3, 2) } },
      "restore a certificate that one of the records is for")
    contains(advice { tls = "dane", connections = { refused "validation-failure" },
      plan_records = { report.record(2, 1) } },
      "let the server send the CA certificate that the record is for")
  end)

  it("for a wrong ECDSA certificate beside a right RSA one is about that one", function()
    local wrong = refused("validation-failure", { keys = "ecdsa", certificate = ec })
    contains(advice { tls = "dane", connections = { connection { keys = "rsa" }, wrong } },
      "the RSA certificate matches, this ECDSA certificate does not: publish 3 1 1 " .. ("ec"):rep(32))
  end)

  it("for one wrong address of two names the right one", function()
    local wrong = refused("validation-failure", { ip = "192.0.2.2" })
    contains(advice { tls = "dane", connections = { connection {}, wrong } },
      "the server at 192.0.2.1 presents a certificate that matches: install that one at 192.0.2.2 too")
  end)

  for _, case in ipairs {
    { "a wrong name", refused("certificate-host-mismatch"),
      "the certificate is for mx.example: let the CA issue a "
        .. "certificate for mx.example or example, or " .. stale },
    { "an expired certificate", refused("certificate-expired", {
      certificate = certificate { not_after = report.now - 86400 } }),
      "the certificate of CN=mx.example ended on 2026-12-31: renew it, or " .. stale },
    { "a certificate of tomorrow", refused("certificate-not-trusted", {
      certificate = certificate { not_before = report.now + 86400 } }),
      "the certificate of CN=mx.example begins on 2027-01-02: install one that is valid now, or " .. stale },
    { "a chain with a hole", refused "certificate-not-trusted", "let the server send its whole chain" },
    { "no STARTTLS", failed("starttls-not-supported", "ehlo", { extensions = { "SIZE", "XSTARTTLS" } }),
      "turn STARTTLS on in the server", "or withdraw the TLSA records at _25._tcp.mx.example" },
    { "a refused STARTTLS", failed("starttls-not-supported", "starttls", { reply = 454 }),
      "the server offers STARTTLS and then refuses it: its log should say why" },
    { "a closed port", failed("connect-failed", "connect"),
      "see that the server listens at 192.0.2.1 port 25" },
    { "packets that are dropped", failed("timeout", "connect"), "nothing comes back from 192.0.2.1 port 25" },
    { "a server that is silent", failed("timeout", "greeting"),
      "the server takes the connection and then says "
        .. "nothing more in time", "--step" },
    { "a greeting for now", failed("greeting-refused", "greeting", { temporary = true }),
      "the server refuses for now; if it goes on, the server does not want this client" },
    { "a greeting for good", failed("greeting-refused", "greeting"), "the server does not want this client" },
    { "a refused EHLO", failed("protocol-error", "ehlo", { reply = 502 }), "--helo" },
    { "what is no SMTP", failed("protocol-error", "greeting"), "does not speak SMTP as it must" },
    { "plain text behind STARTTLS", failed("plaintext-injected", "starttls"), "update the server" },
    { "a failed handshake", failed("tls-failed", "handshake"),
      "offers TLS 1.2 or later; its log should say why" },
  } do
    it("for " .. case[1], function()
      local said = advice { tls = "dane", connections = { case[2] } }
      for i = 3, #case do contains(said, case[i]) end
    end)
  end

  it("mentions TLSA records only where there are some", function()
    lacks(advice { tls = "may", connections = { failed("starttls-not-supported", "starttls") } }, "TLSA",
      "DANE")
  end)

  it("for a server without any certificate of the kinds that were asked for is to ask for any", function()
    contains(advice { tls = "dane", connections = { failed("tls-failed", "handshake", { keys = "rsa" }),
      failed("tls-failed", "handshake", { keys = "ecdsa" }) } }, "--keys any")
  end)

  it("after a deadline is to give it more time", function()
    local made = report.host { tls = "may", connections = { failed("timeout", "greeting", {
      temporary = true }) } }
    contains(repairs.advice {
      report = report.new({ made }, { expired = true }), host = made, planned = made.planned, port = 25,
      connection = made.connections[1], at = 1,
    }, "--deadline")
  end)

  it("is there for every result that the API names, and for nothing that is ok", function()
    for result in ([[starttls-not-supported certificate-host-mismatch certificate-not-trusted
      certificate-expired
      validation-failure tlsa-invalid dnssec-invalid dane-required connect-failed greeting-refused
      protocol-error
      plaintext-injected tls-failed timeout]]):gmatch "%S+" do
      assert.is_string(advice { tls = "dane", connections = { failed(result, "handshake") } }, result)
    end
    assert.is_nil(advice { tls = "dane", connections = { connection {} } })
  end)
end)
