-- rspamd calls nothing back when a task goes away while it waits; what the plugin's worker knew of its
-- lookups was kept for ever.
local support = require "tests.support"
local uv = require "luv"
local lab = support.lab

describe("a worker of rspamd", function()
  before_each(support.reset)
  after_each(support.close)

  it("forgets the lookups of tasks that have gone", function()
    lab:rule { name = "*", action = "silent" }
    local pipes = {}
    local tcp = { new = function(request)
      if not request.task then return true end -- a tick; here turn() is called instead
      local pipe = uv.new_pipe(false)
      pipe:connect(request.host, function(err)
        assert(not err, err)
        pipe:write(table.concat(request.data))
      end)
      pipes[#pipes + 1] = pipe
      return true
    end }
    local worker = require("nexthop.rspamd.worker").new {
      resolver = lab:options(), deadline = 60, directories = { "/tmp" }, tcp = tcp,
      now = function() return uv.hrtime() / 1e9 end, log = error,
    }
    assert(worker:ready())
    local function turn_until(count)
      repeat
        worker:turn()
        uv.sleep(1)
      until worker.listener.count == count
      worker:turn()
    end
    for i = 1, 5 do
      worker:look_up({ get_ev_base = function() end }, { { domain = ("d%d.example"):format(i) } }, 60,
        function() end, function() error "is not to be called" end)
    end
    turn_until(5)
    assert.equal(5, worker.resolver:pending())
    for _, pipe in ipairs(pipes) do pipe:close() end
    turn_until(0)
    assert.equal(0, worker.resolver:pending())
    assert.is_nil(next(worker.jobs))
    worker:close()
  end)
end)
