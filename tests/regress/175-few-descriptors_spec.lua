-- When dead names had taken the sockets of every context that the limit of descriptors allowed, a good name
-- waited until they had ended, up to nine seconds. A context that was too small to help also kept another one
-- from being opened for five seconds.
local support = require "tests.support"
local child = require "tests.support.child"
local lab = support.lab

describe("with few descriptors, good names behind dead ones", function()
  before_each(support.reset)

  it("are answered before a dead one ends", function()
    local output, status = child.run([[
      local nexthop = require "nexthop"
      local lab = require("tests.lab.lab").connect(...)
      local stub = lab:stub()
      stub["silent.example."] = lab:listen "127.0.0.8"
      lab:rule { address = "127.0.0.8", action = "silent" }
      local r = assert(nexthop.new(lab:options { stub = stub }))
      local ended = 0
      for n = 1, 2000 do
        r:gather_destinations(("d%d.silent.example"):format(n), function() ended = ended + 1 end)
      end
      local answered = 0
      for n = 1, 8 do
        local result, err = r:gather_ips(("g%d.plain"):format(n), { network = "ip4" })
        answered = answered + ((result or err.code == "not_found") and 1 or 0)
        r:wait(0.5) -- the sockets are taken in the course of seconds
      end
      print(answered, ended)
      r:close()
    ]], { before = "ulimit -n 1024" }, lab.socket)
    assert.equal("8\t0\n", output)
    assert.equal(0, status)
  end)
end)
