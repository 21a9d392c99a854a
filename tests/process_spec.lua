-- What a resolver does to its process, and the process to it: fork, SIGPIPE, descriptors, memory, the
-- end. Each in a child of its own.
local child = require "tests.support.child"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(files.remove)

local prelude = [[
local nexthop, system = require "nexthop", require "testos"
local lab = require("tests.lab.lab").connect(...)
local function new(extra)
  return assert(nexthop.new(lab:options(extra)))
end
-- In a child of the child; what it prints is ours. Returns "exit" or "signal", and which.
local function forked(body)
  io.stdout:flush()
  local pid = system.fork()
  if pid == 0 then
    local ok, message = pcall(body)
    if not ok then print(message) end
    io.stdout:flush()
    system.exit(ok and 0 or 1)
  end
  return system.wait(pid)
end
local function check(value, ...)
  if not value then error("check failed " .. tostring((...)), 2) end
  return value, ...
end
local function equal(expected, actual)
  if expected ~= actual then
    error(("expected %s, not %s"):format(tostring(expected), tostring(actual)), 2)
  end
end
]]

-- Runs the body in a child, which must end well and say nothing.
local function run(body, options)
  local output, status = child.run(prelude .. body, options, lab.socket)
  output = output:gsub("ERROR: Can't open file: [^\n]*\n", "") -- a sanitizer's report, no descriptor left
  assert.equal("", output)
  assert.equal(0, status)
end

-- Under ASan and valgrind there is less of it all, and memory is theirs.
local under = os.getenv "UNDER" or ""

describe("SIGPIPE", function()
  for _, tcp in ipairs { "reset", "close", "half", "refuse" } do
    it("does not end the host when a server's TCP is: " .. tcp, function()
      lab:rule { name = "*.hundred.example", action = "truncate", tcp = tcp }
      run [[
        system.sigpipe "default"
        local r = new { timeout = 2 }
        local failures = 0
        for round = 1, 3 do
          for n = 1, 20 do
            r:gather_ips(("mx%d.hundred.example"):format(round * 20 + n), { network = "ip4" },
              function(_, err) failures = failures + (err and 1 or 0) end)
          end
          check(r:wait())
        end
        equal(60, failures)
        local disposition, blocked, pending = system.sigpipe()
        equal("default", disposition)
        equal(false, blocked)
        equal(false, pending)
        r:close()
      ]]
    end)
  end

  it("blocked by the host stays blocked, and one that was pending stays pending", function()
    lab:rule { name = "*.hundred.example", action = "truncate", tcp = "reset" }
    run [[
      system.sigpipe "default"
      system.sigpipe "block"
      local r = new { timeout = 2 }
      local _, blocked, pending
      for n = 1, 10 do r:gather_ips(("mx%d.hundred.example"):format(n)) end
      _, blocked, pending = system.sigpipe()
      equal(true, blocked)
      equal(false, pending)
      system.sigpipe "raise"
      for n = 11, 20 do r:gather_ips(("mx%d.hundred.example"):format(n)) end
      _, blocked, pending = system.sigpipe()
      equal(true, blocked)
      equal(true, pending)
      r:close()
      system.sigpipe "ignore" -- which drops it
      equal(false, select(3, system.sigpipe()))
    ]]
  end)

  it("ignored by the host stays ignored", function()
    lab:rule { name = "*.hundred.example", action = "truncate", tcp = "reset" }
    run [[
      system.sigpipe "ignore"
      local r = new { timeout = 2 }
      for n = 1, 10 do r:gather_ips(("mx%d.hundred.example"):format(n)) end
      equal("ignore", (system.sigpipe()))
      r:close()
      equal("ignore", (system.sigpipe()))
    ]]
  end)
end)

