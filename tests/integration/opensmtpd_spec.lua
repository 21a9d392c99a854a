-- filter-nexthop under real mail servers: smtpd 6.8 of Debian 12 and 7.6 of Debian 13, or those of
-- the releases that NEXTHOP_SMTPD names: sid for what comes next.
local filter = require "tests.support.filter"
local links = require "tests.integration.link"
local smtpd = require "tests.integration.smtpd"
local lab = require("tests.lab.lab").shared()

local remote = { from = "198.51.100.9" }
local remote6 = { from = "2001:db8:9::9" }

-- The configuration as it comes, and a policy by local parts for what is out of the ordinary.
local config = [[
-- Programs that a policy starts, whose descriptors are what they inherit.
local commands = {
  ["child-prints"] = "echo filter-result; echo said-by child-prints",
  ["child-reads"] = "cat; echo said-by child-reads",
  ["child-stays"] = "cat <&1 >&2 & echo said-by child-stays", -- until smtpd goes
  ["child-floods"] = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo; echo said-by child-floods",
  ["child-shuts"] = "echo said-by child-shuts; exec lua5.4 -e 'local uv = require [=[luv]=] "
    .. "local p = uv.new_pipe(false) p:open(1) p:shutdown() uv.run()'",
}
local function run(user, event)
  if user == "child-popen" then
    local pipe = io.popen("cat; echo " .. event.domain)
    io.stderr:write("said-by child-popen ", pipe:read("*a"))
    pipe:close()
    pipe = io.popen("cat", "w")
    pipe:write("said-to child-popen ", event.finding, "\n")
    pipe:close()
  else
    os.execute(commands[user])
  end
end

return {
  resolver = resolver,
  deadline = 2,
  exclude = { "*.excluded.example" },
  policy = function(event)
    local user = event.address:match "^([^@]*)"
    if user == "raise" then error "a policy that raises" end
    if user == "table" then return { "rewrite", "x@y" } end
    if user == "newline" then return { "reject", "550 one\n550 two" } end
    if user == "bare" then return { "reject", "no code" } end
    if user == "long" then return { "reject", "550 " .. ("x"):rep(3000) } end
    if user == "word" then return "discard" end
    if user == "own" then return { "reject", "550 5.7.1 " .. event.finding .. " of " .. event.domain } end
    if user == "tempfail" then return "tempfail" end
    if user:find "^child" then run(user, event) end
    if user == "strict" and event.finding == "no_host" then return "reject" end
  end,
}
]]

setup(filter.prepare)
teardown(function() lab:clear() end)

local versions = { bookworm = "6.8", trixie = "7.6", sid = "7" }
local usual = "bookworm,trixie"
if type(rawget(_G, "jit")) == "table" then usual = "trixie,bookworm" end -- two Luas side by side

