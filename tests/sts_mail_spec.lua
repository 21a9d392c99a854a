-- MTA-STS in filter-nexthop's audit of outgoing mail, and in table-nexthop.
local filter = require "tests.support.filter"
local servers = require "tests.support.server"
local sts_world = require "tests.support.sts_world"
local support = require "tests.support"
local tables = require "tests.support.table"

local it = sts_world.it(it, pending)
local zone = "stsmail.example"
local world = sts_world.new(zone, 69)
local enforced = { mode = "enforce", mx = { "mx.@" } }
world:domain("good", { policy = enforced })
world:domain("dane", { policy = { mode = "enforce", mx = { "mx2.@" } }, mx = { "mx.@", "mx2.@" },
  tlsa = { "3 1 1 " .. ("ab"):rep(32) } })
world:domain("other", { policy = { mode = "enforce", mx = { "mx9.@" } } })
world:domain("half", { policy = enforced, mx = { "mx.@", "mx2.@" } })
world:domain("testing", { policy = { mode = "testing", mx = { "mx.@" } } })
world:domain("testingother", { policy = { mode = "testing", mx = { "mx9.@" } } })
world:domain("none", { policy = { mode = "none" } })
world:domain("broken", { policy = "version: STSv1\n" })
world:domain("gone", { web = { status = 404 } })
world:domain("without", { record = false })

-- A configuration with a policy host that can be found.
local function config(fields)
  fields.sts_port, fields.ca_file = world.server.port, world.root.file
  return fields
end

