-- A session that began with the identifier of one whose end was never reported was taken for
-- authenticated when that one was, and its sender was not looked at.
local filter = require "tests.support.filter"

setup(filter.prepare)
after_each(filter.stop_all)

describe("link-connect", function()
  it("begins a session of which nothing is known", function()
    local f = filter.start { config = [[
      return { resolver = resolver, policy = function(event)
        local session = event.session
        return { "reject", ("550 %s %s"):format(tostring(session.helo), tostring(session.username)) }
      end } ]] }
    f:connect("aaaa", "192.0.2.9:1")
    f:report("link-identify", "aaaa", "EHLO", "client.example")
    f:report("link-auth", "aaaa", "pass", "user")
    assert.equal("proceed", f:answer("aaaa", f:ask("aaaa", "mail-from", "a@nullmx.example")))
    f:connect("aaaa", "192.0.2.10:1")
    assert.equal("reject|550 nil nil", f:answer("aaaa", f:ask("aaaa", "mail-from", "a@nullmx.example")))
    assert.equal(0, f:finish())
  end)

  it("leaves what was asked before it its answer", function()
    local f = filter.start()
    local token = f:ask("aaaa", "mail-from", "a@nullmx.example")
    f:connect("aaaa", "192.0.2.9:1")
    assert.matches("^reject|550 ", f:answer("aaaa", token))
    assert.equal(0, f:finish())
  end)
end)
