-- What the cases share: the names of the tree, the modes, how what was found is told.
--
-- A case: { group, line, what, wanted, modes, run }; run(mode) gives what was found (a text) and whether that
-- is what was wanted (wanted = nil: a figure without a target). Groups run in processes of their own: "light"
-- cases wait and do little else, so that all of them run side by side.
local world = require "tests.bench.waiting.world"

local common = {
  all_modes = { "recursion", "stub", "forward" }, direct = { "recursion", "stub" },
  recursion_and_forward = { "recursion", "forward" }, cases = {},
}
local now, sleep = world.now, world.sleep

function common.case(group, line, what, wanted, modes, run)
  table.insert(common.cases,
    { group = group, line = line, what = what, wanted = wanted, modes = modes, run = run })
end

local function name(number, zone)
  return ("d%d.%s.lag"):format(number, zone or "one")
end
common.name = name

local function seconds(value)
  return ("%.1f s"):format(value)
end
common.seconds = seconds

-- One plan: its verdict and time.
function common.told(record)
  local verdict = world.verdict(record)
  return (verdict == "dane" and "right" or verdict) .. " after " .. seconds(record.seconds)
end

-- Asks good names that have not been asked before, every `every` seconds until time `till`.
function common.ask_on(here, first, every, till, zone)
  local records = {}
  while now() < till do
    records[#records + 1] = here:start(name(first + #records, zone))
    sleep(every)
  end
  return records
end

local function longest_of(records)
  local longest = 0
  for _, record in ipairs(records) do
    longest = math.max(longest, record.seconds)
  end
  return longest
end
common.longest_of = longest_of

-- "2 of 30 fail: servfail 2; longest 0.1 s", and whether none fails and none takes longer than `limit`.
function common.summary(records, limit)
  local text, wrong = world.wrong(records)
  local longest = longest_of(records)
  return ("%d of %d fail%s; longest %s"):format(wrong, #records, wrong > 0 and ": " .. text or "",
    seconds(longest)), wrong == 0 and (not limit or longest <= limit)
end

return common
