-- Servers that are away for a while, and a host that is: it does not call process().
local common = require "tests.bench.waiting.common"
local world = require "tests.bench.waiting.world"

local case, name, seconds, ask_on = common.case, common.name, common.seconds, common.ask_on
local all_modes, direct = common.all_modes, common.direct
local now = world.now

-- What came of names that were asked from the end of an outage on.
local function recovery(records, ended)
  local first, late, slowest
  local failed = 0
  for _, record in ipairs(records) do
    local asked = record.asked - ended
    if world.is_right(record) then
      if asked >= -0.01 then
        first = math.min(first or 1e9, record.ended - ended)
        slowest = math.max(slowest or 0, record.seconds)
      end
    elseif asked >= -0.01 then
      failed = failed + 1
      late = math.max(late or 0, asked)
    end
  end
  local text = first and ("first right %s after the end"):format(seconds(first)) or "none right"
  if failed > 0 then
    text = text .. (", %d fail, the last asked %s after it: %s"):format(failed, seconds(late),
      (world.wrong(records)))
  end
  if slowest and slowest > 5 then
    text = text .. (", slowest %s"):format(seconds(slowest))
  end
  return text, first ~= nil and first <= 5 and (late == nil or late < 5)
end

-- How long good names are watched after the end.
local WATCH = 12

for _, length in ipairs { 10, 20, 30, 60, 90, 120 } do
  case("light", "outage", ("the network away for %d s, a name asked each second"):format(length),
    "first right <= 5 s, none fails after", all_modes, function(mode)
      local here = world.place(mode)
      here:ask(name(1))
      local outage = here:rule("all", { action = "silent" })
      local ended = now() + length
      local before = ask_on(here, 100, 1, ended)
      here:unrule(outage)
      ended = now()
      local after = ask_on(here, 200, 0.5, ended + WATCH)
      world.await(before)
      world.await(after)
      here:close()
      return recovery(after, ended)
    end)
end

case("light", "outage", "the top-level domain's servers away for 5 s after the start",
  "first right <= 5 s, none fails after", direct, function(mode)
    local here = world.place(mode)
    local outage = here:rule("lag", { action = "silent" })
    local before = ask_on(here, 100, 0.5, now() + 5)
    here:unrule(outage)
    local ended = now()
    local after = ask_on(here, 200, 0.5, ended + WATCH)
    world.await(before)
    world.await(after)
    here:close()
    return recovery(after, ended)
  end)

for _, late in ipairs { 2.5, 10 } do
  for _, warm in ipairs { true, false } do
    case("light", "late", ("process() is called %s s late once, %s"):format(late,
      warm and "keys known" or "cold"), "0 of 20 fail", all_modes, function(mode)
        local here = world.place(mode)
        if warm then
          here:ask(name(1))
        end
        here:rule("all", { delay = 50 })
        local records = {}
        for k = 1, 10 do
          records[k] = here:start(name(10 + k))
        end
        here.resolver:process()
        here:late(late)
        world.await(records)
        local first_text = world.wrong(records)
        local next_ones = {}
        for k = 1, 10 do
          next_ones[k] = here:start(name(30 + k))
        end
        world.await(next_ones)
        here:close()
        local next_text = world.wrong(next_ones)
        local met = first_text == "" and next_text == ""
        return met and "0 fail" or ("those under way: %s; next ones: %s"):format(
          first_text == "" and "right" or first_text, next_text == "" and "right" or next_text), met
      end)
  end
end
