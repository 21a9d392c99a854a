-- Driving a resolver: the budget of a process(), wait(), stats(), the default resolver.
local calling = require "tests.support.calling"
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(support.close)

local new = support.resolver
local silence, recorder, drive = calling.silence, calling.recorder, calling.drive

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
