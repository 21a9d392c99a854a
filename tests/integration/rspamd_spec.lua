-- Real rspamd: 3.4 under Lua 5.4, 3.12 under LuaJIT, so that `make test` runs each once (the Lua that
-- runs this file is not the one that rspamd has). NEXTHOP_RSPAMD=bookworm,trixie,sid says otherwise
-- (`make test-sid`: 4.1 or what unstable has by now); NEXTHOP_RSPAMD_MESSAGES how many are sent
-- under load (2000).
local filter = require "tests.support.filter"
local rspamd = require "tests.integration.rspamd"
local lab = require("tests.lab.lab").shared()

local versions = { bookworm = "3.4", trixie = "3.12", sid = "of unstable" }
local usual = jit and "trixie" or _VERSION == "Lua 5.4" and "bookworm" or "" -- luacheck: ignore jit
if os.getenv "UNDER" then usual = "" end -- rspamd is under neither
local suites = os.getenv "NEXTHOP_RSPAMD" or usual
local messages = tonumber(os.getenv "NEXTHOP_RSPAMD_MESSAGES" or 2000)

local outside, inside = "192.0.2.99", "127.0.0.1"

local function shell(command)
  local pipe = assert(io.popen(command .. " 2>&1"))
  local text = pipe:read "*a"
  pipe:close()
  return (text:gsub("\n$", ""))
end

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

-- A forwarder may be slow: libunbound gives it more time than the servers of a zone.
local forward = ('resolver { forward = "%s"; trust_anchor_file = "@DIR@/anchor"; }\n')
  :format(lab.forward_address)

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
  if event.domain == "unspeakable.example" then
    return setmetatable({}, { __tostring = function() error "not even that" end })
  end
  if event.domain == "speechless.example" then
    error(setmetatable({}, { __tostring = function() error "not even that" end }))
  end
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
    for label, symbol in pairs {
      filter = "BOGUS", raises = "NO_HOST", wrong = "NO_HOST", unspeakable = "NO_HOST",
      speechless = "NO_HOST",
    } do
      local domain = label .. ".example"
      assert.same({ ["NEXTHOP_FROM_" .. symbol] = domain }, symbols { from = "a@" .. domain, ip = outside })
    end
    assert.matches("on purpose", server:log())
    assert.matches("'no such finding' is no finding of a sender", server:log())
  end)

  -- Those of the default `local_addrs`, too; fd00:: is one. Nobody looks at a local sender.
  it(mode .. ": takes for local what rspamd does", function()
    for _, ip in ipairs {
      "127.0.0.1", "127.9.9.9", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.1.1", "::1", "fe80::1",
      "fd00::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3",
    } do
      assert.same({ [1] = ip, NEXTHOP_RCPT_NULL_MX = "nullmx.example" }, (function()
        local found = symbols { from = "a@nothing.example", ip = ip, rcpt = { "b@nullmx.example" } }
        found[1] = ip
        return found
      end)())
    end
    for _, ip in ipairs { outside, "2001:db8::1", "::ffff:192.0.2.99", "11.0.0.1", "172.32.0.1" } do
      assert.same({ NEXTHOP_FROM_NO_HOST = "nothing.example" },
        symbols { from = "a@nothing.example", ip = ip, rcpt = { "b@nullmx.example" } })
    end
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
    if kib_after > kib + 8192 then -- a collector that was late; what leaks grows once more
      fds, kib = fds_after, kib_after
      round(n - math.floor(n / 2))
      fds_after, kib_after = rspamd.usage(workers[1])
    end
    assert.same(workers, server:workers())
    assert(fds_after <= fds + 10, ("%d descriptors, then %d"):format(fds, fds_after))
    assert(kib_after <= kib + 8192, ("%d KiB, then %d"):format(kib, kib_after))
    print(("%s: %d messages: %d then %d descriptors, %d then %d KiB"):format(mode, n, fds, fds_after, kib,
      kib_after))
  end)
end

-- Domains that nobody has looked up before, each for one message.
local reload_zone = { name = "reload.example", text = {} }
for i = 1, 1200 do reload_zone.text[i] = ("d%d MX 0 .\n"):format(i) end
reload_zone.text = table.concat(reload_zone.text)

