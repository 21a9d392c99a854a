-- What a configuration or its policy printed went to smtpd among the answers, which ends smtpd.
local files = require "tests.support.files"
local filter = require "tests.support.filter"

setup(filter.prepare)
after_each(filter.reset)

local function all_of_smtpd(lines)
  for _, line in ipairs(lines) do assert.matches("^register|", line) end
end

describe("what is printed", function()
  it("by a configuration and its policy goes to the log", function()
    local f = filter.start { config = [[
      print("while", "read", nil, 1)
      io.write(("x"):rep(10000), "\n")
      return { resolver = resolver, policy = function(event)
        print("about " .. event.domain)
        io.write(("y"):rep(10000), "\n")
        io.stdout:write("as a file\n"):flush()
      end } ]] }
    assert.matches("^reject|550 5%.7%.27 ", f:decide("mail-from", "a@nullmx.example", "192.0.2.9:1"))
    assert.equal(0, f:finish())
    all_of_smtpd(f.other)
    assert.matches("while\tread\tnil\t1\n", f.log)
    assert.matches("\nabout nullmx.example\n", f.log)
    assert.matches("\nas a file\n", f.log)
  end)

  it("by another filter's handler does, too", function()
    local f = filter.start { args = {}, program = files.new [[
      local filter = require("nexthop.opensmtpd").new()
      filter:on("ehlo", function(request)
        print(request.parameter)
        io.write("written\n")
        request:proceed()
      end)
      filter:run()
    ]] }
    assert.equal("proceed", f:answer("aaaa", f:ask("aaaa", "ehlo", "client.example")))
    assert.equal(0, f:finish())
    all_of_smtpd(f.other)
    assert.matches("client.example\nwritten\n", f.log)
  end)

  it("by a configuration that is only checked is printed", function()
    local path = filter.config "print 'hello'\nreturn { resolver = resolver }"
    local status, output = filter.run("-n", "-c", path)
    os.remove(path)
    assert.equal(0, status)
    assert.matches("^hello\n", output)
  end)
end)