describe("after a fork", function()
  local unusable = [[
    local function unusable(r)
      for _, method in ipairs { "gather_destinations", "gather_ips", "gather_tlsa", "plan" } do
        for _, callback in ipairs { false, print } do
          local result, err = r[method](r, "dane.example", callback or nil)
          equal(nil, result)
          equal("forked", err.code)
        end
      end
      for _, method in ipairs { "pollfd", "getfd", "events", "timeout", "process", "wait", "pending",
        "stats" } do
        local result, err = r[method](r)
        equal(nil, result)
        equal("forked", err.code)
      end
      check(tostring(r):find "of another process")
    end
  ]]

  it("the child cannot use an idle resolver; the parent can", function()
    run(unusable .. [[
      local r = new()
      check(r:plan "dane.example")
      local how, status = forked(function()
        unusable(r)
        equal(true, r:close())
        equal(true, r:close())
        equal("closed", select(2, r:process()).code)
      end)
      equal("exit", how) equal(0, status)
      equal("dane", check(r:plan "dane.example").hosts[1].tls)
      equal("dane", check(r:plan "implicit.example").hosts[1].tls)
    ]])
  end)

  for _, ending in ipairs { "r:close()", "r = nil collectgarbage() collectgarbage()", "handle:cancel()",
    "os.exit(0, true)", "" } do
    it("lookups under way belong to the parent; the child does: " .. ending, function()
      run(unusable .. ([[
        local r = new { max_pending = 3 }
        check(r:gather_ips "mx1.dane.example")
        local rule = lab:rule { name = "*.hundred.example", type = "A", hold = true }
        local ran = 0
        local handle
        for n = 1, 10 do
          handle = r:gather_ips(("mx%%d.hundred.example"):format(n), { network = "ip4" },
            function(ips, err)
              check(ips, err)
              equal("192.0.2." .. n, ips.ips[1])
              ran = ran + 1
            end)
        end
        r:gather_ips("192.0.2.1", function() ran = ran + 1 end)
        repeat r:process() until r:timeout() > 0
        local how, status = forked(function()
          unusable(r)
          local before, open = ran, system.descriptors()
          %s
          equal(before, ran)
          equal(open, system.descriptors()) -- what it closes in libuv would be gone from the parent's epoll
        end)
        equal("exit", how) equal(0, status)
        equal(1, ran)
        equal(10, r:pending())
        lab:unrule(rule)
        while r:timeout() do
          lab:release()
          r:process()
        end
        equal(11, ran)
        r:close()
      ]]):format(ending))
    end)
  end

  it("in a callback, the others are delivered in the parent alone", function()
    run [[
      local r = new()
      local ran, pid = 0
      r:gather_ips("192.0.2.1", function() ran = ran + 1 pid = system.fork() end)
      r:gather_ips("192.0.2.2", function() ran = ran + 1 end)
      r:gather_ips("mx1.dane.example", function() ran = ran + 1 end)
      r:process()
      if pid == 0 then
        local ok = ran == 1 and select(2, r:process()).code == "forked" and r:close() and ran == 1
        system.exit(ok and 0 or 1)
      end
      local how, status = system.wait(pid)
      equal("exit", how) equal(0, status)
      r:wait()
      equal(3, ran)
    ]]
  end)

  it("in a callback of wait(), of a blocking call and of close() likewise", function()
    run [[
      for _, method in ipairs { "wait", "plan", "close" } do
        local r = new()
        check(r:plan "dane.example")
        local ran, pid = 0
        r:gather_ips("192.0.2.1", function() ran = ran + 1 pid = system.fork() end)
        r:gather_ips("mx.insecure.example", function() ran = ran + 1 end)
        local result, err
        if method == "plan" then
          result, err = r:plan "implicit.example"
        else
          result, err = r[method](r)
        end
        if pid == 0 then
          local good = ran == 1
          if method == "close" then good = good and result == true
          else good = good and result == nil and err.code == "forked" and r:close() end
          system.exit(good and 0 or 1)
        end
        local how, status = system.wait(pid)
        equal("exit", how) equal(0, status)
        check(result, err)
        r:close()
        equal(2, ran)
      end
    ]]
  end)

  it("the child makes resolvers of its own", function()
    run [[
      local r = new()
      local done = 0
      for n = 1, 10 do
        r:gather_ips(("mx%d.hundred.example"):format(n), function(ips) done = done + #ips.ips end)
      end
      local how, status = forked(function()
        local mine = new()
        equal("dane", check(mine:plan "dane.example").hosts[1].tls)
        mine:close()
        r:close()
        check(new():plan "implicit.example")
      end)
      equal("exit", how) equal(0, status)
      r:wait()
      equal(20, done)
    ]]
  end)

  it("the default resolver is another one in the child", function()
    local resolver, err = require("nexthop").default()
    if not resolver then return pending("no system's configuration: " .. err.message) end
    run [[
      local first = check(nexthop.default())
      local how, status = forked(function()
        local mine = check(nexthop.default())
        check(mine ~= first)
        equal(0, mine:pending())
        equal("192.0.2.1", check(nexthop.gather_ips "192.0.2.1").ips[1])
      end)
      equal("exit", how) equal(0, status)
      equal(first, nexthop.default())
    ]]
  end)
end)

describe("descriptors:", function()
  it("with a limit of 32 a hundred plans at once come to their end", function()
    run([[
      local r = new()
      check(r:plan "dane.example") -- the keys
      local dane = 0
      for n = 1, 100 do
        r:plan(("mx%d.hundred.example"):format(n), function(plan, err)
          check(plan, err)
          equal("may", plan.hosts[1].tls)
          dane = dane + 1
        end)
      end
      r:wait()
      equal(100, dane)
    ]], { before = "ulimit -n 32" })
  end)

  it("none left: no resolver, and an error", function()
    run [[
      local r = new() -- so that all of it is loaded
      check(r:plan "dane.example")
      system.nofile(3)
      local other, err = nexthop.new { resolv_conf = false,
        trust_anchor = ". DS 1 8 2 " .. ("ab"):rep(32) }
      system.nofile(1000) -- the sanitizer's report at the end is a file
      equal(nil, other)
      check(err.code == "no_memory" or err.code == "config", err.code)
      check(#err.message > 0)
    ]]
  end)

  it("none left in the middle: lookups fail, and succeed again when there are", function()
    run [[
      local r = new { timeout = 1 }
      check(r:plan "dane.example")
      system.nofile(3)
      local ips, err = r:gather_ips "mx.insecure.example"
      equal(nil, ips)
      equal("servfail", err.code)
      system.nofile(1000)
      for try = 1, 10 do
        ips, err = r:gather_ips(("mx%d.hundred.example"):format(try))
        if ips then break end
      end
      check(ips, err)
    ]]
  end)

  it("close() gives back all", function()
    lab:rule { name = "*.insecure.example", action = "silent" }
    run [[
      new():close()
      local before = system.descriptors()
      for _, state in ipairs { "idle", "used", "busy", "collected" } do
        local r = new()
        local idle = system.descriptors()
        check(idle > before)
        if state ~= "idle" then check(r:plan "dane.example") end
        if state == "busy" or state == "collected" then
          for n = 1, 50 do r:plan(("d%d.insecure.example"):format(n), function() end) end
          repeat r:process() until r:timeout() > 0
          check(system.descriptors() > idle)
        end
        if state == "collected" then
          r = nil
          collectgarbage() collectgarbage()
        else
          r:close()
        end
        equal(before, system.descriptors())
      end
    ]]
  end)

  it("and memory: five hundred resolvers leave nothing behind", function()
    run(([[
      local under = ("%s" ~= "")
      local function resident()
        local file = io.open "/proc/self/statm"
        local pages = file:read "*a":match "^%%d+ (%%d+)"
        file:close()
        return tonumber(pages) * 4
      end
      local function cycle(n)
        local r = new()
        if n %% 10 == 0 then check(r:gather_ips "mx1.dane.example") end
        if n %% 10 == 1 then r:plan("dane.example", function() end) end
        if n %% 10 ~= 2 then r:close() end
        r = nil
        if n %% 10 == 2 then collectgarbage() collectgarbage() end
      end
      local rounds = under and 50 or 500
      for n = 1, rounds / 5 do cycle(n) end
      collectgarbage() collectgarbage()
      local descriptors, kilobytes = system.descriptors(), resident()
      for n = 1, rounds do cycle(n) end
      collectgarbage() collectgarbage()
      equal(descriptors, system.descriptors())
      if not under then
        local grown = resident() - kilobytes
        check(grown < 4096, grown .. " KB more")
      end
    ]]):format(under))
  end)
end)

describe("the end of the process", function()
  local busy = [[
    lab:rule { name = "*.insecure.example", action = "silent" }
    local r = new { max_pending = 20 }
    check(r:gather_ips "mx1.dane.example")
    local function never() print "a callback ran" end
    local handles = {}
    for n = 1, 50 do
      handles[n] = r:plan(("d%d.insecure.example"):format(n), never)
      r:gather_ips("192.0.2.1", never)
    end
    r:gather_ips("mx1.dane.example", never)
    handles[7]:cancel()
  ]]

  it("with lookups under way, queued and answered", function()
    run(busy)
  end)

  it("by os.exit with the state closed, and without", function()
    run(busy .. "os.exit(0, true)")
    -- what an open state leaves behind is no leak, but a sanitizer does not see LuaJIT's memory
    if not (os.getenv "NEXTHOP_LUA" or ""):find "/results" then run(busy .. "os.exit(0)") end
  end)

  it("inside a callback", function()
    run [[
      local r = new()
      r:gather_ips("mx1.dane.example", function() os.exit(0, true) end)
      r:gather_ips("mx2.dane.example", function() end)
      r:wait()
      print "not reached"
    ]]
  end)

  it("by an error", function()
    local output, status = child.run(prelude .. busy .. "error 'the end'", nil, lab.socket)
    assert.equal(1, status)
    assert.truthy(output:find("the end", 1, true))
    assert.is_nil(output:find("a callback ran", 1, true))
  end)
end)

describe("the garbage collector", function()
  it("at every turn harms nothing", function()
    run(([[
      local rounds = ("%s" ~= "") and 3 or 20
      local r = new()
      check(r:plan "dane.example")
      local ran = 0
      debug.sethook(function() collectgarbage() end, "", 1)
      for n = 1, rounds do
        r:plan("dane.example", { trace = true }, function(plan)
          equal("dane", plan.hosts[1].tls)
          ran = ran + 1
        end)
        r:gather_ips("mx1.dane.example", { dialed_ips = { ["mx1.dane.example"] = { "192.0.2.1" } } },
          function(ips) equal(2, #ips.ips) ran = ran + 1 end):cancel()
        r:gather_destinations("nullmx.example", function(_, err) equal("no_mail", err.code) ran = ran + 1 end)
        check(r:gather_tlsa("mx1.dane.example", { expanded_authentic = true }))
        check(tostring(r:gather_destinations "dane.example"))
      end
      r:wait()
      debug.sethook()
      equal(2 * rounds, ran)
      r:close()
    ]]):format(under))
  end)

  it("in its generational mode (Lua 5.4) harms nothing", function()
    run [[
      if not pcall(collectgarbage, "generational") then return end
      local r = new()
      local ran = 0
      for n = 1, 2000 do
        local handle = r:gather_ips("mx1.dane.example", function() ran = ran + 1 end)
        if n % 5 == 0 then handle:cancel() end
        if n % 100 == 0 then r:wait() collectgarbage "step" end
      end
      r:wait()
      equal(1600, ran)
      for _ = 1, 50 do new():plan("dane.example", function() end) collectgarbage "step" end
    ]]
  end)

  it("takes a resolver whose callbacks hold it", function()
    run [[
      new():close()
      local before = system.descriptors()
      do
        local r = new()
        r:plan("dane.example", function() return r end)
        r:process()
        r = nil
      end
      collectgarbage() collectgarbage() collectgarbage()
      equal(before, system.descriptors())
    ]]
  end)
end)