-- At a reload rspamd makes new workers, and those that were there end when their messages are done.
local function reload_test(root, mode, conf, start_lookups)
  it(mode .. ": loses no lookup at a reload under load", function()
    local server = rspamd.start(root, { conf = conf, files = files() })
    local lookups
    finally(function()
      lab:clear()
      server:stop()
      if lookups then lookups:stop() end
    end)
    lookups = start_lookups and start_lookups(server)
    lab:rule { name = "*.reload.example", type = "MX", action = "pass", delay = 400 } -- each takes its time
    local before, answered, count = server:workers(), 0, 600
    local function domain(i, n) return ("d%d.reload.example"):format(2 * i - 2 + n) end
    server:scan_many(count, 60, function(i)
      if i % 200 == 100 then server:reload() end
      return { from = "", ip = inside,
        rcpt = { "x@" .. domain(i, 1), "x@nothing.example", "x@" .. domain(i, 2) } }
    end, function(answer, i)
      answered = answered + 1
      assert.same({ NEXTHOP_RCPT_NO_HOST = "nothing.example",
        NEXTHOP_RCPT_NULL_MX = domain(i, 1) .. "," .. domain(i, 2) }, rspamd.symbols(answer))
    end)
    lab:clear()
    assert.equal(count, answered)
    rspamd.wait_for("the end of the old workers", 120, function()
      local now = server:workers()
      if #now ~= 1 or now[1] == before[1] then return false end
      for _, name in ipairs(server:directories()) do -- the last of them takes its directory with it
        if tonumber(name:match "^nexthop%-(%d+)") ~= now[1] then return false end
      end
      return true
    end)
    assert.same({ NEXTHOP_FROM_NULL_MX = "nullmx.example" },
      rspamd.symbols(server:scan { from = "a@nullmx.example", ip = outside }))
  end)
end

