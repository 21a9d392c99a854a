-- A lookup whose failure libunbound had in its cache had no timer; asked again in a fresh context, it
-- waited for as long as libunbound tries.
local support = require "tests.support"
local lab = support.lab

describe("a failure that is in the cache", function()
  before_each(support.reset)
  after_each(support.close)

  it("is asked again for no longer than the timeout", function()
    local resolver = support.resolver { timeout = 0.5 * support.slow }
    assert(resolver:gather_destinations "dane.example")
    lab:rule { name = "nodane.example", action = "servfail" }
    support.failed("servfail", resolver:gather_destinations "nodane.example")
    lab:clear()
    lab:rule { action = "silent" }
    local ended
    resolver:gather_destinations("nodane.example", function(_, err) ended = err.code end)
    resolver:wait(4 * support.slow)
    assert.is_truthy(ended)
  end)
end)
