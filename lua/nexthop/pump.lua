--- A resolver on luv's loop, for programs that must go on whatever happens to it: one that cannot
-- be made, or breaks, is logged and made again, after a pause that grows from one second to a minute.
local uv = require "luv"
local nexthop = require "nexthop"

local pump = {}
pump.__index = pump

local first_pause, last_pause = 1, 60 -- seconds

local function fail(self, reason)
  if type(reason) == "table" then reason = reason.message end
  reason = tostring(reason)
  self.pause = self.pause and math.min(self.pause * 2, last_pause) or first_pause
  self.again = uv.now() + self.pause * 1000
  self.on_error(reason, self.pause)
end

local function stop(self)
  local resolver = self.resolver
  self.resolver = nil
  self.timer:stop()
  self.idle:stop()
  if self.poll then
    self.poll:close()
    self.poll = nil
  end
  if resolver then pcall(resolver.close, resolver) end -- runs the callbacks that wait, with `closed`
end

local drive

local function arm(self)
  local seconds = self.resolver and self.resolver:timeout()
  self.timer:stop()
  self.idle:stop()
  if seconds == 0 then
    -- a timer of no time that starts itself again keeps libuv before 1.48 from all else
    self.idle:start(self.drive)
  elseif seconds then
    self.timer:start(math.ceil(seconds * 1000), 0, self.drive)
  end
end

function drive(self)
  local resolver = self.resolver
  if not resolver then return end
  local ok, count, err = pcall(resolver.process, resolver)
  if self.resolver ~= resolver then return end
  if ok and count then
    self.pause = nil
    return arm(self)
  end
  stop(self)
  fail(self, ok and err or count)
end

local function start(self)
  local ok, resolver, err = pcall(nexthop.new, self.options)
  if not ok or not resolver then
    fail(self, ok and err or resolver)
    return nil
  end
  self.resolver = resolver
  self.poll = uv.new_poll(resolver:pollfd())
  self.poll:start("r", self.drive)
  return resolver
end

--- The resolver: made when there is none and it is time; else nil.
function pump:get()
  if self.resolver then return self.resolver end
  if self.again and uv.now() < self.again then return nil end
  return start(self)
end

--- resolver:plan() with a callback, which is never called before this returns.
-- @return the request, to cancel; or nil when there is no resolver: `callback` will not be called
function pump:plan(domain, options, callback)
  local resolver = self:get()
  if not resolver then return nil end
  local handle, err = resolver:plan(domain, options, callback)
  if not handle then
    stop(self)
    fail(self, err)
    return nil
  end
  arm(self)
  return handle
end

function pump:stop()
  stop(self)
  for _, handle in ipairs { self.timer, self.idle } do
    if not handle:is_closing() then handle:close() end
  end
  uv.run("nowait") -- what was closed is gone before Lua is
end

return {
  --- @param options of nexthop.new
  -- @param on_error called with what went wrong and the seconds until the next try
  new = function(options, on_error)
    local self = setmetatable({
      options = options, on_error = on_error, timer = uv.new_timer(), idle = uv.new_idle(),
    }, pump)
    self.drive = function() drive(self) end
    return self
  end,
}