local function crowd_test(root, mode, conf, start_lookups)
  it(mode .. ": 1,000 messages of 10 recipients at once", function()
    -- the time is that of the machine: what is asked here is whether one is turned away
    local server = rspamd.start(root, { conf = conf .. "deadline = 60s;", files = files(),
      options = "task_timeout = 100s;" })
    local lookups
    finally(function()
      server:stop()
      if lookups then lookups:stop() end
    end)
    lookups = start_lookups and start_lookups(server)
    local function domain(i, n) return ("c%d.crowd.example"):format((i * 10 + n) % 200) end
    local failed, answered = {}, 0
    server:scan_many(1000, 1000, function(i)
      local rcpt = {}
      for n = 1, 10 do rcpt[n] = "a@" .. domain(i, n) end
      return { from = "", ip = inside, rcpt = rcpt }
    end, function(answer, i)
      answered = answered + 1
      local all = {}
      for n = 1, 10 do all[n] = domain(i, n) end
      local found = rspamd.symbols(answer).NEXTHOP_RCPT_NO_HOST
      if found ~= table.concat(all, ",") then failed[#failed + 1] = i end
    end)
    local log = server:log()
    assert.equal(1000, answered)
    assert(#failed == 0, ("%d failed: %s"):format(#failed,
      log:match "no finding for [^\n]*" or "no word in the log"))
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
    lab:add_zones { filter.zone, zone, reload_zone }
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
      crowd_test(root, "in the worker", resolver())
      reload_test(root, "in the worker", forward .. 'deadline = 5s;')
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
      crowd_test(root, "with a server", 'socket = "@DIR@/nexthop.sock";', function(instance)
        return rspamd.lookup_server(root, instance.dir, {}, lab:options())
      end)
      reload_test(root, "with a server", 'socket = "@DIR@/nexthop.sock"; deadline = 5s;', function(instance)
        return rspamd.lookup_server(root, instance.dir, {}, { forward = lab.forward_address })
      end)
      it("logs a line for each lookup that a missing server cannot answer, and no error of rspamd", function()
        lookups:stop()
        local before = #server:log()
        assert.same({ NEXTHOP_RCPT_FAILURE = "nullmx.example,nothing.example" }, rspamd.symbols(server:scan {
          from = "", ip = inside, rcpt = { "a@nullmx.example", "a@nothing.example" } }))
        local log = server:log():sub(before + 1)
        assert.equal(2, select(2, log:gsub("no finding for ", "")), log)
        assert.is_nil(log:find("callback call failed", 1, true), log)
      end)
    end)

    -- What comes back when something else than nexthop-server, or a broken one, is at the socket.
    describe("with a server that answers something else", function()
      local server, fake, answers
      setup(function()
        server = rspamd.start(root, { conf = 'socket = "@DIR@/nexthop.sock"; deadline = 2s;\n' })
        fake = rspamd.fake_lookup_server(server, function(line)
          local id, domain = line:match '"id":(%d+)', line:match '"domain":"([^"]*)"'
          local answer = answers[domain]
          if answer == nil then
            answer = '{"id":ID,"result":{"finding":"null_mx","plan":null,"error":null}}'
          end
          return answer and (answer:gsub("ID", id)) .. "\n" or nil
        end)
      end)
      teardown(function()
        server:stop()
        fake.close()
      end)
      local function found(...)
        local rcpt = {}
        for i, domain in ipairs { ... } do rcpt[i] = "a@" .. domain end
        return rspamd.symbols(server:scan { from = "", ip = inside, rcpt = rcpt })
      end
      local huge = '{"id":ID,"result":{"finding":"null_mx","plan":null,"error":null,"more":"'
        .. ("x"):rep(2 * 1048576) .. '"}}'

      -- The other domain of the message is answered well, unless nothing can be trusted any more.
      for what, case in pairs {
        ["an unknown finding"] = { '{"id":ID,"result":{"finding":"splendid"}}', true },
        ["a finding of another role"] = { '{"id":ID,"result":{"finding":"DANE"}}', true },
        ["a finding that is no text"] = { '{"id":ID,"result":{"finding":7}}', true },
        ["no finding"] = { '{"id":ID,"result":{}}', true },
        ["no result"] = { '{"id":ID}', true },
        ["a number for a result"] = { '{"id":ID,"result":7}', true },
        ["a text for a result"] = { '{"id":ID,"result":"null_mx"}', true },
        ["a list for a result"] = { '{"id":ID,"result":["null_mx"]}', true },
        ["a domain that is no text"] = { '{"id":ID,"result":{"finding":"null_mx","domain":{}}}', true },
        ["a plan that is no object"] = { '{"id":ID,"result":{"finding":"null_mx","plan":"none"}}', true },
        ["an error"] = { '{"id":ID,"error":{"code":"closed","message":"m","permanent":false}}', true },
        ["an error that is none"] = { '{"id":ID,"error":"yes"}', true },
        ["a wrong id"] = { '{"id":77,"result":{"finding":"null_mx"}}', false },
        ["an id that is no number"] = { '{"id":"one","result":{"finding":"null_mx"}}', false },
        ["no id"] = { '{"result":{"finding":"null_mx"}}', false },
        ["no JSON"] = { "null_mx", false },
        ["an empty line"] = { "", false },
        ["2 MB"] = { huge, false },
        ["the end"] = { false, false },
      } do
        it("is a failure: " .. what, function()
          answers = { ["b.example"] = case[1] }
          assert.same({ NEXTHOP_RCPT_FAILURE = "b.example" }, found "b.example")
          assert.same({ NEXTHOP_RCPT_NULL_MX = "a.example", NEXTHOP_RCPT_FAILURE = "b.example" },
            found("a.example", "b.example"))
          local after = found("b.example", "c.example")
          assert.same(case[2] and { NEXTHOP_RCPT_FAILURE = "b.example", NEXTHOP_RCPT_NULL_MX = "c.example" }
            or { NEXTHOP_RCPT_FAILURE = "b.example,c.example" }, after)
        end)
      end

      it("is asked on one connection for all domains of a message", function()
        answers = {}
        local before, domains = fake.connections, {}
        for i = 1, 10 do domains[i] = ("d%d.example"):format(i) end
        assert.same({ NEXTHOP_RCPT_NULL_MX = table.concat(domains, ",") },
          found((unpack or table.unpack)(domains))) -- luacheck: ignore
        assert.equal(1, fake.connections - before)
      end)
    end)

    it("follows its map of excluded domains, until nothing is in it", function()
      local server = rspamd.start(root, { options = "map_watch_interval = 1s; map_file_watch_multiplier = 1;",
        conf = 'socket = "@DIR@/nobody.sock"; exclude_domains = "@DIR@/exclude.map";',
        files = { ["exclude.map"] = "example.org\n*.example.net # all\nBÜCHER.example\n" } })
      finally(function() server:stop() end)
      local function is_excluded(domain)
        return next(rspamd.symbols(server:scan { from = "a@" .. domain, ip = outside })) == nil
      end
      local function put(text)
        local file = assert(io.open(server.folder .. "/exclude.map", "w"))
        file:write(text)
        file:close()
      end
      for _, domain in ipairs { "example.org", "xn--bcher-kva.example", "a.b.example.net" } do
        assert(is_excluded(domain), domain)
      end
      assert(not is_excluded "example.net" and not is_excluded "example.com")
      put "example.com\n"
      rspamd.wait_for("the new map", 60, function() return is_excluded "example.com" end)
      assert(not is_excluded "example.org")
      put ""
      rspamd.wait_for("the empty map", 60, function() return not is_excluded "example.com" end)
    end)

    it("has an example of a policy file that does what it says", function()
      local server = rspamd.start(root, {
        conf = 'policy = "@DIR@/policy.lua"; deadline = 2s;\n' .. resolver(),
        files = files { ["policy.lua"] = read "examples/rspamd/nexthop_policy.lua" } })
      finally(function() server:stop() end)
      local list = "X-Mailman-Version: 2.1.39\r\nPrecedence: list\r\nList-Id: <l.nothing.example>\r\n"
        .. "X-BeenThere: l@nothing.example\r\nList-Help: <mailto:l-request@nothing.example>\r\n"
        .. "List-Subscribe: <mailto:l-join@nothing.example>\r\n"
        .. "List-Unsubscribe: <mailto:l-leave@nothing.example>\r\n"
      local answer = server:scan { from = "a@nothing.example", ip = outside, headers = list }
      assert(answer.symbols.MAILLIST)
      assert.same({}, rspamd.symbols(answer))
      assert.same({ NEXTHOP_FROM_NO_HOST = "nothing.example" },
        rspamd.symbols(server:scan { from = "a@nothing.example", ip = outside }))
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
        local instance = rspamd.new(root, { conf = conf, files = files(more), all = true })
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
      it("names every key that is wrong", function()
        local _, text = test("senders = true; recipients = 7; max_recipients = 0; socket = here; "
          .. "policy = /nowhere.lua;")
        for _, reason in ipairs { "senders: no such key", "recipients: true or false expected",
          "max_recipients: a whole number", "socket: an absolute path", "policy: " } do
          assert(text:find("nexthop: " .. reason, 1, true), text)
        end
      end)
      it("shows the section, once", function()
        local instance = rspamd.new(root, { conf = "sender = false;", all = true })
        local text, status = instance:admin "configdump nexthop"
        instance:stop()
        assert.equal(0, status)
        assert.equal(1, select(2, text:gsub("sender = ", "")), text)
      end)
      it("passes where nobody has configured anything but the plugin", function()
        local instance = rspamd.new(root, { all = true, conf = "resolver { trust_anchor_file = false; }" })
        local text, status = instance:configtest()
        instance:stop()
        assert(status == 0, text)
      end)

      -- What a plugin half installed says: one line with what to do.
      local function without(path, conf)
        local file = shell(("ls -d %s%s"):format(root, path))
        assert(file:find "^/" and not file:find "\n", file)
        assert(os.rename(file, file .. ".away"))
        local instance = rspamd.new(root, { conf = conf, files = files(), all = true })
        local text, status = instance:configtest()
        instance:stop()
        assert(os.rename(file .. ".away", file))
        assert.is_not_equal(0, status)
        local lines = {}
        for line in text:gmatch "[^\n]+" do
          if not line:find "^syntax BAD" and not line:find "^1 errors found" then lines[#lines + 1] = line end
        end
        assert.equal(1, #lines, text)
        assert(#lines[1] < 250, text)
        return lines[1]
      end
      it("says in one line what to install when the C half is missing", function()
        assert.matches("make LUA=luajit install", without("/usr/lib/*/lua/5.1/nexthop", resolver()), 1, true)
      end)
      it("says in one line what to install when the modules are missing", function()
        assert.matches("make LUA=luajit install", without("/usr/share/lua/5.1/nexthop", resolver()), 1, true)
      end)
      it("says in one line what to install when luv is missing", function()
        assert.matches("install lua-luv", without("/usr/lib/*/lua/5.1/luv.so", resolver()), 1, true)
      end)
      it("warns of a deadline that comes too late, and passes", function()
        local status, text = test(resolver() .. "deadline = 9s;")
        assert(status == 0, text)
        assert(text:find("deadline: 9s is too close to rspamd's task_timeout of 8s", 1, true), text)
      end)
    end)
  end)
end
