-- wait() of a negative number of seconds, what is left until a time that has passed, never returned while
-- a lookup was under way; nor did wait(0/0).
local support = require "tests.support"
local lab = support.lab

describe("wait()", function()
  before_each(support.reset)
  after_each(support.close)

  it("of less than nothing returns at once", function()
    lab:rule { name = "*", action = "silent" }
    local resolver = support.resolver()
    local handle = resolver:gather_ips("silent.example", function() end)
    for _, seconds in ipairs { 0, -0.001, -1, -1e9, -math.huge } do
      assert.is_false(resolver:wait(seconds))
    end
    handle:cancel()
    assert.is_true(resolver:wait(-1))
  end)

  it("of no number raises", function()
    local resolver = support.resolver()
    assert.error_matches(function() resolver:wait(0 / 0) end, "seconds expected, got nan")
  end)
end)
