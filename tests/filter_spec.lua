-- filter-nexthop against what smtpd says, on pipes and on a socket.
local files = require "tests.support.files"
local filter = require "tests.support.filter"
local shell = require "tests.support.shell"
local lab = require("tests.lab.lab").shared()

setup(filter.prepare)
after_each(filter.reset)

local remote, loopback = "192.0.2.9:1234", "127.0.0.1:1234"

describe("the handshake", function()
  it("answers config|ready alone, whatever else comes", function()
    local f = filter.start { handshake = false }
    f:send("config|smtpd-version|6.6.0", "config|admd|a|b|c", "config|news", "config|protocol|9.9",
      "nonsense", "", "config|ready")
    f:wait(function() return f.other[#f.other] == "register|ready" end)
    local registered = {}
    for _, line in ipairs(f.other) do registered[line] = true end
    assert.is_true(registered["register|filter|smtp-in|mail-from"])
    assert.is_true(registered["register|filter|smtp-in|rcpt-to"])
    assert.is_true(registered["register|report|smtp-in|link-connect"])
    assert.is_true(registered["register|report|smtp-in|link-auth"])
    assert.is_true(registered["register|report|smtp-in|link-disconnect"])
    assert.equal(0, f:finish())
  end)

  it("says nothing before config|ready", function()
    local f = filter.start { handshake = false }
    f:send("config|smtpd-version|7.6.0", "config|subsystem|smtp-in")
    assert.equal(0, f:finish())
    assert.same({}, f.other)
  end)
end)

-- What differs: the order of session and token in answers, and that of link-auth's fields.
for _, version in ipairs { "0.4", "0.5", "0.6", "0.7", "0.10", "1.0" } do
  describe("protocol version " .. version, function()
    it("is spoken", function()
      local f = filter.start { version = version }
      f:connect("aaaa000000000001", remote)
      f:connect("aaaa000000000002", remote)
      f:connect("aaaa000000000003", loopback)
      if version == "0.4" or version == "0.5" or version == "0.6" then
        f:report("link-auth", "aaaa000000000002", "us|er", "pass")
      else
        f:report("link-auth", "aaaa000000000002", "pass", "us|er")
      end
      local function ask(session, phase, address)
        return f:answer(session, f:ask(session, phase, address))
      end
      assert.matches("^reject|550 5%.7%.27 ", ask("aaaa000000000001", "mail-from", "a@nullmx.example"))
      assert.equal("proceed", ask("aaaa000000000002", "mail-from", "a@nullmx.example"))
      assert.equal("proceed", ask("aaaa000000000003", "mail-from", "a@nullmx.example"))
      assert.equal("proceed", ask("aaaa000000000001", "rcpt-to", "a@nullmx.example"))
      assert.matches("^reject|556 5%.1%.10 ", ask("aaaa000000000002", "rcpt-to", "a@nullmx.example"))
      assert.matches("^reject|556 5%.1%.10 ", ask("aaaa000000000003", "rcpt-to", "a@nullmx.example"))
      assert.equal(0, f:finish())
      assert.equal(6, f.count)
    end)
  end)
end

describe("sender findings", function()
  local f
  before_each(function() f = filter.start() end)

  for _, case in ipairs {
    { "nullmx.example", "^reject|550 5%.7%.27 [ -~]*null MX" },
    { "nothing.example", "^junk$" },
    { "mxnothing.example", "^junk$" },
    { "dane.example", "^junk$", "unroutable" },
    { "broken.example", "^proceed$", "bogus" },
    { "filter.example", "^proceed$" },
    { "filter-unsigned.example", "^proceed$" },
    { ("x"):rep(70) .. ".example", "^junk$", "no_host" },
  } do
    it(("%s: %s"):format(case[1]:sub(1, 30), case[2]), function()
      assert.matches(case[2], f:decide("mail-from", "user@" .. case[1], remote))
      assert.equal(0, f:finish())
      if case[3] then assert.matches("finding=" .. case[3], f.log) end
    end)
  end
end)

describe("recipient findings", function()
  for _, case in ipairs {
    { "nullmx.example", "^reject|556 5%.1%.10 ", "finding=null_mx action=reject" },
    { "nothing.example", "^proceed$", "finding=no_host action=proceed" },
    { "broken.example", "^proceed$", "finding=bogus action=log" },
    { "filter.example", "^proceed$", "finding=dane action=log" },
    { "nodane.filter.example", "^proceed$", "finding=no_dane action=proceed" },
  } do
    it(("%s: %s"):format(case[1], case[3]), function()
      local f = filter.start { verbose = true }
      assert.matches(case[2], f:decide("rcpt-to", "user@" .. case[1], "unix:/var/run/smtpd.sock"))
      assert.equal(0, f:finish())
      assert.matches(case[3], f.log)
    end)
  end
end)

describe("whom it looks at", function()
  it("follows the session", function()
    local f = filter.start()
    local null = "user@nullmx.example"
    for _, peer in ipairs { "local", "unix:/var/run/smtpd.sock", "127.0.0.1:25", "[::1]:25" } do
      assert.equal("proceed", f:decide("mail-from", null, peer), peer)
      assert.matches("^reject|556 ", f:decide("rcpt-to", null, peer), peer)
    end
    for _, peer in ipairs { "192.0.2.9:1", "[2001:db8::9]:1", "10.0.0.1:1" } do
      assert.matches("^reject|550 ", f:decide("mail-from", null, peer), peer)
      assert.equal("proceed", f:decide("rcpt-to", null, peer), peer)
    end
    assert.equal(0, f:finish())
  end)

  it("takes only a passed authentication for one", function()
    local f = filter.start()
    f:connect("aaaa", remote)
    f:report("link-auth", "aaaa", "fail", "user")
    f:report("link-auth", "aaaa", "error", "pass")
    assert.matches("^reject|550 ", f:answer("aaaa", f:ask("aaaa", "mail-from", "a@nullmx.example")))
    f:report("link-auth", "aaaa", "pass", "user")
    assert.equal("proceed", f:answer("aaaa", f:ask("aaaa", "mail-from", "a@nullmx.example")))
    assert.equal(0, f:finish())
  end)

  it("leaves null senders, literals, no domain and exclusions alone, and asks no DNS", function()
    local f = filter.start { config = { exclude = { "NullMX.example", "*.insecure.example" } } }
    lab:reset()
    for _, address in ipairs {
      "", "postmaster", "user@", "user@[192.0.2.1]", "user@192.0.2.1", "user@[IPv6:2001:db8::1]",
      "user@nullmx.example", "user@NULLMX.EXAMPLE.", "user@nullmx.insecure.example",
    } do
      assert.equal("proceed", f:decide("mail-from", address, remote), address)
    end
    assert.equal(0, lab:count("*", "MX"))
    assert.equal(0, f:finish())
  end)

  it("takes addresses raw: bars, 8-bit and control bytes", function()
    local f = filter.start()
    for _, address in ipairs {
      "a|b@nullmx.example", "|@nullmx.example", "a|b|c|@nullmx.example", "a@b|c@nullmx.example",
      "\255\254@nullmx.example", "\27[2J\7\1@nullmx.example", "\0@nullmx.example",
      '"a b"@nullmx.example', "a%s%d@nullmx.example", ("x"):rep(5000) .. "@nullmx.example",
    } do
      assert.matches("^reject|550 5%.7%.27 [ -~]*$", f:decide("mail-from", address, remote), address)
    end
    for _, address in ipairs { "a@nullmx.example|b", "a@\255\254", "a@b\0c", "a@\27[2J", "a@|" } do
      assert.matches("^junk$", f:decide("mail-from", address, remote), address)
    end
    assert.equal(0, f:finish())
    assert.is_nil(f.log:find("[%z\1-\9\11-\31\127-\255]"), "a control character in: " .. f.log)
    assert.matches('address="\\x1b%[2J\\x07\\x01@nullmx%.example"', f.log)
  end)

  it("knows names as U-labels", function()
    local f = filter.start { verbose = true }
    assert.equal("junk", f:decide("mail-from", "a@M\195\156NCHEN.example", remote)) -- unroutable
    assert.equal(0, f:finish())
    assert.matches("domain=xn%-%-mnchen%-3ya%.example", f.log)
  end)
end)

describe("answers", function()
  for _, stdio in ipairs { "pipes", "socket" } do
    it("are given exactly once to 1,000 interleaved requests, some for silent domains, on " .. stdio,
      function()
        lab:rule { name = "*.silent.example", action = "silent" }
        lab:rule { name = "silent.example", action = "silent" }
        local f = filter.start { stdio = stdio, config = { deadline = 2 } }
        local domains = {
          "nullmx.example", "filter.example", "nothing.example", "broken.example", "silent.example",
          "mxnothing.example", "%d.silent.example", "nodane.filter.example",
        }
        local expected = {}
        for i = 1, 250 do f:connect(("%016x"):format(i), remote) end
        for round = 1, 4 do
          for i = 1, 250 do
            local session = ("%016x"):format(i)
            -- one open request per session and phase, as smtpd has it: the fifth phase is new
            local phase = ({ "mail-from", "rcpt-to", "data", "commit" })[round]
            local domain = domains[(i + round) % #domains + 1]:format(i)
            local token = f:ask(session, phase, "user@" .. domain)
            expected[session .. "|" .. token] = phase == "mail-from" and domain or "proceed"
          end
        end
        f:wait(function() return f.count >= 1000 end, 30)
        assert.equal(0, f:finish())
        assert.equal(1000, f.count)
        local null, silent = 0, 0
        for key, domain in pairs(expected) do
          assert.equal(1, f.answers[key] and #f.answers[key], key)
          local answer = f.answers[key][1]
          if domain == "nullmx.example" then
            null = null + 1
            assert.matches("^reject|550 5%.7%.27 ", answer)
          elseif domain:find "silent" then
            silent = silent + 1
            assert.equal("proceed", answer)
          end
        end
        assert.is_true(null > 20 and silent > 50)
      end)
  end

  it("come for all that is open when the input ends", function()
    lab:rule { name = "silent.example", action = "silent" }
    for _, stdio in ipairs { "pipes", "socket" } do
      local f = filter.start { stdio = stdio, config = { deadline = 1 } }
      local keys = {}
      for i, domain in ipairs { "silent.example", "nullmx.example", "filter.example" } do
        local session = "aaaa" .. i
        f:connect(session, remote)
        keys[i] = session .. "|" .. f:ask(session, "mail-from", "user@" .. domain)
      end
      assert.equal(0, f:finish())
      assert.equal(3, f.count, stdio)
      assert.same({ "proceed" }, f.answers[keys[1]])
      assert.matches("^reject|550 5%.7%.27 ", f.answers[keys[2]][1])
      assert.same({ "proceed" }, f.answers[keys[3]])
    end
  end)

  it("do not wait for one another", function()
    lab:rule { name = "silent.example", action = "silent" }
    local f = filter.start { config = { deadline = 20 } }
    f:connect("aaaa", remote)
    f:ask("aaaa", "mail-from", "user@silent.example")
    assert.matches("^reject|550 ", f:decide("mail-from", "user@nullmx.example", remote))
    assert.equal(1, f.count)
    f:report("link-disconnect", "aaaa") -- nobody waits any more: neither does the filter
    assert.equal(0, f:finish())
    assert.equal(2, f.count)
  end)

  it("are a failure at the deadline, as configured", function()
    lab:rule { name = "silent.example", action = "silent" }
    lab:rule { name = "mx.nodane.filter.example", action = "silent" } -- one family would do: see gather_ips
    local f = filter.start { config = { deadline = 0.2, sender = { failure = "tempfail" } } }
    assert.matches("^reject|451 4%.4%.3 ", f:decide("mail-from", "user@silent.example", remote))
    -- a part of the plan is there
    assert.matches("^reject|451 4%.4%.3 ", f:decide("mail-from", "user@nodane.filter.example", remote))
    assert.equal(0, f:finish())
    assert.matches("finding=failure action=tempfail domain=nodane.filter.example", f.log)
  end)

  it("do not go to an older request of the same session and phase", function()
    lab:rule { name = "silent.example", action = "silent" }
    local f = filter.start { config = { deadline = 1 } }
    f:connect("aaaa", remote)
    f:ask("aaaa", "mail-from", "user@silent.example")
    local token = f:ask("aaaa", "mail-from", "user@nullmx.example")
    assert.matches("^reject|550 ", f:answer("aaaa", token))
    assert.equal(0, f:finish())
    assert.equal(1, f.count)
  end)
end)

describe("lines", function()
  it("of 64 KiB are taken, longer ones proceed and are logged", function()
    local f = filter.start()
    local function ask(length)
      local head = "filter|0.7|1576146008.006099|smtp-in|mail-from|aaaa|0123456789abcdef|"
      local tail = "@nullmx.example"
      f:send(head .. ("x"):rep(length - #head - #tail) .. tail)
      f:wait(function() return f.answers["aaaa|0123456789abcdef"] end)
      local answer = f.answers["aaaa|0123456789abcdef"]
      f.answers["aaaa|0123456789abcdef"] = nil
      assert.equal(1, #answer)
      return answer[1]
    end
    f:connect("aaaa", remote)
    assert.matches("^reject|550 ", ask(1000))
    assert.matches("^reject|550 ", ask(65536))
    assert.equal("proceed", ask(65537))
    assert.equal("proceed", ask(1000000))
    assert.matches("^reject|550 ", ask(65000))
    f:report("link-identify", "aaaa", "EHLO", ("y"):rep(100000))
    assert.matches("^reject|550 ", ask(200))
    assert.equal(0, f:finish())
    local _, overlong = f.log:gsub("session=aaaa phase=mail%-from event=overlong action=proceed", "")
    assert.equal(2, overlong)
    assert.matches("session=aaaa event=overlong report=link%-identify", f.log)
  end)

  it("that are nonsense are logged, and it goes on", function()
    local f = filter.start()
    f:send("", "|", "filter", "filter|", "filter|0.7|1|smtp-in|mail-from", "report|0.7", "\255\0\1",
      "filter|0.7|1|smtp-in|mail-from||tok|a@b", "filter|0.7|1|smtp-in|mail-from|aaaa||a@b",
      "report|0.7|1|smtp-in|link-connect", "config|ready", "config|late|x", "future|0.8|x",
      "report|0.7|1|smtp-in|link-connect|aaaa", "report|0.7|1|smtp-in|link-auth|aaaa|pass",
      "report|0.7|1|smtp-in|unheard-of|aaaa|x|y", "report|0.7|1|smtp-in|link-disconnect|bbbb",
      "report|x.y|1|smtp-in|link-connect|cccc|h|pass|192.0.2.1:1|192.0.2.2:25")
    assert.matches("^reject|550 ", f:decide("mail-from", "user@nullmx.example", remote))
    -- a phase that nobody asked for, of a subsystem that does not exist yet
    assert.equal("proceed", f:answer("dddd", f:ask("dddd", "wiz", "x|y")))
    assert.equal(0, f:finish())
    assert.equal(2, f.count)
    assert.matches("event=ignored", f.log)
    local _, ready = table.concat(f.other, "\n"):gsub("register|ready", "")
    assert.equal(1, ready)
  end)

  it("without an end are not taken", function()
    local f = filter.start()
    f:connect("aaaa", remote)
    f.input:write("filter|0.7|1|smtp-in|mail-from|aaaa|tok|user@nullmx.exa")
    assert.equal(0, f:finish())
    assert.equal(0, f.count)
    assert.matches("reason=unfinished", f.log)
  end)

  it("come from a file, too", function()
    local path = files.new "config|ready\nfilter|0.7|1|smtp-in|mail-from|aaaa|tok|user@nullmx.example\n"
    local text = shell.run(("%s bin/filter-nexthop -c %s <%s 2>/dev/null"):format(
      os.getenv("NEXTHOP_LUA") or "lua5.4", filter.config {}, path))
    files.remove()
    assert.matches("register|ready\nfilter%-result|aaaa|tok|reject|550 5%.7%.27 [ -~]*\n$", text)
  end)
end)
