-- filter-nexthop's audit of outgoing mail under real mail servers, which relay: smtpd 6.8 of Debian 12 and
-- 7.6 of Debian 13, or those of the releases that NEXTHOP_SMTPD names.
local relaying = require "tests.integration.relaying"

local smtpd = require "tests.integration.smtpd"

setup(relaying.start)
teardown(relaying.stop)

local rules = [[
action "out" relay filter "nexthop"
match from any for domain "mx.test" action "keep"
match from local for any action "out"
]]
local config = [[return { resolver = resolver, deadline = 5, outgoing = "log" }]]

local versions = { bookworm = "6.8", trixie = "7.6", sid = "7.9" }
local usual = "bookworm,trixie"
if type(rawget(_G, "jit")) == "table" then usual = "trixie,bookworm" end -- two Luas side by side

for suite in (os.getenv "NEXTHOP_SMTPD" or usual):gmatch "%w+" do
  describe("the audit under smtpd " .. versions[suite], function()
    local root, why, server

    setup(function() root, why = smtpd.root(suite) end)
    before_each(function()
      relaying.need(pending)
      smtpd.need(root, why, pending)
    end)
    after_each(function()
      if server then server:stop() end
      server = nil
      relaying.lab:clear()
    end)

    local function start(options)
      server = smtpd.start { root = root, rules = options and options.rules or rules, config = config,
        resolv_conf = relaying.resolv_conf }
    end

    local function deliver(domain)
      assert.matches("^250 ", (server:deliver("me@mx.test", "you@" .. domain .. ".relay.example")))
    end

    local function logged(text)
      server:wait(function() return server.log:find(text) end)
    end

    it("reports a delivery in clear to a DANE host, and none that is owed nothing", function()
      local hides, plain = relaying.host("hides", "plain"), relaying.host("plain", "plain")
      start()
      deliver "plain"
      plain:wait("message", 1, 30)
      deliver "hides"
      hides:wait("message", 1, 30)
      assert.same({ "clear" }, hides:texts "message")
      logged("event=outgoing domain=hides%.relay%.example count=1 destination=127%.41%.0%.1:25 "
        .. "host=mx%.hides%.relay%.example mail=%x+ owed=dane result=starttls%-not%-supported tls=none")
      logged "event=outgoing domain=plain%.relay%.example [^\n]*reason=plain"
      assert.is_nil(server.log:find "domain=plain%.relay%.example [^\n]*result=")
    end)

    it("says that the handshake failed when smtpd then sends in clear", function()
      local hides = relaying.host("hides", "broken")
      start()
      deliver "hides"
      hides:wait("message", 1, 30)
      assert.same({ "clear" }, hides:texts "message")
      logged "event=outgoing domain=hides%.relay%.example [^\n]*owed=dane result=validation%-failure tls=none"
    end)

    if suite ~= "bookworm" then it("reports no delivery over TLS", function()
      local good = relaying.host("good", "tls")
      start()
      deliver "good"
      good:wait("message", 1, 30)
      assert.same({ "tls" }, good:texts "message")
      -- with -v, which the filter has here
      logged "event=outgoing domain=good%.relay%.example [^\n]*tls=TLSv1"
      assert.is_nil(server.log:find "result=starttls")
      assert.is_nil(server.log:find "result=validation")
    end) end

    it("says so when no action has the filter", function()
      start { rules = (rules:gsub(' filter "nexthop"', "")) }
      logged "no relay action of smtpd.conf has this filter"
    end)
  end)
end
