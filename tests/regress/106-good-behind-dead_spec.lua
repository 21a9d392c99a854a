-- More dead names at once than `max_pending`: a good name waited behind them until they had all ended, for
-- half a minute.
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

local function is_answered(options)
  options.max_pending = 50
  local resolver = assert(nexthop.new(options))
  assert(resolver:gather_destinations "dane.example")
  lab:rule { name = "*.plain", action = "silent" }
  for n = 1, 200 do
    resolver:gather_destinations(("d%d.plain"):format(n), function() end)
  end
  local result, err = resolver:gather_destinations("mxequal.example", { deadline = 3 * support.slow })
  assert.is_nil(err and err.message)
  assert.equal(2, #result.hosts)
  resolver:close()
end

describe("a good name behind more dead ones than max_pending", function()
  before_each(support.reset)

  it("is answered, by name servers", function()
    is_answered(lab:options())
  end)

  it("is answered, by a forwarder", function()
    is_answered(lab:forward_options())
  end)
end)
