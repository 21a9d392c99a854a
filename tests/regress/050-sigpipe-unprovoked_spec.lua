-- The specs of SIGPIPE relied on servers that reset a connection, which on most kernels raises none: they
-- passed without any guard. Here every write to a TCP connection does (tests/sigpipe.c).
local child = require "tests.support.child"
local files = require "tests.support.files"
local preload = require "tests.support.preload"
local support = require "tests.support"

before_each(support.reset)
after_each(files.remove)

local body = [[
  local nexthop, system = require "nexthop", require "testos"
  local lab = require("tests.lab.lab").connect((...))
  for word in select(2, ...):gmatch "%%l+" do system.sigpipe(word) end
  local was, blocked, pending = system.sigpipe()
  local r = assert(nexthop.new(lab:options { timeout = 2, options = { ["tcp-upstream"] = "yes" } }))
  local failures = 0
  for n = 1, 20 do
    r:gather_ips(("mx%%d.hundred.example"):format(n), { network = "ip4" }, function(ips, err)
      assert(not ips and err.code == "servfail")
      failures = failures + 1
    end)
  end
  r:%s
  assert(failures == 20)
  local now, blocked_now, pending_now = system.sigpipe()
  assert(now == was, "the disposition is another")
  assert(blocked_now == blocked, "the mask is another")
  assert(pending_now == pending, "one is left, or was taken")
  r:close()
  if pending then system.sigpipe "ignore" end -- which drops it
  print "good"
]]

describe("a write that raises SIGPIPE harms nothing", function()
  for _, host in ipairs { "default", "ignore", "default block", "default block raise" } do
    for _, drive in ipairs { "wait()", "plan 'dane.example' r:wait()" } do
      it("in " .. drive .. ", where the host has set: " .. host, function()
        local library = preload.library("sigpipe", pending)
        local output, status = child.run(body:format(drive), { preload = library },
          support.lab.socket, host)
        assert.equal("good\n", output)
        assert.equal(0, status)
      end)
    end
  end
end)
