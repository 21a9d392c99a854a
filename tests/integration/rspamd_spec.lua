-- Real rspamd: 3.4 under Lua 5.4, 3.12 under LuaJIT, so that `make test` runs each once (the Lua that
-- runs this file is not the one that rspamd has). NEXTHOP_RSPAMD=bookworm,trixie,sid says otherwise
-- (`make test-sid`: 4.1 or what unstable has by now); NEXTHOP_RSPAMD_MESSAGES how many are sent
-- under load (2000).
local filter = require "tests.filter"
local rspamd = require "tests.integration.rspamd"
local lab = require("tests.lab.lab").shared()

local versions = { bookworm = "3.4", trixie = "3.12", sid = "of unstable" }
local usual = jit and "trixie" or _VERSION == "Lua 5.4" and "bookworm" or "" -- luacheck: ignore jit
if os.getenv "UNDER" then usual = "" end -- rspamd is under neither
local suites = os.getenv "NEXTHOP_RSPAMD" or usual
local messages = tonumber(os.getenv "NEXTHOP_RSPAMD_MESSAGES" or 2000)

local outside, inside = "192.0.2.99", "127.0.0.1"

local function read(path)
  local file = assert(io.open(path, "r"))
  local text = file:read "*a"
  file:close()
  return text
end

