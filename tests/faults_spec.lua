-- Servers that fail, lie or go away; forwarders that strip DNSSEC; thousands of dead lookups.
local nexthop = require "nexthop"
local child = require "tests.support.child"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(function()
  support.close()
  files.remove()
end)

local new, failed = support.resolver, support.failed

-- A resolver that has the keys of the zones already.
local function warm(extra)
  local r = new(extra)
  assert.is_table(r:gather_ips "mx1.dane.example")
  return r
end

local function forwarded(extra)
  local options = { stub = {}, forward = lab.forward_address }
  for key, value in pairs(extra or {}) do options[key] = value end
  return new(options)
end

describe("a server that answers", function()
  -- An answer with another id is none.
  for action, code in pairs { servfail = "servfail", refused = "servfail", notimp = "servfail",
    formerr = "servfail", garbage = "servfail", loop = "servfail", wrong_id = "timeout",
    wrong_question = "servfail", silent = "timeout" } do
    it(action .. " is a failure, soon, and never a result", function()
      local r = warm { timeout = 0.8 }
      lab:rule { name = "dane.example", action = action }
      local err = failed(code, r:gather_destinations "dane.example")
      support.contains(err.message, "dane.example", "MX")
      -- the next name is not taken along
      assert.is_table(r:gather_ips "implicit.example")
    end)

    it(action .. " to a TLSA question never means that there is no DANE", function()
      local r = warm { timeout = 0.8 }
      lab:rule { name = "_25._tcp.mx1.dane.example", action = action }
      lab:rule { name = "_tcp.mx1.dane.example", action = action }
      local result, err = r:gather_tlsa("mx1.dane.example", { expanded_authentic = true })
      assert.is_nil(result)
      assert.is_true(err.dane_required)
      local plan = assert(r:plan("[mx1.dane.example]", { deadline = 1.5 }))
      assert.equal("skip", plan.hosts[1].tls)
      assert.is_nil(plan.hosts[1].names)
    end)

    it(action .. " once is overcome", function()
      local r = warm()
      lab:rule { name = "dane.example", type = "MX", action = action, times = 1 }
      local result = assert(r:gather_destinations "dane.example")
      assert.is_true(result.expanded_next_hop_authentic)
      assert.is_true(lab:count("dane.example", "MX") >= 2)
    end)
  end

  it("an NXDOMAIN or NODATA of its own in a signed zone is bogus", function()
    for _, action in ipairs { "nxdomain", "nodata" } do
      local r = warm()
      lab:clear()
      lab:rule { name = "nodane.example", type = "MX", action = action }
      failed("bogus", r:gather_destinations "nodane.example")
    end
  end)

  it("forged records is bogus, and they are nowhere to be found", function()
    local forged = "0005" .. "046576696c" .. "00" -- 5 evil.
    lab:rule { name = "dane.example", type = "MX", action = "answer",
      records = { { name = "dane.example", type = "MX", ttl = 60, rdata = forged } } }
    lab:rule { name = "mx1.dane.example", type = "A", action = "answer",
      records = { { name = "mx1.dane.example", type = "A", ttl = 60, rdata = "cb007142" } } }
    local r = new()
    local err = failed("bogus", r:gather_destinations "dane.example")
    assert.is_nil(err.hosts)
    assert.is_nil(err.message:find "evil")
    assert.is_nil(err.message:find "%c")
    local ips = assert(r:gather_ips "mx1.dane.example")
    assert.same({ "2001:db8::1" }, ips.ips)
    assert.equal("bogus", ips.failed.ip4.code)
  end)

  it("broken signatures is bogus, with the validator's reason", function()
    local err = failed("bogus", new():gather_destinations "broken.example")
    support.contains(err.message, "broken.example", "signature")
  end)

  it("64 KB arrives whole", function()
    local records = {}
    for k = 1, 1818 do -- 36 bytes each
      records[k] = { name = "big.insecure.example", type = "A", ttl = 60,
        rdata = ("c6%02x%02x%02x"):format(math.floor(k / 65536), math.floor(k / 256) % 256, k % 256) }
    end
    lab:rule { name = "big.insecure.example", type = "A", proto = "tcp", action = "answer",
      records = records }
    lab:rule { name = "big.insecure.example", type = "A", proto = "udp", action = "truncate" }
    local result = assert(new():gather_ips("big.insecure.example", { network = "ip4" }))
    assert.equal(1818, #result.ips)
    assert.equal("198.0.0.1", result.ips[1])
    assert.equal("198.0.7.26", result.ips[1818])
  end)
end)

describe("a truncated answer", function()
  it("is asked for over TCP", function()
    local r = warm()
    lab:rule { name = "dane.example", type = "MX", action = "truncate" }
    local result = assert(r:gather_destinations "dane.example")
    assert.is_true(result.expanded_next_hop_authentic)
    assert.equal(1, lab:count("dane.example", "MX", "tcp"))
  end)

  for _, tcp in ipairs { "refuse", "reset", "half", "close", "silent" } do
    it("whose TCP is: " .. tcp .. ", is a failure", function()
      local r = warm { timeout = 2 * support.slow }
      lab:rule { name = "dane.example", type = "MX", action = "truncate", tcp = tcp }
      -- at once, where it shows
      support.failed(tcp == "silent" and "timeout" or "servfail", r:gather_destinations "dane.example")
      lab:clear()
      -- and over with it
      assert.is_table(warm():gather_destinations "dane.example")
    end)
  end
end)

describe("a server that is not there", function()
  it("is a failure: nobody listens", function()
    local r = new { stub = { ["."] = "127.0.0.1@1" }, timeout = 1 }
    failed("timeout", r:gather_destinations "dane.example")
  end)

  it("beside one that is there makes no difference", function()
    local r = new { stub = lab:stub { "127.0.0.1@1", lab.address } }
    local result = assert(r:plan "dane.example")
    assert.equal("dane", result.hosts[1].tls)
  end)

  it("goes away and comes back", function()
    local r = forwarded { timeout = 1 }
    assert.is_table(r:gather_destinations "dane.example")
    lab:stop_nsd()
    failed("timeout", r:gather_destinations "nodane.example")
    assert.is_table(r:gather_destinations "dane.example") -- it is in the cache
    lab:start_nsd()
    local result
    local tries = 0
    repeat
      tries = tries + 1
      result = r:gather_destinations(("mx%d.hundred.example"):format(tries))
    until result or tries == 60
    assert.is_table(result)
  end)
end)

describe("a forwarder", function()
  it("that is slow is waited for", function()
    local r = forwarded()
    assert.is_table(r:gather_destinations "dane.example")
    lab:rule { name = "nodane.example", delay = 1500 }
    assert.is_table(r:gather_destinations "nodane.example")
  end)

  it("with names it cannot resolve is not taken for dead", function()
    local r = forwarded()
    assert.is_table(r:gather_destinations "dane.example")
    lab:rule { name = "*.insecure.example", action = "silent" }
    for n = 1, 2 do
      failed("timeout", r:gather_destinations(("d%d.insecure.example"):format(n), { deadline = 1.5 }))
    end
    assert.is_table(r:gather_destinations "nodane.example")
  end)
end)

describe("a forwarder that strips DNSSEC", function()
  local function told(err)
    failed("bogus", nil, err)
    support.contains(err.message, lab.forward_address, "no DNSSEC records", "resolv_conf = false")
  end

  it("is named, with what to do, in one line", function()
    lab:rule { action = "strip" }
    local r = forwarded()
    told(select(2, r:gather_destinations "dane.example"))
    told(select(2, r:gather_ips "mx1.dane.example"))
    told(select(2, r:plan "dane.example"))
    told(select(2, r:gather_tlsa("mx1.dane.example", { expanded_authentic = true })))
  end)

  it("is found out once for many calls", function()
    lab:rule { action = "strip" }
    local r = forwarded()
    local n = 0
    for k = 1, 30 do
      r:gather_destinations(("mx%d.hundred.example"):format(k), function(_, err)
        told(err)
        n = n + 1
      end)
    end
    r:wait()
    assert.equal(30, n)
  end)

  it("is not blamed for a domain that is bogus by itself", function()
    local r = forwarded()
    local err = failed("bogus", r:gather_destinations "broken.example")
    assert.is_nil(err.message:find("no DNSSEC records", 1, true))
    support.contains(err.message, "signature")
  end)

  it("does not matter without a trust anchor", function()
    lab:rule { action = "strip" }
    local r = forwarded { trust_anchor_file = false }
    local result = assert(r:gather_destinations "dane.example")
    assert.is_false(result.expanded_next_hop_authentic)
  end)

  it("can be left and come back: the finding does not last", function()
    local rule = lab:rule { action = "strip" }
    local r = forwarded()
    told(select(2, r:gather_destinations "dane.example"))
    lab:unrule(rule)
    assert.is_table(forwarded():gather_destinations "dane.example")
  end)

  it("is named in an unbound.conf, too", function()
    lab:rule { action = "strip" }
    local path = files.new(("server: trust-anchor-file: %s\nforward-zone:\n name: .\n forward-addr: %s\n")
      :format(lab.anchor_file, lab.forward_address))
    local r = assert(nexthop.new { unbound_conf = path })
    told(select(2, r:gather_destinations "dane.example"))
    r:close()
  end)

  it("is told in the REPL in one line", function()
    lab:rule { action = "strip" }
    local output = child.run(nil, {
      args = "-e 'nexthop = require [[nexthop]]' -i",
      stdin = ([[
r = assert(nexthop.new { forward = %q, trust_anchor_file = %q })
print(r:plan "dane.example")
]]):format(lab.forward_address, lab.anchor_file),
    })
    local line = output:match "nil\t([^\n]*)\n"
    support.contains(line, "dane.example", lab.forward_address, "no DNSSEC records", "resolv_conf = false")
  end)
end)

describe("two thousand lookups of silent servers", function()
  -- One server is silent, the other one not.
  local prelude = [[
    local nexthop, system = require "nexthop", require "testos"
    local lab = require("tests.lab.lab").connect(...)
    local stub = lab:stub()
    stub["silent.example."] = lab:listen "127.0.0.8"
    lab:rule { address = "127.0.0.8", action = "silent" }
    local function new(extra)
      extra.stub = stub
      return assert(nexthop.new(lab:options(extra)))
    end
  ]]

  it("do not hold up a good name, and leave nothing behind", function()
    local output, status = child.run(prelude .. [[
      new({}):close()
      local before = system.descriptors()
      local r = new { max_pending = 2500 }
      local ended, good = 0
      for n = 1, 2000 do
        r:gather_destinations(("d%d.silent.example"):format(n), function() ended = ended + 1 end)
      end
      assert(r:stats().running == 2000)
      r:plan("dane.example", function(plan, err) good = assert(plan, err) end)
      while not good do
        assert(ended == 0, "a dead one ended first")
        r:wait(r:timeout())
      end
      assert(ended == 0 and good.hosts[1].tls == "dane")
      assert(r:stats().running == 2000 and r:stats().queued == 0)
      assert(r:plan "implicit.example") -- blocking
      assert(ended == 0)
      r:close()
      assert(ended == 2000)
      assert(system.descriptors() == before)
      print "good"
    ]], { before = "ulimit -n 8192" }, lab.socket)
    assert.equal("good\n", output)
    assert.equal(0, status)
  end)

  it("with the usual limit: those that wait end at their deadline, counted from the call", function()
    local output, status = child.run(prelude .. [[
      local r = new {}
      local codes = {}
      for n = 1, 2000 do
        r:gather_destinations(("d%d.silent.example"):format(n), { deadline = 1 }, function(_, err)
          codes[err.code] = (codes[err.code] or 0) + 1
        end)
      end
      assert(r:stats().running == 1000)
      assert(r:stats().queued == 1000)
      while r:timeout() do
        assert(r:timeout() <= 1)
        r:process()
      end
      assert(codes.timeout == 2000)
      local stats = r:stats()
      assert(stats.queued == 0 and stats.running == 0)
      assert(stats.lookups == stats.cancelled + stats.timeouts)
      assert(r:plan "dane.example")
      print "good"
    ]], { before = "ulimit -n 8192" }, lab.socket)
    assert.equal("good\n", output)
    assert.equal(0, status)
  end)
end)
