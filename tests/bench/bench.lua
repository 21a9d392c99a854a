-- The benchmark: see README.md. Started by tests/bench/run.
--
--   LUA tests/bench/bench.lua "LUA..." [--quick] [--json FILE] [--only WORD]
package.path = "./?.lua;" .. package.path

local json = require "cjson"
local zones = require "tests.bench.zones"
local workers = require "tests.bench.workers"
local report = require "tests.bench.report"

local options = { luas = {}, json = "build/bench/bench.json" }
for lua in arg[1]:gmatch "%S+" do
  table.insert(options.luas, lua)
end
do
  local k = 2
  while arg[k] do
    if arg[k] == "--quick" then
      options.quick = true
    elseif arg[k] == "--json" or arg[k] == "--only" then
      options[arg[k]:sub(3)] = assert(arg[k + 1], "a value is missing")
      k = k + 1
    else
      error("what is " .. arg[k] .. "?", 0)
    end
    k = k + 1
  end
end

local quick = options.quick
local domains = quick and 300 or zones.domains
local rounds = quick and 3 or 9

local started = os.time()

local context = { domains = domains, rounds = rounds, quick = quick, luas = options.luas, workers = workers,
  report = report }
local results = { quick = quick or false, domains = domains, rounds = rounds, measures = {} }

-- "capacity" and "waiting" have labs of their own. With --quick "waiting" is left out: it is not coarser.
local parts = { "plans", "growth", "process", "memory", "programs", "verify", "sts", "capacity", "waiting" }
if options.only ~= "waiting" and options.only ~= "capacity" then
  io.write(("Signing %d domains, starting the lab: "):format(domains))
  io.flush()
  context.lab = require("tests.lab.lab").start { zones = { zones.zone(domains) } }
  print(("%d s"):format(os.time() - started))
end
if quick then
  parts[#parts] = nil
end

for _, name in ipairs(options.only and { options.only } or parts) do
  local ok, found = pcall(require("tests.bench.measure_" .. name), context)
  if ok then
    results.measures[name] = found
  else
    print(("%s: not measured: %s"):format(name, found))
    results.measures[name] = { error = tostring(found) }
  end
end
if context.lab then
  context.lab:stop()
end

local file = assert(io.open(options.json, "w"))
file:write(json.encode(results), "\n")
file:close()
print(("\n%d s; written to %s"):format(os.time() - started, options.json))
