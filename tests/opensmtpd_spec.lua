-- nexthop.opensmtpd: the layer on which others can write filters, too.
local files = require "tests.support.files"
local filter = require "tests.support.filter"
local protocol = require "nexthop.opensmtpd.protocol"
local log = require "nexthop.opensmtpd.log"

after_each(filter.stop_all)

describe("the example of another filter", function()
  local f
  before_each(function()
    f = filter.start { program = "examples/opensmtpd/filter-example.lua", args = { "MX.example.org" } }
    f:connect("aaaa", "192.0.2.9:25")
  end)
  local function ask(phase, parameter) return f:answer("aaaa", f:ask("aaaa", phase, parameter)) end

  it("asks for what it has handlers for, and nothing else", function()
    local text = table.concat(f.other, "\n")
    for _, name in ipairs { "filter|smtp-in|helo", "filter|smtp-in|ehlo", "filter|smtp-in|data",
      "filter|smtp-in|data-line", "filter|smtp-in|commit", "report|smtp-in|tx-reset" } do
      assert.is_truthy(("\n" .. text .. "\n"):find("\nregister|" .. name .. "\n", 1, true), name)
    end
    assert.is_nil(text:find("mail-from", 1, true))
    assert.equal(0, f:finish())
  end)

  it("decides, passes lines on and keeps sessions", function()
    assert.equal("proceed", ask("ehlo", "client.example"))
    assert.equal("proceed", ask("data", ""))
    for _, line in ipairs { "Subject: CHEAP|er", "", "a|b|", "..", "." } do
      f:ask("aaaa", "data-line", line)
    end
    f:wait(function() return f.other[#f.other]:find "|%.$" end)
    local lines = {}
    for _, line in ipairs(f.other) do
      lines[#lines + 1] = line:match "^filter%-dataline|aaaa|%x+|(.*)$"
    end
    assert.same({ "Subject: CHEAP|er", "", "a|b|", "..", "." }, lines)
    assert.equal("reject|550 5.7.1 Not wanted", ask("commit", ""))
    f:report("tx-reset", "aaaa", "0badcafe")
    assert.equal("proceed", ask("commit", ""))
    f:report("link-identify", "aaaa", "EHLO", "client|x")
    f:report("link-disconnect", "aaaa")
    f:logged 'session=aaaa event=left helo="?client|x"?\n'
    assert.equal(0, f:finish())
  end)
end)

describe("a handler", function()
  -- A filter whose phases do what their parameter says.
  local function start(code, options)
    local f = filter.start { args = {}, program = files.new(
      ('local filter = require("nexthop.opensmtpd").new %s\n%s\nfilter:run()\n'):format(
        options or "{}", code)) }
    f:connect("aaaa", "192.0.2.9:25")
    files.remove()
    return f, function(parameter, phase)
      return f:answer("aaaa", f:ask("aaaa", phase or "ehlo", parameter))
    end
  end

  it("answers once; what it does wrong proceeds and is logged", function()
    local f, ask = start([[
      local function on(request)
        local what = request.parameter
        if what == "twice" then
          assert(request:proceed())
          local ok, why = request:reject "550 late"
          assert(not ok and why == "has its answer already")
        elseif what == "reject" then request:reject "550 5.7.1 no"
        elseif what == "disconnect" then request:disconnect "421 4.7.0 bye"
        elseif what == "rewrite" then request:rewrite "other|x"
        elseif what == "junk" then request:junk()
        elseif what == "raise" then error "handler"
        elseif what == "after" then request:junk(); error "after"
        elseif what == "text" then request:reject "no code"
        elseif what == "line" then request:reject "550 a\nb"
        elseif what == "parameter" then request:rewrite "a\nb"
        elseif what == "none" then -- the deadline answers
        end
      end
      filter:on("ehlo", on):on("commit", on)
    ]], "{ deadline = 0.3 }")
    for what, answer in pairs {
      twice = "proceed", reject = "reject|550 5.7.1 no", disconnect = "disconnect|421 4.7.0 bye",
      rewrite = "rewrite|other|x", junk = "junk", raise = "proceed", after = "junk", text = "proceed",
      line = "proceed", parameter = "proceed", none = "proceed",
    } do
      assert.equal(answer, ask(what), what)
    end
    assert.equal("proceed", ask("junk", "commit")) -- which smtpd does not take
    assert.equal(0, f:finish())
    assert.equal(12, f.count)
    assert.matches("phase=ehlo event=deadline action=proceed", f.log)
    assert.matches("junk is no answer at commit", f.log)
    local _, errors = f.log:gsub("error=%l+ ", "")
    assert.equal(6, errors)
  end)

  it("cannot be set for what smtpd does not know", function()
    local opensmtpd = require "nexthop.opensmtpd"
    local f = opensmtpd.new { log = { line = function() end } }
    assert.error_matches(function() f:on("mail_from", print) end, "'mail_from' is no phase and no event")
    assert.error_matches(function() f:on("link-hello", print) end, "is no phase and no event")
  end)
end)

describe("protocol.parse", function()
  local function report(version, event, rest)
    return assert(protocol.parse(("report|%s|1.2|smtp-in|%s|aaaa|%s"):format(version, event, rest)))
  end

  it("knows the order of fields of each version", function()
    for version, newer in pairs {
      ["0.4"] = false, ["0.5"] = false, ["0.6"] = true, ["0.7"] = true, ["0.10"] = true, ["2.0"] = true,
    } do
      for _, name in ipairs { "tx-mail", "tx-rcpt" } do
        local event = newer and report(version, name, "0badcafe|ok|a|b@c")
          or report(version, name, "0badcafe|a|b@c|ok")
        assert.same({ "0badcafe", "a|b@c", "ok" }, { event.message_id, event.address, event.result },
          version)
      end
      local auth = (version == "0.7" or version == "0.10" or version == "2.0")
        and report(version, "link-auth", "pass|us|er") or report(version, "link-auth", "us|er|pass")
      assert.same({ "us|er", "pass" }, { auth.username, auth.result }, version)
    end
  end)

  it("takes the fields of every report apart", function()
    local event = report("0.7", "link-connect", "a|b.example|pass|unix:/var/run/smtpd.sock|[::1]:25")
    assert.same({ "a|b.example", "pass", "unix:/var/run/smtpd.sock", "[::1]:25" },
      { event.rdns, event.fcrdns, event.source, event.destination })
    event = report("0.7", "link-identify", "EHLO|x|y")
    assert.same({ "EHLO", "x|y" }, { event.method, event.helo })
    event = report("0.7", "filter-response", "mail-from|reject|550 a|b")
    assert.same({ "mail-from", "reject", "550 a|b" }, { event.phase, event.response, event.parameter })
    event = report("0.7", "filter-response", "connected|proceed")
    assert.same({ "connected", "proceed" }, { event.phase, event.response, event.parameter })
    event = report("0.7", "tx-envelope", "0badcafe|0badcafe01020304")
    assert.same({ "0badcafe", "0badcafe01020304" }, { event.message_id, event.envelope_id })
    event = assert(protocol.parse "report|0.7|1.2|smtp-in|timeout|aaaa")
    assert.same({ "timeout", "aaaa", "" }, { event.name, event.id, event.parameter })
  end)

  it("answers in the order of each version", function()
    for version, expected in pairs {
      ["0.4"] = "filter-result|tok|aaaa|junk\n", ["0.5"] = "filter-result|aaaa|tok|junk\n",
      ["0.10"] = "filter-result|aaaa|tok|junk\n", ["1.4"] = "filter-result|aaaa|tok|junk\n",
      ["?"] = "filter-result|aaaa|tok|junk\n",
    } do
      local request = assert(protocol.parse("filter|" .. version .. "|1.2|smtp-in|helo|aaaa|tok|x"))
      assert.equal(expected, protocol.result(request, "junk"))
    end
  end)
end)

describe("log.quote", function()
  it("leaves nothing that could look like another field or line", function()
    for value, text in pairs {
      plain = "plain", [""] = '""', ["a b"] = '"a b"', ["a=b"] = '"a=b"', ['"'] = '"\\""',
      ["\\"] = '"\\\\"', ["\n\0\27\127\255"] = '"\\x0a\\x00\\x1b\\x7f\\xff"', ["a@b.c"] = "a@b.c",
      ["[::1]:25"] = "[::1]:25", ["|"] = '"|"', ["'"] = '"\'"',
    } do
      assert.equal(text, log.quote(value))
    end
    assert.equal(405, #log.quote(("x y "):rep(1000)))
  end)
end)
