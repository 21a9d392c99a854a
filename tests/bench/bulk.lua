-- The module alone, doing what `nexthop --file` does: plans for the names of a file, 100 under way,
-- libunbound's own cache sizes; nothing is printed.
--
--   LUA tests/bench/bulk.lua FILE ANCHOR-FILE ADDRESS ZONE...
local nexthop = require "nexthop"

local stub = {}
for k = 4, #arg do
  stub[arg[k]] = arg[3]
end
local resolver = assert(nexthop.new { stub = stub, trust_anchor_file = arg[2] })
local next_name = io.lines(arg[1])
local under_way = 0

local function start()
  local name = next_name and next_name()
  if not name then
    next_name = nil
    return
  end
  under_way = under_way + 1
  resolver:plan(name, function()
    under_way = under_way - 1
    start()
  end)
end

for _ = 1, 100 do
  start()
end
while under_way > 0 do
  resolver:wait()
end
