-- table-nexthop against what smtpd says, on a socket.
local filter = require "tests.support.filter"
local tables = require "tests.support.table"
local lab = require("tests.lab.lab").shared()

setup(filter.prepare)
after_each(tables.reset)

describe("the handshake of a table", function()
  it("registers the service domain alone, at config|ready", function()
    local t = tables.start { handshake = false }
    t:send("config|smtpd-version|7.6.0", "config|protocol|0.9", "config|news|a|b", "nonsense", "",
      "config|ready")
    t:wait(function() return t.other[2] end)
    assert.same({ "register|domain", "register|ready" }, t.other)
    assert.equal(0, t:finish())
  end)

  it("is silent before config|ready", function()
    local t = tables.start { handshake = false }
    t:send("config|smtpd-version|7.6.0", "config|tablename|owes-tls")
    assert.equal(0, t:finish())
    assert.same({}, t.other)
  end)
end)

describe("a domain", function()
  local t
  before_each(function() t = tables.start { config = { deadline = 5 } } end)

  for _, case in ipairs {
    { "dane.example", "found", "every host has DANE" },
    { "DANE.Example", "found", "case does not matter" },
    { "alias.example", "found", "behind a secure alias" },
    { "implicit.example", "found", "an implicit MX" },
    { "filter.example", "found", "addresses that are global" },
    { "mxsomebad.example", "found", "beside names that are no hosts" },
    { "nodane.example", "not-found", "no TLSA records" },
    { "insecure.example", "not-found", "not signed" },
    { "mxinsecure.example", "not-found", "a host in a zone that is not signed" },
    { "nullmx.example", "not-found", "a null MX" },
    { "nothing.example", "not-found", "does not exist" },
    { "onlytxt.example", "not-found", "neither MX nor address" },
    { "mxnothing.example", "not-found", "no host has an address" },
    { "mx-noaddress.example", "not-found", "the host has no address" },
    { "mxallbad.example", "not-found", "only names that are no hosts" },
    { "a..b", "not-found", "no name at all" },
    { ("x"):rep(300) .. ".example", "not-found", "an over-long name" },
    { "[192.0.2.1]", "not-found", "an address literal" },
    { "[ipv6:2001:db8::1]", "not-found", "an address literal of IPv6" },
    { "192.0.2.1", "not-found", "an address" },
    { "", "not-found", "nothing" },
    { "a@dane.example", "not-found", "an address of mail" },
    { "a|b", "not-found", "a bar in it" },
    { "broken.example", "error|", "bogus" },
    { "mx-bogustlsa.example", "error|", "bogus TLSA records" },
    { "mx-bogusboth.example", "error|", "bogus addresses" },
    { "mxeverywhere.example", "not-found", "hosts of all kinds, all with known TLSA records" },
  } do
    it(("%s is %s: %s"):format(case[1]:sub(1, 30), case[2], case[3]), function()
      local answer = t:check(case[1])
      assert.equal(case[2], answer:sub(1, #case[2] == 6 and 6 or nil))
    end)
  end

  it("is looked up with itself as the value", function()
    assert.equal("found|dane.example", t:lookup "dane.example")
    assert.equal("not-found", t:lookup "nodane.example")
    assert.equal("error|", t:lookup("broken.example"):sub(1, 6))
  end)

  it("with a TLSA lookup that fails is an error, beside plain hosts too", function()
    lab:rule { name = "_25._tcp.mx2.dane.example", type = "TLSA", action = "servfail" }
    assert.matches("^error|.*_25%._tcp%.mx2%.dane%.example", t:check "dane.example")
    lab:rule { name = "*.mx.nodane.example", action = "servfail" }
    assert.matches("^error|.*mx%.nodane%.example", t:check "mxeverywhere.example")
  end)

  it("with an MX lookup that fails is an error", function()
    lab:rule { name = "child.example", type = "MX", action = "servfail" }
    assert.matches("^error|child%.example: ", t:check "child.example")
  end)
end)

describe("requests", function()
  it("of services that are not registered are not found", function()
    local t = tables.start()
    for _, service in ipairs { "alias", "credentials", "netaddr", "auth", "nonsense", "" } do
      for _, operation in ipairs { "check", "lookup" } do
        assert.equal("not-found", t:answer(t:ask(operation, service, "dane.example"), operation))
      end
      assert.equal("not-found", t:answer(t:ask("fetch", service), "fetch"))
    end
    assert.equal("not-found", t:answer(t:ask("fetch", "domain"), "fetch"))
    assert.equal(0, t:finish())
  end)

  it("that nobody knows get an error", function()
    local t = tables.start()
    assert.equal("error|no such operation", t:answer(t:ask("frob", "domain", "x"), "frob"))
    assert.equal(0, t:finish())
  end)

  it("of any length are answered", function()
    local t = tables.start { config = { deadline = 5 } }
    for _, bytes in ipairs { 100, 1000, 65536, 200000, 3000000 } do
      assert.equal("not-found", t:check(("x"):rep(bytes)))
    end
    assert.equal("found", t:check "dane.example")
    assert.equal(0, t:finish())
  end)

  it("are answered once each, whatever comes between them", function()
    local t = tables.start { config = { deadline = 5 } }
    local ids = {}
    for i = 1, 200 do
      ids[i] = t:ask("check", "domain", i % 2 == 0 and "dane.example" or "nodane.example")
      if i % 10 == 0 then
        t:send("", "table", "table|", "table|0.1|1|owes-tls|check|domain|", "\0\255", "config|ready")
      end
    end
    for i, id in ipairs(ids) do
      assert.equal(i % 2 == 0 and "found" or "not-found", t:answer(id, "check"))
    end
    assert.equal(0, t:finish())
    assert.equal(200, t.count)
    assert.same({ "register|domain", "register|ready" }, t.other)
  end)

  it("of later versions of the protocol, and of tables with a bar in their name, are understood", function()
    local t = tables.start { handshake = false, config = { deadline = 5 } }
    t:send("config|tablename|a|b", "config|ready", "table|1.2|1.0|a|b|check|domain|00000007|dane.example")
    assert.equal("found", t:answer("00000007", "check"))
    assert.equal(0, t:finish())
  end)

  it("get an error at the deadline, and the lookup goes on for the next one", function()
    local t = tables.start { config = { deadline = 0.2 } }
    local rule = lab:rule { name = "dane.example", type = "MX", hold = true }
    assert.equal("error|dane.example: no answer within 0.2 s", t:check "dane.example")
    lab:release(rule)
    lab:clear()
    -- the answer that was held back is enough: nothing has to be asked a second time
    local answer
    t:wait(function()
      answer = t:check "dane.example"
      return answer == "found"
    end)
    assert.equal(0, t:finish())
  end)

  it("are answered while a silent name server keeps others waiting", function()
    local t = tables.start { config = { deadline = 0.5 } }
    lab:rule { name = "silent.example", action = "silent" }
    lab:rule { name = "*.silent.example", action = "silent" }
    t:wait(function() return t:check "dane.example" == "found" end)
    local waiting = {}
    for i = 1, 20 do waiting[i] = t:ask("check", "domain", i .. ".silent.example") end
    local id = t:ask("check", "domain", "dane.example")
    assert.equal("found", t:answer(id, "check"))
    assert.is_nil(t.answers[waiting[1]])
    for i, each in ipairs(waiting) do
      assert.equal(("error|%d.silent.example: no answer within 0.5 s"):format(i), t:answer(each, "check"))
    end
    assert.equal(0, t:finish())
  end)

  it("have their answer before the table ends with its input", function()
    local t = tables.start { config = { deadline = 5 } }
    local id = t:ask("check", "domain", "dane.example")
    assert.equal(0, t:finish())
    assert.equal("found", t:answer(id, "check"))
  end)
end)

describe("the configuration of a table", function()
  it("chooses verdicts", function()
    lab:clear()
    local t = tables.start { config = { deadline = 5, verdicts = { "encrypt" } } }
    assert.equal("not-found", t:check "dane.example")
    assert.equal(0, t:finish())
  end)

  it("excludes domains", function()
    local t = tables.start { config = { deadline = 5, exclude = { "dane.example", "*.filter.example" } } }
    assert.equal("not-found", t:check "dane.example")
    assert.equal("found", t:check "filter.example")
    assert.equal(0, t:finish())
  end)

  it("has a rule, whose event is that of the filter", function()
    local t = tables.start { config = [[
      return { resolver = resolver, deadline = 5, rule = function(event)
        if event.domain == "nodane.example" then return true end
        if event.domain == "dane.example" then return false end
        if event.domain == "broken.example" then return event.err.code ~= "bogus" end
        if event.domain == "child.example" then error "the rule fails" end
        if event.domain == "alias.example" then return "found" end
        if event.domain == "implicit.example" then os.exit(3) end
        if event.domain == "nullmx.example" then
          return event.role == "destination" and event.phase == "check" and event.finding == "null_mx"
            and event.result == nil and event.err.code == "no_mail"
        end
        if event.domain == "filter.example" then
          local host = event.result.hosts[1]
          return event.finding == "dane" and host.tls == "dane" and event.err == nil
        end
      end }
    ]] }
    assert.equal("found", t:check "nodane.example")
    assert.equal("not-found", t:check "dane.example")
    assert.equal("not-found", t:check "broken.example")
    assert.equal("found", t:check "nullmx.example")
    assert.equal("found", t:check "filter.example")
    assert.equal("not-found", t:check "insecure.example")
    assert.equal("found", t:check "child.example")
    t:logged "error=rule domain=child.example message=.*the rule fails"
    assert.equal("found", t:check "alias.example")
    t:logged "error=rule domain=alias.example message=\"neither true nor false"
    assert.equal("found", t:check "implicit.example")
    t:logged "error=rule domain=implicit.example message=.*os.exit"
    assert.equal(0, t:finish())
  end)

  it("may answer by its rule at the deadline, too", function()
    lab:rule { name = "dane.example", action = "silent" }
    local t = tables.start { config = [[
      return { resolver = resolver, deadline = 0.1, rule = function(event)
        return event.finding == "failure" and event.err.code == "timeout"
      end }
    ]] }
    assert.equal("found", t:check "dane.example")
    assert.equal(0, t:finish())
  end)

  it("is read again at an update, and a bad one keeps the old", function()
    local path = filter.config "return { resolver = resolver, deadline = 5 }"
    local t = tables.start { args = { path } }
    local function write(text)
      local file = assert(io.open(path, "w"))
      file:write(("local resolver = %s\n%s\n"):format(filter.source(lab:options()), text))
      file:close()
    end
    assert.equal("found", t:check "dane.example")
    write "return { resolver = resolver, deadline = 5, exclude = { 'dane.example' } }"
    assert.equal("ok", t:update())
    assert.equal("not-found", t:check "dane.example")
    write "return { resolver = resolver, nonsense = 1 }"
    assert.matches("^error|.*nonsense: no such key", t:update())
    assert.equal("not-found", t:check "dane.example")
    write "return { resolver = resolver, deadline = 5, verdicts = { 'may' } }"
    assert.matches("^error|.*verdicts: no such verdict: may", t:update())
    write "os.exit(0)"
    assert.matches("^error|", t:update())
    os.remove(path)
    assert.matches("^error|", t:update())
    write "return { resolver = resolver, deadline = 5 }"
    assert.equal("ok", t:update())
    assert.equal("found", t:check "dane.example")
    assert.equal(0, t:finish())
  end)

  it("keeps what was looked up at an update that changes nothing in the resolver", function()
    local path = filter.config "return { resolver = resolver, deadline = 5 }"
    local t = tables.start { args = { path } }
    assert.equal("found", t:check "dane.example")
    lab:reset()
    assert.equal("ok", t:update())
    assert.equal("found", t:check "dane.example")
    assert.equal(0, lab:total())
    assert.equal(0, t:finish())
  end)

  it("asks anew after an update of where policies are fetched", function()
    local path = filter.config "return { resolver = resolver, deadline = 5 }"
    local t = tables.start { args = { path } }
    assert.equal("found", t:check "dane.example")
    local file = assert(io.open(path, "w"))
    file:write(("return { resolver = %s, deadline = 5, sts_port = 444 }"):format(
      filter.source(lab:options())))
    file:close()
    lab:reset()
    assert.equal("ok", t:update())
    assert.equal("found", t:check "dane.example")
    assert.is_true(lab:total() > 0)
    assert.equal(0, t:finish())
  end)

  for _, case in ipairs {
    { "return { nonsense = 1 }",
      "nonsense: no such key; there are: ca_file, deadline, exclude, metrics_file, resolver, rule" },
    { "return { deadline = 0 }", "deadline: seconds expected" },
    { "return { verdicts = {} }", "verdicts: a list of verdicts expected: dane, encrypt, sts" },
    { "return { verdicts = { 'skip' } }", "verdicts: no such verdict: skip" },
    { "return { verdicts = { dane = true } }", "verdicts: a list of verdicts expected: dane, encrypt, sts" },
    { "return { verdicts = { 'dane', x = 'encrypt' } }", "verdicts: no such verdict: x" },
    { "return { rule = true }", "rule: a function expected, got a boolean" },
    { "return { sts = 1 }", "sts: true or false expected, got a number" },
    { "return { sts = false, verdicts = { 'sts' } }", "verdicts: 'sts' is never a verdict with sts = false" },
    { "return { exclude = 'a' }", "exclude: a list of domains expected" },
    { "return { socket = '/x', resolver = resolver }", "socket: the server there has a resolver of its own" },
    { "return { resolver = { trust_anchor_file = '/nonexistent' } }", "resolver: " },
    { "return 1", "it must return a table, and returns a number" },
    { "return { rule = missing }", "'missing' is not defined" },
  } do
    it("that is wrong ends it before it registers: " .. case[1], function()
      local path = filter.config(case[1])
      for _, words in ipairs { { path }, { "-n", path } } do
        local status, output, log = tables.run((table.unpack or unpack)(words)) -- luacheck: ignore
        assert.equal(1, status)
        assert.equal("", output)
        assert.truthy(log:find(case[2], 1, true), log)
        assert.truthy(log:find("table-nexthop: " .. path .. ": ", 1, true), log)
      end
    end)
  end

  it("is checked with -n", function()
    local path = filter.config "return { resolver = resolver }"
    local status, output = tables.run("-n", path)
    assert.equal(0, status)
    assert.equal(path .. ": configuration OK", output)
  end)

  it("that is missing is an error where it is named as a Lua file", function()
    local status, output, log = tables.run "/nonexistent/table.lua"
    assert.equal(1, status)
    assert.equal("", output)
    assert.truthy(log:find("/nonexistent/table.lua", 1, true), log)
  end)

  it("passes as examples/opensmtpd/table.lua, which is what holds without one", function()
    local settings = require "nexthop.programs.table.settings"
    local example = dofile "examples/opensmtpd/table.lua"
    assert.same(settings.defaults, example)
  end)
end)

describe("the command line of a table", function()
  it("has -V and --help", function()
    local status, output = tables.run "-V"
    assert.equal(0, status)
    assert.matches("^nexthop .*\nlibunbound ", output)
    status, output = tables.run "--help"
    assert.equal(0, status)
    assert.matches("^usage: table%-nexthop ", output)
  end)

  it("takes one word", function()
    local status, _, log = tables.run("a.lua", "b.lua")
    assert.equal(64, status)
    assert.matches("b%.lua: one file or socket is taken", log)
  end)
end)
