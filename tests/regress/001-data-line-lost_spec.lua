-- A line of a message that holds a CR was not passed on, when nobody handled it or its handler failed;
-- the longest lines that smtpd passes on came back cut. (Found by tests/fuzz/filter.lua.)
local files = require "tests.support.files"
local filter = require "tests.support.filter"

describe("a filter of messages", function()
  after_each(filter.reset)

  it("passes on every line as it came", function()
    local program = files.new [[
      local opensmtpd = require "nexthop.opensmtpd"
      local filter = opensmtpd.new()
      filter:on("data-line", function(request)
        if request.parameter:find "fail" then error "it fails" end
        request:write(request.parameter)
      end)
      filter:run()
    ]]
    local f = filter.start { program = program, args = {} }
    local lines = { "a\rb", "fail\r", "fail", ("x"):rep(65535), "." }
    for _, line in ipairs(lines) do
      f:send("filter|0.7|1576146008.006099|smtp-in|data-line|aaaa|0123456789abcdef|" .. line)
    end
    assert.equal(0, f:finish())
    local passed = {}
    for _, line in ipairs(f.other) do
      passed[#passed + 1] = line:match "^filter%-dataline|aaaa|0123456789abcdef|(.*)$"
    end
    assert.same(lines, passed)
  end)
end)
