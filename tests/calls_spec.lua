-- Calls: callbacks, handles, deadlines, the queue, the end of a resolver.
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(support.close)

local new, failed = support.resolver, support.failed

-- Options of a resolver that meets a server which says nothing about these names.
local function silence(name)
  return lab:rule { name = name or "dane.example", action = "silent" }
end

-- A callback that notes that it ran: list of { result, err }.
local function recorder()
  local calls = {}
  return function(...) calls[#calls + 1] = { n = select("#", ...), ... } end, calls
end

-- Drives as an event loop does, without blocking calls.
local function drive(r, done)
  local rounds = 0
  while not done() do
    rounds = rounds + 1
    assert(rounds < 1e6, "never done")
    r:process()
  end
end

local methods = { "gather_destinations", "gather_ips", "gather_tlsa", "plan" }

describe("a call with a callback", function()
  for _, method in ipairs(methods) do
    it(method .. " returns a handle, and calls back once, from process()", function()
      local r = new()
      local callback, calls = recorder()
      local handle = r[method](r, "mx1.dane.example", callback)
      assert.equal("userdata", type(handle))
      assert.truthy(tostring(handle):find("(" .. method .. ", pending)", 1, true))
      assert.equal(0, #calls)
      assert.equal(1, r:pending())
      drive(r, function() return #calls > 0 end)
      assert.equal(0, r:pending())
      assert.is_table(calls[1][1])
      assert.is_nil(calls[1][2])
      assert.truthy(tostring(handle):find "over")
      r:process()
      assert.equal(1, #calls)
    end)

    it(method .. " with a warm cache still calls back later only", function()
      local r = new()
      assert.is_table(r[method](r, "mx1.dane.example"))
      local callback, calls = recorder()
      r[method](r, "mx1.dane.example", callback)
      assert.equal(0, #calls)
      assert.equal(0, r:timeout())
      assert.equal(1, r:process())
      assert.equal(1, #calls)
    end)

    it(method .. " of an invalid name does so too", function()
      local r = new()
      local callback, calls = recorder()
      local handle = r[method](r, "a..b", {}, callback)
      assert.equal("userdata", type(handle))
      assert.equal(0, #calls)
      assert.equal(1, r:pending())
      assert.equal(0, r:timeout())
      assert.equal(1, r:process())
      failed("invalid_name", calls[1][1], calls[1][2])
      assert.is_nil(r:timeout())
    end)

    it(method .. " of an address literal does so too", function()
      local r = new()
      local callback, calls = recorder()
      r[method](r, "[192.0.2.1]", callback)
      assert.equal(0, #calls)
      assert.equal(0, r:timeout())
      assert.equal(1, r:process())
      assert.is_table(calls[1][1])
      assert.equal(0, lab:total())
    end)
  end

  it("takes no callback that is no function, and no third thing", function()
    local r = new()
    for _, arguments in ipairs { { {}, 1 }, { "x" }, { 1 }, { {}, {} }, { true } } do
      local ok, message = pcall(r.plan, r, "dane.example", arguments[1], arguments[2])
      assert.is_false(ok)
      assert.truthy(message:find "expected", message)
    end
    assert.equal(0, r:pending())
  end)

  it("raises for a name that is no string, and for unknown options", function()
    local r = new()
    assert.has_error(function() r:plan() end)
    assert.has_error(function() r:plan(25, print) end)
    assert.has_error(function() r:plan("dane.example", { port = "25" }, print) end)
    assert.has_error(function() r:plan("dane.example", { nonsense = 1 }, print) end)
    assert.has_error(function() r:gather_ips("dane.example", { port = 25 }, print) end)
    assert.has_error(function() r.plan({}, "dane.example") end)
    assert.equal(0, r:pending())
    assert.equal(0, r:stats().calls)
  end)

  it("delivers in the order in which answers are complete", function()
    local r = new()
    local order = {}
    local rule = lab:rule { name = "mx1.dane.example", type = "A", hold = true }
    r:gather_ips("mx1.dane.example", function() order[#order + 1] = "held" end)
    r:gather_ips("a..b", function() order[#order + 1] = "invalid" end)
    r:gather_ips("192.0.2.1", function() order[#order + 1] = "literal" end)
    r:gather_ips("mx2.dane.example", function() order[#order + 1] = "quick" end)
    drive(r, function() return #order == 3 end)
    assert.same({ "invalid", "literal", "quick" }, order)
    assert.is_true(lab:release(rule) >= 1) -- more when it has been asked again
    assert.is_true(r:wait())
    assert.equal("held", order[4])
  end)

  it("gets nil and the error on failure", function()
    local r = new()
    local callback, calls = recorder()
    r:gather_destinations("nullmx.example", callback)
    r:wait()
    assert.equal(2, calls[1].n)
    failed("no_mail", calls[1][1], calls[1][2])
  end)

  it("lives as long as it is pending, and not longer", function()
    local r = new()
    local weak = setmetatable({}, { __mode = "k" })
    do
      local callback = function() end
      weak[callback] = true
      weak[r:gather_ips("mx1.dane.example", callback)] = true
    end
    collectgarbage() collectgarbage()
    local n = 0
    for _ in pairs(weak) do n = n + 1 end
    assert.equal(2, n)
    r:wait()
    collectgarbage() collectgarbage() collectgarbage()
    assert.is_nil(next(weak))
  end)
end)

describe("handle:cancel()", function()
  it("before an answer: the callback never runs", function()
    local r = new()
    local callback, calls = recorder()
    local rule = lab:rule { name = "mx1.dane.example", hold = true }
    local handle = r:gather_ips("mx1.dane.example", callback)
    r:process()
    assert.equal(1, r:pending())
    assert.is_true(handle:cancel())
    assert.is_false(handle:cancel())
    assert.equal(0, r:pending())
    assert.is_nil(r:timeout())
    assert.equal(2, r:stats().cancelled)
    lab:unrule(rule)
    lab:release(rule)
    assert.is_table(r:gather_ips("mx1.dane.example"))
    assert.equal(0, #calls)
  end)

  it("when the answer is there already: the same", function()
    local r = new()
    local callback, calls = recorder()
    r:gather_ips("mx1.dane.example")
    local warm = r:gather_ips("mx1.dane.example", callback)
    local literal = r:gather_ips("192.0.2.1", callback)
    local invalid = r:gather_ips("a..b", callback)
    assert.equal(0, r:timeout())
    assert.is_true(warm:cancel())
    assert.is_true(literal:cancel())
    assert.is_true(invalid:cancel())
    assert.is_nil(r:timeout())
    assert.equal(0, r:process())
    assert.equal(0, #calls)
  end)

  it("after the callback: false", function()
    local r = new()
    local handle = r:gather_ips("192.0.2.1", function() end)
    assert.equal(1, r:process())
    assert.is_false(handle:cancel())
  end)

  it("while it is queued: it is never asked", function()
    local r = new { max_pending = 1 }
    silence()
    local callback, calls = recorder()
    r:gather_destinations("dane.example", callback)
    local handle = r:gather_destinations("nodane.example", callback)
    assert.equal(1, r:stats().queued)
    assert.is_true(handle:cancel())
    assert.equal(0, r:stats().queued)
    r:process()
    assert.equal(0, #calls)
    assert.equal(0, lab:count("nodane.example", "MX"))
  end)

  it("of one under way makes room for the next of the queue at once", function()
    local r = new { max_pending = 1 }
    silence()
    local callback, calls = recorder()
    local handle = r:gather_destinations("dane.example", callback)
    r:process()
    r:gather_destinations("nodane.example", callback)
    assert.equal(1, r:stats().queued)
    handle:cancel()
    assert.equal(0, r:timeout())
    r:process()
    assert.equal(0, r:stats().queued)
    assert.equal(1, r:stats().running)
    assert.is_true(r:wait(20))
    assert.equal("mx.nodane.example", calls[1][1].hosts[1].host)
  end)

  it("from inside another callback of the same batch", function()
    local r = new()
    local second
    local ran = {}
    r:gather_ips("192.0.2.1", function() ran[1] = true second:cancel() end)
    second = r:gather_ips("192.0.2.2", function() ran[2] = true end)
    r:gather_ips("192.0.2.3", function() ran[3] = true end)
    assert.equal(2, r:process())
    assert.same({ true, nil, true }, { ran[1], ran[2], ran[3] })
  end)

  it("of itself inside its callback: false, nothing happens", function()
    local r = new()
    local handle, cancelled
    handle = r:gather_ips("192.0.2.1", function() cancelled = handle:cancel() end)
    assert.equal(1, r:process())
    assert.is_false(cancelled)
  end)

  it("after close, and after the resolver was collected: false", function()
    local r = new()
    silence()
    local ran = 0
    local handle = r:plan("dane.example", function() ran = ran + 1 end)
    r:close()
    assert.is_false(handle:cancel())
    assert.equal(1, ran)
    local other = assert(nexthop.new(lab:options()))
    handle = other:plan("dane.example", function() ran = ran + 1 end)
    other = nil -- luacheck: ignore
    collectgarbage() collectgarbage()
    assert.is_false(handle:cancel())
    assert.equal(1, ran)
  end)

  it("lets go of the callback", function()
    local r = new()
    silence()
    local weak = setmetatable({}, { __mode = "k" })
    for _ = 1, 10 do
      local callback = function() end
      weak[callback] = true
      r:plan("dane.example", callback):cancel()
      r:plan("a..b", callback):cancel()
    end
    collectgarbage() collectgarbage() collectgarbage()
    assert.is_nil(next(weak))
  end)
end)

describe("inside a callback", function()
  it("an error does not stop the others; process() raises the first, with a traceback", function()
    local r = new { budget = 60 }
    local ran = 0
    local function count() ran = ran + 1 end
    r:gather_ips("192.0.2.1", count)
    r:gather_ips("192.0.2.2", function() error "first trouble" end)
    r:gather_ips("192.0.2.3", count)
    r:gather_ips("192.0.2.4", function() error "second trouble" end)
    r:gather_ips("192.0.2.5", count)
    local ok, message = pcall(r.process, r)
    assert.is_false(ok)
    assert.truthy(message:find "calls_spec.lua:%d+: first trouble\n")
    assert.truthy(message:find("stack traceback:", 1, true))
    assert.is_nil(message:find "second trouble")
    assert.equal(3, ran)
    assert.equal(0, r:pending())
    assert.equal(0, r:process())
  end)

  it("the traceback begins where it happened", function()
    local r = new()
    local nothing = nil
    r:gather_ips("192.0.2.1", function() return nothing.field end)
    local _, message = pcall(r.process, r)
    local line = message:match "calls_spec.lua:(%d+): attempt"
    assert.truthy(message:match("traceback:.-calls_spec.lua:" .. line .. ":"), message)
  end)

  it("an error may be any value", function()
    local r = new()
    local thing = {}
    for _, value in ipairs { thing, 42, true } do
      r:gather_ips("192.0.2.1", function() error(value) end)
      local ok, raised = pcall(r.process, r)
      assert.is_false(ok)
      if value == 42 then
        assert.truthy(raised:find "42\n") -- LuaJIT says where, too
      else
        assert.equal(value, raised)
      end
    end
    r:gather_ips("192.0.2.1", function() error() end)
    local ok = pcall(r.process, r)
    assert.is_false(ok)
    r:gather_ips("a..b", function(...) assert(...) end) -- an error table of ours
    local _, raised = pcall(r.process, r)
    assert.truthy(raised:find('"a..b" is no host name', 1, true))
  end)

  it("an error during a blocking call is raised by the next process(), wait() or close()", function()
    for _, later in ipairs { "process", "wait", "close" } do
      local r = new()
      r:gather_ips("192.0.2.1", function() error "trouble" end)
      assert.is_table(r:gather_ips "mx1.dane.example")
      local ok, message = pcall(r[later], r)
      assert.is_false(ok, later)
      assert.truthy(message:find "trouble")
      if later ~= "close" then assert.equal(0, r:process()) end
    end
  end)

  it("a blocking call has its result", function()
    local r = new()
    local result
    r:gather_destinations("dane.example", function(destinations)
      result = r:gather_ips(destinations.hosts[1].host)
    end)
    assert.is_true(r:wait())
    assert.same({ "2001:db8::1", "192.0.2.1" }, result.ips)
  end)

  it("a blocking call does not run the callbacks of others below itself", function()
    local r = new()
    local depth, deepest = 0, 0
    for _ = 1, 300 do
      r:gather_ips("192.0.2.1", function()
        depth = depth + 1
        deepest = math.max(deepest, depth)
        assert(r:gather_ips "mx1.dane.example")
        depth = depth - 1
      end)
    end
    assert.is_true(r:wait())
    assert.equal(1, deepest)
    assert.equal(300, r:stats().delivered)
  end)

  it("a new call is for a later round: process() comes to an end", function()
    local r = new()
    local ran = 0
    local function again()
      ran = ran + 1
      if ran < 1000 then r:gather_ips("192.0.2.1", again) end
    end
    again()
    local rounds = 0
    while r:timeout() do
      assert.equal(0, r:timeout())
      assert.is_true(r:process() <= 2)
      rounds = rounds + 1
    end
    assert.equal(1000, ran)
    assert.is_true(rounds >= 500)
  end)

  it("process() and wait() may be called", function()
    local r = new()
    local order = {}
    r:gather_ips("192.0.2.1", function()
      order[#order + 1] = 1
      assert.equal(1, r:process())
      order[#order + 1] = 3
    end)
    r:gather_ips("192.0.2.2", function() order[#order + 1] = 2 end)
    r:gather_ips("mx1.dane.example", function() order[#order + 1] = 4 end)
    assert.is_true(r:wait())
    assert.same({ 1, 2, 3, 4 }, order)
  end)

  it("close() ends the others with `closed`, the batch and the process()", function()
    local r = new()
    silence()
    local codes = {}
    local function note(_, err) codes[#codes + 1] = err and err.code or "result" end
    r:plan("dane.example", note)
    r:gather_ips("192.0.2.1", function(...)
      note(...)
      assert.is_true(r:close())
      codes[#codes + 1] = "closed all"
    end)
    r:gather_ips("192.0.2.2", note)
    assert.equal(1, r:process())
    assert.same({ "result", "result", "closed", "closed all" }, codes)
    failed("closed", r:process())
  end)

  it("close() during a blocking call: that one is `closed` too", function()
    local r = new()
    silence()
    r:gather_ips("192.0.2.1", function() r:close() end)
    failed("closed", r:plan "dane.example")
  end)

  it("close() inside close() is nothing, and calls are refused", function()
    local r = new()
    silence()
    local inner = {}
    r:plan("dane.example", function(_, err)
      inner.code = err.code
      inner.close = r:close()
      inner.call = select(2, r:plan "dane.example").code
      inner.process = select(2, r:process()).code
    end)
    assert.is_true(r:close())
    assert.same({ code = "closed", close = true, call = "closed", process = "closed" }, inner)
  end)

  it("a callback that yields is an error, and the others run", function()
    local r = new { budget = 60 }
    local ran = false
    r:gather_ips("192.0.2.1", function() coroutine.yield() end)
    r:gather_ips("192.0.2.2", function() ran = true end)
    local co = coroutine.create(function() return r:process() end)
    local ok, message = coroutine.resume(co)
    assert.is_false(ok)
    assert.truthy(message:find "yield", message)
    assert.is_true(ran)
    assert.equal("dead", coroutine.status(co))
    assert.equal(0, r:pending())
  end)
end)

describe("coroutines:", function()
  it("a callback runs though the coroutine that made the call is gone", function()
    local r = new()
    local callback, calls = recorder()
    local co = coroutine.wrap(function()
      r:gather_ips("mx1.dane.example", callback)
      error "gone"
    end)
    pcall(co)
    co = nil -- luacheck: ignore
    collectgarbage() collectgarbage()
    assert.is_true(r:wait())
    assert.is_true(calls[1][1].authentic)
  end)

  it("a resolver is made in one coroutine, driven in another, called in a third", function()
    local r
    coroutine.wrap(function() r = new() end)()
    local callback, calls = recorder()
    coroutine.wrap(function() r:gather_ips("mx1.dane.example", callback) end)()
    collectgarbage()
    coroutine.wrap(function() r:wait() end)()
    assert.is_table(calls[1][1])
  end)

  it("callbacks may resume the coroutine that waits", function()
    local r = new()
    local result
    local co = coroutine.create(function()
      local me = coroutine.running()
      r:gather_destinations("dane.example", function(...) assert(coroutine.resume(me, ...)) end)
      local destinations = coroutine.yield()
      r:gather_ips(destinations.hosts[1].host, function(...) assert(coroutine.resume(me, ...)) end)
      result = coroutine.yield()
    end)
    assert(coroutine.resume(co))
    assert.is_true(r:wait())
    assert.equal("mx1.dane.example", result.expanded_host)
  end)

  it("an error that interrupts a blocking call ends the call", function()
    local r = new()
    silence()
    local rounds = 0
    local ok, message = pcall(function()
      debug.sethook(function()
        rounds = rounds + 1
        if rounds > 6 then
          debug.sethook()
          error "interrupted"
        end
      end, "c")
      r:plan "dane.example"
    end)
    debug.sethook()
    assert.is_false(ok)
    assert.truthy(message:find "interrupted")
    assert.equal(0, r:stats().running)
    assert.equal(1, r:stats().cancelled)
    lab:clear()
    assert.is_table(r:gather_ips "mx1.dane.example")
  end)
end)

describe("close()", function()
  for _, method in ipairs(methods) do
    it("gives " .. method .. " under way the code `closed`", function()
      local r = new()
      lab:rule { name = "*", action = "silent" }
      local callback, calls = recorder()
      r[method](r, "mx1.dane.example", callback)
      r:process()
      assert.is_true(r:close())
      assert.equal(1, #calls)
      local err = failed("closed", calls[1][1], calls[1][2])
      if method == "gather_tlsa" then assert.is_true(err.dane_required) end
    end)
  end

  it("delivers results that were there", function()
    local r = new()
    local callback, calls = recorder()
    r:gather_ips("192.0.2.1", callback)
    r:gather_ips("a..b", callback)
    r:close()
    assert.same({ "192.0.2.1" }, calls[1][1].ips)
    assert.equal("invalid_name", calls[2][2].code)
  end)

  it("tells partial results", function()
    local r = new()
    lab:rule { name = "dane.example", type = "MX", action = "silent" }
    local callback, calls = recorder()
    r:gather_ips("mx1.dane.example")
    r:plan("alias.example", callback)
    r:process()
    r:close()
    failed("closed", calls[1][1], calls[1][2])
  end)

  it("is idempotent; every method after it says `closed`", function()
    local r = new()
    assert.is_true(r:close())
    assert.is_true(r:close())
    for _, method in ipairs { "gather_destinations", "gather_ips", "gather_tlsa", "plan" } do
      failed("closed", r[method](r, "dane.example"))
      failed("closed", r[method](r, "dane.example", print))
    end
    for _, method in ipairs { "pollfd", "getfd", "events", "timeout", "process", "wait", "pending",
      "stats" } do
      failed("closed", r[method](r))
    end
    assert.equal("nexthop resolver (closed)", tostring(r))
  end)

  it("raises what callbacks raised, after all of them", function()
    local r = new()
    local ran = 0
    silence()
    r:plan("dane.example", function() ran = ran + 1 error "trouble" end)
    r:plan("dane.example", function() ran = ran + 1 end)
    local ok, message = pcall(r.close, r)
    assert.is_false(ok)
    assert.truthy(message:find "trouble")
    assert.equal(2, ran)
    assert.is_true(r:close())
  end)

  it("with hundreds under way, queued and answered", function()
    local r = new { max_pending = 50 }
    lab:rule { name = "*.insecure.example", action = "silent" }
    local closed, got = 0, 0
    for n = 1, 300 do
      r:plan(("d%d.insecure.example"):format(n), function(_, err)
        closed = closed + (err.code == "closed" and 1 or 0)
      end)
      r:gather_ips("192.0.2.1", function() got = got + 1 end)
    end
    r:close()
    assert.equal(300, closed)
    assert.equal(300, got)
  end)

  it("as __gc runs no callbacks", function()
    silence()
    local ran = false
    local r = assert(nexthop.new(lab:options()))
    r:plan("dane.example", function() ran = true end)
    r:process()
    r = nil -- luacheck: ignore
    collectgarbage() collectgarbage()
    assert.is_false(ran)
  end)

  it("as __close (Lua 5.4)", function()
    local load = loadstring or load -- luacheck: ignore
    local chunk = load "local r = ... ; local closing <close> = r; return r:pending()"
    if not chunk then return pending "this Lua has no to-be-closed variables" end
    local r = new()
    silence()
    local callback, calls = recorder()
    r:plan("dane.example", callback)
    assert.equal(1, chunk(r))
    assert.equal("closed", calls[1][2].code)
    failed("closed", r:pending())
  end)
end)

describe("a deadline", function()
  it("ends each kind of call with `timeout`", function()
    local r = new()
    lab:rule { name = "*", action = "silent" }
    for _, method in ipairs { "gather_destinations", "gather_ips", "gather_tlsa" } do
      local err = failed("timeout", r[method](r, "mx1.dane.example", { deadline = 0.05 }))
      assert.truthy(err.message:find("mx1.dane.example", 1, true))
      if method == "gather_tlsa" then assert.is_true(err.dane_required) end
    end
    failed("timeout", r:plan("mx1.dane.example", { deadline = 0.05 }))
  end)

  it("with a callback likewise, and timeout() tells when", function()
    local r = new()
    lab:rule { name = "*", action = "silent" }
    local callback, calls = recorder()
    r:gather_ips("mx1.dane.example", { deadline = 0.2 }, callback)
    local seconds = r:timeout()
    assert.is_true(seconds >= 0 and seconds <= 0.2)
    assert.is_true(r:wait())
    failed("timeout", calls[1][1], calls[1][2])
    assert.is_nil(r:timeout())
  end)

  it("of nothing is `timeout` unless the answer is known", function()
    local r = new()
    failed("timeout", r:gather_ips("mx1.dane.example", { deadline = 0 }))
    assert.is_table(r:gather_ips "mx1.dane.example")
    assert.is_table(r:gather_ips("mx1.dane.example", { deadline = 0 }))
    assert.is_table(r:gather_ips("192.0.2.1", { deadline = 0 }))
  end)

  it("that is no number of seconds raises", function()
    local r = new()
    for _, value in ipairs { -1, "1", true, 0 / 0, math.huge, 1e9 } do
      local ok, message = pcall(r.plan, r, "dane.example", { deadline = value })
      assert.is_false(ok)
      assert.truthy(message:find "deadline", message)
    end
  end)

  it("of destinations tells what was known", function()
    local r = new()
    lab:rule { name = "dane.example", type = "MX", action = "silent" }
    r:gather_ips "mx1.dane.example"
    local err = failed("timeout", r:gather_destinations("alias.example", { deadline = 0.3 }))
    assert.is_boolean(err.orig_next_hop_authentic)
    assert.is_boolean(err.expanded_next_hop_authentic)
    assert.is_false(err.have_mx)
  end)

  it("of a plan is a plan with what is known, the others `skip`", function()
    local r = new()
    lab:rule { name = "mx2.dane.example", action = "silent" }
    local plan = assert(r:plan("dane.example", { deadline = 1 }))
    assert.equal("mx1.dane.example", plan.hosts[1].host)
    assert.equal("dane", plan.hosts[1].tls)
    assert.equal(1, #plan.hosts[1].records)
    assert.equal("skip", plan.hosts[2].tls)
    local code = plan.hosts[2].err.code
    assert.equal(support.code("timeout", code), code)
    assert.same({}, plan.hosts[2].ips)
    assert.equal(0, plan.ttl)
  end)

  it("does not disturb others that ask the same", function()
    local r = new()
    local rule = lab:rule { name = "mx1.dane.example", type = "A", hold = true }
    local callback, calls = recorder()
    r:gather_ips("mx1.dane.example", callback)
    failed("timeout", r:gather_ips("mx1.dane.example", { deadline = 0.05 }))
    assert.equal(0, #calls)
    lab:release(rule)
    lab:unrule(rule)
    assert.is_true(r:wait())
    assert.is_true(calls[1][1].authentic)
  end)
end)

describe("the timeout of a lookup", function()
  it("ends it", function()
    local r = new { timeout = 0.1 }
    silence()
    local err = failed("timeout", r:gather_destinations "dane.example")
    assert.truthy(err.message:find("MX of dane.example", 1, true))
    local stats = r:stats()
    assert.equal(stats.lookups, stats.timeouts)
    assert.equal(0, stats.running)
  end)

  it("of one family leaves the other", function()
    -- a forwarder: libunbound waits longer than we do
    local r = new { stub = {}, forward = lab.forward_address, timeout = 0.8 }
    assert.is_table(r:gather_ips "mx2.dane.example")
    lab:rule { name = "mx1.dane.example", type = "AAAA", action = "silent" }
    local result = assert(r:gather_ips "mx1.dane.example")
    assert.same({ "192.0.2.1" }, result.ips)
    support.failed("timeout", nil, result.failed.ip6)
    assert.is_nil(result.failed.ip4)
  end)

  it("is counted from the call, also for one that waits in the queue", function()
    local r = new { timeout = 0.2, max_pending = 2 }
    lab:rule { name = "*.insecure.example", action = "silent" }
    lab:rule { name = "insecure.example", action = "silent" }
    local codes = {}
    for n = 1, 40 do
      r:gather_destinations(("d%d.insecure.example"):format(n), function(_, err)
        codes[#codes + 1] = err.code
      end)
    end
    assert.equal(38, r:stats().queued)
    local longest = 0
    while r:timeout() do
      longest = math.max(longest, r:timeout())
      r:wait(r:timeout())
    end
    -- one after the other they would have taken twenty times that
    assert.is_true(longest <= 0.2)
    assert.equal(40, #codes)
    for _, code in ipairs(codes) do assert.equal("timeout", code) end
    local stats = r:stats()
    assert.equal(stats.lookups, stats.timeouts)
    assert.equal(0, stats.queued)
    assert.equal(0, stats.running)
    assert.is_true(lab:count("*", "*") < 40)
  end)
end)

describe("the queue", function()
  it("lets so many lookups run and no more, in the order of the calls", function()
    local r = new { max_pending = 3 }
    assert.is_table(r:gather_destinations "nodane.example")
    local rule = lab:rule { name = "*.hundred.example", hold = true }
    local order = {}
    for n = 1, 10 do
      r:gather_ips(("mx%d.hundred.example"):format(n), { network = "ip4" }, function()
        order[#order + 1] = n
      end)
      local stats = r:stats()
      assert.equal(math.min(n, 3), stats.running)
      assert.equal(math.max(n - 3, 0), stats.queued)
    end
    lab:unrule(rule)
    while #order < 10 do
      r:process()
      local stats = r:stats()
      assert.is_true(stats.running <= 3)
      lab:release()
    end
    assert.equal(0, r:stats().queued)
    assert.is_true(order[10] > 3)
  end)

  it("of one place serves everything in the end", function()
    local r = new { max_pending = 1 }
    local plan = assert(r:plan "dane.example")
    assert.equal("dane", plan.hosts[1].tls)
    assert.equal("dane", plan.hosts[2].tls)
    local n = 0
    for k = 1, 50 do
      r:plan(("mx%d.hundred.example"):format(k), function(result) n = n + (result and 1 or 0) end)
    end
    assert.is_true(r:wait())
    assert.equal(50, n)
  end)
end)

describe("the budget", function()
  it("of nothing does one thing at a time, and all in the end", function()
    local r = new { budget = 0 }
    local callback, calls = recorder()
    for n = 1, 10 do r:gather_ips(("mx%d.hundred.example"):format(n), callback) end
    r:gather_ips("192.0.2.1", callback)
    r:gather_ips("192.0.2.2", callback)
    drive(r, function()
      return #calls == 12
    end)
    for _, call in ipairs(calls) do assert.is_table(call[1]) end
  end)

  it("stops between callbacks; the rest is due at once", function()
    local r = new { budget = 0 }
    local callback, calls = recorder()
    for _ = 1, 3 do r:gather_ips("192.0.2.1", callback) end
    for n = 1, 3 do
      assert.equal(0, r:timeout())
      assert.equal(1, r:process())
      assert.equal(n, #calls)
    end
    assert.is_nil(r:timeout())
  end)

  it("that is large does all that is ready", function()
    local r = new { budget = 10 }
    local callback, calls = recorder()
    for _ = 1, 100 do r:gather_ips("192.0.2.1", callback) end
    assert.equal(100, r:process())
    assert.equal(100, #calls)
  end)
end)

describe("wait()", function()
  it("returns true when nothing is pending, at once when nothing was", function()
    local r = new()
    assert.is_true(r:wait())
    assert.is_true(r:wait(0))
    r:gather_ips("mx1.dane.example", function() end)
    assert.is_true(r:wait(20))
  end)

  it("returns false when the time is up, and goes on later", function()
    local r = new()
    assert.is_table(r:gather_ips "mx2.dane.example")
    local rule = lab:rule { name = "mx1.dane.example", hold = true }
    local callback, calls = recorder()
    r:gather_ips("mx1.dane.example", callback)
    assert.is_false(r:wait(0))
    assert.is_false(r:wait(0.05))
    assert.equal(1, r:pending())
    lab:unrule(rule)
    lab:release(rule)
    assert.is_true(r:wait())
    assert.equal(1, #calls)
  end)

  it("of no time does what process() does", function()
    local r = new()
    local ran = 0
    r:gather_ips("192.0.2.1", function()
      ran = ran + 1
      r:gather_ips("mx1.dane.example", function() ran = ran + 1 end)
    end)
    local rounds = 0
    while not r:wait(0) do rounds = rounds + 1 end
    assert.equal(2, ran)
    assert.is_true(rounds > 0)
  end)
end)

describe("stats()", function()
  it("counts", function()
    -- a forwarder: libunbound waits longer than we do
    local r = new { stub = {}, forward = lab.forward_address, timeout = 0.8 }
    local zero = r:stats()
    for _, key in ipairs { "calls", "delivered", "pending", "lookups", "running", "queued", "secure",
      "insecure", "kept", "bogus", "servfail", "timeouts", "cancelled", "longest_process" } do
      assert.equal(0, zero[key], key)
    end
    r:gather_destinations "dane.example"
    local stats = r:stats()
    assert.equal(1, stats.calls)
    assert.equal(1, stats.lookups)
    assert.equal(1, stats.secure)
    r:gather_ips "mx.insecure.example"
    assert.equal(2, r:stats().insecure)
    r:gather_ips "bogusboth.example"
    assert.equal(2, r:stats().bogus)
    lab:rule { name = "only4.example", action = "servfail" }
    r:gather_destinations "only4.example"
    assert.is_true(r:stats().servfail > 0)
    silence "only6.example"
    r:gather_destinations "only6.example"
    assert.is_true(r:stats().timeouts > 0)
    r:gather_destinations("only6.example", function() end):cancel()
    assert.equal(1, r:stats().cancelled)
    r:gather_ips("192.0.2.1", function() end)
    assert.equal(1, r:stats().pending)
    r:process()
    stats = r:stats()
    assert.equal(0, stats.pending)
    assert.equal(1, stats.delivered)
    assert.equal(7, stats.calls)
    assert.equal(0, stats.running)
    assert.equal(0, stats.queued)
    assert.is_true(stats.longest_process > 0)
    assert.equal(stats.lookups, stats.secure + stats.insecure + stats.bogus + stats.servfail
      + stats.timeouts + stats.cancelled)
  end)
end)

describe("the default resolver", function()
  it("is one, made anew after close", function()
    local first, err = nexthop.default()
    if not first then return pending("no system's configuration: " .. err.message) end
    assert.equal(first, nexthop.default())
    first:close()
    local second = assert(nexthop.default())
    assert.is_false(first == second)
    assert.equal(0, second:pending())
    assert.same({ "192.0.2.1" }, nexthop.gather_ips("192.0.2.1").ips)
    assert.equal("invalid_name", select(2, nexthop.plan "a..b").code)
    second:close()
  end)
end)
