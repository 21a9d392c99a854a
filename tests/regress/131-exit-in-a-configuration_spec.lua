-- os.exit(0) in a configuration passed -n, and ended the filter with status 0 at its start; in a policy
-- it ended the filter, and smtpd with it. luv's stop() did the latter, too.
local files = require "tests.support.files"
local filter = require "tests.support.filter"
local servers = require "tests.support.server"

local remote = "192.0.2.9:1234"
local complaint = "os.exit would end the whole program"

setup(filter.prepare)
after_each(filter.reset)

describe("os.exit", function()
  for _, call in ipairs { "os.exit(0)", "os.exit(true, true)", "local exit = os.exit exit()" } do
    it("in a configuration is an error: " .. call, function()
      local path = filter.config(call)
      local code, out, err = filter.run("-n", "-c", path)
      assert.same({ 1, "" }, { code, out })
      assert.matches("^filter%-nexthop: [^\n]*\n$", err)
      assert.is_truthy(err:find(path, 1, true) and err:find(complaint, 1, true), err)

      code, out, err = filter.run("-c", path)
      assert.same({ 1, "" }, { code, out })
      assert.is_truthy(err:find(complaint, 1, true), err)

      for _, arguments in ipairs { "-n -c ", "-l " .. servers.path() .. " -c " } do
        local text, status = servers.run(arguments .. path)
        assert.equal(1, status)
        assert.is_truthy(text:find(complaint, 1, true), text)
      end
      os.remove(path)
    end)
  end

  it("in a policy is an error of the policy", function()
    local f = filter.start { config = [[
      local exit = os.exit
      return { resolver = resolver, policy = function(event)
        if event.address:find "^kept" then exit(0) end
        os.exit(0)
      end } ]] }
    for _, user in ipairs { "a", "kept", "b" } do
      assert.matches("^reject|550 5%.7%.27 ", f:decide("mail-from", user .. "@nullmx.example", remote))
    end
    assert.equal(0, f:finish())
    local _, told = f.log:gsub("error=policy[^\n]*" .. complaint, "")
    assert.equal(3, told)
  end)

  it("in another filter's handler is an error of the handler; after the filter's end it exits", function()
    local f = filter.start { args = {}, program = files.new [[
      local filter = require("nexthop.opensmtpd").new()
      filter:on("ehlo", function() os.exit(0) end)
      filter:run()
      os.exit(3)
    ]] }
    assert.equal("proceed", f:answer("aaaa", f:ask("aaaa", "ehlo", "client.example")))
    assert.equal("proceed", f:answer("aaaa", f:ask("aaaa", "ehlo", "client.example")))
    assert.equal(3, f:finish())
  end)
end)

describe("luv's stop", function()
  it("in a policy ends nothing", function()
    local f = filter.start { config = [[
      return { resolver = resolver, policy = function() require("luv").stop() end } ]] }
    for _ = 1, 3 do
      assert.matches("^reject|550 5%.7%.27 ", f:decide("mail-from", "a@nullmx.example", remote))
    end
    assert.equal(0, f:finish())
    assert.equal(3, f.count)
  end)
end)
