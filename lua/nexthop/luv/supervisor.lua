--- A resolver on luv's loop, for programs that must go on whatever happens to it. A resolver that cannot be
-- made, or breaks, is logged and made again, after a pause that grows from one second to a minute.
local uv = require "luv"
local new_driver = require "nexthop.luv.driver"
local nexthop = require "nexthop"

local Supervisor = {}
Supervisor.__index = Supervisor

local first_pause, last_pause = 1, 60 -- seconds

local function fail(self, reason)
  if type(reason) == "table" then reason = reason.message end
  reason = tostring(reason)
  self.pause = self.pause and math.min(self.pause * 2, last_pause) or first_pause
  self.again = uv.now() + self.pause * 1000
  self.on_error(reason, self.pause)
end

local function stop(self)
  local resolver, driver = self.resolver, self.driver
  self.resolver, self.driver = nil, nil
  if resolver and self.on_stop then self.on_stop() end
  if driver then driver:close() end
  if resolver then pcall(resolver.close, resolver) end -- runs the callbacks that wait, with `closed`
end

local function drive(self)
  local resolver = self.resolver
  if not resolver then return end
  local ok, count, err = pcall(resolver.process, resolver)
  if self.resolver ~= resolver then return end
  if ok and count then
    self.pause = nil
    return self.driver:arm()
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
  if self.on_warning then
    for _, warning in ipairs(nexthop.warnings(resolver)) do self.on_warning(warning) end
  end
  self.resolver = resolver
  self.driver = new_driver(uv, resolver, self.drive)
  return resolver
end

--- The resolver: made when there is none and it is time; else nil.
function Supervisor:get()
  if self.resolver then return self.resolver end
  if self.again and uv.now() < self.again then return nil end
  return start(self)
end

--- resolver:plan() with a callback, which is never called before this returns.
-- @return the request, to cancel; or nil when there is no resolver: `callback` will not be called
function Supervisor:plan(domain, options, callback)
  local resolver = self:get()
  if not resolver then return nil end
  local count = self.count_plan
  local handle, err = resolver:plan(domain, options, count and function(plan, failure)
    count(plan, failure)
    callback(plan, failure)
  end or callback)
  if not handle then
    stop(self)
    fail(self, err)
    return nil
  end
  self.driver:arm()
  return handle
end

--- Ends the resolver, from a callback of the loop.
function Supervisor:close()
  stop(self)
end

--- The counters of the resolver; nil when there is none.
function Supervisor:stats()
  return self.resolver and self.resolver:stats()
end

function Supervisor:stop()
  stop(self)
  uv.run("nowait") -- what was closed is gone before Lua is
end

return {
  --- @param options of nexthop.new
  -- @param on_error called with what went wrong and the seconds until the next try
  -- The field count_plan may be set: a function(plan, err), called with each result of plan().
  -- @param on_warning called with what was left out of the configuration when a resolver is made; or nil
  -- @param on_stop called before a resolver is closed; or nil
  new = function(options, on_error, on_warning, on_stop)
    local self = setmetatable({
      options = options, on_error = on_error, on_warning = on_warning, on_stop = on_stop,
    }, Supervisor)
    self.drive = function() drive(self) end
    return self
  end,
}
