-- A line of a message was passed on twice when its handler passed it on and raised then; smtpd ends
-- over a second final dot.
local files = require "tests.support.files"
local filter = require "tests.support.filter"

describe("a handler of data-line", function()
  after_each(filter.reset)

  it("that raises after it wrote has written once", function()
    local f = filter.start { args = {}, program = files.new [[
      local filter = require("nexthop.opensmtpd").new()
      filter:on("data-line", function(request)
        if request.parameter:find "^before" then error "before it wrote" end
        request:write(request.parameter:upper())
        error "after it wrote"
      end)
      filter:run()
    ]] }
    for _, line in ipairs { "one", "before", "." } do f:ask("aaaa", "data-line", line) end
    assert.equal(0, f:finish())
    local passed = {}
    for _, line in ipairs(f.other) do
      passed[#passed + 1] = line:match "^filter%-dataline|aaaa|%x+|(.*)$"
    end
    assert.same({ "ONE", "before", "." }, passed)
    local _, errors = f.log:gsub("error=data%-line", "")
    assert.equal(3, errors)
  end)
end)
