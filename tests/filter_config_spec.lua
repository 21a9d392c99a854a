-- The configuration and the options of filter-nexthop.
local filter = require "tests.support.filter"

after_each(filter.stop_all)

local function check(config, ...)
  local path = filter.config(config)
  local code, out, err = filter.run("-n", "-c", path, ...)
  os.remove(path)
  return code, (out:gsub(path:gsub("%p", "%%%0"), "FILE")), (err:gsub(path:gsub("%p", "%%%0"), "FILE"))
end

describe("filter-nexthop -n", function()
  it("passes the defaults, and every key", function()
    local code, out, err = check {}
    assert.same({ 0, "FILE: configuration OK", "" }, { code, out, err })
    code, out = check [[return {
      resolver = resolver, deadline = 0.5,
      exclude = { "example.org", "*.EXAMPLE.net", "*.b\195\188cher.example" },
      sender = { null_mx = "tempfail", no_host = "reject", broken = "log", unroutable = "proceed",
                 bogus = "junk", failure = "tempfail" },
      recipient = { null_mx = "junk", no_host = "reject", broken = "log", unroutable = "log",
                    bogus = "tempfail", failure = "tempfail", dane = "proceed", dane_partial = "junk",
                    dane_broken = "reject", no_dane = "reject" },
      policy = function() end,
    }]]
    assert.same({ 0, "FILE: configuration OK" }, { code, out })
  end)

  for _, case in ipairs {
    { "return { sendr = {} }",
      "sendr: no such key; there are: ca_file, deadline, exclude, metrics_file, outgoing, policy, " },
    { "return { sender = { nul_mx = 'log' } }", "sender.nul_mx: no such key; there are: bogus, broken, " },
    { "return { sender = { dane = 'log' } }", "sender.dane: no such key; there are: " },
    { "return { recipient = { dan = 'log' } }",
      "recipient.dan: no such key; there are: bogus, broken, dane, " },
    { "return { sender = { null_mx = 'drop' } }",
      "sender.null_mx: no such action: drop; there are: proceed, log, junk, reject, tempfail" },
    { "return { recipient = { ok = 'log' } }", "recipient.ok: no such key" },
    { "return { sender = 'reject' }", "sender: a table expected, got a string" },
    { "return { deadline = 0 }", "deadline: seconds expected, more than 0 and at most 86400, got 0" },
    { "return { deadline = '10' }", "deadline: seconds expected, " },
    { "return { exclude = 'example.org' }", "exclude: a list of domains expected" },
    { "return { exclude = { 'a', 'b c' } }", "exclude: entry 2: 'b c' is neither a domain nor " },
    { "return { policy = 'x' }", "policy: a function expected, got a string" },
    { "return { resolver = { forwad = 'x' } }", "resolver: unknown option 'forwad' to 'new'" },
    { "return { resolver = { forward = 'x y' } }", "resolver: forward: 'x y' is no address" },
    { "return { resolver = { trust_anchor_file = '/nowhere' } }",
      "resolver: trust_anchor_file: cannot read it: /nowhere: No such file" },
    { "return { resolver = false }", "resolver: options of nexthop.new expected" },
    { "return 5", "it must return a table, and returns a number" },
    { "x = = 1", "unexpected symbol" },
    { "error 'of its own'", "of its own" },
    { "error(setmetatable({}, { __tostring = function() error 'worse' end }))", "cannot be printed" },
    { "return { sender = { null_mx = reject } }",
      "'reject' is not defined (is it to be a string, in quotes?)" },
  } do
    it("names what is wrong in: " .. case[1], function()
      local code, out, err = check(case[1])
      assert.same({ 1, "" }, { code, out })
      assert.matches("^filter%-nexthop: [^\n]*\n$", err)
      assert.is_truthy(err:find(case[2], 1, true), err)
      assert.is_truthy(err:find("FILE:", 1, true), err)
    end)
  end

  it("passes examples/opensmtpd/filter.lua, which is what holds without a configuration", function()
    local settings = require "nexthop.programs.filter.settings"
    local example = dofile "examples/opensmtpd/filter.lua"
    example.resolver = { trust_anchor_file = false }
    local checked = assert(settings.check(example))
    assert.same(settings.defaults.sender, checked.sender)
    assert.same(settings.defaults.recipient, checked.recipient)
    assert.equal(settings.defaults.deadline, checked.deadline)
  end)

  it("says when there is no such file", function()
    local code, _, err = filter.run("-n", "-c", "/nowhere/filter.lua")
    assert.equal(1, code)
    assert.matches("/nowhere/filter.lua", err)
  end)
end)

