-- Deadlines of calls, time-outs of lookups, the queue behind max_pending.
local calling = require "tests.support.calling"
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(support.close)

local new, failed = support.resolver, support.failed
local silence, recorder = calling.silence, calling.recorder

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
    assert.equal("timeout", plan.hosts[2].err.code)
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
