-- The resolver in the event loops of others, by pollfd(), events() and timeout() alone.
local uv = require "luv"
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(support.close)

local new = support.resolver

-- With a forwarder, which libunbound asks again after a second only.
local function new_forwarded()
  return new { stub = {}, forward = lab.forward_address }
end

-- A poll handle and a timer of luv, as a host has them. Returns how often process() was called.
-- Ends when nothing is pending; a stall would end it without, as nothing else keeps the loop alive.
local watching
local function drive_luv(r)
  local poll, timer = uv.new_poll(r:pollfd()), uv.new_timer()
  local n = 0
  local arm
  local function step()
    n = n + 1
    r:process()
    arm()
  end
  function arm()
    timer:stop()
    local seconds = r:timeout()
    if seconds then
      timer:start(math.ceil(seconds * 1000), 0, step)
    else
      poll:stop()
    end
  end
  watching = poll
  poll:start("r", step)
  arm()
  uv.run()
  poll:close()
  timer:close()
  uv.run()
  return n
end

-- Is the descriptor readable, within so many milliseconds?
local function readable(r, ms)
  local poll, timer = uv.new_poll(r:pollfd()), uv.new_timer()
  local result
  local function over(is)
    result = is
    poll:close()
    timer:close()
  end
  poll:start("r", function() over(true) end)
  timer:start(ms, 0, function() over(false) end)
  uv.run()
  return result
end

local function drive_cqueues(r)
  local cqueues = require "cqueues"
  local cq = cqueues.new()
  local n = 0
  cq:wrap(function()
    while r:timeout() do
      cqueues.poll(r)
      n = n + 1
      r:process()
    end
  end)
  assert(cq:loop())
  return n
end

local function drive_select(r)
  local socket = require "socket"
  local n = 0
  while r:timeout() do
    socket.select({ r }, nil, r:timeout())
    n = n + 1
    r:process()
  end
  return n
end

-- name, drive, module, and what the loop asks for before a descriptor it knows is closed
local drivers = {
  { "luv", drive_luv, "luv", function() watching:stop() end },
  { "cqueues", drive_cqueues, "cqueues", function(r) require("cqueues").cancel(r:pollfd()) end },
  { "LuaSocket's select", drive_select, "socket", function() end },
}

