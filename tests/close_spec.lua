-- close(), __close and __gc: the end of a resolver.
local calling = require "tests.support.calling"
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(support.close)

local new, failed = support.resolver, support.failed
local silence, recorder, methods = calling.silence, calling.recorder, calling.methods

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
