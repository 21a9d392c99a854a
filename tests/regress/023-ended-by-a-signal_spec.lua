-- A signal ended the filter, which ends smtpd: a stray SIGHUP, or the SIGTERM that a service manager
-- sends to all of smtpd's processes, while smtpd still has sessions.
local uv = require "luv"
local filter = require "tests.support.filter"
local lab = require("tests.lab.lab").shared()

local remote = "192.0.2.9:1234"

setup(filter.prepare)
after_each(filter.reset)

describe("a filter that gets a signal", function()
  for _, signal in ipairs { "sighup", "sigterm", "sigpipe" } do
    it("lives on: " .. signal, function()
      local f = filter.start()
      f.process:kill(signal)
      for _ = 1, 3 do
        assert.matches("^reject|550 5%.7%.27 ", f:decide("mail-from", "a@nullmx.example", remote))
      end
      assert.is_nil(f.code)
      assert.equal(0, f:finish())
    end)
  end

  it("does not wait for what is open at the end of input, when it was SIGTERM", function()
    lab:rule { name = "silent.example", action = "silent" }
    for _, first in ipairs { "signal", "end" } do
      local f = filter.start { config = { deadline = 600 } }
      f:connect("aaaa", remote)
      f:ask("aaaa", "mail-from", "a@silent.example")
      assert.matches("^reject|550 ", f:decide("mail-from", "a@nullmx.example", remote))
      if first == "end" then
        f.input:close()
        uv.run "nowait"
      end
      f.process:kill "sigterm"
      assert.equal(0, f:finish(), first)
    end
  end)
end)
