--- A lookup server inside a worker of rspamd. rspamd gives Lua no event loop of its own, but holds a
-- task that waits at a socket: so lookups are made here, by the worker's own resolver, and a task whose
-- answers are not yet there waits at a Unix socket in a private directory.
--
-- What drives the resolver and the socket (luv's loop, run without waiting) is a chain of ticks. A tick
-- is a connection of rspamd_tcp to the same socket which nobody answers: its timeout calls back, or, for
-- a tick at once, the end of its writing.
-- rspamd has periodics for this, but they stop as soon as a worker is told to end, at each reload, and
-- its tasks live on; connections live as long as its event loop. Timers of a task or of the event loop
-- are not in every version, and leak.
local hold = require "nexthop.rspamd.hold"

local M = {}

local Worker = {}
Worker.__index = Worker

-- Seconds until the next tick. rspamd's timers are as coarse as the system's clock ticks, 4 ms, and a
-- lookup takes several questions: so the first ticks after a lookup has begun come at once. A server near
-- by has answered by then. Later, ticks come after a fraction of the time since a lookup began or ended.
local shortest, longest, fraction = 0.001, 0.01, 1 / 8
local at_once_for, at_once_jobs = 0.003, 4 -- seconds; with more tasks that wait, not even then

-- Without any, libunbound may still wait for what it asked on the way. Then the chain ends.
local rest, rest_for = 0.05, 30
local pause = 60 -- seconds before another try, when the resolver or the socket could not be had

-- luv keeps the coroutine that has loaded it, and runs its callbacks there. rspamd's threads come and
-- go: this one stays, and is used for nothing else.
local luv_thread, uv

local function load_luv()
  if not uv then
    luv_thread = coroutine.create(function() return require "luv" end)
    local ok, module = coroutine.resume(luv_thread)
    if not ok then return nil, tostring(module) end
    uv = module
  end
  return uv
end

--- @param options resolver (options of nexthop.new), deadline, directories (to try for the socket),
-- now = function() -> seconds, log = function(text), tcp = require "rspamd_tcp", config = rspamd_config
function M.new(options)
  return setmetatable({
    options = options, log = options.log, now = options.now, jobs = {}, last = 0, worked = 0, began = 0,
    waiting = 0, -- jobs
    taken = 0, -- connections so far
    ticks = 0, -- ticks so far
  }, Worker)
end

-- ---- the socket's directory ---------------------------------------------------------

local function remove(directory)
  uv.fs_unlink(directory .. "/socket")
  uv.fs_rmdir(directory)
end

-- Directories of workers that were killed.
local function remove_stale(parent)
  local scan = uv.fs_scandir(parent)
  while scan do
    local name = uv.fs_scandir_next(scan)
    if not name then break end
    local pid = tonumber(name:match "^nexthop%-(%d+)%-......$")
    if pid then
      local alive, _, code = uv.kill(pid, 0)
      if not alive and code == "ESRCH" then remove(parent .. "/" .. name) end
    end
  end
end

local function make_directory(parents)
  local reasons = {}
  for _, parent in ipairs(parents) do
    remove_stale(parent)
    local directory, reason = uv.fs_mkdtemp(("%s/nexthop-%d-XXXXXX"):format(parent, uv.os_getpid()))
    if directory then return directory end
    reasons[#reasons + 1] = ("%s: %s"):format(parent, tostring(reason))
  end
  return nil, table.concat(reasons, "; ")
end

-- ---- starting, turning, ending ----------------------------------------------------------

local function start(self)
  local ok, reason = load_luv()
  if not ok then return nil, reason end
  local directory
  directory, reason = make_directory(self.options.directories)
  if not directory then return nil, reason end
  local resolver, listener, err
  resolver, err = require("nexthop").new(self.options.resolver)
  if not resolver then
    remove(directory)
    return nil, err.message
  end
  listener, reason = require("nexthop.luv.socket").listen(directory .. "/socket", {
    uv = uv, mode = 384, log = self.log, limits = { output = 65536, connections = 10000 },
    session = function()
      self.taken = self.taken + 1
      return hold.new(self)
    end,
  })
  if not listener then
    resolver:close()
    remove(directory)
    return nil, reason
  end
  self.directory, self.resolver, self.listener = directory, resolver, listener
  self.path = directory .. "/socket"
  return true
end

--- Is there a resolver? Makes it at first use, which must be in the worker.
-- @return true; or nil and why not
function Worker:ready()
  if self.resolver then return true end
  if self.again and self.now() < self.again then return nil, self.reason end
  local ok, started, reason = pcall(start, self)
  if ok and started then
    self.again = nil
    return true
  end
  self.reason = tostring(ok and reason or started)
  self.again = self.now() + pause
  self.log("the worker cannot resolve: " .. self.reason)
  return nil, self.reason
end

local function process(self)
  local ok, err = pcall(self.resolver.process, self.resolver)
  if not ok then self.log(tostring(err)) end
  self.listener:flush()
end

-- Sees to the socket: takes connections, and reads what was sent.
local function see_to_socket(self)
  local taken
  repeat -- later versions of libuv take one connection a turn
    taken = self.taken
    uv.run "nowait"
  until self.taken == taken
end

--- Lets the resolver and the socket work, as far as they can without waiting.
function Worker:turn()
  if not self.resolver then return end
  see_to_socket(self)
  process(self)
end

-- Seconds until the next tick; nil: there is nothing to wait for.
local function delay(self)
  local idle = self.now() - self.worked
  if (self.resolver:pending() or 0) > 0 or self.waiting > 0 then
    if self.now() - self.began < at_once_for and self.waiting <= at_once_jobs then return 0 end
    if self.resolver:timeout() == 0 then return shortest end
    return math.max(shortest, math.min(longest, idle * fraction))
  end
  return idle < rest_for and rest or nil
end

--- Sees to it that there is a next tick, soon enough. A tick cannot be taken back: the one that an
-- earlier one replaces does nothing.
function Worker:arm()
  local seconds = delay(self)
  if not seconds then return end
  local due = self.now() + seconds
  if self.due and self.due <= due then return end
  self.due, self.ticks = due, self.ticks + 1
  local number, within = self.ticks, true
  local function on_tick()
    if self.ticks ~= number then return end
    self.due = nil
    if within or not self.resolver then return end -- it could not connect; the next call tries again
    local ok, err = pcall(self.turn, self)
    if not ok then self.log(tostring(err)) end
    self:arm()
  end
  local armed = self.options.tcp.new {
    ev_base = self.event_loop, config = self.options.config, host = self.path, port = 0,
    timeout = seconds > 0 and seconds or longest, stop_pattern = "\n", callback = on_tick, on_error = on_tick,
    read = seconds > 0, data = seconds == 0 and { "\n" } or nil,
  }
  within = false
  if not armed and self.ticks == number then self.due = nil end
end

--- The worker ends: the directory goes.
function Worker:close()
  if not self.resolver then return end
  self.listener:close()
  self.resolver:close()
  uv.run "nowait"
  remove(self.directory)
  self.resolver = nil
end

-- ---- lookups ----------------------------------------------------------------------------

local Job = {}
Job.__index = Job

function Job:cancel()
  for query, handle in pairs(self.handles) do
    handle:cancel()
    self.handles[query] = nil
  end
end

function Worker:forget(number)
  if self.jobs[number] then self.waiting = self.waiting - 1 end
  self.jobs[number] = nil
end

local function start_lookups(self, job, queries, answered)
  self.worked = self.now()
  self.began = self.worked
  for _, query in ipairs(queries) do
    local options = { deadline = self.options.deadline }
    if query.role == "recipient" then
      for key, value in pairs(self.options.recipient or {}) do options[key] = value end
    end
    local handle, err = self.resolver:plan(query.domain, options,
      function(plan, failed)
        job.handles[query] = nil
        job.left = job.left - 1
        self.worked = self.now()
        answered(query, plan, failed)
        if job.left == 0 and job.hold then job.hold:answer() end
      end)
    if handle then
      job.handles[query] = handle
    else
      job.left = job.left - 1
      answered(query, nil, err)
    end
  end
end

--- Looks domains up for a task.
-- @param task waits, where the answers are not in the cache
-- @param queries each with a domain
-- @param timeout seconds
-- @param answered function(query, plan, err), called for each query that is answered in time
-- @param done function(), called when all are, or the time is up
function Worker:look_up(task, queries, timeout, answered, done)
  local job = setmetatable({ left = #queries, handles = {} }, Job)
  start_lookups(self, job, queries, answered)
  process(self) -- what is in the cache is answered here
  if job.left == 0 then return done() end
  self.last = self.last + 1
  local number, over = self.last, false
  self.jobs[number] = job
  self.waiting = self.waiting + 1
  local function finish()
    if over then return end
    over = true
    self:forget(number)
    job:cancel()
    done()
  end
  self.event_loop = self.event_loop or task:get_ev_base() -- a worker has one
  local waits = self.options.tcp.new {
    task = task, host = self.path, port = 0, timeout = timeout, stop_pattern = "\n",
    data = { number .. "\n" }, callback = finish, on_error = finish,
  }
  if not waits then return finish() end
  see_to_socket(self) -- takes the connection: the system keeps few that nobody has taken
  self:arm()
end

return M
