-- close() deletes libunbound's context, which closes its connections; over TLS that writes to them, and
-- the SIGPIPE of it was left to the host (tests/sigpipe.c raises one for each).
local child = require "tests.support.child"
local files = require "tests.support.files"
local preload = require "tests.support.preload"
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(files.remove)

describe("a SIGPIPE while connections are closed does not end the host", function()
  for _, ending in ipairs { "r:close()", "r = nil collectgarbage() collectgarbage()" } do
    it("in " .. ending, function()
      lab:rule { name = "*.hundred.example", action = "truncate", tcp = "silent" }
      local library = preload.library("sigpipe", pending)
      local output, status = child.run([[
        local nexthop, system = require "nexthop", require "testos"
        local lab = require("tests.lab.lab").connect((...))
        system.sigpipe "default"
        local r = assert(nexthop.new(lab:options { options = { ["tcp-upstream"] = "yes" } }))
        local before = system.descriptors()
        for n = 1, 5 do r:gather_ips(("mx%d.hundred.example"):format(n), function() end) end
        r:process()
        assert(system.descriptors() > before, "no connection is open")
        ]] .. ending .. [[

        assert(not select(3, system.sigpipe()), "one is left")
        print "good"
      ]], { preload = library }, lab.socket)
      assert.equal("good\n", output)
      assert.equal(0, status)
    end)
  end
end)
