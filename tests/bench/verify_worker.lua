-- What measure_verify.lua measures: verifications, in a process of their own.
--
--   LUA tests/bench/verify_worker.lua ANCHOR-FILE ADDRESS ZONE PORT STUB...
--
-- Reads "COUNT DOMAINS UNDER_WAY REUSE", verifies vI.ZONE for I from 1 to DOMAINS, round and round, and
-- answers with CPU seconds, wall seconds, the longest process() in seconds, the growth of the resident memory
-- at its highest in KiB, and how many reports were ok.
local nexthop = require "nexthop"
local resident = require "tests.bench.resident"
local uv = require "luv" -- for its clock

local anchor, address, zone, port = arg[1], arg[2], arg[3], tonumber(arg[4])

local stub = {}
for k = 5, #arg do stub[arg[k]] = address end

local function new()
  return assert(nexthop.new { stub = stub, trust_anchor_file = anchor,
    options = { ["msg-cache-size"] = "64m", ["rrset-cache-size"] = "128m" } })
end

local function domain(k, domains) return ("v%d.%s"):format((k - 1) % domains + 1, zone) end

local function run(resolver, count, domains, under_way, reuse)
  local options = { connect_port = port, reuse = reuse, max_connections = 2000, per_ip = 2000 }
  local started, good, before, peak = 0, 0, resident(), 0
  local start
  local function done(report, err)
    if not report then error(err, 0) end
    if report.ok then good = good + 1 end
    start()
  end
  function start()
    if started == count then return end
    started = started + 1
    resolver:verify(domain(started, domains), options, done)
  end
  for _ = 1, math.min(under_way, count) do start() end
  while not resolver:wait(0.02) do peak = math.max(peak, resident()) end
  return good, math.max(0, math.max(peak, resident()) - before)
end

-- The same by process(), whose longest run the resolver counts.
local function drive(resolver)
  local wait = resolver.wait
  return setmetatable({}, { __index = function(_, key)
    if key == "wait" then
      return function()
        resolver:process()
        if resolver:pending() == 0 then return wait(resolver, 0) end
        uv.sleep(1)
        return false
      end
    end
    return function(_, ...) return resolver[key](resolver, ...) end
  end })
end

io.stdout:setvbuf "line"
for line in io.lines() do
  if line == "quit" then break end
  local count, domains, under_way, reuse = line:match "^(%d+) (%d+) (%d+) (%d+)$"
  count, domains, under_way = tonumber(count), tonumber(domains), tonumber(under_way)
  local resolver = new()
  for k = 1, domains do resolver:plan(domain(k, domains), function() end) end -- the DNS is warm
  resolver:wait()
  collectgarbage()
  local driven = count == under_way and drive(resolver) or resolver
  local cpu, wall = os.clock(), uv.hrtime()
  local good, grown = run(driven, count, domains, under_way, tonumber(reuse))
  cpu, wall = os.clock() - cpu, (uv.hrtime() - wall) / 1e9
  print(("%.6f %.6f %.6f %d %d"):format(cpu, wall, resolver:stats().longest_process, grown, good))
  resolver:close()
end
