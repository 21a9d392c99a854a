-- A line of a message could be answered like a command, which ends smtpd.
local files = require "tests.support.files"
local filter = require "tests.support.filter"

describe("a handler of data-line", function()
  after_each(filter.reset)

  it("that answers is logged, and the line goes on as it came", function()
    local f = filter.start { args = {}, program = files.new [[
      local filter = require("nexthop.opensmtpd").new()
      filter:on("data-line", function(request)
        request[request.parameter](request, "550 5.7.1 no")
      end)
      filter:on("ehlo", function(request) request.session.waits = request end)
      filter:on("noop", function(request)
        request.session.waits:proceed()
        request:proceed()
      end)
      filter:run()
    ]] }
    f:connect("aaaa", "192.0.2.9:1")
    local ehlo = f:ask("aaaa", "ehlo", "client.example")
    local lines = { "proceed", "junk", "reject", "disconnect", "rewrite" }
    for _, line in ipairs(lines) do f:ask("aaaa", "data-line", line) end
    local noop = f:ask("aaaa", "noop", "")
    assert.equal("proceed", f:answer("aaaa", ehlo))
    assert.equal("proceed", f:answer("aaaa", noop))
    assert.equal(0, f:finish())
    assert.equal(2, f.count)
    local passed = {}
    for _, line in ipairs(f.other) do
      passed[#passed + 1] = line:match "^filter%-dataline|aaaa|%x+|(.*)$"
    end
    assert.same(lines, passed)
    local _, errors = f.log:gsub("error=data%-line message=[^\n]*data%-line has no answer but lines", "")
    assert.equal(5, errors)
  end)
end)
