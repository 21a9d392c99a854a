-- A lookup whose answer had come, but was not looked at yet when its call was cancelled or ended, was in
-- no counter of stats().
local support = require "tests.support"
local lab = support.lab

describe("stats()", function()
  before_each(support.reset)
  after_each(support.close)

  it("counts each lookup once, whenever its call is cancelled", function()
    for steps = 0, 60 do
      local resolver = support.resolver { budget = 0 } -- a step for each process()
      local handle = resolver:plan("dane.example", function() end)
      local step = 0
      while step < steps and resolver:pending() > 0 do
        if resolver:timeout() == 0 then step = step + 1 end
        resolver:process()
      end
      handle:cancel()
      local stats = resolver:stats()
      local sum = stats.secure + stats.insecure + stats.bogus + stats.servfail + stats.timeouts
        + stats.cancelled
      assert.equal(stats.lookups, sum, "after " .. steps .. " steps")
      resolver:close()
    end
    assert(lab:total() > 0)
  end)
end)
