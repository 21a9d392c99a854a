--- A task of rspamd that waits at the worker's socket, as a session of nexthop.luv.socket: the task sends the
-- number of its job, and gets a line when it is done.
local M = {}

local Hold = {}
Hold.__index = Hold

--- @param worker of nexthop.rspamd.worker, whose jobs the numbers mean
function M.new(worker)
  return setmetatable({ worker = worker, input = "", wake = function() end }, Hold)
end

function Hold:feed(bytes)
  self.input = self.input .. bytes
  local number = self.input:match "^(%d+)\n"
  if not number then
    if #self.input > 20 then self.finished = true end
    return
  end
  self.number = tonumber(number)
  self.job = self.worker.jobs[self.number]
  if not self.job then
    self.finished = true
  elseif self.job.left == 0 then
    self:answer()
  else
    self.job.hold = self
  end
end

function Hold:answer()
  self.output, self.answered = "done\n", true
  self.wake()
end

function Hold:take()
  local output = self.output
  self.output = nil
  return output
end

function Hold:finish() self.finished = true end
function Hold:advance() end
function Hold:is_full() return false end
function Hold:is_done() return self.answered or self.finished end

-- The task has gone, and rspamd calls nothing back then: nobody wants the answers.
function Hold:close()
  local job = self.job
  if not job then return end
  self.worker:forget(self.number)
  if job.left > 0 then job:cancel() end
end

return M
