-- luacheck: max line length 130
-- Mixed load for a while on the module, filter-nexthop, table-nexthop and nexthop-server: plans, cancelled ones, ones at
-- their deadlines, clients that leave, the name server stopped and started. Memory and descriptors must
-- stay what they were after the first part of it.
--
--   lua5.4 tests/soak/soak.lua [SECONDS]        12; what is counted grows with it, see `scale`
package.path = "./?.lua;" .. package.path
local uv = require "luv"
local ca = require "tests.support.ca"
local files = require "tests.support.files"
local filter = require "tests.support.filter"
local lab = require("tests.lab.lab").shared()
local nexthop = require "nexthop"
local servers = require "tests.support.server"
local tables = require "tests.support.table"
local verifying = require "tests.support.verifying"

local seconds = tonumber(arg[1]) or 12
local long = seconds >= 120
local scale = long and { cycles = 10000, row = 100000 } or { cycles = 300, row = 3000 }

-- What allocators and garbage collectors take and give back by themselves, in KiB.
local slack = 4096

-- Descriptors that come and go: this process's own pipes, a query that is just being asked.
local spare = 4

local domains = {
  "dane.example", "nullmx.example", "nothing.example", "mxnothing.example", "broken.example", "alias.example",
  "mx-t-agility.example", "nodane.example", "mxeverywhere.example", "filter.example", "insecure.example",
  "implicit.example", "192.0.2.1", "a..b",
}

local failures = 0

-- LuaJIT runs no finalizer while compiled code runs: collectgarbage() in a compiled loop keeps all descriptors
-- and certificates that Lua has no more use for.
local compiler = rawget(_G, "jit")
if compiler then compiler.off() end

local function resident(pid)
  return tonumber(files.read(("/proc/%s/status"):format(pid)):match "\nVmRSS:%s+(%d+) kB")
end

local function descriptors(pid)
  local count, request = 0, assert(uv.fs_scandir(("/proc/%s/fd"):format(pid)))
  while uv.fs_scandir_next(request) do count = count + 1 end
  return count
end

