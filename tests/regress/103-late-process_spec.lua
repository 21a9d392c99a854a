-- A host that called process() late lost answers that had come meanwhile, since the timers ran before the
-- sockets were read; and libunbound took the servers for dead, so that all failed for a minute.
local support = require "tests.support"
local uv = require "luv"
local lab = support.lab

local function start(resolver, names)
  local wrong, ended = {}, 0
  for _, name in ipairs(names) do
    resolver:gather_destinations(name, function(result, err)
      ended = ended + 1
      if not result then wrong[#wrong + 1] = name .. ": " .. err.code end
    end)
  end
  return function()
    assert.is_true(resolver:wait(20 * support.slow))
    assert.equal(#names, ended)
    return wrong
  end
end

-- The questions are out; the answers come while nobody calls process().
local function be_late(options, seconds)
  local resolver = support.resolver(options)
  lab:rule { delay = 50 }
  local finish = start(resolver, { "dane.example", "nodane.example", "mxequal.example" })
  resolver:process()
  uv.sleep(seconds * 1000)
  assert.same({}, finish())
  finish = start(resolver, { "nullmxmixed.example", "mxduplicate.example", "mxcase.example" })
  assert.same({}, finish())
end

describe("a host that calls process() late", function()
  before_each(support.reset)
  after_each(support.close)

  it("has its answers, and the next ones", function()
    be_late({}, 2.5)
  end)

  -- The lookups' time was up meanwhile, but their answers had come before that.
  it("has the answers that came in time, when that is up", function()
    local resolver = support.resolver { timeout = 1 * support.slow }
    assert(resolver:gather_destinations "dane.example") -- the keys: one question is left for each name
    lab:rule { delay = 50 }
    local names = { "nodane.example", "mxequal.example", "mxinsecure.example" }
    local finish = start(resolver, names)
    -- What the minimised question leads to is asked, too.
    while lab:count("*", "MX") < 1 + #names do resolver:process() end
    uv.sleep(1500 * support.slow)
    assert.same({}, finish())
  end)
end)
