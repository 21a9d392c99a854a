-- A wall clock that is wrong, and one that is put right while a resolver runs (clock.c): signatures that
-- have expired or are not yet valid are a failure, never "insecure".
local child = require "tests.support.child"
local files = require "tests.support.files"
local preload = require "tests.support.preload"
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(files.remove)

-- The lab's signatures are valid for 20 days from now, and since yesterday.
local prelude = [[
local nexthop, clock = require "nexthop", require "clock"
local address, anchor_file = ...
local function new(options)
  options = options or {}
  options.forward, options.trust_anchor_file, options.timeout = address, anchor_file, 5
  return assert(nexthop.new(options))
end
local function good(r)
  assert(assert(r:plan "dane.example").hosts[1].tls == "dane")
  assert(assert(r:plan "nodane.example").hosts[1].tls == "may")
  assert(assert(r:plan "insecure.example").hosts[1].tls == "may")
end
local function bad(r, why)
  for _, domain in ipairs { "dane.example", "nodane.example", "insecure.example" } do
    local plan, err = r:plan(domain)
    assert(plan == nil and err.code == "bogus", domain .. ": " .. tostring(err))
    assert(not why or domain ~= "dane.example" or err.message:find(why, 1, true), err.message)
    local ips, fault = r:gather_ips("mx1." .. domain)
    assert(ips == nil and fault.code == "bogus", tostring(fault))
    local tlsa, failure = r:gather_tlsa("mx1." .. domain, { expanded_authentic = true })
    assert(tlsa == nil and failure.code == "bogus" and failure.dane_required, tostring(failure))
  end
end
]]

local function run(body)
  local library = preload.library("clock", pending)
  local output, status = child.run(prelude .. body .. " print 'good'", { preload = library },
    lab.forward_address, lab.anchor_file)
  assert.equal("good\n", output)
  assert.equal(0, status)
end

describe("a clock that is wrong", function()
  it("by years ahead: signatures have expired", function()
    run [[clock.set(4000) bad(new(), "signature expired")]]
  end)

  it("by years behind: signatures are not yet valid", function()
    run [[clock.set(-4000) bad(new(), "signature before inception")]]
  end)

  it("by hours: nothing is wrong", function()
    run [[clock.set(0.2) good(new()) clock.set(-0.2) good(new())]]
  end)

  it("and put right, as after a boot: what was bogus is good", function()
    run [[
      clock.set(-4000)
      local r = new()
      bad(r)
      clock.set(0)
      good(r)
    ]]
  end)

  it("from one moment to the next: what was secure is bogus, not insecure", function()
    run [[
      local r = new()
      good(r)
      clock.set(30) -- what is cached has expired, too
      bad(r)
    ]]
  end)

  it("is no reason to wait longer, or less", function()
    lab:rule { name = "d.insecure.example", action = "silent" }
    run [[
      for _, days in ipairs { 4000, -4000 } do
        local r = new()
        good(r)
        local ended
        r:gather_ips("d.insecure.example", { deadline = 0.5 }, function(_, err) ended = err.code end)
        r:process()
        clock.set(days)
        assert(r:timeout() <= 0.5)
        assert(r:wait(20) and ended == "timeout", tostring(ended))
        clock.set(0)
      end
    ]]
  end)
end)

describe("the option val-override-date", function()
  it("is the validator's clock", function()
    for date, why in pairs { ["20100101000000"] = "signature before inception",
      ["20800101000000"] = "signature expired" } do
      local r = support.resolver { options = { ["val-override-date"] = date } }
      local err = support.failed("bogus", r:gather_destinations "dane.example")
      support.contains(err.message, why)
      err = support.failed("bogus", r:gather_ips "mx1.dane.example")
      assert.same({}, err.ips)
      support.close()
    end
  end)
end)
