-- Random worlds: mail domains by chance, planned and compared with reference.lua, see worlds.lua.
--
--   NEXTHOP_SEED=N      the first seed, or "random"; each world has the next one. Printed.
--   NEXTHOP_HOSTS=N     until so many hosts have been looked at, instead of for some seconds
local support = require "tests.support"
local worlds = require "tests.support.worlds"

local asked = os.getenv "NEXTHOP_SEED"
local first = tonumber(asked) or (asked == "random" and os.time() % 1000000) or 1
local wanted = tonumber(os.getenv "NEXTHOP_HOSTS")

-- Thirty seconds of a run of the suite, whatever the number of Luas: each takes its part of the time, and
-- seeds of its own.
local SECONDS, SEEDS_APART = 30, 100000
local index, count = support.part()
first = first + (index - 1) * SEEDS_APART

describe("random worlds, from seed " .. first .. ":", function()
  setup(support.reset)
  teardown(function()
    support.close()
    support.lab:clear()
  end)

  local function assert_right(totals, last)
    local text = worlds.summary(totals, ("seeds %d..%d"):format(first, last))
    print(text)
    assert(#totals.wrong == 0, ("%s; %d wrong:\n%s"):format(text, #totals.wrong,
      table.concat(totals.wrong, "\n", 1, math.min(#totals.wrong, 20))))
  end

  it("gather_destinations and gather_ips say the flags, or fail where something failed", function()
    local totals = worlds.totals()
    worlds.look(first, support.slow > 1 and 20 or wanted and 1000 or 100, totals, true)
    assert_right(totals, first)
  end)

  it("plan says what the RFC says, or skip where something failed", function()
    local seed = first
    local totals = worlds.totals()
    local started = os.time()
    local function enough()
      if wanted then
        return totals.hosts >= wanted / count
      end
      return os.time() - started >= SECONDS / count
    end
    repeat
      worlds.look(seed, support.slow > 1 and 20 or 250, totals)
      seed = seed + 1
      support.close()
    until enough() or #totals.wrong > 100
    assert_right(totals, seed - 1)
    for _, word in ipairs(support.slow == 1 and { "dane", "encrypt", "may", "skip", "fails" } or {}) do
      assert.is_true((totals.owed[word] or 0) > 0, "none is " .. word)
    end
  end)
end)
