-- filter-nexthop's audit of outgoing mail, against what smtpd reports.
local filter = require "tests.support.filter"
local lab = require("tests.lab.lab").shared()

setup(filter.prepare)
after_each(filter.reset)

local function start(options)
  options = options or {}
  local f = filter.start { config = options.config or { outgoing = "log", deadline = 5 }, handshake = false,
    version = options.version, verbose = options.verbose }
  f:send("config|smtpd-version|7.6.0", "config|subsystem|smtp-in",
    options.subsystem or "config|subsystem|smtp-out", "config|ready")
  f:wait(function() return f.other[#f.other] == "register|ready" end)
  function f:out(event, session, ...)
    self:send(("report|%s|1576146008.006099|smtp-out|%s|%s"):format(self.version, event,
      table.concat({ session, ... }, "|")))
  end
  function f:rcpt(session, address, result)
    if self.version < "0.6" then
      self:out("tx-rcpt", session, "0a0b0c0d", address, result or "ok")
    else
      self:out("tx-rcpt", session, "0a0b0c0d", result or "ok", address)
    end
  end
  -- A delivery: { to = address or list, at = "192.0.2.1:25", tls = text or nil, retried = after TLS has
  -- failed }
  function f:deliver(delivery)
    self.out_sessions = (self.out_sessions or 0) + 1
    local session = ("%016x"):format(0xf00 + self.out_sessions)
    for _ = 1, delivery.retried and 2 or 1 do
      self:out("link-connect", session, "mx.example", "pass", "192.0.2.200:1234", delivery.at)
      self:out("link-greeting", session, "mx.example")
      self:out("link-identify", session, "EHLO", "me.example")
    end
    if delivery.tls then
      self:out("link-identify", session, "EHLO", "me.example")
      self:out("link-tls", session, delivery.tls)
    end
    self:out("tx-begin", session, "0a0b0c0d")
    for _, address in ipairs(type(delivery.to) == "table" and delivery.to or { delivery.to }) do
      self:rcpt(session, address)
    end
    self:out("tx-commit", session, "0a0b0c0d", "1234")
    self:out("tx-reset", session, "0a0b0c0d")
    self:out("link-disconnect", session)
    return session
  end
  -- How often the log says that something had less TLS than owed, once so many deliveries are known.
  function f:told()
    local count = 0
    for line in self.log:gmatch "[^\n]+" do
      if line:find " event=outgoing " then count = count + 1 end
    end
    return count
  end
  return f
end

describe("the audit of outgoing mail", function()
  it("is off unless it is asked for", function()
    local f = start { config = {} }
    for _, line in ipairs(f.other) do assert.is_nil(line:find "smtp%-out") end
    assert.equal(0, f:finish())
  end)

  it("asks for the reports that it needs, where an action has the filter", function()
    local f = start()
    local registered = {}
    for _, line in ipairs(f.other) do
      local name = line:match "^register|report|smtp%-out|(.*)$"
      if name then registered[#registered + 1] = name end
    end
    assert.same({ "link-connect", "link-disconnect", "link-tls", "tx-begin", "tx-rcpt", "tx-commit" },
      registered)
    assert.equal(0, f:finish())
  end)

  it("says so where no action has the filter", function()
    local f = start { subsystem = "config|news|1" }
    f:logged "event=warning message=\"no relay action of smtpd.conf has this filter"
    for _, line in ipairs(f.other) do assert.is_nil(line:find "smtp%-out") end
    assert.equal(0, f:finish())
  end)

  for _, version in ipairs { "0.5", "0.6", "0.7" } do
    it("reports a delivery in clear to a DANE host: protocol " .. version, function()
      local f = start { version = version }
      local session = f:deliver { to = "you@dane.example", at = "192.0.2.1:25" }
      f:logged(("session=%s event=outgoing domain=dane.example "):format(session)
        .. "[^\n]*destination=192.0.2.1:25 "
        .. "host=mx1.dane.example mail=0a0b0c0d owed=dane result=starttls%-not%-supported tls=none")
      assert.equal(0, f:finish())
      assert.equal(1, f:told())
      assert.matches("event=outgoing%-summary deliveries=1 less_tls_than_owed=1 not_known=0 nothing_owed=0 "
        .. "with_tls=0", f.log)
    end)
  end

  it("finds the host by an IPv6 address, however it is written", function()
    local f = start()
    f:deliver { to = "you@dane.example", at = "[2001:0db8:0:0::1]:25" }
    f:logged "event=outgoing domain=dane.example [^\n]*host=mx1.dane.example"
    assert.equal(0, f:finish())
  end)

  it("takes the host that is owed most, where two have one address", function()
    local f = start()
    f:deliver { to = "you@shared.filter.example", at = "192.31.196.1:25" }
    f:logged "event=outgoing domain=shared.filter.example [^\n]*host=mx.filter.example [^\n]*owed=dane"
    assert.equal(0, f:finish())
  end)

  it("says of a handshake that failed that it did", function()
    local f = start()
    f:deliver { to = "you@dane.example", at = "192.0.2.1:25", retried = true }
    f:logged "event=outgoing domain=dane.example [^\n]*result=validation%-failure"
    assert.equal(0, f:finish())
  end)

  it("reports nothing of deliveries over TLS, nor of those that are owed nothing", function()
    local f = start()
    lab:reset()
    f:deliver { to = "you@dane.example", at = "192.0.2.1:25", tls = "TLSv1.3:TLS_AES_256_GCM_SHA384:256" }
    f:deliver { to = "you@nodane.example", at = "192.0.2.3:25" }
    f:deliver { to = "you@[192.0.2.3]", at = "192.0.2.3:25" }
    f:deliver { to = "you@dane.example", at = "192.0.2.1:25" }
    f:logged "event=outgoing [^\n]*count=1"
    assert.equal(0, f:finish())
    assert.equal(1, f:told())
    assert.matches("deliveries=3 less_tls_than_owed=1 not_known=0 nothing_owed=1 with_tls=1", f.log)
  end)

  it("asks the DNS nothing about a delivery over TLS", function()
    local f = start()
    lab:reset()
    f:deliver { to = "you@hostalias.example", at = "192.0.2.1:25", tls = "TLSv1.3:x:256" }
    assert.equal(0, f:finish())
    assert.matches("deliveries=1 less_tls_than_owed=0 not_known=0 nothing_owed=0 with_tls=1", f.log)
    assert.equal(0, lab:count("hostalias.example", "MX"))
  end)

  it("reports a delivery once for each domain, and only for recipients that were accepted", function()
    local f = start()
    f:out("link-connect", "0f01", "mx", "pass", "192.0.2.200:1", "192.0.2.1:25")
    f:out("tx-begin", "0f01", "0a0b0c0d")
    f:rcpt("0f01", "a@dane.example")
    f:rcpt("0f01", "b@dane.example")
    -- smtpd says this of one recipient that is refused, and goes on with the others
    f:out("tx-rollback", "0f01", "0a0b0c0d")
    f:out("tx-reset", "0f01", "0a0b0c0d")
    f:rcpt("0f01", "c@alias.example", "permfail")
    f:out("tx-commit", "0f01", "0a0b0c0d", "77")
    f:logged "event=outgoing domain=dane.example"
    -- and this is a transaction that ends without a message
    f:out("tx-begin", "0f01", "0a0b0c0e")
    f:rcpt("0f01", "a@dane.example")
    f:out("tx-rollback", "0f01", "0a0b0c0e")
    f:out("tx-begin", "0f01", "0a0b0c0f")
    f:out("tx-commit", "0f01", "0a0b0c0f", "77")
    assert.equal(0, f:finish())
    assert.equal(1, f:told())
    assert.matches("deliveries=1 less_tls_than_owed=1", f.log)
  end)

  it("reports a domain that fails DNSSEC validation, and TLSA records that do", function()
    local f = start()
    f:deliver { to = "you@broken.example", at = "192.0.2.9:25" }
    f:logged "event=outgoing domain=broken.example message=[^\n]*result=dnssec%-invalid"
    f:deliver { to = "you@mx-bogustlsa.example", at = "192.0.2.24:25" }
    f:logged "event=outgoing domain=mx%-bogustlsa.example message=[^\n]*owed=skip result=dnssec%-invalid"
    assert.equal(0, f:finish())
  end)

  it("knows nothing of a host whose address is none of the domain's", function()
    local f = start { verbose = true }
    f:deliver { to = "you@dane.example", at = "127.0.0.1:25" } -- a relay of our own
    f:deliver { to = "you@dane.example", at = "10.0.0.1:25" }
    f:deliver { to = "you@mxeverywhere.example", at = "192.31.196.99:25" }
    f:wait(function() return f:told() == 3 end)
    f:deliver { to = "you@filter.example", at = "192.31.196.99:25" } -- every host of it has DANE
    f:logged("event=outgoing domain=filter.example reason=\"every host of the domain is owed TLS"
      .. "[^\n]*result=starttls%-not%-supported")
    assert.equal(0, f:finish())
    assert.matches("deliveries=4 less_tls_than_owed=1 not_known=3 nothing_owed=0 with_tls=0", f.log)
  end)

  it("counts what is still looked up at the end as not known", function()
    lab:rule { name = "dane.example", action = "silent" }
    local f = start()
    f:deliver { to = "you@dane.example", at = "192.0.2.1:25" }
    assert.equal(0, f:finish())
    lab:clear()
    assert.matches("deliveries=1 less_tls_than_owed=0 not_known=1 nothing_owed=0 with_tls=0", f.log)
  end)

  it("excludes domains, and leaves the checks of incoming mail as they are", function()
    local f = start { config = { outgoing = "log", deadline = 5, exclude = { "dane.example" } } }
    f:deliver { to = "you@dane.example", at = "192.0.2.1:25" }
    assert.matches("^reject|550 5%.7%.27 ", f:decide("mail-from", "a@nullmx.example"))
    assert.equal(0, f:finish())
    assert.equal(0, f:told())
    assert.is_nil(f.log:find "outgoing%-summary")
  end)

  it("reads what smtpd never says", function()
    local f = start()
    f:out("tx-commit", "0f01")
    f:out("tx-rcpt", "0f02", "x")
    f:out("tx-rcpt", "0f02")
    f:out("link-tls", "0f03")
    f:out("link-connect", "0f04")
    f:rcpt("0f04", "you@dane.example")
    f:out("tx-commit", "0f04", "0a", "1")
    f:out("nonsense", "0f04", "0a", "1")
    f:out("link-disconnect", "0f04")
    assert.matches("^reject|550 5%.7%.27 ", f:decide("mail-from", "a@nullmx.example"))
    assert.equal(0, f:finish())
    assert.is_nil(f.log:match "[^\n]*error=[^\n]*")
  end)

  it("is \"off\" or \"log\"", function()
    local path = filter.config { outgoing = "reject" }
    local status, _, log = filter.run("-n", "-c", path)
    assert.equal(1, status)
    assert.truthy(log:find('outgoing: "off" or "log" expected, got reject', 1, true), log)
  end)
end)
