-- With 1,024 descriptors, what most systems give, a thousand lookups of silent servers took every socket
-- of libunbound's, and kept it when they were given up. A query that waits for one seems to have a slow
-- server: good servers were taken for dead, and everything below them was bogus for a minute.
local child = require "tests.support.child"
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local uv = require "luv"
local lab = support.lab

local prelude = [[
  local nexthop = require "nexthop"
  local lab = require("tests.lab.lab").connect(...)
  local stub = lab:stub()
  stub["silent.example."] = lab:listen "127.0.0.8"
  lab:rule { address = "127.0.0.8", action = "silent" }
  local resolver = assert(nexthop.new(lab:options { stub = stub }))
  local hrtime = require "luv".hrtime
  local SLOW = tonumber(os.getenv "NEXTHOP_SLOW" or 1)
]]

local function run(code)
  local output, status = child.run(prelude .. code, { before = "ulimit -n 1024" }, lab.socket)
  assert.equal("good\n", output)
  assert.equal(0, status)
end

describe("where descriptors are few", function()
  before_each(support.reset)
  after_each(function()
    support.close()
    files.remove()
  end)

  it("lookups of silent servers leave sockets for validation, also once they are given up", function()
    run [[
      local ended = 0
      for n = 1, 2000 do
        resolver:gather_destinations(("d%d.silent.example"):format(n), { deadline = 1 }, function(_, err)
          assert(err.code == "timeout")
          ended = ended + 1
        end)
      end
      local stats = resolver:stats()
      assert(stats.running > 200 and stats.running < 260 and stats.queued == 2000 - stats.running)
      assert(resolver:wait(20) and ended == 2000)
      local plan = assert(resolver:plan "dane.example")
      assert(plan.hosts[1].tls == "dane" and plan.hosts[2].tls == "dane")
      print "good"
    ]]
  end)

  it("a silent name that is asked for again and again takes a place once, and holds up nobody", function()
    run [[
      for _ = 1, 40 do
        for _ = 1, 50 do
          resolver:gather_destinations("again.silent.example", { deadline = 0.02 }, function() end)
        end
        assert(resolver:wait(5))
      end
      local begun = hrtime()
      assert(resolver:plan "dane.example")
      assert((hrtime() - begun) / 1e9 < 1 * SLOW)
      assert(resolver:stats().running == 0)
      print "good"
    ]]
  end)

  it("the answer of a query that was given up is for who asks next", function()
    lab:rule { name = "dane.example", type = "MX", delay = 250 }
    run [[
      local _, err = resolver:gather_destinations("dane.example", { deadline = 0.05 })
      assert(err.code == "timeout")
      local result = assert(resolver:gather_destinations "dane.example")
      assert(result.orig_next_hop_authentic and #result.hosts == 2)
      print "good"
    ]]
    assert.equal(1, lab:count("dane.example", "MX"))
  end)

  if os.getenv "UNDER" ~= "valgrind" then -- which only acts as if there were another limit
    it("the program takes what it may have", function()
      lab:rule { name = "dane.example", action = "silent" }
      local p = program.start({ "dane.example" }, { under = "prlimit --nofile=300:3000" })
      local function limit()
        return files.read(("/proc/%d/limits"):format(p.pid)):match "\nMax open files%s+(%d+)"
      end
      local begun = uv.hrtime()
      while limit() ~= "3000" and uv.hrtime() - begun < 10e9 do uv.sleep(10) end
      assert.equal("3000", limit())
      p:signal "KILL"
      p:finish()
    end)
  end
end)
