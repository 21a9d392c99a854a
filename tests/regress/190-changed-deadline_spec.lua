-- A request that was open while set_deadline(nil) was called ended the table at its deadline, and smtpd with
-- it: the message has the seconds, which were no longer there, and nothing protected the timer. After a
-- change to a shorter deadline the requests that came later waited for the deadlines of those before them.
local files = require "tests.support.files"
local new_deadlines = require "nexthop.opensmtpd.deadlines"
local tables = require "tests.support.table"
local uv = require "luv"

after_each(tables.reset)

-- A table that never answers by itself, and whose deadline is the number that it is asked for.
local function start(deadline)
  local path = files.new(([[
    local smtpd_table = require("nexthop.opensmtpd").new_table { deadline = %g }
    smtpd_table:on("domain", function(request)
      if request.query ~= "silent" then
        smtpd_table:set_deadline(tonumber(request.query))
        request:found()
      end
    end)
    smtpd_table:run()
  ]]):format(deadline))
  return tables.start { program = path, args = {} }
end

describe("a deadline that is changed", function()
  it("to none leaves those of open requests", function()
    local t = start(0.2)
    local open = t:ask("check", "domain", "silent")
    assert.equal("found", t:check "none")
    local later = t:ask("check", "domain", "silent")
    assert.equal("error|no answer within 0.2 s", t:answer(open))
    assert.equal("found", t:check "0.1")
    assert.equal("error|no answer within 0.1 s", t:check "silent")
    assert.is_nil(t.answers[later])
  end)

  it("to a shorter one holds for the requests that come then", function()
    local t = start(3600)
    local long = t:ask("check", "domain", "silent")
    assert.equal("found", t:check "0.1")
    assert.equal("error|no answer within 0.1 s", t:check "silent")
    assert.is_nil(t.answers[long])
    assert.equal("found", t:check "0.2")
    local second = t:ask("check", "domain", "silent")
    assert.equal("found", t:check "0.05")
    local first = t:ask("check", "domain", "silent")
    assert.equal("error|no answer within 0.05 s", t:answer(first))
    assert.equal("error|no answer within 0.2 s", t:answer(second))
  end)

  -- Requests that come, are answered and expire in an order of chance, each by its own deadline.
  it("again and again loses no request and no order", function()
    math.randomseed(7)
    local expired, watched = {}, {}
    local deadlines = new_deadlines(1, function(request)
      assert.is_nil(request.expired)
      request.expired = true
      expired[#expired + 1] = request
    end)
    local count = 0
    for _ = 1, 300 do
      deadlines.seconds = math.random(1, 40) / 1000
      local request = {}
      deadlines:watch(request)
      watched[#watched + 1] = request
      if math.random(3) == 1 then
        local answered = watched[math.random(#watched)]
        if not answered.expired then
          deadlines:unwatch(answered)
          answered.answered = true
        end
      end
    end
    for _, request in ipairs(watched) do if not request.answered then count = count + 1 end end
    local late = false
    local timer = uv.new_timer()
    timer:start(20000, 0, function() late = true end)
    while #expired < count and not late do uv.run "once" end
    timer:close()
    deadlines:close()
    uv.run "nowait"
    assert.equal(count, #expired)
    for i = 2, #expired do assert.is_true(expired[i - 1].due <= expired[i].due) end
    assert.same({}, deadlines.queue)
  end)

  it("does not end with a request whose answer raises", function()
    local said, seen = {}, {}
    local deadlines = new_deadlines(0.01, function(request)
      seen[#seen + 1] = request.name
      if request.name == 1 then error "it cannot be answered" end
    end, function(text) said[#said + 1] = text end)
    for name = 1, 2 do deadlines:watch { name = name } end
    while #seen < 2 do uv.run "once" end
    deadlines:close()
    uv.run "nowait"
    assert.same({ 1, 2 }, seen)
    assert.equal(1, #said)
    assert.matches("it cannot be answered", said[1])
  end)
end)
