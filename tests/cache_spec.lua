-- What a resolver has in its cache, and for how long (tests/unit/cache_test.c has the rest, with a clock
-- of its own).
local support = require "tests.support"
local lab = support.lab

-- Calls `look` until it returns true, for some seconds.
local function eventually(look)
  local ends = os.time() + 10 * support.slow
  while not look() do
    if os.time() > ends then return false end
  end
  return true
end

describe("The cache", function()
  before_each(support.reset)
  after_each(support.close)

  -- short.insecure.example has this address (192.0.2.x), for a second.
  local function address(byte)
    lab:rule { name = "short.insecure.example", type = "A", action = "answer",
      records = { { name = "short.insecure.example", type = "A", ttl = 1,
        rdata = ("c00002%02x"):format(byte) } } }
    lab:rule { name = "short.insecure.example", type = "AAAA", action = "nodata" }
  end

  it("has an answer for its TTL, and no longer", function()
    local resolver = support.resolver()
    address(1)
    local first = assert(resolver:gather_ips("short.insecure.example", { network = "ip4" }))
    assert.same({ "192.0.2.1" }, first.ips)
    assert.equal(1, first.ttl)
    lab:reset()
    address(2)
    local calls = 0
    assert.is_true(eventually(function()
      calls = calls + 1
      local ips = assert(resolver:gather_ips("short.insecure.example", { network = "ip4" }))
      assert.is_true(ips.ttl <= 1)
      return ips.ips[1] == "192.0.2.2"
    end))
    local asked = lab:count("short.insecure.example", "A")
    assert.is_true(asked >= 1 and asked <= 3 and calls > 30, ("%d of %d calls"):format(asked, calls))
  end)

  it("tells what is left of a TTL", function()
    local resolver = support.resolver()
    local first = assert(resolver:plan("ttl.example")).ttl
    local last = first
    assert.is_true(eventually(function()
      local ttl = assert(resolver:plan("ttl.example")).ttl
      assert.is_true(ttl <= last)
      last = ttl
      return ttl < first
    end))
    assert.is_true(first <= 30)
  end)

  it("keeps security with the answer", function()
    local resolver = support.resolver()
    for _ = 1, 2 do
      assert.is_true(assert(resolver:gather_destinations("dane.example")).orig_next_hop_authentic)
      assert.is_false(assert(resolver:gather_destinations("insecure.example")).orig_next_hop_authentic)
    end
    for _ = 1, 2 do
      support.failed("bogus", support.resolver():gather_destinations("expired.example"))
    end
    local stats = resolver:stats()
    assert.equal(2, stats.secure)
    assert.equal(2, stats.insecure)
    assert.equal(2, stats.kept)
  end)

  it("leaves the order to libunbound where that is to turn addresses", function()
    local resolver = support.resolver { options = { ["rrset-roundrobin"] = "yes" } }
    local seen = {}
    assert.is_true(eventually(function()
      seen[assert(resolver:gather_ips("pair.example", { network = "ip4" })).ips[1]] = true
      return seen["192.0.2.26"] and seen["192.0.2.27"]
    end))
  end)
end)
