--- Deadlines of requests, all of which have the same number of seconds. The oldest request is therefore the
-- first in the queue, and one timer of luv is enough.
local uv = require "luv"

local Deadlines = {}
Deadlines.__index = Deadlines

local function arm(self)
  if self.closed or self.first > self.last then return end
  local wait = math.max(0, self.queue[self.first].due - uv.now())
  self.timer:start(wait, 0, function()
    local first = self.queue[self.first]
    if first and first.due <= uv.now() then self.on_expired(first) end
    arm(self)
  end)
end

--- Puts a request into the queue. It gets the fields `due` and `place`.
function Deadlines:watch(request)
  request.due = uv.now() + math.ceil(self.seconds * 1000)
  self.last = self.last + 1
  self.queue[self.last], request.place = request, self.last
  if not self.timer:is_active() then arm(self) end
end

--- Takes a request out of the queue: what refers to it, a whole plan, must not stay until its deadline.
function Deadlines:unwatch(request)
  local queue = self.queue
  if request.place then queue[request.place] = false end
  while queue[self.first] == false do
    queue[self.first] = nil
    self.first = self.first + 1
  end
end

function Deadlines:close()
  if self.closed then return end
  self.closed = true
  self.timer:close()
end

--- @param seconds for each request
-- @param on_expired function(request): takes the request out of the queue; must not raise
return function(seconds, on_expired)
  return setmetatable({
    seconds = seconds, on_expired = on_expired, timer = uv.new_timer(), queue = {}, first = 1, last = 0,
  }, Deadlines)
end