for suite in (os.getenv "NEXTHOP_SMTPD" or usual):gmatch "%w+" do
  local version = versions[suite]

  describe("smtpd " .. version, function()
    local root, why, server

    setup(function()
      root, why = smtpd.root(suite)
      if root then
        server = smtpd.start { root = root, config = config, tls = suite ~= "bookworm" }
      end
    end)
    teardown(function()
      if server then server:stop() end
    end)

    -- After each of them the server must still serve.
    local function test(name, check)
      it(name, function()
        smtpd.need(root, why, pending)
        check()
        lab:clear()
        assert.matches("^250 ", (server:deliver("after@filter.example", "b@filter.example", remote)))
      end)
    end

    local function mail_from(address, options, line)
      return server:talk({ "EHLO client.test", line or "MAIL FROM:<" .. address .. ">", "QUIT" },
        options or remote)[3]
    end

    local function rcpt_to(address, options)
      return server:talk({ "EHLO client.test", "MAIL FROM:<a@filter.example>",
        "RCPT TO:<" .. address .. ">", "QUIT" }, options)[4]
    end

    test("is the version meant", function()
      assert.matches("OpenSMTPD " .. version:gsub("%.", "%%."), server.log)
    end)

    test("takes the configuration of examples/opensmtpd", function()
      local file = assert(io.open "examples/opensmtpd/smtpd.conf")
      local text = file:read "*a"
      file:close()
      assert(smtpd.check(root, text))
      if suite ~= "bookworm" then -- what stands in comments, with the certificate of this test
        for _, word in ipairs { "pki", "listen", "match" } do
          text = text:gsub("\n# (" .. word .. " )", "\n%1")
        end
        text = text:gsub("/etc/ssl/[%l/]*mx", "/etc/nexthop-test/mx")
        assert(smtpd.check(root, text))
        assert.matches("\nlisten on 0.0.0.0 port 465 smtps", text)
      end
    end)

    test("refuses a sender with a null MX", function()
      assert.matches("^550 5%.7%.27 ", mail_from("a@nullmx.example"))
      assert.matches("^550 5%.7%.27 ", mail_from("a@NullMX.Example", remote6))
      assert.matches("^550 5%.7%.27 ", mail_from("a@nullmx.insecure.example"))
    end)

    test("takes good and unsigned senders, and the null sender", function()
      for _, sender in ipairs { "a@filter.example", "a@filter-unsigned.example", "" } do
        assert.matches("^250 ", (server:deliver(sender, "b@filter.example", remote)), sender)
      end
      assert.matches("^250 ", mail_from("a@x.excluded.example"))
    end)

    test("takes a sender whose domain is bogus, and logs it", function()
      assert.matches("^250 ", mail_from("bogus@broken.example"))
      server:wait(function()
        return server.log:find "finding=bogus action=log domain=broken.example address=bogus@"
      end)
    end)

    test("junks a missing sender domain, or refuses it when so configured", function()
      local _, replies = server:deliver("junk-me@nothing.example", "b@filter.example", remote)
      assert.matches("^250 .*accepted", replies[6])
      server:wait(function()
        return server:mail():find "Return%-Path: <junk%-me@nothing.example>\r?\n[^\n]*\nX%-Spam: Yes"
      end)
      assert.matches("^550 5%.1%.8 ", mail_from("strict@nothing.example"))
    end)

    test("refuses a null-MX recipient of a local session", function()
      assert.matches("^556 5%.1%.10 ", rcpt_to("b@nullmx.example"))
      assert.matches("^250 ", rcpt_to("b@filter.example"))
      local status, text = server:sendmail("a@filter.example", "b@nullmx.example")
      assert.not_equal(0, status)
      assert.matches("556 5%.1%.10 ", text)
    end)

    test("does not look at recipients of remote sessions, nor at senders of local ones", function()
      assert.matches("^250 ", rcpt_to("b@nullmx.example", remote))
      assert.matches("^250 ", mail_from("a@nullmx.example", {}))
    end)

    if suite ~= "bookworm" then -- whose smtpd fails every TLS handshake with OpenSSL 3
      test("takes an authenticated session for one", function()
        local replies = server:talk_authenticated({
          "MAIL FROM:<a@nullmx.example>", "RCPT TO:<b@nullmx.example>", "RCPT TO:<b@filter.example>",
          "QUIT",
        }, "198.51.100.7")
        assert.matches("^235 ", replies[3])
        assert.matches("^250 ", replies[4])
        assert.matches("^556 5%.1%.10 ", replies[5])
        assert.matches("^250 ", replies[6])
        server:wait(function()
          return server.log:find "finding=dane action=log domain=filter.example address=b@filter.example"
        end)
      end)
    end

    test("survives what a policy may return", function()
      for _, user in ipairs { "raise", "table", "newline", "bare", "long", "word" } do
        assert.matches("^550 5%.7%.27 ", mail_from(user .. "@nullmx.example"), user)
        assert.matches("^250 ", mail_from(user .. "@filter.example"), user)
      end
      assert.equal("550 5.7.1 ok of filter.example", mail_from("own@filter.example"))
      assert.matches("^451 4%.4%.3 ", mail_from("tempfail@filter.example"))
    end)

    test("survives the programs that a policy starts", function()
      for _, user in ipairs { "prints", "reads", "stays", "popen" } do
        user = "child-" .. user
        assert.matches("^550 5%.7%.27 ", mail_from(user .. "@nullmx.example"), user)
        server:wait(function() return server.log:find("said-by " .. user, 1, true) end)
        assert.matches("^250 ", mail_from(user .. "@filter.example"), user)
      end
      server:wait(function() return server.log:find "said%-to child%-popen ok" end)
      assert.matches("^250 ", mail_from("child-floods@filter.example"))
      assert.matches("^550 5%.7%.27 ", mail_from("child-floods@nullmx.example"))
    end)

    test("survives odd addresses", function()
      for _, address in ipairs {
        "a|b@nullmx.example", "|@nullmx.example", "a%20@nullmx.example", "a=b&c@nullmx.example",
        ("x"):rep(64) .. "@nullmx.example",
      } do
        local reply = mail_from(address)
        -- smtpd 7.9 takes no address with a bar in it
        local refused = suite == "sid" and address:find "|" and reply:find "^553 5%.1%.0 "
        assert.matches(refused and "^553 " or "^550 5%.7%.27 ", reply, address)
      end
      for _, address in ipairs {
        "a\255\254@nullmx.example", "\27[2J@nullmx.example", "a@b|c.example", "a@" .. ("x"):rep(64) ..
          ".example", "a@" .. ("x."):rep(126) .. "example", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]",
        "a@192.0.2.1", "a@x..y", "a@-", "a@", "@", "a", "a@b@nullmx.example", "a b@c", "<>", "a@\1",
        "a@" .. ("y"):rep(1500), "a@\195\188.example",
      } do
        local reply = mail_from(address)
        assert.matches("^[245]%d%d ", reply, address)
      end
      mail_from(nil, remote, "MAIL FROM:<a@nullmx.example> BODY=8BITMIME|x")
    end)

    test("survives a client that leaves while its domain is looked up", function()
      lab:rule { name = "silent.example", action = "silent" }
      lab:rule { name = "*.silent.example", action = "silent" }
      for i = 1, 5 do
        server:talk({ "EHLO client.test" }, {
          from = "198.51.100.9", leave = ("MAIL FROM:<a@%d.silent.example>"):format(i),
        })
      end
      -- the lookup that has no answer at the deadline proceeds
      assert.matches("^250 ", mail_from("a@silent.example"))
    end)
  end)

  -- Each with a smtpd of its own.
  describe("smtpd " .. version, function()
    local root, why, server

    setup(function() root, why = smtpd.root(suite) end)
    before_each(function() smtpd.need(root, why, pending) end)
    after_each(function()
      if server then server:stop() end
      server = nil
      lab:clear()
    end)

    local function mail_from(address)
      return server:talk({ "EHLO client.test", "MAIL FROM:<" .. address .. ">", "QUIT" }, remote)[3]
    end

    it("refuses a sender with a null MX whose name server is slow", function()
      local address = lab:listen "127.0.0.2"
      lab:rule { address = "127.0.0.2", delay = 1400 }
      server = smtpd.start { root = root, config = ([[
        resolver.stub["slow-null.example."] = %q
        return { resolver = resolver, deadline = 10 }
      ]]):format(address) }
      local reply = mail_from "a@slow-null.example"
      assert.is_truthy(reply:find("^550 5%.7%.27 "), reply .. "\n" .. server.log)
    end)

    it("goes on when a program of a policy shuts the log down", function()
      server = smtpd.start { root = root, config = config }
      assert.matches("^550 5%.7%.27 ", mail_from("child-shuts@nullmx.example"))
      server:wait(function() return server.log:find "said%-by child%-shuts" end)
      for _ = 1, 3 do
        assert.matches("^550 5%.7%.27 ", mail_from("a@nullmx.example"))
        assert.matches("^250 ", mail_from("a@filter.example"))
      end
    end)

    it("is not outlived by a filter that waits for an answer", function()
      -- libunbound asks again after 30 seconds, so that nothing else ends the lookup before
      server = smtpd.start { root = root, config = [[
        resolver.timeout = 600
        resolver.options = { ["infra-cache-min-rtt"] = "30000", ["infra-cache-max-rtt"] = "60000",
          ["unknown-server-time-limit"] = "30000" }
        return { resolver = resolver, deadline = 600 }
      ]] }
      lab:reset()
      lab:rule { name = "silent.example", action = "silent" }
      local link = links.connect(server.proxy_port, links.proxy_header "198.51.100.9")
      server:wait(function() return link.replies[1] end)
      link.send "EHLO client.test\r\n"
      server:wait(function() return link.replies[2] end)
      link.send "MAIL FROM:<a@silent.example>\r\n" -- and stays
      server:wait(function() return lab:count "silent.example" > 0 end)
      local filters = server:filters()
      assert.equal(1, #filters)
      server.process:kill "sigterm" -- smtpd's parent alone
      server:wait(function() return #server:filters() == 0 end, 20)
      link.close()
    end)
  end)
end
