-- A good answer is waited for; a name whose servers are dead costs its own time only.
local common = require "tests.bench.waiting.common"
local world = require "tests.bench.waiting.world"

local case, name, told = common.case, common.name, common.told
local ask_on, summary, all_modes, direct = common.ask_on, common.summary, common.all_modes, common.direct
local now = world.now

local function after_silence(here)
  local silent = here:rule("zone", { names = { "d1.one.lag", "d2.one.lag", "d3.one.lag" },
    action = "silent" })
  world.await { here:start(name(1)), here:start(name(2)), here:start(name(3)) }
  here:unrule(silent)
end

local function ask_slow_server(delay, after)
  return function(mode)
    local here = world.place(mode)
    if after then
      after_silence(here)
    end
    here:rule("zone", { delay = delay })
    local record = here:ask(name(9))
    here:close()
    return told(record), world.is_right(record)
  end
end

for _, delay in ipairs { 720, 1400, 3000 } do
  local text = ("each answer of the zone's server takes %.2f s"):format(delay / 1000)
  local wanted = delay <= 1400 and "right" or nil
  case("light", "slow", text, wanted, direct, ask_slow_server(delay))
  case("light", "slow", text .. ", after three silent names", wanted, direct, ask_slow_server(delay, true))
end

for _, delay in ipairs { 200, 1400 } do
  case("light", "slow", ("a server that answered at once now takes %.2f s"):format(delay / 1000),
    "right", all_modes, function(mode)
      local here = world.place(mode)
      here:ask(name(1))
      here:rule("zone", { delay = delay })
      local record = here:ask(name(9))
      here:close()
      return told(record), world.is_right(record)
    end)
end

for _, after in ipairs { false, true } do
  case("light", "slow", "the forwarder needs 4.5 s for each question that is new to it"
    .. (after and ", after three silent names" or ""), "right", { "forward" }, function(mode)
      local here = world.place(mode)
      if after then
        after_silence(here)
      end
      here:rule("all", { name = "*.one.lag", first = 4500 })
      local record = here:ask(name(9))
      here:close()
      return told(record), world.is_right(record)
    end)
end

case("light", "dead", "a name whose servers are all dead", "<= 10 s", all_modes, function(mode)
  local here = world.place(mode)
  here:rule("zone", { name = "*.x1.lag", action = "silent" })
  local dead = here:ask(mode == "recursion" and "n1.x1.lag" or "n1.x1.lag")
  here:close()
  return told(dead), dead.seconds <= 10.3
end)

case("light", "dead", "other names while one is dead", "right, <= 2 s", all_modes, function(mode)
  local here = world.place(mode)
  here:rule("all", { name = "*.x1.lag", action = "silent" })
  here:ask(name(1))
  local dead = here:start("n1.x1.lag")
  local records = ask_on(here, 10, 0.5, now() + 8)
  world.await(records)
  world.await { dead }
  here:close()
  return summary(records, 2)
end)
