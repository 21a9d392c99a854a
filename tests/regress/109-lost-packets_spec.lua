-- A fifth of the packets was lost each way: libunbound asked each question twice, and hosts lost addresses or
-- failed.
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

local HOSTS = 60

local function all_are_right(options)
  local resolver = assert(nexthop.new(options))
  assert(resolver:plan "dane.example")
  lab:rule { action = "lossy", loss = 0.2, seed = 14 }
  local wrong, ended = {}, 0
  for n = 1, HOSTS do
    local host = ("mx%d.hundred.example"):format(n)
    resolver:gather_ips(host, function(result, err)
      ended = ended + 1
      if not result then
        wrong[#wrong + 1] = host .. ": " .. err.code
      elseif #result.ips ~= 2 then
        wrong[#wrong + 1] = host .. ": " .. table.concat(result.ips, " ")
      end
    end)
  end
  assert.is_true(resolver:wait(30 * support.slow))
  assert.equal(HOSTS, ended)
  assert.same({}, wrong)
  resolver:close()
end

describe("a network that loses a fifth of the packets each way", function()
  before_each(support.reset)

  it("costs no address, with name servers", function()
    all_are_right(lab:options())
  end)

  it("costs no address, with a forwarder", function()
    all_are_right(lab:forward_options())
  end)
end)
