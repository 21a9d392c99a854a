-- After an MX lookup that got no answer at all the CNAME of the same name was asked for too: more packets to
-- servers that are silent, and seconds more than `timeout`.
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

local function is_asked_once(options)
  options.timeout = 1 * support.slow
  local resolver = assert(nexthop.new(options))
  assert(resolver:gather_destinations "dane.example")
  lab:reset()
  lab:rule { name = "nodane.example", action = "silent" }
  local result, err = resolver:gather_destinations "nodane.example"
  assert.is_nil(result)
  assert.equal("timeout", err.code)
  assert.equal(0, lab:count("nodane.example", "CNAME"))
  assert(lab:count("nodane.example") > 0)
  resolver:close()
end

describe("a name whose server never answers", function()
  before_each(support.reset)

  it("is asked for MX alone, of name servers", function()
    is_asked_once(lab:options())
  end)

  it("is asked for MX alone, of a forwarder", function()
    is_asked_once(lab:forward_options())
  end)
end)