describe("with sts", function()
  setup(function() world:start() end)
  -- These remove files, those of the web server too.
  teardown(function()
    filter.reset()
    tables.reset()
    world:stop()
  end)

  describe("the audit of outgoing mail", function()
    local function start(fields)
      local f = filter.start { config = config(fields), handshake = false, verbose = true }
      f:send("config|smtpd-version|7.6.0", "config|subsystem|smtp-in", "config|subsystem|smtp-out",
        "config|ready")
      f:wait(function() return f.other[#f.other] == "register|ready" end)
      local sessions = 0
      -- A delivery to the first host of a domain; tls: the text of smtpd's report.
      function f:deliver(label, tls)
        local function out(event, ...)
          self:send(("report|0.7|1576146008.006099|smtp-out|%s|%016x|%s"):format(event, sessions,
            table.concat({ ... }, "|")))
        end
        sessions = sessions + 1
        out("link-connect", "mx.example", "pass", "192.0.2.200:1234", "127.69.0.2:25")
        if tls then out("link-tls", tls) end
        out("tx-begin", "0a0b0c0d")
        out("tx-rcpt", "0a0b0c0d", "ok", "you@" .. world:name(label))
        out("tx-commit", "0a0b0c0d", "1234")
        out("link-disconnect")
      end
      return f
    end

    it("reports deliveries in clear to hosts that are sts, or that the policy excludes", function()
      local f = start { outgoing = "log", sts = true, deadline = 5 }
      f:deliver "good"
      f:logged(("event=outgoing domain=good.%s count=1 destination=127.69.0.2:25 host=mx.good.%s "
        .. "mail=0a0b0c0d owed=sts result=starttls%%-not%%-supported tls=none"):format(zone, zone))
      f:deliver "other"
      f:logged(("domain=other.%s message=[^\n]*does not name this host\" count=2 [^\n]*host=mx.other.%s "
        .. "[^\n]*owed=skip result=validation%%-failure tls=none"):format(zone, zone))
      f:deliver("good", "TLSv1.3:TLS_AES_256_GCM_SHA384:256")
      for _, label in ipairs { "none", "without" } do
        f:deliver(label)
        f:logged(("domain=%s.%s [^\n]*reason=plain"):format(label, zone))
      end
      assert.equal(0, f:finish())
      assert.matches("deliveries=5 less_tls_than_owed=2 not_known=0 nothing_owed=2 with_tls=1", f.log)
    end)

    it("reports policies that could not be had, with the result types of RFC 8460", function()
      local f = start { outgoing = "log", sts = true, deadline = 5 }
      f:deliver "broken"
      f:logged(("domain=broken.%s message=[^\n]*owed=may result=sts%%-policy%%-invalid tls=none")
        :format(zone))
      f:deliver "gone"
      f:logged(("domain=gone.%s message=[^\n]*owed=may result=sts%%-policy%%-fetch%%-error"):format(zone))
      assert.equal(0, f:finish())
      assert.matches("deliveries=2 less_tls_than_owed=0 not_known=2 nothing_owed=0 with_tls=0", f.log)
    end)

    it("reports what the mode testing is there to find", function()
      local f = start { outgoing = "log", sts = true, deadline = 5 }
      f:deliver "testing"
      f:logged(("domain=testing.%s destination=[^\n]*owed=may policy=testing "
        .. "result=starttls%%-not%%-supported"):format(zone))
      f:deliver "testingother"
      f:logged(("domain=testingother.%s destination=[^\n]*owed=may policy=testing "
        .. "result=validation%%-failure"):format(zone))
      assert.equal(0, f:finish())
      assert.matches("deliveries=2 less_tls_than_owed=0 not_known=0 nothing_owed=2 with_tls=0", f.log)
    end)

    it("asks for no policy without it", function()
      support.lab:reset()
      local f = start { outgoing = "log", deadline = 5 }
      for _, label in ipairs { "good", "other" } do
        f:deliver(label)
        f:logged(("domain=%s.%s [^\n]*reason=plain"):format(label, zone))
      end
      assert.equal(0, f:finish())
      assert.matches("deliveries=2 less_tls_than_owed=0 not_known=0 nothing_owed=2 with_tls=0", f.log)
      assert.equal(0, support.lab:count("_mta-sts." .. world:name "good", "TXT"))
    end)
  end)

  describe("table-nexthop", function()
    -- label, what `sts = true` says, what `verdicts = { "sts" }` says, what neither says
    local cases = {
      { "good", "found", "found", "not-found" },
      { "dane", "found", "not-found", "not-found" },
      { "other", "error|", "error|", "not-found" },
      { "half", "error|", "error|", "not-found" },
      { "testing", "not-found", "not-found", "not-found" },
      { "none", "not-found", "not-found", "not-found" },
      { "broken", "not-found", "not-found", "not-found" },
      { "without", "not-found", "not-found", "not-found" },
    }

    local function judge(t, column)
      local said, expected = {}, {}
      for index, case in ipairs(cases) do
        said[index] = case[1] .. " " .. t:check(world:name(case[1])):match "^[%a-]+|?"
        expected[index] = case[1] .. " " .. case[column]
      end
      assert.same(expected, said)
      assert.equal(0, t:finish())
    end

    it("finds domains whose hosts are sts, too", function()
      judge(tables.start { config = config { sts = true, deadline = 5 } }, 2)
    end)

    it("serves `relay tls` with verdicts = { \"sts\" }", function()
      judge(tables.start { config = config { verdicts = { "sts" }, deadline = 5 } }, 3)
    end)

    it("takes a known policy when the record cannot be looked up", function()
      local t = tables.start { config = config { sts = true, deadline = 5 } }
      local known, unknown = world:name "good", world:name "testing"
      assert.matches("^found", t:check(known))
      for _, domain in ipairs { known, unknown } do
        support.lab:rule { name = "_mta-sts." .. domain, action = "servfail" }
      end
      assert.matches("^found", t:check(known))
      assert.matches("^not%-found", t:check(unknown))
      support.lab:clear()
      assert.equal(0, t:finish())
    end)

    it("asks for no policy without it", function()
      judge(tables.start { config = config { deadline = 5 } }, 4)
    end)

    it("asks a server for policies", function()
      local server = servers.start(config { sts = true })
      local text = ("return { socket = %q, verdicts = { 'sts' }, deadline = 5 }"):format(server.path)
      judge(tables.start { config = text }, 3)
      assert.equal(0, server:finish())
    end)

    it("asks a server for no policies without it, also one that looks them up for others", function()
      local server = servers.start(config { sts = true })
      judge(tables.start { config = ("return { socket = %q, deadline = 5 }"):format(server.path) }, 4)
      assert.equal(0, server:finish())
    end)
  end)
end)
