-- A blocking plan gave its hosts' memory back after a callback that ran before it had closed the resolver:
-- there was nobody left to free it.
local nexthop = require "nexthop"
local support = require "tests.support"

before_each(support.reset)

local function kib()
  local file = assert(io.open "/proc/self/statm")
  local pages = file:read("*l"):match "^%d+ (%d+)"
  file:close()
  return tonumber(pages) * 4
end

describe("a blocking plan that has its answer when a callback closes its resolver", function()
  it("leaves no memory behind", function()
    local closed = 0
    local function once()
      local r = assert(nexthop.new(support.lab:options {}))
      r:plan("hundred.example", function() closed = closed + 1; r:close() end) -- both end at once
      assert(r:plan "hundred.example")
      r:close()
    end
    local function rounds(n)
      for _ = 1, n do once() end
      collectgarbage() collectgarbage()
      return kib()
    end
    local before = rounds(20)
    local grown = rounds(60) - before
    assert.equal(80, closed)
    assert.is_true(grown < 1024, grown .. " KiB more")
  end)
end)
