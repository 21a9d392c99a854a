-- A handler whose error raised when it was made a string was logged by nobody and left its request
-- without an answer; one that raised another such error ended the filter, and smtpd with it.
local files = require "tests.support.files"
local filter = require "tests.support.filter"

describe("a handler that raises what cannot be printed", function()
  after_each(filter.reset)

  it("is logged, its request proceeds, and the filter goes on", function()
    local program = files.new [[
      local filter = require("nexthop.opensmtpd").new()
      local unprintable = {}
      setmetatable(unprintable, { __tostring = function() error(unprintable) end })
      local number = setmetatable({}, { __tostring = function() return 5 end })
      local raise = { object = unprintable, number = number }
      local function on(request) error(raise[request.parameter]) end
      filter:on("ehlo", on):on("data-line", on):on("tx-begin", on)
      filter:run()
    ]]
    local f = filter.start { program = program, args = {} }
    f:connect("aaaa", "192.0.2.9:25")
    for _, parameter in ipairs { "object", "number", "nothing" } do
      assert.equal("proceed", f:answer("aaaa", f:ask("aaaa", "ehlo", parameter)), parameter)
    end
    f:ask("aaaa", "data-line", "object")
    f:report("tx-begin", "aaaa", "object")
    assert.equal(0, f:finish())
    assert.equal(3, f.count)
    assert.matches("|object$", f.other[#f.other])
    local _, raised = f.log:gsub("session=aaaa error=ehlo message=", "")
    assert.equal(3, raised)
    assert.matches("error=data%-line ", f.log)
    assert.matches("error=tx%-begin ", f.log)
  end)
end)
