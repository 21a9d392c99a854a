-- What was answered, the plan and all, was kept by the filter until its deadline: with a long one, of
-- minutes, that is a lot of memory.
local filter = require "tests.support.filter"
local lab = require("tests.lab.lab").shared()

local remote = "192.0.2.9:1234"

setup(filter.prepare)
after_each(filter.reset)

describe("a filter with a long deadline", function()
  it("keeps nothing of requests that have their answer", function()
    lab:rule { name = "silent.example", action = "silent" }
    local f = filter.start { config = [[
      local events = setmetatable({}, { __mode = "k" })
      return { resolver = resolver, deadline = 600, policy = function(event)
        events[event] = true
        collectgarbage()
        collectgarbage()
        local count = 0
        for _ in pairs(events) do count = count + 1 end
        return { "reject", ("550 5.7.1 %d"):format(count) }
      end }
    ]] }
    f:connect("aaaa", remote)
    f:ask("aaaa", "mail-from", "a@silent.example") -- the oldest, without an answer
    local answer
    for _ = 1, 20 do answer = f:decide("mail-from", "a@nullmx.example", remote) end
    assert.is_true(tonumber(answer:match "^reject|550 5%.7%.1 (%d+)$") <= 3, answer)
    f.process:kill "sigterm"
    assert.equal(0, f:finish())
  end)
end)
