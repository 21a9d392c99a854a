-- One process of the part "waiting": the cases of some groups in one mode, side by side.
--
--   LUA tests/bench/waiting/main.lua JSON
--
-- JSON: { settings (see world.lua), lab (the description of one with the zones of
-- zones.lua), mode, groups = { name = true }, only = text in what the cases say }.
-- libunbound keeps the bounds of its timeouts for the whole process: one mode, one process.
-- Prints a line of JSON for each case as it ends.
package.path = "./?.lua;" .. package.path

local json = require "cjson"
local world = require "tests.bench.waiting.world"

local order = json.decode(arg[1])
local lab = world.open(order.settings, order.lab)
io.stdout:setvbuf "line"

for index, each in ipairs(require "tests.bench.waiting.cases") do
  local wanted = order.groups[each.group] and (not order.only or each.what:find(order.only)
    or each.line:find(order.only))
  local has_mode = false
  for _, mode in ipairs(each.modes) do
    has_mode = has_mode or mode == order.mode
  end
  if wanted and has_mode then
    world.spawn(function()
      local begun = world.now()
      local ok, found, met = pcall(each.run, order.mode)
      print(json.encode { index = index, mode = order.mode, found = tostring(found),
        met = ok and met, failed = not ok, seconds = world.now() - begun })
    end)
  end
end
world.run()
lab:stop()
