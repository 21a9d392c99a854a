-- Calls with a callback: delivery, handles, what may be done inside one, coroutines.
local calling = require "tests.support.calling"
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(support.close)

local new, failed = support.resolver, support.failed
local silence, recorder, drive, methods = calling.silence, calling.recorder, calling.drive, calling.methods

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
    assert.has_error(function() r:plan() end,
      "bad argument #1 to 'plan' (domain name expected, got nil)")
    assert.has_error(function() r:plan(25, print) end,
      "bad argument #1 to 'plan' (domain name expected, got number)")
    assert.has_error(function() r:plan("dane.example", { port = "25" }, print) end,
      "bad option 'port' (integer from 1 to 65535 expected, got '25')")
    assert.has_error(function() r:plan("dane.example", { nonsense = 1 }, print) end,
      "unknown option 'nonsense' to 'plan'")
    assert.has_error(function() r:gather_ips("dane.example", { port = 25 }, print) end,
      "unknown option 'port' to 'gather_ips'")
    assert.has_error(function() r.plan({}, "dane.example") end,
      "bad argument #1 to 'plan' (nexthop resolver expected, got table)")
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
    local count = 0
    repeat count = count + r:process() until r:timeout() ~= 0 -- a slow machine needs more than one turn
    assert.equal(2, count)
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
