--- Writes text to a descriptor on luv's loop, in order. Nothing waits but what writes to a file.
local descriptors = require "nexthop.luv.descriptors"
local protect = require "nexthop.protect"
local uv = require "luv"

local Writer = {}
Writer.__index = Writer

local function close(self)
  local handle, done = self.handle, self.done
  self.handle, self.done = nil, nil
  if handle then handle:close() end
  done()
end

local function written(self, err)
  self.writing = self.writing - 1
  if err and not self.broken then
    self.broken = err
    if self.on_broken then self.on_broken(err, err:match "^E%u+") end
  end
  if self.done then
    if self.writing == 0 or self.broken then close(self) end
  elseif self.on_drain and self:queued() <= self.low then
    self.on_drain()
  end
end

--- Returns the bytes that are not yet written.
function Writer:queued()
  return self.handle and self.handle:get_write_queue_size() or 0
end

--- @return false when the other side has closed, or we have
function Writer:write(text)
  if self.broken or self.closed then return false end
  self.writing = self.writing + 1
  if self.handle then
    local ok, err = self.handle:write(text, self.written)
    if not ok then written(self, err) end
  else
    local ok, err = uv.fs_write(self.fd, text, -1)
    written(self, not ok and err or nil)
  end
  return true
end

--- Runs `done` once, when everything is written or cannot be. No more is written afterwards.
function Writer:close(done)
  if self.closed then return end
  self.closed, self.done = true, done
  if self.writing == 0 or self.broken then close(self) end
end

--- Gives up what is not yet written; `done` of close() runs now.
function Writer:abandon()
  if self.done then close(self) end
end

--- @param options on_drain(): called when the queue has become short (`low` bytes, 65536);
-- on_broken(reason, code): the other side has closed ("EPIPE"), or writing fails otherwise
return function(fd, options)
  local self = setmetatable({
    fd = fd, handle = descriptors.open(uv, fd, false), writing = 0, low = options.low or 65536,
    on_drain = options.on_drain, on_broken = options.on_broken,
  }, Writer)
  self.written = protect.callback(function(err) written(self, err) end)
  return self
end
