-- Packets that get lost.
local common = require "tests.bench.waiting.common"
local world = require "tests.bench.waiting.world"

local case, name, summary, all_modes = common.case, common.name, common.summary, common.all_modes

case("loss", "loss", "a fifth of the packets lost each way, 400 cold plans", "0 fail", all_modes,
  function(mode)
    local records, places = {}, {}
    local seed = tonumber(os.getenv "NEXTHOP_SEED") or 1
    for k = 1, 4 do
      places[k] = world.place(mode)
      places[k]:rule("all", { action = "lossy", loss = 0.2, seed = seed + k })
    end
    local workers = {}
    for k = 1, 100 do
      workers[k] = function()
        for n = 1, 4 do
          records[4 * k + n - 4] = places[(k - 1) % 4 + 1]:ask(name(4 * k + n))
        end
      end
    end
    world.together(workers)
    for _, here in ipairs(places) do
      here:close()
    end
    local text, met = summary(records)
    return ("%s (seed %d)"):format(text, seed), met
  end)
