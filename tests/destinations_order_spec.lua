-- The order of gather_destinations: by preference, equal ones in an order of chance, anew at each call.
local support = require "tests.support"
local lab = support.lab

local function target(host, pref)
  return { host = host, pref = pref }
end

local function names(hosts)
  local list = {}
  for index, host in ipairs(hosts) do
    list[index] = host.host
  end
  return list
end

local function destinations(domain)
  return assert(support.resolver():gather_destinations(domain))
end

describe("The order of gather_destinations", function()
  before_each(support.reset)
  after_each(support.close)

  it("is the smaller preference first, and has a name as often as it is there", function()
    local hosts = destinations("mxduplicate.example").hosts
    assert.same(target("mx1.dane.example", 10), hosts[1])
    assert.equal(20, hosts[2].pref)
    assert.equal(20, hosts[3].pref)
    local last = { hosts[2].host, hosts[3].host }
    table.sort(last)
    assert.same({ "mx1.dane.example", "mx2.dane.example" }, last)
  end)

  it("sorts a hundred hosts by preference", function()
    local expected = {}
    for number = 1, 100 do
      expected[number] = target(("mx%d.hundred.example"):format(number), number)
    end
    assert.same(expected, destinations("hundred.example").hosts)
  end)

  it("shuffles only within a preference", function()
    local hosts = destinations("hundredmixed.example").hosts
    local seen = {}
    assert.equal(100, #hosts)
    for index, host in ipairs(hosts) do
      local number = tonumber(host.host:match("^mx(%d+)%.hundred%.example$"))
      assert.equal(number % 5 * 10, host.pref)
      assert.equal(math.floor((index - 1) / 20) * 10, host.pref)
      assert.is_nil(seen[number])
      seen[number] = true
    end
  end)

  it("shuffles anew at each call, without asking again", function()
    local resolver = support.resolver()
    local first = names(assert(resolver:gather_destinations("hundredequal.example")).hosts)
    lab:reset()
    local second = names(assert(resolver:gather_destinations("hundredequal.example")).hosts)
    assert.equal(0, lab:total())
    assert.not_same(first, second)
    table.sort(first)
    table.sort(second)
    assert.same(first, second)
    assert.equal(100, #first)
  end)

  it("gives each of two equal hosts its turn", function()
    local resolver = support.resolver()
    local turns = { ["mx1.dane.example"] = 0, ["mx2.dane.example"] = 0 }
    for _ = 1, 200 do
      local host = assert(resolver:gather_destinations("mxequal.example")).hosts[1].host
      turns[host] = turns[host] + 1
    end
    -- Fair coins are outside once in 10^14 times.
    assert(turns["mx1.dane.example"] > 45 and turns["mx2.dane.example"] > 45,
      turns["mx1.dane.example"] .. " of 200")
  end)
end)
