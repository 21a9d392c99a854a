-- When smtpd ended while lookups were under way, the filter waited for their deadlines, though nobody was
-- there any more to read its answers.
local uv = require "luv"
local files = require "tests.support.files"
local filter = require "tests.support.filter"
local lab = require("tests.lab.lab").shared()

local remote = "192.0.2.9:1234"

setup(filter.prepare)
after_each(filter.reset)

-- A filter with a request that is never answered, and one that is.
local function start(stdio)
  local f = filter.start { stdio = stdio, args = {}, program = files.new [[
    local filter = require("nexthop.opensmtpd").new { deadline = 600 }
    filter:on("mail-from", function() end)
    filter:on("rcpt-to", function(request) request:reject "550 5.7.1 no" end)
    filter:run()
  ]] }
  f:connect("aaaa", remote)
  f:ask("aaaa", "mail-from", "a@filter.example")
  assert.equal("reject|550 5.7.1 no", f:answer("aaaa", f:ask("aaaa", "rcpt-to", "a@filter.example")))
  return f
end

local function await_end(f)
  f:wait(function() return f.code and f.log_closed end)
  f:clean()
  assert.same({ 0, 0 }, { f.code, f.signal })
end

describe("a filter whose smtpd has gone", function()
  for _, stdio in ipairs { "socket", "pipes" } do
    it("leaves at once when it sees the end of input: " .. stdio, function()
      local f = start(stdio)
      f.output:close()
      if not f.input:is_closing() then f.input:close() end
      uv.run "nowait"
      await_end(f)
    end)
  end

  it("leaves at the first answer that cannot be written", function()
    local f = start "pipes"
    f.output:close() -- its input stays open
    uv.run "nowait"
    f:connect("bbbb", remote)
    f:ask("bbbb", "rcpt-to", "a@filter.example")
    await_end(f)
    assert.matches("error=output message=EPIPE", f.log)
  end)

  it("answers what is open when only the input has ended", function()
    local f = filter.start { stdio = "socket", config = { deadline = 20 } }
    lab:rule { name = "dane.example", type = "MX", delay = 300 }
    f:connect("aaaa", remote)
    local token = f:ask("aaaa", "mail-from", "a@dane.example")
    lab:wait "dane.example"
    f.input:shutdown()
    uv.run "nowait"
    assert.equal("junk", f:answer("aaaa", token))
    assert.equal(0, f:finish())
  end)
end)
