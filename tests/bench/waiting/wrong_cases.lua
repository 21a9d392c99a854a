-- One answer that is wrong, and keys that cannot be fetched.
local common = require "tests.bench.waiting.common"
local world = require "tests.bench.waiting.world"

local case, name, seconds, all_modes = common.case, common.name, common.seconds, common.all_modes
local recursion_and_forward = common.recursion_and_forward
local now, sleep = world.now, world.sleep

local function next_names(here, number)
  local records = { here:start(name(number)), here:start(name(number, "two")) }
  world.await(records)
  sleep(1.5)
  records[3] = here:start(name(number + 1))
  records[4] = here:start(name(number + 1, "two"))
  return world.await(records)
end

-- One such answer in a place of its own; what came of the next names.
local function one_wrong(mode, action, pause, question)
  local here = world.place(mode)
  local rule = { action = action, times = 1, type = question }
  local server = mode == "recursion" and question == "*" and "zone" or "all"
  if pause then
    here:ask(name(1))
    sleep(pause)
    here:rule(server, rule)
    here:ask(name(2, question == "*" and "one" or "two")) -- the keys of `two` are not known yet
  else
    here:rule(server, rule)
    here:ask(name(1))
  end
  local records = next_names(here, 3)
  here:close()
  return world.wrong(records)
end

for _, action in ipairs { "formerr", "notimp", "refused", "silent" } do
  case("light", "one", (action == "silent" and "one lost packet" or "one " .. action:upper())
    .. ", the very first answer, 1.5 and 10 s after the last; to any question, DNSKEY, DS",
    "the next names are right", recursion_and_forward, function(mode)
      local list, failed, total = {}, {}, 0
      for _, pause in ipairs { false, 1.5, 10 } do
        for _, question in ipairs { "*", "DNSKEY", "DS" } do
          total = total + 1
          list[total] = function()
            local text, wrong = one_wrong(mode, action, pause, question)
            if wrong > 0 then
              failed[#failed + 1] = ("%s, %s: %d of 4 %s"):format(
                pause and pause .. " s" or "first", question, wrong, text)
            end
          end
        end
      end
      world.together(list)
      table.sort(failed)
      return ("%d of %d fail%s"):format(#failed, total,
        #failed > 0 and " (" .. table.concat(failed, "; ") .. ")" or ""), #failed == 0
    end)
end

-- Seconds until a name is right, asked each second.
local function until_right(here, first, patience)
  local begun, k = now(), first
  while now() - begun < patience do
    local record = here:ask(name(k))
    if world.is_right(record) then
      return now() - begun
    end
    k = k + 1
    sleep(1)
  end
end

for _, action in ipairs { "servfail", "silent" } do
  case("light", "keys", ("DNSKEY of the zone: %s; then it is there again"):format(action),
    "servfail or timeout, never bogus", all_modes, function(mode)
      local here = world.place(mode)
      local rule = here:rule("zone", { name = "one.lag", type = "DNSKEY", action = action })
      local codes, bad = {}, false
      for k = 1, 3 do
        local record = here:ask(name(k))
        codes[k] = world.verdict(record)
        bad = bad or codes[k]:find "bogus" ~= nil or codes[k] == "dane"
      end
      here:unrule(rule)
      local took = until_right(here, 10, 75)
      here:close()
      return ("%s; right again after %s"):format(table.concat(codes, ", "),
        took and seconds(took) or "75 s: no"), not bad
    end)
  for _, kind in ipairs { "DNSKEY", "DS" } do
    case("light", "keys", ("%s %s for 2 s at a cold start"):format(kind, action),
      "never bogus; right <= 5 s after", recursion_and_forward, function(mode)
        local here = world.place(mode)
        local rule = here:rule("all", { type = kind, action = action })
        local records = { here:start(name(1)) }
        sleep(2)
        here:unrule(rule)
        world.await(records)
        local verdict = world.verdict(records[1])
        local took = until_right(here, 10, 75)
        here:close()
        return ("%s; next right after %s"):format(verdict, took and seconds(took) or "75 s: no"),
          not verdict:find "bogus" and took ~= nil and took <= 5
      end)
  end
end
