-- table-nexthop under real mail servers, which relay: smtpd 7.6 of Debian 13, or that of the releases that
-- NEXTHOP_SMTPD names. 6.8 knows no tables of this kind.
local relaying = require "tests.integration.relaying"
local lab = relaying.lab

local links = require "tests.integration.link"
local servers = require "tests.support.server"
local smtpd = require "tests.integration.smtpd"
local uv = require "luv"

setup(relaying.start)
teardown(relaying.stop)

local with_table = ([[
table owes-tls %s:%%s
action "out" relay
action "out-tls" relay tls no-verify
match from any for domain "mx.test" action "keep"
match from local for domain <owes-tls> action "out-tls"
match from local for any action "out"
]]):format(relaying.backend)
local without = [[
action "out" relay
match from any for domain "mx.test" action "keep"
match from local for any action "out"
]]
local by_file = with_table:format "/etc/nexthop-test/table.lua"

local versions = { trixie = "7.6", sid = "7.9" }

for suite in (os.getenv "NEXTHOP_SMTPD" or "trixie"):gmatch "%w+" do
  if versions[suite] then describe("a table of smtpd " .. versions[suite], function()
    local root, why, server, behind

    setup(function() root, why = smtpd.root(suite) end)
    before_each(function()
      relaying.need(pending)
      smtpd.need(root, why, pending)
    end)
    after_each(function()
      if server then server:stop() end
      if behind then behind:finish "sigkill" end
      server, behind = nil, nil
      lab:clear()
    end)

    local function start(rules, configuration)
      -- what the filter does before is no part of these tests
      server = smtpd.start { root = root, rules = rules, table = configuration,
        resolv_conf = relaying.resolv_conf,
        config = "return { resolver = resolver, exclude = { '*.relay.example' } }" }
    end

    local function deliver(domain)
      return (server:deliver("me@mx.test", "you@" .. domain .. ".relay.example"))
    end

    local function rcpt(domain)
      return server:talk({ "EHLO x", "MAIL FROM:<me@mx.test>", "RCPT TO:<you@" .. domain .. ">", "QUIT" })[4]
    end

    -- Asks until it is the reply that is expected: the first one may come when the lookup has taken too long.
    local function rcpt_until(domain, expected)
      local reply
      server:wait(function()
        reply = rcpt(domain)
        return reply:find(expected)
      end)
      return reply
    end

    local wide = "return { resolver = resolver, deadline = 5 }"

    it("keeps a message from a DANE host that hides STARTTLS", function()
      local host = relaying.host("hides", "plain")
      start(by_file, wide)
      assert.matches("^250 ", deliver "hides")
      server:wait(function() return server.log:find "TLS required but not supported by remote host" end)
      host:wait("open", 1)
      assert.equal(0, host:count "message")
      for _, commands in ipairs(host:commands()) do
        for _, command in ipairs(commands) do assert.is_nil(command:find "^MAIL") end
      end
    end)

    it("is what keeps it: without the table the message is sent in clear", function()
      local host = relaying.host("hides", "plain")
      start(without)
      assert.matches("^250 ", deliver "hides")
      host:wait("message", 1, 30)
      assert.same({ "clear" }, host:texts "message")
    end)

    it("lets mail go to a DANE host over TLS, and to a plain host in clear", function()
      local good, plain = relaying.host("good", "tls"), relaying.host("plain", "plain")
      start(by_file, wide)
      assert.matches("^250 ", deliver "good")
      assert.matches("^250 ", deliver "plain")
      good:wait("message", 1, 30)
      plain:wait("message", 1, 30)
      assert.same({ "tls" }, good:texts "message")
      assert.same({ "clear" }, plain:texts "message")
      server:wait(function() return select(2, server.log:gsub('result="Ok"', "")) == 2 end)
    end)

    it("refuses for now when the TLSA lookup fails", function()
      start(by_file, wide)
      lab:rule { name = "_25._tcp.mx.failing.relay.example", type = "TLSA", action = "servfail" }
      assert.matches("^451 ", rcpt "failing.relay.example")
      server:wait(function()
        return server.log:find "owes%-tls check failed: .*_25%._tcp%.mx%.failing%.relay%.example"
      end)
      assert.matches("^250 ", rcpt "good.relay.example")
    end)

    it("takes mail for domains that do not exist or take no mail, which smtpd bounces", function()
      start(by_file, wide)
      assert.matches("^250 ", rcpt "nothing.relay.example")
      assert.matches("^250 ", rcpt "onlytxt.example")
    end)

    it("holds other sessions no longer than its deadline when the DNS is silent", function()
      start(by_file, "return { resolver = resolver, deadline = 0.3 }")
      lab:rule { name = "silent.relay.example", action = "silent" }
      lab:rule { name = "*.silent.relay.example", action = "silent" }
      local link = links.connect(server.port)
      local function reply(count) server:wait(function() return #link.replies >= count end) end
      reply(1)
      link.send "EHLO x\r\n"
      reply(2)
      link.send "MAIL FROM:<me@mx.test>\r\n"
      reply(3)
      local before = uv.hrtime()
      link.send "RCPT TO:<you@silent.relay.example>\r\n"
      -- while smtpd waits for the table, another session asks for an alias
      server:wait(function() return lab:count "silent.relay.example" > 0 end)
      assert.matches("^250 ", rcpt "mx.test")
      reply(4)
      local seconds = (uv.hrtime() - before) / 1e9
      assert.matches("^451 ", link.replies[4])
      assert.is_true(seconds < 3, seconds .. " s")
      link.close()
    end)

    it("reads its configuration again when smtpctl says so", function()
      start(by_file, wide)
      assert.truthy(server:smtpctl "update table owes-tls")
      server:configure_table "return { nonsense = 1 }"
      server:smtpctl "update table owes-tls"
      server:wait(function() return server.log:find "owes%-tls update failed: .*nonsense: no such key" end)
      assert.matches("^250 ", rcpt "good.relay.example")
      server:configure_table(wide:gsub("}", ", rule = function() error 'called' end }"))
      assert.truthy(server:smtpctl "update table owes-tls")
      assert.matches("^250 ", rcpt "good.relay.example")
      server:wait(function() return server.log:find "error=rule domain=good%.relay%.example" end)
    end)

    it("survives that the server behind it is killed, and finds it when it comes back", function()
      local path = root .. "/run/nexthop-test.sock"
      local function start_server()
        os.remove(path)
        behind = servers.start({}, path)
        assert(uv.fs_chmod(path, 438))
      end
      start_server()
      start(with_table:format "/run/nexthop-test.sock")
      for _ = 1, 3 do
        rcpt_until("good.relay.example", "^250 ")
        behind:finish "sigkill"
        behind = nil
        assert.matches("^451 ", rcpt "good.relay.example")
        assert.matches("^250 ", rcpt "mx.test")
        start_server()
      end
      rcpt_until("good.relay.example", "^250 ")
      -- one that takes questions and answers none; of this domain no late answer is known
      uv.kill(behind.pid, "sigstop")
      assert.matches("^451 ", rcpt "plain.relay.example")
      uv.kill(behind.pid, "sigcont")
      rcpt_until("good.relay.example", "^250 ")
      assert.is_nil(server.code)
    end)

    it("keeps smtpd from starting with a wrong configuration, and says why", function()
      local ok, reason = pcall(start, by_file, "return { deadline = -1 }")
      assert.is_false(ok)
      assert.truthy(tostring(reason):find("table.lua: deadline: seconds expected", 1, true), reason)
    end)

    it("ends with smtpd", function()
      start(by_file, wide)
      assert.equal(1, #server:filters "table-nexthop")
      server.process:kill "sigterm"
      server:wait(function() return #server:filters "table-nexthop" == 0 end)
    end)
  end) end
end
