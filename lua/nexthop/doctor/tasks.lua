--- Work that waits for several callbacks, written from top to bottom: coroutines.
--
--   local task = tasks.run(function(task)
--     local answer, err = task:await(function(done) return resolver:_lookup(name, options, done) end)
--     task:all { function() ... end, function() ... end }    -- side by side
--   end)
--   task:cancel()      -- nothing of it runs any more
local unpack = unpack or table.unpack -- luacheck: ignore

local M = {}

local Task = {}
Task.__index = Task

-- An error ends the task where somebody wants to know of it, and else is that of the caller.
local function resume(self, thread, ...)
  local ok, problem = coroutine.resume(thread, ...)
  if ok then return end
  problem = debug.traceback(thread, tostring(problem))
  if not self.on_error then error(problem, 0) end
  self:cancel()
  self.on_error(problem)
end

--- Starts something that calls back, and waits for that.
-- @param start function(done), which returns a handle with cancel(), or nil
-- @return what `done` was called with
function Task:await(start)
  local thread, waits = coroutine.running(), false
  local key, values, count = {}, nil, 0
  local function done(...)
    if self.cancelled or values then return end
    values, count = { ... }, select("#", ...)
    self.handles[key] = nil
    if waits then resume(self, thread) end
  end
  local handle = start(done)
  if not values then
    self.handles[key] = handle
    waits = true
    coroutine.yield()
  end
  return unpack(values, 1, count)
end

--- Runs functions side by side, and returns when all have ended.
function Task:all(list)
  local left = #list
  if left == 0 then return end
  self:await(function(done)
    for _, body in ipairs(list) do
      if self.cancelled then return end -- by an error in one of them
      resume(self, coroutine.create(function()
        body()
        left = left - 1
        if left == 0 then done() end
      end))
    end
  end)
end

--- Calls a function when the task ends, or is cancelled.
-- @return function(), which calls it at once instead
function Task:finally(close)
  local key = {}
  self.closers[key] = close
  return function()
    if not self.closers[key] then return end
    self.closers[key] = nil
    close()
  end
end

local function close(self)
  local closers = self.closers
  self.closers = {}
  for _, closer in pairs(closers) do closer() end
end

--- Ends the task: what it waits for is cancelled.
function Task:cancel()
  if self.cancelled then return end
  self.cancelled = true
  for _, handle in pairs(self.handles) do handle:cancel() end
  self.handles = {}
  close(self)
end

--- Starts a task.
-- @param body function(task), which runs in a coroutine
-- @param on_error function(problem), called after the task has been cancelled because its code raised an
-- error; nil: the error is raised by whatever resumes the task
function M.run(body, on_error)
  local self = setmetatable({ handles = {}, closers = {}, on_error = on_error }, Task)
  resume(self, coroutine.create(function()
    body(self)
    close(self)
  end))
  return self
end

return M
