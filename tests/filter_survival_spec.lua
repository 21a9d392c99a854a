-- What filter-nexthop must live through, because smtpd ends when it does.
local filter = require "tests.support.filter"
local support = require "tests.support"
local lab = support.lab

local remote = "192.0.2.9:1234"

setup(filter.prepare)
after_each(filter.reset)

describe("a policy", function()
  it("that raises is logged and taken for nothing", function()
    local f = filter.start { config = [[
      return { resolver = resolver, policy = function(event)
        if event.finding == "ok" then local x = nil; x() end
        error({ "no string" })
      end } ]] }
    assert.equal("proceed", f:decide("mail-from", "a@filter.example", remote))
    assert.matches("^reject|550 5%.7%.27 ", f:decide("mail-from", "a@nullmx.example", remote))
    assert.equal(0, f:finish())
    local _, raised = f.log:gsub("error=policy finding=%w+", "")
    assert.equal(2, raised)
  end)

  it("gets the event, and may say any action", function()
    local f = filter.start { config = [[
      local names = {}
      return { resolver = resolver, policy = function(event)
        local s, user = event.session, event.address:match "^[^@]*"
        if user == "all" then
          local r = event.result
          return { "reject", ("550 %s %s %s %s %s %s %s %s %s %s %s %s"):format(event.role, event.phase,
            event.domain, event.finding, s.id, s.source, s.rdns, s.helo, tostring(s.username),
            tostring(s.authenticated), tostring(s.is_local), r and r.hosts[1].host or event.err.code) }
        end
        if user == "tall" then return { "reject", "550 " .. ("x"):rep(1896) } end
        return user ~= "nil" and user or nil
      end } ]] }
    f:connect("aaaa", remote)
    f:report("link-identify", "aaaa", "EHLO", "helo.example|x")
    local function ask(phase, address) return f:answer("aaaa", f:ask("aaaa", phase, address)) end
    assert.equal("reject|550 sender mail-from filter.example ok aaaa " .. remote
      .. " mail.example.org helo.example|x nil false false mx.filter.example",
      ask("mail-from", "all@filter.example"))
    assert.equal("reject|550 sender mail-from nullmx.example null_mx aaaa " .. remote
      .. " mail.example.org helo.example|x nil false false no_mail", ask("mail-from", "all@nullmx.example"))
    f:report("link-auth", "aaaa", "pass", "me")
    assert.equal("reject|550 recipient rcpt-to filter.example dane aaaa " .. remote
      .. " mail.example.org helo.example|x me true false mx.filter.example",
      ask("rcpt-to", "all@filter.example"))
    for user, answer in pairs {
      proceed = "^proceed$", log = "^proceed$", junk = "^junk$", reject = "^reject|550 5%.4%.4 ",
      tempfail = "^reject|451 4%.4%.3 ", ["nil"] = "^proceed$", other = "^proceed$",
      tall = "^reject|550 x*$",
    } do
      assert.matches(answer, ask("rcpt-to", user .. "@filter.example"), user)
    end
    assert.equal(0, f:finish())
  end)

  it("cannot make an answer that would end smtpd", function()
    local f = filter.start { config = [[
      local answers = {
        { "reject" }, { "reject", "" }, { "reject", "no" }, { "reject", "250 ok" }, { "reject", "550" },
        { "reject", "550 " }, { "reject", "550  " }, { "reject", "550 a\nfilter-result|x|y|junk" },
        { "reject", "550 a\0b" }, { "reject", "550 " .. ("x"):rep(2000) }, { "reject", "550 \255" },
        { "reject", 550 }, { "reject", {} }, { "rewrite", "a@b" }, { "disconnect", "550 x" }, {},
        { { } }, { "550 x" }, true, false, 1, "", "REJECT", "reject|550 x", print,
        setmetatable({}, { __index = function() error "index" end }),
        setmetatable({}, { __tostring = function() error "tostring" end }),
      }
      local at = 0
      return { resolver = resolver, policy = function() at = at + 1; return answers[at] end } ]] }
    for i = 1, 27 do
      assert.matches("^reject|550 5%.7%.27 [ -~]+$", f:decide("mail-from", "a@nullmx.example", remote),
        "answer " .. i)
    end
    assert.equal(0, f:finish())
    local _, wrong = f.log:gsub("error=policy", "")
    assert.equal(27, wrong)
    assert.equal(27, f.count)
  end)
end)

