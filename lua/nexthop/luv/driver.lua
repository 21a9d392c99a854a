--- Calls what runs a resolver from luv's loop, whenever the resolver wants to be run.
--
--   local driver
--   driver = new(uv, resolver, function() resolver:process() driver:arm() end)
local Driver = {}
Driver.__index = Driver

--- Asks the resolver when it wants to be run next; after each process() and each new call.
function Driver:arm()
  if self.closed then return end
  local seconds = self.resolver:timeout()
  self.timer:stop()
  self.idle:stop()
  if seconds == 0 then
    self.idle:start(self.run)
  elseif seconds then
    self.timer:start(math.ceil(seconds * 1000), 0, self.run)
  end
end

--- Runs it in the next turn of the loop. Not by a timer of no time: libuv before 1.48 runs one that
-- starts itself again for ever, and sees to nothing else.
function Driver:soon()
  if not self.closed then self.idle:start(self.run) end
end

function Driver:close()
  if self.closed then return end
  self.closed = true
  self.poll:close()
  self.timer:close()
  self.idle:close()
end

--- @param resolver a resolver of nexthop.new
-- @param run function(): calls process(), and arm() afterwards; must not raise
return function(uv, resolver, run)
  local self = setmetatable({
    resolver = resolver, run = run,
    poll = uv.new_poll(resolver:pollfd()), timer = uv.new_timer(), idle = uv.new_idle(),
  }, Driver)
  self.poll:start("r", run)
  return self
end