for _, driver in ipairs(drivers) do
  local name, drive, module, forget = driver[1], driver[2], driver[3], driver[4]
  describe(name, function()
    local function test(title, body)
      it(title, function()
        if not pcall(require, module) then return pending("there is no " .. module) end
        body()
      end)
    end

    test("brings a hundred plans to their end", function()
      local r = new()
      local dane = 0
      for n = 1, 100 do
        r:plan(("mx%d.hundred.example"):format(n), function(plan)
          assert.same(1, #plan.hosts)
          if plan.hosts[1].tls == "may" then dane = dane + 1 end
        end)
      end
      drive(r)
      assert.equal(100, dane)
      assert.equal(0, r:pending())
      assert.is_nil(r:timeout())
    end)

    test("does so with a budget of nothing, and a queue of three", function()
      local r = new { budget = 0, max_pending = 3 }
      local n = 0
      for k = 1, 20 do
        r:gather_ips(("mx%d.hundred.example"):format(k), function(ips) n = n + #ips.ips end)
      end
      drive(r)
      assert.equal(40, n)
    end)

    test("delivers what needs no DNS", function()
      local r = new()
      local codes = {}
      r:plan("a..b", function(_, err) codes[1] = err.code end)
      r:gather_ips("192.0.2.1", function(ips) codes[2] = ips.ips[1] end)
      drive(r)
      assert.same({ "invalid_name", "192.0.2.1" }, codes)
    end)

    test("follows calls made in callbacks", function()
      local r = new()
      local records
      r:gather_destinations("dane.example", function(destinations)
        r:gather_ips(destinations.hosts[1].host, function(ips)
          r:gather_tlsa(destinations.hosts[1].host, ips, function(tlsa) records = tlsa.records end)
        end)
      end)
      drive(r)
      assert.equal(1, #records)
    end)

    test("ends calls at their deadline, without an event on the descriptor", function()
      local r = new()
      lab:rule { action = "silent" }
      local codes = {}
      for n = 1, 20 do
        r:plan("dane.example", { deadline = n / 100 }, function(_, err) codes[n] = err.code end)
      end
      drive(r)
      assert.equal(20, #codes)
      for _, code in ipairs(codes) do assert.equal("timeout", code) end
    end)

    test("sleeps while it waits", function()
      local r = new_forwarded()
      assert.is_table(r:gather_ips "mx1.dane.example")
      lab:rule { name = "mx2.dane.example", type = "A", delay = 700 }
      local result
      r:gather_ips("mx2.dane.example", function(ips) result = ips end)
      local n = drive(r)
      assert.same({ "2001:db8::2", "192.0.2.2" }, result.ips)
      assert.is_true(n <= 30, n .. " calls of process()")
    end)

    test("sleeps while a server is silent", function()
      local r = new { timeout = 1 }
      lab:rule { action = "silent" }
      local code
      r:gather_destinations("dane.example", function(_, err) code = err.code end)
      local n = drive(r)
      assert.equal("timeout", code)
      assert.is_true(n <= 50, n .. " calls of process()")
    end)

    test("survives that the resolver is closed in a callback", function()
      local r = new()
      lab:rule { name = "mx2.dane.example", action = "silent" }
      local codes = {}
      r:gather_ips("mx2.dane.example", function(_, err) codes[#codes + 1] = err.code end)
      r:gather_ips("mx1.dane.example", function()
        codes[#codes + 1] = "mine"
        forget(r)
        r:close()
      end)
      drive(r)
      assert.same({ "mine", "closed" }, codes)
    end)
  end)
end

describe("the descriptor", function()
  it("is quiet while nothing happens", function()
    local r = new()
    assert.is_false(readable(r, 0))
    assert.is_table(r:plan "dane.example")
    assert.is_nil(r:timeout())
    local n = 0
    while readable(r, 0) do
      r:process()
      n = n + 1
      assert.is_true(n < 10)
    end
  end)

  it("tells of an answer, and process() takes it", function()
    local r = new_forwarded()
    r:gather_ips "mx1.dane.example"
    local rule = lab:rule { name = "mx2.dane.example", type = "A", hold = true }
    local done = false
    r:gather_ips("mx2.dane.example", function() done = true end)
    repeat r:process() until r:timeout() > 0 and not readable(r, 100)
    assert.is_false(done)
    lab:unrule(rule)
    assert.equal(1, lab:release())
    assert.is_true(readable(r, 10000))
    while not done do
      assert.is_true(r:timeout() == 0 or readable(r, math.ceil(r:timeout() * 1000)))
      r:process()
    end
  end)

  it("is quiet again after the late answer to a call that was cancelled", function()
    local r = new()
    r:gather_ips "mx1.dane.example"
    local rule = lab:rule { name = "mx2.dane.example", hold = true }
    local handle = r:gather_ips("mx2.dane.example", function() end)
    repeat r:process() until r:timeout() > 0
    handle:cancel()
    assert.is_nil(r:timeout())
    assert.is_true(lab:wait("mx2.dane.example", "*", 1) >= 1)
    lab:unrule(rule)
    lab:release()
    assert.is_true(readable(r, 10000))
    local n = 0
    while readable(r, 0) do
      r:process()
      n = n + 1
      assert.is_true(n < 50)
    end
    assert.is_nil(r:timeout())
  end)

  it("serves two resolvers in one loop, and a blocking call between", function()
    local a, b = new(), new()
    local results = {}
    a:gather_ips("mx1.dane.example", function(ips) results.a = ips end)
    b:gather_ips("mx2.dane.example", function(ips) results.b = ips end)
    assert.is_table(a:plan "nodane.example")
    local poll_a, poll_b = uv.new_poll(a:pollfd()), uv.new_poll(b:pollfd())
    local timer = uv.new_timer()
    local function step()
      a:process()
      b:process()
      if results.a and results.b then
        for _, handle in ipairs { poll_a, poll_b, timer } do handle:close() end
      end
    end
    poll_a:start("r", step)
    poll_b:start("r", step)
    timer:start(0, 1000, step)
    uv.run()
    assert.same({ "2001:db8::1", "192.0.2.1" }, results.a.ips)
    assert.same({ "2001:db8::2", "192.0.2.2" }, results.b.ips)
  end)
end)
