-- Lua's memory that runs out: every allocation that Lua makes in a call, for a callback and in close()
-- fails once in turn (luaoom.c). And garbage collected at every other one.
local child = require "tests.support.child"
local files = require "tests.support.files"
local support = require "tests.support"

before_each(support.reset)
after_each(files.remove)

local prelude = [[
if jit then jit.off() end -- LuaJIT's compiled code itself does not always outlive a failure
local nexthop, oom = require "nexthop", require "luaoom"
local lab = require("tests.lab.lab").connect((...))
local function new() return nexthop.new(lab:options()) end
local function dialed() return { dialed_ips = { ["mx1.dane.example"] = { "192.0.2.1", "2001:db8::1" } } } end
local function planning()
  local options = dialed()
  options.trace, options.digests, options.deadline = true, { 2, 1 }, 20
  return options
end
local calls = {
  { "plan", "dane.example", planning, function(plan)
    local host = plan.hosts[1]
    return host.tls == "dane" and host.records[1] and host.names[1] == "mx1.dane.example" and #plan.trace > 3
  end },
  { "gather_ips", "mx1.dane.example", dialed, function(ips) return #ips.ips == 2 end },
  { "gather_tlsa", "mx1.dane.example",
    function() return { expanded_host = "mx1.dane.example", expanded_authentic = true } end,
    function(tlsa) return tlsa.records[1].usage == 3 end },
  { "gather_destinations", "dane.example", function() return { deadline = 20 } end,
    function(dest) return dest.hosts[1].host == "mx1.dane.example" end },
  { "plan", "nullmx.example", planning, function() return false end, "no_mail" },
}
local r = assert(new())
for _, call in ipairs(calls) do r[call[1] ](r, call[2], call[3]()) end -- what follows asks nobody

-- Runs f(n) with the n-th allocation failing, for every n. Says how many there were.
local function each(what, f)
  local n, more = 0
  repeat
    n = n + 1
    local function judge(value, ...)
      if not value then error(("%s, allocation %d: %s"):format(what, n, tostring((...))), 2) end
    end
    local function try(g, ...)
      oom.fail(n)
      local ok, result, err = pcall(g, ...)
      more = oom.failed()
      oom.fail(0)
      judge(ok or tostring(result):find "memory", result)
      return ok, result, err
    end
    f(judge, try)
    assert(n < 2000)
  until not more
  assert(n > 1, what .. " allocates nothing")
end
]]

-- The state is not closed: see luaoom.c.
local function run(body)
  local output, status = child.run(prelude .. body .. " io.write 'good' io.stdout:flush() os.exit(0)", nil,
    support.lab.socket)
  assert.equal("good", output)
  assert.equal(0, status)
end

describe("when Lua's memory runs out", function()
  it("in a blocking call, that raises, and the next one has its result", function()
    run [[
      for _, call in ipairs(calls) do
        local options = call[3]()
        each(call[1], function(judge, try)
          local ok, result, err = try(r[call[1] ], r, call[2], options)
          if ok then judge(result and call[4](result) or err and err.code == call[5], err) end
          judge(r:pending() == 0 and r:stats().running == 0, "something is left")
        end)
        local result, err = r[call[1] ](r, call[2], options)
        assert(result and call[4](result) or err.code == call[5])
      end
    ]]
  end)

  it("in a call with a callback, that raises and calls nothing back, or it calls back once", function()
    run [[
      for _, call in ipairs(calls) do
        local options = call[3]()
        each(call[1], function(judge, try)
          local ran = 0
          local ok = try(r[call[1] ], r, call[2], options, function(result, err)
            ran = ran + 1
            judge(result and call[4](result) or err and err.code == call[5], err)
          end)
          judge(r:wait(10), "no end")
          judge(ran == (ok and 1 or 0), "called back " .. ran .. " times")
          collectgarbage() -- a handle that was not handed out
          judge(r:pending() == 0, "something is pending")
        end)
      end
    ]]
  end)

  it("for a callback's result, process() raises, or it calls back once", function()
    run [[
      for _, call in ipairs(calls) do
        local options = call[3]()
        each(call[1], function(judge, try)
          local ran = 0
          assert(r[call[1] ](r, call[2], options, function(result, err)
            ran = ran + 1
            judge(result and call[4](result) or err and err.code == call[5], err)
          end))
          local ok = try(r.wait, r, 10)
          ok = pcall(r.wait, r, 10) and ok
          judge(ran == 1 or ran == 0 and not ok, "called back " .. ran .. " times")
          judge(r:pending() == 0, "something is pending")
        end)
      end
    ]]
  end)

  it("in close(), nothing is left, and no callback runs twice", function()
    run [[
      for _, call in ipairs(calls) do
        each(call[1], function(judge, try)
          local s, ran = assert(new()), 0
          local function count() ran = ran + 1 end
          for _ = 1, 3 do s[call[1] ](s, call[2], call[3](), count) end
          local ok = try(s.close, s)
          pcall(s.close, s)
          judge(ran == 3 or not ok and ran < 3, "called back " .. ran .. " times")
          judge(select(2, s:plan "dane.example").code == "closed")
        end)
        collectgarbage()
      end
    ]]
  end)

  it("while a resolver is made, there is none, and the next one is sound", function()
    run [[
      each("new", function(judge, try)
        local ok, made, err = try(new)
        judge(not ok or made, err)
        if ok then made:close() end
      end)
      assert(new():plan "dane.example")
    ]]
  end)
end)

describe("garbage collected at every other allocation", function()
  it("harms nothing", function()
    run [[
      oom.collect(_VERSION ~= "Lua 5.1")
      -- To read a file takes memory of the auxiliary library, which asks for it once only.
      local s, ran, why = nil, 0, nil
      for _ = 1, 20 do
        local ok, made, err = pcall(new)
        s, why = ok and made or nil, ok and err or made
        if s or not tostring(why):find "memory" then break end
      end
      assert(s, why)
      for _ = 1, 10 do
        for _, call in ipairs(calls) do
          local function check(result, err)
            assert(result and call[4](result) or err.code == call[5])
            ran = ran + 1
          end
          s[call[1] ](s, call[2], call[3](), check)
          s[call[1] ](s, call[2], call[3](), check):cancel()
          check(s[call[1] ](s, call[2], call[3]()))
        end
      end
      s:wait()
      s:close()
      oom.collect(false)
      assert(ran == 100, ran)
    ]]
  end)
end)
