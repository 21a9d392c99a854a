--- Lets a few coroutines of a task through at a time, and at most one of them in a turn of luv's loop. The
-- others wait, in the order in which they came.
--
--   local gate = new_gate(task, 8)
--   gate:enter()     -- waits
--   ...
--   gate:leave()
local uv = require "luv"

local Gate = {}
Gate.__index = Gate

-- Has the loop admit the next one in its next turn, if one waits and there is room for it.
local function arm(self)
  if self.idle and self.inside < self.limit and self.first <= self.last then self.idle:start(self.admit) end
end

local function admit(self)
  self.idle:stop()
  local done = self.queue[self.first]
  self.queue[self.first] = nil
  self.first, self.inside = self.first + 1, self.inside + 1
  arm(self)
  done()
end

--- Waits until there is room, and takes it.
function Gate:enter()
  self.task:await(function(done)
    self.last = self.last + 1
    self.queue[self.last] = done
    arm(self)
  end)
end

--- Makes room for the next one.
function Gate:leave()
  self.inside = self.inside - 1
  arm(self)
end

--- @param task of nexthop.doctor.tasks; when it ends, the gate lets nobody through any more
-- @param limit how many may be inside at a time
return function(task, limit)
  local self = setmetatable({ task = task, limit = limit, inside = 0, queue = {}, first = 1, last = 0,
    idle = uv.new_idle() }, Gate)
  self.admit = function() admit(self) end
  task:finally(function()
    self.idle:close()
    self.idle = nil
  end)
  return self
end