describe("the resolver", function()
  -- What a resolver that comes and goes looks like: `broken` says which makings and uses fail.
  local wrapped = [[
    local nexthop = require "nexthop"
    local new, made = nexthop.new, 0
    nexthop.new = function(options)
      made = made + 1
      if made > 1 and made <= %d then return nil, { code = "no_memory", message = "not now" } end
      local real = assert(new(options))
      local proxy = {}
      function proxy.process()
        if made == %d then made = made + 1; return nil, { code = "closed", message = "broken" } end
        return real:process()
      end
      return setmetatable(proxy, { __index = function(_, name)
        return function(_, ...) return real[name](real, ...) end
      end })
    end
    return { resolver = resolver }
  ]]

  it("that cannot be made is logged, all proceeds, and it is tried again", function()
    local f = filter.start { config = wrapped:format(2, 0) } -- the first is the one of the check
    assert.equal("proceed", f:decide("mail-from", "a@nullmx.example", remote))
    f:logged("error=resolver message=\"not now\" retry=1\n")
    f:wait(function()
      return f:decide("mail-from", "a@nullmx.example", remote):find "^reject|550 5%.7%.27 "
    end)
    assert.equal(0, f:finish())
    local _, tries = f.log:gsub("error=resolver", "")
    assert.equal(1, tries)
  end)

  it("that breaks is made again, and what waited on it proceeds", function()
    local f = filter.start { config = wrapped:format(0, 2) }
    assert.equal("proceed", f:decide("mail-from", "a@nullmx.example", remote))
    f:logged("error=resolver message=broken retry=1\n")
    f:wait(function()
      return f:decide("mail-from", "a@nullmx.example", remote):find "^reject|550 5%.7%.27 "
    end)
    assert.equal(0, f:finish())
  end)
end)

describe("under load", function()
  it("10,000 sessions under way leave it standing", function()
    local f = filter.start()
    local tokens = {}
    for i = 1, 10000 do
      local session = ("%016x"):format(i)
      f:connect(session, remote)
      f:report("link-identify", session, "EHLO", "client" .. i .. ".example")
      if i % 10 == 0 then
        tokens[session] = f:ask(session, "mail-from", ("a@%s.example"):format(i % 20 == 0 and "nullmx"
          or "filter"))
      end
    end
    f:wait(function() return f.count == 1000 end, 60)
    for i = 1, 10000 do f:report("link-disconnect", ("%016x"):format(i)) end
    assert.matches("^reject|550 ", f:decide("mail-from", "a@nullmx.example", remote))
    assert.equal(0, f:finish())
    assert.equal(1001, f.count)
    for session, token in pairs(tokens) do
      assert.equal(1, #f.answers[session .. "|" .. token])
    end
  end)

  local burst = support.slow > 1 and 500 or 5000

  it(("a burst of %d requests is answered, whether or not smtpd reads meanwhile"):format(burst), function()
    for _, unread in ipairs { false, true } do
      lab:clear()
      lab:rule { name = "silent.example", action = "silent" }
      local f = filter.start { unread = unread, handshake = false, config = { deadline = 2 } }
      f:send("config|ready")
      f:connect("first", remote)
      f:ask("first", "mail-from", "user@nullmx.example")
      f:logged "finding=null_mx" -- the keys are there
      local tokens = {}
      for i = 1, burst do
        local session = ("%016x"):format(i)
        f:connect(session, remote)
        local domain = i % 50 == 0 and "silent.example" or i % 2 == 0 and "nullmx.example"
          or ("n%d.nothing.example"):format(i % 500)
        tokens[session] = f:ask(session, "mail-from", "user@" .. domain)
      end
      if unread then
        f:logged(("session=%016x .*finding=null_mx"):format(2)) -- it works on
        f:read()
      end
      f:wait(function() return f.count == burst + 1 end, 90)
      assert.equal(0, f:finish())
      assert.equal(burst + 1, f.count)
      for session, token in pairs(tokens) do
        assert.equal(1, #f.answers[session .. "|" .. token])
      end
    end
  end)

  it("a log that nobody reads does not stop it", function()
    local f = filter.start { verbose = true, log_unread = true }
    for i = 1, 3000 do
      local session = ("%016x"):format(i)
      f:connect(session, remote)
      f:ask(session, "mail-from", ("x"):rep(300) .. "@nullmx.example")
    end
    f:wait(function() return f.count == 3000 end, 60)
    assert.equal(0, f:finish())
  end)
end)

describe("sessions that vanish", function()
  it("are forgotten, and their requests answered at most once", function()
    lab:rule { name = "silent.example", action = "silent" }
    local f = filter.start { config = { deadline = 20 } }
    for i = 1, 200 do
      local session = ("%016x"):format(i)
      f:connect(session, remote)
      f:ask(session, "mail-from", "user@silent.example")
      f:report("link-disconnect", session)
      f:report("link-disconnect", session)
      f:report("tx-reset", session, "0badcafe")
    end
    assert.matches("^reject|550 ", f:decide("mail-from", "a@nullmx.example", remote))
    assert.equal(0, f:finish()) -- at once: nothing is open
    for key, answers in pairs(f.answers) do assert.equal(1, #answers, key) end
  end)

  it("may be smtpd itself, that reads no more", function()
    local f = filter.start()
    f.output:close()
    for i = 1, 100 do
      f:connect("aaaa" .. i, remote)
      f:ask("aaaa" .. i, "mail-from", "a@nullmx.example")
    end
    f:logged("error=output")
    assert.equal(0, f:finish())
  end)
end)
