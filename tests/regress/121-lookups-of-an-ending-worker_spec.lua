-- What drove the lookups in a worker of rspamd was a periodic; rspamd stops these as soon as a worker is
-- told to end, at each reload, while its tasks live on: their lookups stood still until the deadline.
-- Here rspamd gives no periodic, only connections and their timeouts.
local support = require "tests.support"
local uv = require "luv"
local lab = support.lab

-- rspamd_tcp as far as the worker uses it, on the loop that the worker runs, too: its callbacks are
-- kept, and called outside of the loop.
local function new_tcp()
  local due, open = {}, 0
  local self = {}
  local function call(request, ...)
    local words = { ... }
    due[#due + 1] = function() request.callback(words[1], words[2]) end
  end
  function self.new(request)
    local pipe, timer, over = uv.new_pipe(false), uv.new_timer(), false
    open = open + 1
    local function finish(...)
      if over then return end
      over, open = true, open - 1
      timer:close()
      pipe:close()
      call(request, ...)
    end
    timer:start(math.max(1, math.floor(request.timeout * 1000)), 0, function() finish "IO timeout" end)
    pipe:connect(request.host, function(err)
      if err then return finish(err) end
      if request.data then pipe:write(table.concat(request.data)) end
      if request.read == false then return finish() end
      pipe:read_start(function(failed, chunk) finish(failed or not chunk and "closed" or nil, chunk) end)
    end)
    return true
  end
  --- What rspamd's event loop does, until that is true.
  function self.run(condition)
    while not condition() do
      uv.run(due[1] and "nowait" or "once")
      local now = due
      due = {}
      for _, callback in ipairs(now) do callback() end
    end
  end
  function self.connections() return open end
  return self
end

describe("a worker of rspamd that ends", function()
  before_each(support.reset)
  after_each(support.close)

  -- A machine that is busy may need long for the ticks, and nothing is to be over before.
  local function start(tcp)
    local worker = require("nexthop.rspamd.worker").new {
      resolver = lab:options { timeout = 60, options = support.patient }, deadline = 60,
      directories = { "/tmp" }, tcp = tcp,
      now = function() return uv.hrtime() / 1e9 end, log = error,
    }
    assert(worker:ready())
    return worker
  end
  local task = { get_ev_base = function() end }

  it("answers its tasks", function()
    lab:rule { name = "*", action = "pass", delay = 30 }
    local tcp = new_tcp()
    local worker = start(tcp)
    local answers, done = {}, 0
    for i = 1, 20 do
      local query = { domain = i % 2 == 0 and "dane.example" or ("n%d.example"):format(i) }
      worker:look_up(task, { query }, 20, function(_, plan, err) answers[i] = plan and "plan" or err.code end,
        function() done = done + 1 end)
    end
    tcp.run(function() return done == 20 end)
    for i = 1, 20 do assert.equal(i % 2 == 0 and "plan" or "nxdomain", answers[i]) end
    worker:close()
  end)

  it("is told by few connections while it waits for a slow answer", function()
    local id = lab:rule { name = "nullmx.example", type = "MX", hold = true }
    lab:reset()
    local tcp = new_tcp()
    local worker = start(tcp)
    local code
    worker:look_up(task, { { domain = "nullmx.example" } }, 60, function(_, _, err) code = err.code end,
      function() end)
    local most = 0
    tcp.run(function()
      most = math.max(most, tcp.connections())
      -- The ticks may be faster than the name server.
      if id and worker.ticks >= 40 and lab:count("nullmx.example", "MX") > 0 then
        lab:release(id)
        id = nil
      end
      return code ~= nil
    end)
    assert.equal("no_mail", code)
    assert(most <= 4, most)
    worker:close()
  end)
end)
