--- Deadlines of requests. The queue is in the order of the deadlines, so that one timer of luv is enough. As
-- a rule all requests have the same number of seconds, and a new one is the last in the queue.
local protect = require "nexthop.protect"
local uv = require "luv"

local Deadlines = {}
Deadlines.__index = Deadlines

local function arm(self)
  if self.closed or self.first > self.last then return end
  local wait = math.max(0, self.queue[self.first].due - uv.now())
  self.timer:start(wait, 0, function()
    local first = self.queue[self.first]
    if first and first.due <= uv.now() then
      self:unwatch(first) -- first of all: a request that stayed here would expire again and again
      self.on_expired(first)
    end
    arm(self)
  end)
end

-- Returns the place of a request that comes now, and moves those that are due after it. There are such
-- requests only when `seconds` has become less since they came.
local function make_room(self, due)
  local queue = self.queue
  local place = self.last + 1
  while due < self.latest and place > self.first do
    local former = queue[place - 1]
    if former then
      if former.due <= due then break end
      former.place = place
    end
    queue[place] = former
    place = place - 1
  end
  return place
end

--- Puts a request into the queue. It gets the fields `seconds`, its own number of them, `due` and `place`.
function Deadlines:watch(request)
  request.seconds = self.seconds
  request.due = uv.now() + math.ceil(self.seconds * 1000)
  request.place = make_room(self, request.due)
  self.queue[request.place] = request
  self.last = self.last + 1
  self.latest = math.max(self.latest, request.due)
  if request.place == self.first or not self.timer:is_active() then arm(self) end
end

--- Takes a request out of the queue: what refers to it, a whole plan, must not stay until its deadline.
function Deadlines:unwatch(request)
  local queue = self.queue
  if request.place then queue[request.place] = false end
  request.place = nil
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

--- @param seconds for each request that comes. The field `seconds` may be changed. While it is nil, watch()
-- must not be called.
-- @param on_expired function(request): answers a request, which has left the queue
-- @param log function(text), for an error of on_expired
return function(seconds, on_expired, log)
  return setmetatable({
    seconds = seconds, on_expired = protect.callback(on_expired, log), timer = uv.new_timer(), queue = {},
    first = 1, last = 0, latest = 0,
  }, Deadlines)
end
