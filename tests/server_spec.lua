local uv = require "luv"
local client = require "nexthop.client"
local support = require "tests.support"
local servers = require "tests.support.server"
local filter = require "tests.support.filter"

local lab = support.lab

local function kind(result) return getmetatable(result) end

describe("nexthop-server", function()
  local server, c, path

  setup(function()
    lab:clear()
    lab:add_zones { filter.zone }
    server = servers.start { deadline = 10, exclude = { "example.org", "*.example.net", "bücher.example" } }
    path = server.path
    c = client.new(path)
  end)
  before_each(support.reset)
  after_each(support.close)
  teardown(function()
    lab:clear()
    c:close()
    local status = server:finish()
    assert.equal(0, status)
  end)

  -- ---- what it answers --------------------------------------------------------

  describe("gives what the resolver gives:", function()
    local function both(method, ...)
      local resolver = support.resolver()
      resolver[method](resolver, ...)
      local want, want_err = resolver[method](resolver, ...)
      c[method](c, ...)
      local got, got_err = c[method](c, ...)
      for _, result in pairs { want, want_err, got, got_err } do
        result.ttl = nil
        -- the validator names the servers it has asked, some more than once
        if result.message then result.message = result.message:gsub(" from 127.*", "") end
        for _, host in ipairs(result.hosts or {}) do
          host.ttl = nil
          if host.err then host.err.message = host.err.message:gsub(" from 127.*", "") end
          for _, err in pairs(host.failed or {}) do err.message = err.message:gsub(" from 127.*", "") end
        end
      end
      assert.same(want, got)
      assert.same(want_err, got_err)
      assert.equal(tostring(want or want_err), tostring(got or got_err))
      assert.equal(kind(want or want_err), kind(got or got_err))
      return got, got_err
    end

    it("a plan, its records as bytes", function()
      local plan = both("plan", "dane.example", { trace = true })
      assert.equal(32, #plan.hosts[1].records[1].data)
      assert.equal("dane", plan.hosts[1].tls)
    end)
    it("records that cannot be used, or are weaker", function()
      local plan = both("plan", "mx-t-agility.example")
      assert.equal(1, #plan.hosts[1].weaker)
      plan = both("plan", "mx-t-allbad.example")
      assert.equal(4, #plan.hosts[1].unusable)
    end)
    it("hosts that failed, and their errors", function()
      local plan = both("plan", "mx-bogustlsa.example")
      assert.equal("bogus", plan.hosts[1].err.code)
      plan = both("plan", "mx-bogus4.example")
      assert.equal("bogus", plan.hosts[1].failed.ip4.code)
    end)
    it("errors with all they know", function()
      local _, err = both("plan", "nullmx.example")
      assert.equal("no_mail", err.code)
      assert.is_true(err.permanent)
      assert.is_true(err.have_mx)
      _, err = both("gather_destinations", "mxallbad.example")
      assert.equal("invalid_mx", err.code)
      _, err = both("gather_tlsa", "bogustlsa.example", { expanded_authentic = true })
      assert.is_true(err.dane_required)
    end)
    it("destinations", function()
      assert.equal(2, #both("gather_destinations", "dane.example").hosts)
    end)
    it("addresses and TLSA, one with the other's result", function()
      local ips = both("gather_ips", "mx1.dane.example")
      local tlsa = both("gather_tlsa", "mx1.dane.example", ips)
      assert.equal("mx1.dane.example", tlsa.tlsa_base_domain)
      assert.equal(1, #tlsa.records)
    end)
    it("options", function()
      local plan = both("plan", "dane.example", { max_hosts = 1, network = "ip4" })
      assert.equal(1, plan.truncated)
      assert.same({ "192.0.2.1" }, plan.hosts[1].ips)
    end)
  end)

  it("tells findings for both roles", function()
    local answer = c:sender "nullmx.example"
    assert.equal("null_mx", answer.finding)
    assert.is_nil(answer.plan)
    assert.equal("no_mail", answer.error.code)
    answer = c:sender "FILTER.example."
    assert.equal("ok", answer.finding)
    assert.equal("filter.example", answer.domain)
    assert.equal("dane", c:recipient("filter.example").finding)
    assert.equal("dane", c:recipient("filter.example").plan.hosts[1].tls)
    assert.equal("no_dane", c:recipient("nodane.filter.example").finding)
    assert.equal("unroutable", c:sender("dane.example").finding)
    assert.equal("no_host", c:sender(("x"):rep(64) .. ".example").finding)
    assert.equal("bogus", c:recipient("broken.example").finding)
  end)

  it("looks neither excluded domains nor literals up", function()
    for domain, reason in pairs {
      ["example.org"] = "excluded", ["a.b.example.NET"] = "excluded", ["BÜCHER.example"] = "excluded",
      ["[192.0.2.1]"] = "address literal", ["2001:db8::1"] = "address literal",
    } do
      local answer, err = c:sender(domain)
      assert.is_nil(err)
      assert.same({ nil, reason }, { answer.finding, answer.skipped })
    end
    assert.equal(0, lab:total())
    assert.equal("no_host", c:sender("example.net.nothing.example").finding)
  end)

  it("counts", function()
    local before = c:stats()
    c:plan "dane.example"
    c:plan("dane.example", { nonsense = 1 })
    local stats = c:stats()
    assert.equal(3, stats.requests - before.requests)
    assert.equal(1, stats.bad_requests - before.bad_requests)
    assert.equal(1, stats.open)
    assert.equal(10, stats.deadline)
    assert.equal(1, stats.resolver.calls - before.resolver.calls)
  end)

  -- ---- the lines ----------------------------------------------------------------

  describe("on the wire", function()
    local raw
    before_each(function() raw = server:connect() end)
    after_each(function() raw:close() end)

    it("has hex, empty lists and the client's ids", function()
      raw:send '{"id":"a b","op":"plan","domain":"dane.example"}\n'
      local line = raw:line()
      support.contains(line, '"id":"a b"', '"weaker":[]', '"unusable":[]')
      assert.matches('"data":"%x+"', line)
      raw:send '{"id":9007199254740991,"op":"sender","domain":"nullmx.example"}\n'
      line = raw:line()
      support.contains(line, '"id":9007199254740991', '"plan":null', '"finding":"null_mx"')
    end)

    it("refuses a bad request by its id, and goes on", function()
      for _, request in ipairs {
        { id = 1 }, { id = 1, op = 7 }, { id = 1, op = "nothing" }, { id = 1, op = "plan" },
        { id = 1, op = "plan", domain = 3 }, { id = 1, op = "gather_ips", domain = "dane.example" },
        { id = 1, op = "plan", domain = "dane.example", options = "all" },
        { id = 1, op = "plan", domain = "dane.example", options = { port = "smtp" } },
        { id = 1, op = "plan", domain = "dane.example", options = { deadline = "soon" } },
        { id = 1, op = "plan", domain = "dane.example", options = { deadline = -1 } },
      } do
        raw:send(request)
        local answer = raw:receive()
        assert.equal("bad_request", answer.error.code)
        assert.equal(1, answer.id)
      end
      raw:send { op = "stats" }
      local answer = raw:receive()
      assert.equal("bad_request", answer.error.code)
      assert.is_nil(answer.id)
      raw:send { id = 2, op = "plan", domain = "dane.example" }
      assert.equal("dane.example", raw:receive().result.domain)
    end)

    for name, line in pairs {
      ["no JSON"] = "{bad\n", ["half of JSON"] = '{"id":1,"op":\n', ["a list"] = "[1,2]\n",
      ["a number"] = "1\n", ["nothing"] = "\n",
      ["70 KiB"] = ('{"id":1,"op":"%s"}\n'):format(("x"):rep(71680)),
      ["70 KiB without an end"] = ("x"):rep(71680),
      ["nested too deeply"] = '{"id":' .. ("["):rep(30000) .. "\n",
    } do
      it("closes after a line with " .. name, function()
        raw:send(line)
        local answer = raw:receive()
        assert.equal("bad_request", answer.error.code)
        assert.is_nil(answer.id)
        assert.is_nil(raw:receive())
        assert.is_true(raw.ended)
      end)
    end

    it("takes a line of 64 KiB, and one in many pieces", function()
      local line = '{"id":"%s","op":"stats"}'
      local id = ("x"):rep(65536 - #line + 2)
      line = line:format(id)
      assert.equal(65536, #line)
      raw:send(line .. "\n")
      assert.equal(id, raw:receive().id)
      for char in ('{"id":2,"op":"stats"}\n'):gmatch "." do
        raw:send(char)
        uv.run "nowait"
      end
      assert.equal(2, raw:receive().id)
    end)

    it("answers 1,000 requests sent at once", function()
      local lines = {}
      for i = 1, 1000 do
        lines[i] = ('{"id":%d,"op":"%s","domain":"%s"}\n'):format(i, i % 2 == 0 and "plan" or "sender",
          i % 3 == 0 and "nullmx.example" or "dane.example")
      end
      raw:send(table.concat(lines))
      local answers, count = raw:receive_all(1000)
      assert.equal(1000, count)
      for i = 1, 1000 do
        local result, err = answers[i].result, answers[i].error
        if i % 2 == 1 then
          assert.equal(i % 3 == 0 and "null_mx" or "unroutable", result.finding)
        else
          assert.equal(i % 3 == 0 and "no_mail" or "dane.example", err and err.code or result.domain)
        end
      end
    end)

    it("answers a client that has half-closed, and then closes", function()
      local held = lab:rule { name = "mx-only4.example", hold = true }
      raw:send { id = 1, op = "plan", domain = "mx-only4.example" }
      raw:send '{"id":2,"op":"plan","domain":"nullmx.example"}' -- the last line needs no end
      raw:shut()
      assert.equal(2, raw:receive().id)
      lab:wait("mx-only4.example")
      lab:unrule(held) -- the question may be asked again
      lab:release()
      assert.equal(1, raw:receive().id)
      assert.is_nil(raw:receive())
      assert.is_true(raw.ended)
    end)
  end)

  it("serves 50 connections side by side", function()
    local all = {}
    for i = 1, 50 do all[i] = server:connect() end
    for id = 1, 20 do
      for _, raw in ipairs(all) do raw:send { id = id, op = "plan", domain = "dane.example" } end
    end
    for _, raw in ipairs(all) do
      local answers, count = raw:receive_all(20)
      assert.equal(20, count)
      for id = 1, 20 do assert.equal("dane.example", answers[id].result.domain) end
      raw:close()
    end
  end)

  it("is not held up by a client that does not read", function()
    local slow = server:connect()
    slow.pipe:read_stop()
    local n, lines = 600, {}
    for i = 1, n do lines[i] = ('{"id":%d,"op":"plan","domain":"hundred.example"}\n'):format(i) end
    c:plan "hundred.example"
    local before = c:stats().resolver.calls
    slow:send(table.concat(lines))
    for _ = 1, 20 do assert.equal("dane.example", c:plan("dane.example").domain) end
    local answered = c:stats().answered
    servers.wait_for("a full connection", function() -- it stands still, far from its end
      local now = c:stats().answered
      local stands = now == answered + 1
      answered = now
      return stands
    end)
    local calls = c:stats().resolver.calls - before - 20
    assert(calls < n, calls .. " all was read, though nobody took the answers")
    slow:read()
    local _, count = slow:receive_all(n)
    assert.equal(n, count)
    slow:close()
  end)

  it("outlives clients that go without reading", function()
    for _ = 1, 20 do
      local raw = server:connect()
      for i = 1, 50 do raw:send { id = i, op = "plan", domain = "dane.example" } end
      uv.run "nowait"
      raw:close()
    end
    assert.equal("dane.example", c:plan("dane.example").domain)
    servers.wait_for("the ends", function() return c:stats().open == 1 end)
  end)

  -- ---- the socket ------------------------------------------------------------------

  it("has a socket for its group", function()
    assert.equal(432, uv.fs_stat(path).mode % 512)
  end)

  it("refuses a socket in use and what is no socket", function()
    local text, status = servers.run("-l " .. path .. " -c " .. server.config)
    assert.equal(1, status)
    support.contains(text, path .. ": another server listens there")
    assert.equal("dane.example", c:plan("dane.example").domain)

    local file = filter.config ""
    text, status = servers.run("-l " .. file .. " -c " .. server.config)
    assert.equal(1, status)
    support.contains(text, file .. ": is there, and is no socket")
    assert.equal("file", uv.fs_stat(file).type)
    os.remove(file)
    text, status = servers.run("-l /tmp/" .. ("x"):rep(110) .. " -c " .. server.config)
    assert.equal(1, status)
    support.contains(text, "has at most 103 bytes")
    text, status = servers.run("-l /nowhere/at/all -c " .. server.config)
    assert.equal(1, status)
    support.contains(text, "/nowhere/at/all")
  end)
end)

-- A server of its own: libunbound remembers for long who did not answer.
describe("nexthop-server, where name servers are silent,", function()
  local server, c

  before_each(function()
    support.reset()
    server = servers.start {}
    c = client.new(server.path)
  end)
  after_each(function()
    lab:clear()
    c:close()
    server:finish()
  end)

  it("gives lookups up when their client goes", function()
    local raw = server:connect()
    lab:rule { name = "*.example", action = "silent" }
    local before = c:stats().resolver.pending
    for i = 1, 10 do raw:send { id = i, op = "plan", domain = "d17-" .. i .. ".example" } end
    lab:wait "d17-10.example"
    assert.equal(before + 10, c:stats().resolver.pending)
    raw:close()
    servers.wait_for("no lookup", function() return c:stats().resolver.pending <= before end)
  end)

  it("ends a lookup at its own deadline and at the request's", function()
    lab:rule { name = "*.example", action = "silent" }
    local answer = c:sender("mx-only6.example", { deadline = 0.3 })
    assert.equal("failure", answer.finding)
    assert.equal("timeout", answer.error.code)
    local _, err = c:gather_destinations("mx-many.example", { deadline = 0.3 })
    assert.equal("timeout", err.code)
  end)
end)

describe("the end of nexthop-server", function()
  before_each(support.reset)
  after_each(function() lab:clear() end)

  it("at SIGTERM answers what is in flight, and no more", function()
    local server = servers.start {}
    local raw = server:connect()
    lab:rule { name = "dane.example", hold = true }
    for i = 1, 5 do raw:send { id = i, op = "plan", domain = "dane.example" } end
    lab:wait "dane.example"
    server.handle:kill "sigterm"
    servers.wait_for("the socket's end", function() return not uv.fs_stat(server.path) end)
    assert.is_false((pcall(server.connect, server)))
    lab:release()
    local _, count = raw:receive_all(5)
    assert.equal(5, count)
    assert.is_nil(raw:receive())
    servers.wait_for("the server's end", function() return server.status end)
    assert.same({ 0, 0 }, { server:finish() })
    raw:close()
  end)

  it("at SIGTERM with nothing to do is at once", function()
    local server = servers.start {}
    local raw = server:connect()
    assert.same({ 0, 0 }, { server:finish() })
    assert.is_nil(raw:receive())
    raw:close()
  end)

  it("by kill -9 under load: the next one takes the path, and clients go on", function()
    local server = servers.start {}
    local c = client.new(server.path)
    local good, closed = 0, 0
    local function ask()
      c:plan("dane.example", function(plan, err)
        if plan then good = good + 1 end
        if err then
          assert.equal("closed", err.code)
          closed = closed + 1
        end
      end)
    end
    for _ = 1, 200 do ask() end
    servers.wait_for("an answer", function() return good > 0 end)
    lab:rule { name = "nodane.example", hold = true }
    local lost
    c:plan("nodane.example", function(_, err) lost = err end)
    lab:wait "nodane.example"
    server:finish "sigkill"
    servers.wait_for("the end of the connection", function() return lost end)
    assert.equal("closed", lost.code)
    assert.equal(200, good + closed)
    assert.is_nil(uv.fs_stat(server.path)) -- finish has removed it: make one that nobody listens on

    local stale = uv.new_pipe(false)
    local path = servers.path()
    local code = ("local uv = require 'luv' local p = uv.new_pipe(false) p:bind(%q) p:listen(1, print) "
      .. "uv.kill(uv.os_getpid(), 'sigkill')"):format(path)
    local child = io.popen((os.getenv "NEXTHOP_LUA" or arg[-1]) .. " - 2>/dev/null", "w")
    child:write(code)
    child:close()
    stale:close()
    assert.equal("socket", uv.fs_stat(path).type)
    local second = servers.start({}, path)
    local d = client.new(path)
    assert.equal("nullmx.example", (select(2, d:plan "nullmx.example")).message:match "^[^:]+")
    second:finish "sigkill"
    local third = servers.start({}, path)
    assert.equal("dane.example", d:plan("dane.example").domain)
    d:close()
    third:finish()
  end)
end)

describe("nexthop-server's options", function()
  local function check(config)
    local file = filter.config(config)
    local text, status = servers.run("-n -c " .. file)
    os.remove(file)
    return text, status
  end

  it("-n accepts a good configuration", function()
    local text, status = check { deadline = 3, exclude = { "*.example.net" } }
    assert.equal(0, status)
    support.contains(text, "configuration OK")
  end)

  for key, case in pairs {
    nothing = { { nothing = 1 }, "nothing: no such key" },
    deadline = { { deadline = "4s" }, "deadline: seconds expected" },
    exclude = { { exclude = { "a..b" } }, "exclude: entry 1" },
    resolver = { { resolver = { forwards = "127.0.0.1" } }, "resolver: unknown option 'forwards'" },
    anchor = { { resolver = { forward = "127.0.0.1", trust_anchor_file = "/nowhere" } },
      "resolver: trust_anchor_file: cannot read it" },
    text = { "return 7", "returns a number" },
    syntax = { "return {", "near" },
  } do
    it("-n and the start refuse a bad one: " .. key, function()
      local text, status = check(case[1])
      assert.equal(1, status)
      support.contains(text, "nexthop-server: ", case[2])
      local file = filter.config(case[1])
      text, status = servers.run("-l " .. servers.path() .. " -c " .. file)
      os.remove(file)
      assert.equal(1, status)
      support.contains(text, case[2])
    end)
  end

  it("-V prints versions, and what is unknown is refused", function()
    local text, status = servers.run "-V"
    assert.equal(0, status)
    support.contains(text, "nexthop ", "libunbound ", "openssl ", "luv ")
    for _, arguments in ipairs { "", "-x", "-l", "word", "-c" } do
      text, status = servers.run(arguments)
      assert.equal(64, status)
      support.contains(text, "usage: nexthop-server")
    end
  end)
end)
