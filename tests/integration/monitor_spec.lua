-- nexthop-monitor beside a real Postfix, whose certificate is changed without its record, and mended.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local files = require "tests.support.files"
local monitors = require "tests.support.monitor"
local mtas = require "tests.integration.mtas"
local smtpd = require "tests.integration.smtpd"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local world = verifying.world(chains.zone, 82)
local address, domain = "127.82.1.1", "mail." .. chains.zone

world:records("mail MX 10 mx.mail\nmx.mail A " .. address)
for _, name in ipairs { "rsa", "ec" } do
  world:records("_25._tcp.mx.mail TLSA " .. ca.tlsa(chains[name], 3, 1, 1))
end

describe("nexthop-monitor and Postfix:", function()
  local root, why, server, port, monitor

  setup(function()
    world:start()
    root, why = mtas.root "postfix"
    if not root then return end
    port = tonumber(world.servers:ask "port")
    server = mtas.start("postfix", root, { address = address, port = port,
      tls_port = tonumber(world.servers:ask "port"), certificates = { rsa = chains.rsa, ec = chains.ec } })
  end)
  before_each(function() smtpd.need(root, why, pending) end)
  teardown(function()
    if monitor and not monitor.status then monitor:finish() end
    if server then server:stop() end
    world:stop()
    files.remove()
  end)

  it("a certificate that changes without its record is told once, and once more when it is mended", function()
    local program, told = monitors.teller()
    local resolver = support.lab:options()
    resolver.stub[chains.zone .. "."] = support.lab.address -- the name server of the zone, too
    monitor = monitors.start { domains = { domain }, resolver = resolver,
      interval = 2, retry = 1, connect_port = port,
      helo = "client.test", on_change = { program }, state = files.folder() }
    monitor:state(domain, "ok")
    local new = ca.leaf { name = "monitor-new", names = { "mx." .. domain }, issuer = chains.issuer }
    server:replace { ec = new }
    local report = monitor:state(domain, "error")
    local finding = report.findings[1]
    assert.same({ "key-kinds-differ", "mx." .. domain, 25 }, { finding.name, finding.subject, finding.port })
    monitors.wait_for("on_change", function() return told()[1] end)
    monitor:checked_again(domain)
    assert.same({ domain .. " ok->error" }, told())
    server:replace { ec = chains.ec }
    monitor:state(domain, "ok")
    monitors.wait_for("on_change", function() return told()[2] end)
    monitor:checked_again(domain)
    assert.same({ domain .. " ok->error", domain .. " error->ok" }, told())
    support.contains((select(2, monitor:get "/")), "1 of 1 good")
    support.lacks(server:text(), "lost connection", "SSL_accept error", "fatal")
    assert.equal(0, monitor:finish())
  end)
end)
