-- Reads a number N; starts N cold lookups, waits until the answers are in the socket buffers, then
-- calls process() until all are done. Answers with the longest call's wall and CPU seconds.
local nexthop = require "nexthop"
local uv = require "luv"

local resolver = assert(nexthop.new { forward = arg[2], trust_anchor_file = arg[1] })
io.stdout:setvbuf "line"
for line in io.lines() do
  if line == "quit" then
    break
  end
  local count, done = tonumber(line), 0
  assert(resolver:plan "d0-2.bench.example") -- the trust chain
  for k = 1, count do
    resolver:gather_destinations(("d%d-2.bench.example"):format(k), function()
      done = done + 1
    end)
  end
  local wall, cpu = 0, 0
  while done < count do
    if resolver:timeout() ~= 0 then
      uv.sleep(20) -- let answers gather
    end
    local wall_before, cpu_before = uv.hrtime(), os.clock()
    resolver:process()
    wall = math.max(wall, (uv.hrtime() - wall_before) / 1e9)
    cpu = math.max(cpu, os.clock() - cpu_before)
  end
  print(("%.6f %.6f"):format(wall, cpu))
end
