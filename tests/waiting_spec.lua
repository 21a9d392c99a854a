-- What a plan waits for: the questions that need not wait for each other are asked side by side.
local nexthop = require "nexthop"
local support = require "tests.support"
local uv = require "luv"
local lab = support.lab

-- Lets the resolver work until a question has come, or for some seconds.
local function has_come(resolver, name, type)
  local till = uv.now() + 5000 * support.slow
  while lab:count(name, type) == 0 do
    resolver:process()
    uv.update_time()
    if uv.now() > till then return false end
  end
  return true
end

describe("a cold plan behind a forwarder", function()
  local resolver
  before_each(function()
    support.reset()
    resolver = assert(nexthop.new(lab:forward_options()))
    assert(resolver:plan "mxcase.example") -- the keys
    lab:reset()
  end)
  after_each(function()
    resolver:close()
  end)

  it("asks for addresses and TLSA at the same time, when the MX records are secure", function()
    for _, type in ipairs { "A", "AAAA" } do
      lab:rule { name = "mx2.dane.example", type = type, hold = true }
    end
    local plan
    resolver:plan("dane.example", function(result) plan = result end)
    assert.is_true(has_come(resolver, "mx2.dane.example", "A"))
    assert.is_true(has_come(resolver, "mx2.dane.example", "AAAA"))
    assert.is_true(has_come(resolver, "_25._tcp.mx2.dane.example", "TLSA"))
    lab:release()
    assert.is_true(resolver:wait(10 * support.slow))
    assert.equal("dane", plan.hosts[1].tls)
    assert.equal("dane", plan.hosts[2].tls)
    assert.equal(1, lab:count("_25._tcp.mx2.dane.example", "TLSA"))
  end)

  it("needs no TLSA question for hosts of a domain that is insecure", function()
    local plan = assert(resolver:plan "insecure.example")
    assert.equal("may", plan.hosts[1].tls)
    assert.equal(0, lab:count("*", "TLSA"))
  end)
end)
