-- Under nohup a bulk run ended when its terminal did: the program took SIGHUP up again.
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

describe("a run under nohup", function()
  setup(function()
    program.lab = lab
  end)
  before_each(support.reset)
  after_each(files.remove)

  it("goes on after SIGHUP, and stops at SIGTERM", function()
    local id = lab:rule { name = "dane.example", type = "MX", hold = true }
    local p = program.start({ "--json", "dane.example" }, { patient = true, under = "nohup" })
    lab:wait("dane.example", "MX")
    p:signal("HUP")
    lab:release(id)
    local r = p:finish()
    assert.equal(0, r.status)
    support.contains(r.lines[1], '"domain":"dane.example"')

    lab:rule { name = "held.example", type = "MX", action = "silent" }
    p = program.start({ "--json", "held.example" }, { patient = true, under = "nohup" })
    lab:wait("held.example", "MX")
    p:signal("TERM")
    assert.equal(143, p:finish().status)
  end)
end)
