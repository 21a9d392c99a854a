-- The commands of worker.lua and lunbound.lua, which are those of bare.c.
local uv = require "luv" -- for its clock
local zones = require "tests.bench.zones"

local commands = {}

--- `count` calls, `under_way` at a time, each next one started when one before is done.
-- @param make make(done) returns start(name), which begins a call. Each call runs done() when it has ended.
--   done() returns the name of the next call, or nil. It does no more, as its cost is measured, too.
-- @param wait lets what is under way go on
function commands.run(names, count, under_way, make, wait)
  local started, finished, n = 0, 0, #names
  local start = make(function()
    finished = finished + 1
    if started < count then
      started = started + 1
      return names[(started - 1) % n + 1]
    end
  end)
  for _ = 1, math.min(under_way, count) do
    started = started + 1
    start(names[(started - 1) % n + 1])
  end
  while finished < count do wait() end
end

local function name_domains(hosts, first, count)
  local names = {}
  for k = 1, count do names[k] = zones.domain(first + k - 1, hosts) end
  return names
end

--- Reads commands to `quit` or the end of the input, and answers with CPU and wall seconds.
-- @param open begins with an empty cache
-- @param run run(what, names, count, under_way) does what is measured
function commands.serve(open, run)
  io.stdout:setvbuf "line"
  open()
  for line in io.lines() do
    if line == "quit" then
      return
    elseif line == "new" then
      open()
      print "0 0"
    else
      local what, hosts, first, domains, count, under_way =
        line:match "^(%w+) (%d+) (%d+) (%d+) (%d+) (%d+)$"
      local names = name_domains(tonumber(hosts), tonumber(first), tonumber(domains))
      collectgarbage()
      local cpu, wall = os.clock(), uv.hrtime()
      run(what, names, tonumber(count), tonumber(under_way))
      print(("%.9f %.9f"):format(os.clock() - cpu, (uv.hrtime() - wall) / 1e9))
    end
  end
end

return commands