-- What the descriptors are, for a report: "tcp 127.0.0.1:25 state 01" and how many of them.
local function kinds_of_descriptors(pid)
  local sockets, kinds, lines = {}, {}, {}
  for _, kind in ipairs { "tcp", "tcp6", "udp", "udp6" } do
    for line in files.read(("/proc/%s/net/%s"):format(pid, kind)):gmatch "[^\n]+" do
      local remote, state, inode = line:match "^%s*%d+: %S+ (%S+) (%S+) %S+ %S+ %S+%s+%d+%s+%d+ (%d+)"
      if inode then sockets[inode] = ("%s to %s state %s"):format(kind, remote, state) end
    end
  end
  local request = assert(uv.fs_scandir(("/proc/%s/fd"):format(pid)))
  for name in function() return uv.fs_scandir_next(request) end do
    local target = uv.fs_readlink(("/proc/%s/fd/%s"):format(pid, name)) or "gone"
    local kind = sockets[target:match "^socket:%[(%d+)%]$"] or target:gsub("%d+", "N")
    kinds[kind] = (kinds[kind] or 0) + 1
  end
  for kind, count in pairs(kinds) do lines[#lines + 1] = ("           %5d %s"):format(count, kind) end
  table.sort(lines)
  return table.concat(lines, "\n")
end

local function sample(pid)
  collectgarbage()
  collectgarbage()
  return { resident = resident(pid), descriptors = descriptors(pid) }
end

-- A query that was cancelled holds its socket until its server answers or it has given up, and goes on
-- only as long as somebody drives the resolver: `nudge` does. A fresh context of libunbound beside the main
-- one holds some 26 MB until no lookup waits for it.
local function settled(pid, before, nudge)
  local stop, after = uv.hrtime() + 60e9, sample(pid)
  while (after.descriptors > before.descriptors + spare or after.resident > before.resident + slack)
    and uv.hrtime() < stop do
    nudge()
    uv.sleep(50)
    after = sample(pid)
  end
  return after
end

local function compare(name, before, pid, what, nudge)
  local after = settled(pid, before, nudge)
  local grown = after.resident - before.resident
  local ok = grown <= slack and after.descriptors <= before.descriptors + spare
  if not ok then failures = failures + 1 end
  print(("%-8s %s: %s; %d KiB, %+d; %d descriptors, %+d"):format(name, ok and "ok" or "GROWS", what,
    after.resident, grown, after.descriptors, after.descriptors - before.descriptors))
  if not ok then print(kinds_of_descriptors(pid)) end
end

local function now()
  uv.update_time()
  return uv.hrtime() / 1e9
end

-- Rounds for so long. The first two fifths fill caches and pools, what comes after must need no more. nudge: see
-- `settled`; without it, a round.
local function steady(name, pid, span, round, nudge)
  local start, count, before = now(), 0, nil
  while now() < start + span do
    count = count + 1
    round(count)
    if not before and now() > start + span * 0.4 then before = sample(pid) end
  end
  compare(name, before or sample(pid), pid, count .. " rounds", nudge or function() round(1) end)
end

-- So many in a row, a tenth of them before it counts.
local function row(name, count, each)
  for i = 1, count / 10 do each(i) end
  local before = sample "self"
  for i = 1, count do each(i) end
  compare(name, before, "self", count .. " in a row", function() each(1) end)
end

-- ---- the module ------------------------------------------------------------------

local function resolver_of(options)
  return assert(nexthop.new(lab:options(options)))
end

local function module_part(span)
  local resolver = resolver_of()
  local answered = 0
  local function callback() answered = answered + 1 end
  steady("module", "self", span, function(count)
    local broken = count % 20 == 10
    if broken then
      lab:stop_nsd()
      resolver:close()
      resolver = resolver_of { timeout = 0.3 }
    end
    local want = 0
    answered = 0
    for i = 1, 60 do
      local deadline
      if broken then deadline = 0.4 elseif i % 5 == 0 then deadline = 0.002 end
      local handle = resolver:plan(domains[i % #domains + 1], { deadline = deadline }, callback)
      if i % 7 == 0 then handle:cancel() else want = want + 1 end
    end
    assert(resolver:wait(20))
    assert(answered == want, ("%d of %d answered"):format(answered, want))
    if broken then lab:start_nsd() end
    if count % 5 == 0 then
      -- one that ends with calls under way
      resolver:close()
      resolver = resolver_of()
      for i = 1, 10 do resolver:plan(domains[i], function() end) end
      resolver:process()
      resolver:close()
      resolver = resolver_of()
    end
  end, function() resolver:process() end) -- a round asks for a bogus name, which may open a fresh context
  resolver:close()
end

local function rows()
  row("cycles", scale.cycles, function()
    local resolver = resolver_of()
    resolver:gather_destinations "192.0.2.1"
    resolver:close()
  end)
  local resolver = resolver_of()
  row("plans", scale.row, function(i) resolver:plan(domains[i % #domains + 1]) end)
  resolver:close()
end

-- Each one connects anew, to a server that has what it owes and to one that has not.
local function verifications()
  local leaf = ca.leaf { name = "soak" }
  local world = verifying.world("soak.example", 63)
  world:host("good", { tlsa = { ca.tlsa(leaf, 3, 1, 1) }, server = { certificates = { leaf } } })
  world:host("changed", { tlsa = { "3 1 1 " .. ("ab"):rep(32) }, server = { certificates = { leaf } } })
  world:start()
  local resolver = resolver_of()
  local options = world:options { reuse = 0, keys = { "any", "rsa" } }
  row("verify", scale.cycles, function(i)
    local label = i % 2 == 0 and "good" or "changed"
    local report = assert(resolver:verify(label .. ".soak.example", options))
    assert(report.ok == (label == "good"))
    if i % 100 == 0 then world.servers:forget() end
  end)
  resolver:close()
  world:stop()
end

-- A server that was silent is asked again within a minute (libunbound's own: a quarter of an hour).
local function outage()
  local resolver = resolver_of { timeout = 5 }
  assert(resolver:plan "dane.example")
  local rule, start = lab:rule { name = "*", action = "silent" }, now()
  while now() < start + 12 do
    for i = 1, 3 do resolver:gather_ips(("x%.0f-%d.hundred.example"):format(now() * 1000, i), function() end) end
    resolver:wait(0.3)
  end
  lab:unrule(rule)
  start = now()
  local host, back = 0
  repeat
    host = host % 100 + 1
    back = resolver:gather_ips(("mx%d.hundred.example"):format(host))
    if not back then uv.sleep(500) end
  until back or now() > start + 65
  if not back then failures = failures + 1 end
  print(("module   %s: back %.0f seconds after its server"):format(back and "ok" or "LATE", now() - start))
  resolver:close()
end

-- ---- the filter ------------------------------------------------------------------

local function filter_part(span)
  local f = filter.start { config = { deadline = 0.6 } }
  steady("filter", f.process:get_pid(), span, function(count)
    local broken = count % 20 == 10
    if broken then lab:stop_nsd() end
    local open = 0
    f.count, f.answers, f.log = 0, {}, ""
    for i = 1, 40 do
      local session = ("%016x"):format(count * 100 + i)
      f:connect(session, i % 3 == 0 and "127.0.0.1:5" or nil)
      local domain = broken and ("x%d.wildcard.example"):format(i) or domains[i % #domains + 1]
      f:ask(session, i % 3 == 0 and "rcpt-to" or "mail-from", "user@" .. domain)
      open = open + 1
      if i % 4 == 0 then f:report("link-disconnect", session) end -- it does not wait
    end
    f:wait(function() return f.count >= open end)
    for i = 1, 40 do
      if i % 4 > 0 then f:report("link-disconnect", ("%016x"):format(count * 100 + i)) end
    end
    if broken then lab:start_nsd() end
  end)
  assert(f:finish() == 0, "filter-nexthop's status")
end

-- ---- the table -------------------------------------------------------------------

-- With a server behind it, which is stopped and killed now and then, and with a resolver of its own.
local function table_part(name, span, behind)
  local server = behind and servers.start { deadline = 0.6 }
  local t = tables.start { config = behind and ("return { socket = %q, deadline = 0.1 }"):format(server.path)
    or { deadline = 0.1 } }
  steady(name, t.pid, span, function(count)
    local broken = count % 20 == 10
    if broken then
      if behind then
        local path = server.path
        server:finish "sigkill"
        t:check "dane.example"
        server = servers.start({ deadline = 0.6 }, path)
      else
        lab:stop_nsd()
      end
    elseif behind and count % 20 == 0 then
      uv.kill(server.pid, "sigstop")
    end
    t.answers, t.count, t.log = {}, 0, ""
    for i = 1, 20 do
      t:check(broken and ("z%d-%d.wildcard.example"):format(count, i % 4) or domains[i % #domains + 1])
    end
    assert(t.count == 20, t.count .. " answers")
    if behind and count % 20 == 0 then uv.kill(server.pid, "sigcont") end
    if broken and not behind then lab:start_nsd() end
    if count % 50 == 0 then t:update() end
  end)
  assert(t:finish() == 0, "table-nexthop's status")
  if server then server:finish "sigkill" end
end

-- ---- the server ------------------------------------------------------------------

local function server_part(span)
  local server = servers.start { deadline = 0.6 }
  local ops = { "plan", "sender", "recipient", "gather_destinations", "stats", "nonsense" }
  steady("server", server.pid, span, function(count)
    local broken = count % 20 == 10
    if broken then lab:stop_nsd() end
    local c, gone = server:connect(), server:connect()
    for i = 1, 40 do
      local domain = broken and ("y%d.wildcard.example"):format(i) or domains[i % #domains + 1]
      local request = { id = i, op = ops[i % #ops + 1], domain = domain }
      c:send(request)
      gone:send(request)
    end
    gone:close()
    local _, answers = c:receive_all(40)
    assert(answers == 40, answers .. " answers")
    c:close()
    if broken then lab:start_nsd() end
    -- the connections are gone there, too
    servers.wait_for("the connections' end", function()
      local probe = server:connect()
      probe:send { id = 1, op = "stats" }
      local open = probe:receive().result.open
      probe:close()
      return open == 1
    end)
  end)
  assert(server:finish() == 0, "nexthop-server's status")
end

lab:clear()
lab:add_zones { filter.zone }
module_part(seconds / 4)
filter_part(seconds / 4)
table_part("table", seconds / 8, false)
table_part("table+", seconds / 8, true)
server_part(seconds / 4)
rows()
verifications()
require "tests.soak.policies"(row, scale.cycles / 3, resolver_of)
if long then outage() end
os.exit(failures == 0 and 0 or 1)
