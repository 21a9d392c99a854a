-- What measure_sts.lua measures, in a process of its own.
--
--   LUA tests/bench/sts_worker.lua ROUNDS COUNT
--
-- Prints, for each round, the CPU seconds of 5,000 plans without and with sts, and at last the seconds of the
-- longest process() while COUNT fetches from slow web servers are under way.
local sts_world = require "tests.support.sts_world"
local support = require "tests.support"
local uv = require "luv"

local TXT = 16

local PLANS = 5000

-- CPU seconds of plans for a domain whose answers are in the cache.
local function seconds(resolver, name, options)
  local begun = os.clock()
  for _ = 1, PLANS do assert(resolver:plan(name, options)) end
  return os.clock() - begun
end

-- Seconds of the longest process() from the start of the fetches until all are under way and beyond.
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
  local longest, ends = 0, uv.hrtime() + 5e9
  while uv.hrtime() < ends do
    local begun = uv.hrtime()
    resolver:process()
    longest = math.max(longest, (uv.hrtime() - begun) / 1e9)
    uv.sleep(1)
  end
  assert(resolver:pending() == count, "not all were under way")
  resolver:close()
  return longest
end

local rounds, count = tonumber(arg[1]), tonumber(arg[2])
local world = sts_world.new("stsbench.example", 66, false)
local known = world:domain("known", {})
for k = 1, count do world:domain("slow" .. k, { web = { rate = 5 } }) end
world:start()
local resolver = support.resolver()
assert(assert(resolver:plan(known, world:options())).sts, "no policy")
io.stdout:setvbuf "line"
for round = 1, rounds do
  local found = {}
  for _, way in ipairs(round % 2 == 1 and { 1, 2 } or { 2, 1 }) do
    found[way] = seconds(resolver, known, way == 1 and {} or world:options())
  end
  print(found[1], found[2])
end
print(slow(world, count))
support.close()
world:stop()
os.exit(0)
