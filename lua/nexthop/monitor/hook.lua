--- Starts the program of `on_change`, without a shell and one at a time, with a JSON object on its standard
-- input. A domain that changes while the program runs waits, and what is told then is its newest state.
local protect = require "nexthop.protect"
local uv = require "luv"

local M = {}

local Hook = {}
Hook.__index = Hook

--- Seconds until a program that does not end is told to (SIGTERM), and then until it is killed.
M.limit, M.grace = 60, 5

--- @param command list of words; nil: nothing is started
-- @param options { take = function(domain) -> what to send, or nil: there is nothing to tell, and a value
-- for `done`; done = function(domain, value), called when the program has ended; log = function(text);
-- limit, grace (seconds) }
function M.new(command, options)
  return setmetatable({
    command = command, take = options.take, done = options.done, log = options.log,
    limit = options.limit or M.limit, grace = options.grace or M.grace, waiting = {}, is_waiting = {},
  }, Hook)
end

--- Says that the state of a domain has changed.
function Hook:add(domain)
  if not self.command or self.is_waiting[domain] then return end
  self.is_waiting[domain] = true
  self.waiting[#self.waiting + 1] = domain
  self:run()
end

-- The program and all that it has started are one process group.
local function signal(self, name)
  if self.pid then uv.kill(-self.pid, name) end
end

local function watch(self, program)
  self.timer = uv.new_timer()
  self.timer:start(math.ceil(self.limit * 1000), math.ceil(self.grace * 1000), protect.callback(function()
    if self.is_told_to_end then return signal(self, "sigkill") end
    self.is_told_to_end = true
    self.log(("%s: has not ended within %g s, and is ended"):format(program, self.limit))
    signal(self, "sigterm")
  end, self.log))
end

-- A program that was killed because the monitor ends may have told nobody: the change counts as untold.
local function finish(self, domain, value, was_killed)
  self.timer:close()
  self.timer, self.pid, self.is_told_to_end = nil, nil, nil
  if not (self.closed and was_killed) then self.done(domain, value) end
  self:run()
  if self.on_idle then self.on_idle() end
end

local function send(self, input, text)
  input:write(text, protect.callback(function() -- who does not want to read it may leave it
    if not input:is_closing() then input:close() end
  end, self.log))
end

local function start(self, domain, text, value)
  local input = uv.new_pipe(false)
  local handle, pid
  local program, words = self.command[1], {} -- another configuration may have none
  for i = 2, #self.command do words[i - 1] = self.command[i] end
  handle, pid = uv.spawn(program, { args = words, stdio = { input, 2, 2 }, detached = true },
    protect.callback(function(status, number)
      handle:close()
      if not input:is_closing() then input:close() end
      if status ~= 0 or number ~= 0 then
        self.log(("%s: ended with status %d, signal %d, for %s"):format(program, status, number, domain))
      end
      finish(self, domain, value, number ~= 0)
    end, self.log))
  if not handle then
    input:close()
    self.log(("%s: cannot be started: %s"):format(program, tostring(pid)))
    return false
  end
  self.pid = pid
  watch(self, program)
  send(self, input, text)
  return true
end

--- Starts the program for the domain that waits longest, unless it runs.
function Hook:run()
  while not self.pid and not self.closed and self.waiting[1] do
    local domain = table.remove(self.waiting, 1)
    self.is_waiting[domain] = nil
    local text, value = self.take(domain)
    -- A program that cannot be started now may be there later: the state stays untold, and is told with the
    -- next result of the domain.
    if text then start(self, domain, text, value) end
  end
end

--- Starts nothing more. Calls back when the program has ended, which is ended after some seconds.
function Hook:close(callback)
  self.closed = true
  if not self.pid then return callback() end
  self.on_idle = callback
  self.timer:stop()
  self.is_told_to_end = true
  self.timer:start(math.ceil(self.grace * 1000), 0, protect.callback(function() signal(self, "sigkill") end,
    self.log))
end

return M