local function resolver()
  local stubs = {}
  for zone, address in pairs(lab:options().stub) do
    stubs[#stubs + 1] = ('"%s" = "%s";'):format(zone, address)
  end
  return ('resolver { stub { %s } trust_anchor_file = "@DIR@/anchor"; options { "msg-cache-size" = 4m; '
    .. '"qname-minimisation" = yes; } }\n'):format(table.concat(stubs, " "))
end

-- A second plugin, which sees what ours has said; it counts workers that load it, too.
local other = [[
rspamd_config:register_symbol {
  name = "OTHER", type = "normal", score = 0,
  callback = function(task)
    local found = task:get_symbol "NEXTHOP_FROM_NULL_MX"
    if found then task:insert_result("OTHER", 1.0, found[1].options[1]) end
  end,
}
rspamd_config:register_dependency("OTHER", "NEXTHOP_FROM_NULL_MX")
]]

local policy_file = [[
return function(event)
  assert(event.task:get_message_id())
  if event.domain == "raises.example" then error "on purpose" end
  if event.domain == "wrong.example" then return "no such finding" end
  if event.domain == "mxnodata.example" then return false end
  if event.domain == "filter.example" and event.role == "sender" then
    local host = event.result.hosts[1]
    return #host.records[1].data == 32 and tostring(host):find "DANE" and event.finding == "ok" and "bogus"
  end
end
]]

local function files(more)
  local all = {
    anchor = read(lab.anchor_file), ["exclude.map"] = "example.org\n*.example.net # all\nBÜCHER.example\n",
  }
  for name, text in pairs(more or {}) do all[name] = text end
  return all
end

local common = 'deadline = 2s;\nexclude_domains = "@DIR@/exclude.map";\npolicy = "@DIR@/policy.lua";\n'

-- Sender's domain, symbol; recipients' symbols of the same domain.
local cases = {
  { "nullmx.example", "NEXTHOP_FROM_NULL_MX", "NEXTHOP_RCPT_NULL_MX" },
  { "nothing.example", "NEXTHOP_FROM_NO_HOST", "NEXTHOP_RCPT_NO_HOST" },
  { "mxnothing.example", "NEXTHOP_FROM_BROKEN", "NEXTHOP_RCPT_BROKEN" },
  { "dane.example", "NEXTHOP_FROM_UNROUTABLE", "NEXTHOP_RCPT_UNROUTABLE" },
  { "broken.example", "NEXTHOP_FROM_BOGUS", "NEXTHOP_RCPT_BOGUS" },
  { "loop2.example", "NEXTHOP_FROM_FAILURE", "NEXTHOP_RCPT_FAILURE" },
  { "nodane.filter.example", nil, "NEXTHOP_RCPT_NO_DANE" },
  { "partial.rspamd.example", nil, "NEXTHOP_RCPT_DANE_PARTIAL" },
  { "rspamd.example", nil, "NEXTHOP_RCPT_DANE" },
  { "tlsa.rspamd.example", nil, "NEXTHOP_RCPT_DANE_BROKEN" },
}

-- Names of the corrupted TLSA record are the lab's: a global host beside one whose TLSA are bogus.
local zone = { name = "rspamd.example", text = [[
@       MX 10 mx
mx      A 192.31.196.11
_25._tcp.mx TLSA 3 1 1 ${server.spki.sha256}
other   A 192.31.196.12
partial MX 10 mx
partial MX 20 other
tlsa    MX 10 mx
tlsa    MX 20 bogustlsa.example.
]] }

local function everything(server, mode)
  local function symbols(envelope)
    local answer = server:scan(envelope)
    assert.is_not_equal("soft reject", answer.action)
    return rspamd.symbols(answer), answer
  end

  for _, case in ipairs(cases) do
    it(("%s: says what there is to say of %s"):format(mode, case[1]), function()
      local expected = case[2] and { [case[2]] = case[1] } or {}
      assert.same(expected, symbols { from = "a@" .. case[1]:upper(), ip = outside,
        rcpt = { "b@" .. case[1] } })
      expected = { [case[3]] = case[1] }
      assert.same(expected, symbols { from = "a@" .. case[1], ip = inside, rcpt = { "b@" .. case[1] } })
      assert.same(expected, symbols { from = "a@nullmx.example", ip = outside, user = "u",
        rcpt = { "b@" .. case[1]:upper() } })
    end)
  end

  it(mode .. ": has the scores", function()
    local _, answer = symbols { from = "a@nullmx.example", ip = outside }
    assert.equal(4, answer.symbols.NEXTHOP_FROM_NULL_MX.score)
    _, answer = symbols { from = "a@nullmx.example", ip = inside, rcpt = { "b@nullmx.example" } }
    assert.equal(0, answer.symbols.NEXTHOP_RCPT_NULL_MX.score)
  end)

  it(mode .. ": looks at nothing where there is nothing to look at", function()
    for _, from in ipairs { "", "someone", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "a@example.org",
      "a@x.y.example.net", "a@Example.ORG" } do
      lab:reset()
      assert.same({}, symbols { from = from, ip = outside })
      assert.same({}, symbols { from = "a@dane.example", ip = "::1", rcpt = { from ~= "" and from or "x" } })
      assert.equal(0, lab:count("example.org") + lab:count("x.y.example.net"))
    end
  end)

  it(mode .. ": takes distinct domains of recipients, ten at most, a symbol each", function()
    local rcpt = { "a@nullmx.example", "b@nothing.example", "c@NULLMX.example", "d@nullmx10.example" }
    assert.same({ NEXTHOP_RCPT_NULL_MX = "nullmx.example,nullmx10.example",
      NEXTHOP_RCPT_NO_HOST = "nothing.example" }, symbols { from = "", ip = inside, rcpt = rcpt })
    rcpt = {}
    for i = 1, 12 do rcpt[i] = ("a@n%d.example"):format(i) end
    local found = symbols { from = "", ip = inside, rcpt = rcpt }
    assert.equal(10, select(2, found.NEXTHOP_RCPT_NO_HOST:gsub("n%d+", "")))
  end)

  it(mode .. ": asks the policy file", function()
    assert.same({}, symbols { from = "a@mxnodata.example", ip = outside })
    for label, symbol in pairs { filter = "BOGUS", raises = "NO_HOST", wrong = "NO_HOST" } do
      local domain = label .. ".example"
      assert.same({ ["NEXTHOP_FROM_" .. symbol] = domain }, symbols { from = "a@" .. domain, ip = outside })
    end
    assert.matches("on purpose", server:log())
    assert.matches("'no such finding' is no finding of a sender", server:log())
  end)

  it(mode .. ": is seen by plugins that depend on it", function()
    local _, answer = symbols { from = "a@nullmxtwo.example", ip = outside } -- not in the cache
    assert.same({ "nullmxtwo.example" }, answer.symbols.OTHER.options)
  end)
end

local function load_test(server, mode, n)
  it(("%s: %d messages, 50 at a time"):format(mode, n), function()
    local domains = {}
    for i, case in ipairs(cases) do domains[i] = case end
    local workers = server:workers()
    local function round(count)
      server:scan_many(count, 50, function(i)
        local case = domains[i % #domains + 1]
        if i % 7 == 0 then return { from = ("a@u%d.example"):format(i), ip = outside } end
        return { from = "a@" .. case[1], ip = i % 2 == 0 and outside or inside, rcpt = { "b@" .. case[1] } }
      end, function(answer, i)
        local case = domains[i % #domains + 1]
        local symbol, domain = case[i % 2 == 0 and 2 or 3], case[1]
        if i % 7 == 0 then symbol, domain = "NEXTHOP_FROM_NO_HOST", ("u%d.example"):format(i) end
        assert.same(symbol and { [symbol] = domain } or {}, rspamd.symbols(answer))
      end)
    end
    round(math.floor(n / 2))
    local fds, kib = rspamd.usage(workers[1])
    round(n - math.floor(n / 2))
    local fds_after, kib_after = rspamd.usage(workers[1])
    assert.same(workers, server:workers())
    assert(fds_after <= fds + 10, ("%d descriptors, then %d"):format(fds, fds_after))
    assert(kib_after <= kib + 8192, ("%d KiB, then %d"):format(kib, kib_after))
    print(("%s: %d messages: %d then %d descriptors, %d then %d KiB"):format(mode, n, fds, fds_after, kib,
      kib_after))
  end)
end

local function silence(get)
  it("a silent domain is a failure at the deadline, and no soft reject", function()
    lab:rule { name = "*.example", action = "silent" }
    local answer = get():scan { from = "a@mx-only6.example", ip = outside }
    lab:clear()
    assert.same({ NEXTHOP_FROM_FAILURE = "mx-only6.example" }, rspamd.symbols(answer))
    assert.equal("no action", answer.action)
    assert(answer.time_real < 4, "held for " .. answer.time_real)
  end)
end

for suite in suites:gmatch "%w+" do
  local root, why = rspamd.root(suite)
  describe("rspamd " .. versions[suite], function()
    if not root then
      it("is there", function()
        if os.getenv "CI" == "true" and suite ~= "sid" then error(why) end
        pending(why)
      end)
      return
    end
    lab:clear()
    lab:add_zones { filter.zone, zone }
    setup(function() lab:clear() end)

    describe("in the worker", function()
      local server = rspamd.start(root, { conf = resolver() .. common, plugin = other,
        files = files { ["policy.lua"] = policy_file } })
      teardown(function() server:stop() end)
      everything(server, "in the worker")
      load_test(server, "in the worker", messages)
      if suite ~= "bookworm" then -- 3.4 takes no such address
        it("takes UTF-8 domains", function()
          assert.same({ NEXTHOP_FROM_UNROUTABLE = "xn--mnchen-3ya.example" },
            rspamd.symbols(server:scan { from = "a@MÜNCHEN.example", ip = outside }))
          assert.same({}, rspamd.symbols(server:scan { from = "a@bücher.example", ip = outside }))
        end)
      end
      silence(function() return server end)
      it("leaves no directory behind", function()
        assert.equal(1, #server:directories())
        server:stop(true)
        assert.same({}, server:directories())
      end)
    end)

    describe("with a nexthop-server", function()
      local server
      local function start_server()
        return rspamd.lookup_server(root, server.dir, { exclude = {} }, lab:options())
      end
      server = rspamd.start(root, { conf = 'socket = "@DIR@/nexthop.sock";\n' .. common, plugin = other,
        files = files { ["policy.lua"] = policy_file } })
      local lookups = start_server()
      teardown(function()
        server:stop()
        lookups:stop()
      end)
      everything(server, "with a server")
      load_test(server, "with a server", messages)
      it("goes on when the server was killed and is there again", function()
        lookups:stop()
        local from = { from = "a@nullmx.example", ip = outside }
        assert.same({ NEXTHOP_FROM_FAILURE = "nullmx.example" }, rspamd.symbols(server:scan(from)))
        lookups = start_server()
        assert.same({ NEXTHOP_FROM_NULL_MX = "nullmx.example" }, rspamd.symbols(server:scan(from)))
      end)
      it("is not held by a server that stands still", function()
        lookups:signal "sigstop"
        local answer = server:scan { from = "a@nullmx.example", ip = outside }
        lookups:signal "sigcont"
        assert.same({ NEXTHOP_FROM_FAILURE = "nullmx.example" }, rspamd.symbols(answer))
        assert.equal("no action", answer.action)
        assert(answer.time_real < 4, "held for " .. answer.time_real)
      end)
      silence(function() return server end)
    end)

    it("takes scores from local.d/nexthop_group.conf", function()
      local server = rspamd.start(root, { conf = 'socket = "@DIR@/nobody.sock";', files = {
        ["etc/local.d/nexthop_group.conf"] = 'symbols { "NEXTHOP_FROM_FAILURE" { weight = 1.5; } }' } })
      local answer = server:scan { from = "a@nullmx.example", ip = outside }
      server:stop()
      assert.equal(1.5, answer.symbols.NEXTHOP_FROM_FAILURE.score)
    end)

    describe("configtest -s", function()
      local function test(conf, more)
        local instance = rspamd.new(root, { conf = conf, files = files(more) })
        local text, status = instance:configtest()
        instance:stop()
        return status, text .. instance:log()
      end
      it("passes with good options, in both modes", function()
        local status, text = test(resolver() .. common, { ["policy.lua"] = policy_file })
        assert(status == 0, text)
        status, text = test('socket = "/run/nexthop.sock"; sender = false; max_recipients = 3;')
        assert(status == 0, text)
      end)
      for name, case in pairs {
        ["an unknown key"] = { "senders = true;", "senders: no such key" },
        ["a boolean"] = { 'sender = "yes";', "sender: true or false expected" },
        ["a number"] = { "max_recipients = 0;", "max_recipients: a whole number" },
        ["a time"] = { "deadline = soon;", "deadline: seconds expected" },
        ["a key that is there twice"] = { "deadline = 1s; deadline = 2s;", "deadline: seconds expected" },
        ["a section for a boolean"] = { "sender { a = b }", "sender: true or false expected, got a section" },
        ["an entry of a list of domains"] = { 'exclude_domains = ["a.example", "b c"];',
          "exclude_domains: 'b c' is neither a domain" },
        ["a socket's path that is too long"] = { 'socket = "/' .. ("x"):rep(103) .. '";',
          "socket: a path of at most 103 bytes" },
        ["a section for an option of libunbound"] = {
          'resolver { trust_anchor_file = false; options { "msg-cache-size" { a = 1 } } }',
          "options.msg-cache-size" },
        ["a relative socket"] = { "socket = here;", "socket: an absolute path" },
        ["a resolver option"] = { 'resolver { forwards = "127.0.0.1"; }',
          "resolver: unknown option 'forwards'" },
        ["an anchor"] = { 'resolver { forward = "127.0.0.1"; trust_anchor_file = "/no"; }',
          "resolver: trust_anchor_file" },
        ["no policy file"] = { "policy = /nowhere.lua;", "policy: " },
        ["a bad policy file"] = { 'policy = "@DIR@/policy.lua";', "returns a number, not a function",
          "return 1" },
      } do
        it("fails with a bad option and names it: " .. name, function()
          local conf = case[1]:find "^resolver" and case[1] or resolver() .. case[1]
          local status, text = test(conf, { ["policy.lua"] = case[3] })
          assert.is_not_equal(0, status)
          assert(text:find(case[2], 1, true), text)
        end)
      end
      it("warns of a deadline that comes too late, and passes", function()
        local status, text = test(resolver() .. "deadline = 9s;")
        assert(status == 0, text)
        assert(text:find("deadline: 9s is too close to rspamd's task_timeout of 8s", 1, true), text)
      end)
    end)
  end)
end
