-- While many lookups had something to do, the filter did nothing else: the pump's timer of no time
-- started itself again, and libuv before 1.48 runs such a one before it looks at anything else.
-- Deadlines and smtpd's lines waited until the last lookup was done.
local uv = require "luv"
local pump = require "nexthop.luv.supervisor"
local support = require "tests.support"

it("the pump leaves other timers their turn while lookups are under way", function()
  support.reset()
  local failed
  local self = pump.new(support.lab:forward_options(), function(reason)
    failed = reason
  end)
  local left, turns = 3000, 0
  local other = uv.new_timer()
  other:start(10, 10, function()
    turns = turns + 1
  end)
  for number = 1, left do
    assert(self:plan(number .. ".wild.example", {}, function()
      left = left - 1
      if left == 0 then
        other:close()
        self:stop()
      end
    end))
  end
  uv.run()
  assert.is_nil(failed)
  assert(turns > 5, turns .. " turns")
end)
