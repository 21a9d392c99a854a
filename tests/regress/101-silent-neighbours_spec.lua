-- After three names without answer libunbound took their server for dead: every other name of that server
-- failed at once, for a minute.
local support = require "tests.support"
local lab = support.lab

local silent = { "alias.child.example", "implicit.child.example", "nullmx.child.example" }

describe("names whose server is silent for them", function()
  before_each(support.reset)
  after_each(support.close)

  it("leave the other names of that server as they are", function()
    local stub = lab:stub()
    stub["child.example."] = lab:listen "127.0.0.9" -- a server that has answered nothing yet
    local resolver = support.resolver { stub = stub }
    lab:rule { names = silent, action = "silent" }
    for _, name in ipairs(silent) do
      resolver:gather_destinations(name, { deadline = 6 * support.slow }, function(result)
        assert.is_nil(result)
      end)
    end
    assert.is_true(resolver:wait(12 * support.slow))
    local result, err = resolver:gather_destinations "child.example"
    assert.is_nil(err and err.message)
    assert.is_true(result.orig_next_hop_authentic)
    assert.equal("mx.child.example", result.hosts[1].host)
  end)
end)
