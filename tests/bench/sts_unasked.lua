-- A resolver that nobody asks for MTA-STS.
--
--   LUA tests/bench/sts_unasked.lua ANCHOR-FILE ADDRESS
--
-- Prints the microseconds of CPU of a plan whose answers are in the cache, and the KiB of the process.
local nexthop = require "nexthop"

local resolver = assert(nexthop.new {
  stub = { ["."] = arg[2], ["example."] = arg[2] }, trust_anchor_file = arg[1],
})
local function run(count)
  local begun = os.clock()
  for k = 1, count do assert(resolver:plan(("d%d-2.bench.example"):format(k % 50))) end
  return (os.clock() - begun) / count * 1e6
end
run(1000)
local cost = run(20000)
collectgarbage()
collectgarbage()
local file = assert(io.open "/proc/self/status")
local kib = file:read "*a":match "RssAnon:%s*(%d+)"
file:close()
print(("%.4f %d"):format(cost, kib))
