-- What measure_sts.lua measures, in a process of its own.
--
--   LUA tests/bench/sts_worker.lua ROUNDS COUNT
--
-- Prints, for each round, the microseconds of CPU of a plan whose answers are in the cache: for each kind of
-- domain without and with sts, with callbacks and 64 under way as in a filter, and then blocking. At last it
-- prints the seconds of the longest process(), of CPU and of wall time, while COUNT fetches from slow web
-- servers are under way.
local commands = require "tests.bench.commands"
local sts_world = require "tests.support.sts_world"
local support = require "tests.support"
local uv = require "luv"

local TXT = 16

local PLANS = 5000

-- The kinds of domains; "enforce2" has two hosts.
local kinds = { "enforce", "enforce2", "testing", "none", "norecord" }

local modes = {}

function modes.callbacks(resolver, name, options)
  commands.run({ name }, PLANS, 64, function(done)
    local function callback(plan, err)
      if not plan then error(err, 0) end
      if done() then resolver:plan(name, options, callback) end
    end
    return function() resolver:plan(name, options, callback) end
  end, function() resolver:wait() end)
end

function modes.blocking(resolver, name, options)
  for _ = 1, PLANS do assert(resolver:plan(name, options)) end
end

-- Microseconds of CPU for a plan.
local function cost(mode, resolver, name, options)
  collectgarbage()
  local begun = os.clock()
  modes[mode](resolver, name, options)
  return (os.clock() - begun) / PLANS * 1e6
end

-- Seconds of the longest process(), of CPU and of wall time, from the start of the fetches until all are
-- under way and beyond.
local function slow(world, count)
  local resolver = support.resolver()
  for k = 1, count do -- the DNS is warm
    local name = world:name("slow" .. k)
    resolver:plan(name, function() end)
    resolver:_lookup("_mta-sts." .. name, { type = TXT }, function() end)
    resolver:gather_ips("mta-sts." .. name, function() end)
  end
  resolver:wait()
  for k = 1, count do resolver:plan(world:name("slow" .. k), world:options(), function() end) end
  local cpu, wall, ends = 0, 0, uv.hrtime() + 5e9
  while uv.hrtime() < ends do
    local begun, clock = uv.hrtime(), os.clock()
    resolver:process()
    cpu, wall = math.max(cpu, os.clock() - clock), math.max(wall, (uv.hrtime() - begun) / 1e9)
    uv.sleep(1)
  end
  assert(resolver:pending() == count, "not all were under way")
  resolver:close()
  return cpu, wall
end

local rounds, count = tonumber(arg[1]), tonumber(arg[2])
local world = sts_world.new("stsbench.example", 66, false)
world:domain("enforce", {})
world:domain("enforce2", { mx = { "mx1.@", "mx2.@" }, policy = { mode = "enforce", mx = { "*.@" } } })
world:domain("testing", { policy = { mode = "testing", mx = { "mx.@" } } })
world:domain("none", { policy = { mode = "none" } })
world:domain("norecord", { record = false })
for k = 1, count do world:domain("slow" .. k, { web = { rate = 5 } }) end
world:start()
local resolver = support.resolver()
for _, kind in ipairs(kinds) do -- the second plan reads the record out of the cache
  for _ = 1, 2 do resolver:plan(world:name(kind), world:options()) end
end
local ways = { {}, { sts = true } } -- the policies are known, so where they come from makes no difference
io.stdout:setvbuf "line"
for round = 1, rounds do
  local words = {}
  for _, mode in ipairs { "callbacks", "blocking" } do
    for _, kind in ipairs(kinds) do
      local found = {}
      for step = 1, 2 do
        local way = round % 2 == 1 and step or 3 - step
        found[way] = cost(mode, resolver, world:name(kind), ways[way])
      end
      words[#words + 1] = ("%s,%s %.4f %.4f"):format(kind, mode, found[1], found[2])
    end
  end
  print(table.concat(words, " "))
end
print(slow(world, count))
support.close()
world:stop()
os.exit(0)