describe("filter-nexthop", function()
  it("ends before register|ready with a bad configuration", function()
    local path = filter.config "return { sender = { null_mx = 'drop' } }"
    local f = filter.start { args = { "-c", path }, handshake = false }
    f:send("config|ready")
    f:wait(function() return f.code and f.log_closed end)
    os.remove(path)
    assert.equal(1, f.code)
    assert.same({}, f.other)
    assert.matches("no such action: drop", f.log)
  end)

  it("-V prints the versions of what it runs on", function()
    local code, out = filter.run("-V")
    assert.equal(0, code)
    for _, name in ipairs { "nexthop", "libunbound", "openssl", "libuv", "libidn2", "lua", "luv" } do
      assert.matches(("\n%s [^\n]+\n"):format(name), "\n" .. out .. "\n")
    end
  end)

  it("refuses options that it has not", function()
    for _, words in ipairs { { "-x" }, { "-c" }, { "file" }, { "--verbose" } } do
      local code, _, err = filter.run((unpack or table.unpack)(words)) -- luacheck: ignore
      assert.equal(64, code)
      assert.matches("usage: filter%-nexthop", err)
    end
  end)

  it("keeps defaults beside what is configured, and logs with -v what proceeds", function()
    local f = filter.start { verbose = true, config = { sender = { no_host = "reject" } } }
    assert.matches("^reject|550 5%.1%.8 ", f:decide("mail-from", "a@nothing.example", "192.0.2.9:1"))
    assert.matches("^reject|550 5%.7%.27 ", f:decide("mail-from", "a@nullmx.example", "192.0.2.9:1"))
    assert.equal("proceed", f:decide("mail-from", "a@loop2.example", "192.0.2.9:1"))
    assert.equal("proceed", f:decide("mail-from", "", "192.0.2.9:1"))
    assert.equal(0, f:finish())
    assert.matches("session=%x+ role=sender finding=failure action=proceed domain=loop2.example", f.log)
    assert.matches('reason="null sender"', f.log)
  end)

  it("without -v logs no proceed", function()
    local f = filter.start()
    assert.equal("proceed", f:decide("mail-from", "a@loop2.example", "192.0.2.9:1"))
    assert.equal(0, f:finish())
    assert.equal("", f.log)
  end)

  for finding, reply in pairs {
    ["nullmx.example"] = "550 5.7.27 ", ["nothing.example"] = "550 5.1.8 ",
    ["mxnothing.example"] = "550 5.7.1 ", ["dane.example"] = "550 5.7.1 ",
    ["broken.example"] = "550 5.7.1 ", ["loop2.example"] = "550 5.7.1 ",
  } do
    it(("rejects senders of %s with %s"):format(finding, reply), function()
      local all = {}
      for _, name in ipairs { "null_mx", "no_host", "broken", "unroutable", "bogus", "failure" } do
        all[name] = "reject"
      end
      local f = filter.start { config = { sender = all, recipient = all } }
      local answer = f:decide("mail-from", "a@" .. finding, "192.0.2.9:1")
      assert.equal("reject|" .. reply, answer:sub(1, #reply + 7))
      local codes = { ["550 5.7.27 "] = "556 5.1.10 ", ["550 5.1.8 "] = "550 5.1.2 ",
        ["550 5.7.1 "] = "550 5.4.4 " }
      answer = f:decide("rcpt-to", "a@" .. finding, "127.0.0.1:1")
      assert.equal("reject|" .. codes[reply], answer:sub(1, #codes[reply] + 7))
      assert.equal(0, f:finish())
    end)
  end
end)
