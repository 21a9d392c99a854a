-- A deadline that had passed when another call was begun was noticed by that call, and then forgotten by
-- timeout(): it told the time of some later event, and the host slept on.
local support = require "tests.support"
local uv = require "luv"
local lab = support.lab

describe("a deadline that has passed before a new call", function()
  before_each(support.reset)
  after_each(support.close)

  it("makes timeout() 0", function()
    lab:rule { name = "*", action = "silent" }
    local resolver, code = support.resolver(), nil
    resolver:plan("first.example", { deadline = 0.1 }, function(_, err) code = err.code end)
    resolver:process()
    uv.sleep(150) -- the host is busy
    resolver:plan("second.example", function() end)
    assert.equal(0, resolver:timeout())
    resolver:process()
    assert.equal("timeout", code)
    assert.is_true(resolver:timeout() > 0)
  end)

  it("does not when its call was cancelled", function()
    lab:rule { name = "*", action = "silent" }
    local resolver = support.resolver()
    local first = resolver:plan("first.example", { deadline = 0.1 }, function() end)
    resolver:process()
    uv.sleep(150)
    local second = resolver:plan("second.example", function() end)
    first:cancel()
    second:cancel()
    assert.is_nil(resolver:timeout())
  end)
end)
