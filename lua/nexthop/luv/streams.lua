--- Lines from one descriptor and to another on luv's loop, whatever these are: pipes, sockets (one
-- and the same for both, under smtpd), terminals, files. Nothing blocks but writes to a file.
local core = require "nexthop.core"
local guard = require "nexthop.protect"
local uv = require "luv"

local M = {}

local chunk_size = 65536

-- The handle for a descriptor that can be polled; nil for files and other devices.
local function open_stream(fd, is_input)
  local kind = uv.guess_handle(fd)
  local handle
  if kind == "pipe" or kind == "Pipe" then
    handle = uv.new_pipe(false)
  elseif kind == "tcp" then
    handle = uv.new_tcp()
  elseif kind == "tty" then
    return uv.new_tty(fd, is_input)
  else
    return nil
  end
  assert(handle:open(fd))
  return handle
end

local own = {} -- descriptors that stand for 0 and 1

--- Takes standard input: a descriptor that no child process inherits stands for it from then on, and 0
-- is /dev/null. A second call gives the same descriptor.
-- @return descriptor
function M.reserve_input()
  own.input = own.input or assert(core.take_descriptor(0))
  return own.input
end

--- Takes standard input and output for a protocol that is spoken there. Descriptors that no child process
-- inherits stand for them from then on; 0 is /dev/null and 1 is standard error. What functions of others
-- print, and what the programs that they start print or read, is then no part of the protocol.
-- @return two descriptors, of input and output
function M.reserve()
  if not own.output then
    own.output = assert(core.take_descriptor(1, 2))
    io.stdout:setvbuf "line"
  end
  return M.reserve_input(), own.output
end

-- ---- reading -----------------------------------------------------------------

local reader = {}
reader.__index = reader

-- A line that is longer than `max` is handed over cut, once its end is there.
local function take(self, line)
  local overlong = self.overlong or #line > self.max
  if overlong then line = (self.overlong or line):sub(1, self.max) end
  self.overlong = nil
  self.on_line(line, overlong)
end

local function feed(self, chunk)
  local from = 1
  while true do
    local stop = chunk:find("\n", from, true)
    if not stop then break end
    local line = chunk:sub(from, stop - 1)
    if self.count > 0 then
      self.parts[self.count + 1] = line
      line = table.concat(self.parts)
      self.parts, self.count, self.size = {}, 0, 0
    end
    from = stop + 1
    take(self, line)
  end
  if from > #chunk then return end
  local rest = chunk:sub(from)
  if self.overlong then return end
  self.count = self.count + 1
  self.parts[self.count] = rest
  self.size = self.size + #rest
  if self.size > self.max then
    self.overlong = table.concat(self.parts):sub(1, self.max)
    self.parts, self.count, self.size = {}, 0, 0
  end
end

-- luv ends the program over an error in a callback.
local function safely(callback)
  return function(...)
    local ok, err = pcall(callback, ...)
    if not ok then M.on_error(err) end
  end
end

--- Called with an error of this file's own callbacks, or of the functions given to it.
function M.on_error(err)
  io.stderr:write("error=streams message=", ("%q"):format(guard.text(err)), "\n")
end

local function finish(self, reason)
  if self.ended then return end
  self.ended = true
  if self.handle then self.handle:close() end
  self.handle = nil
  self.on_end(reason, self.overlong or table.concat(self.parts))
end

local read_file
function read_file(self)
  if self.ended or self.paused or self.reading then return end
  self.reading = true
  uv.fs_read(self.fd, chunk_size, -1, safely(function(err, chunk)
    self.reading = false
    if err or chunk == "" then return finish(self, err) end
    feed(self, chunk)
    read_file(self)
  end))
end

local function read(self)
  if not self.handle then return read_file(self) end
  self.handle:read_start(safely(function(err, chunk)
    if chunk then feed(self, chunk) else finish(self, err) end
  end))
end

--- Reads lines.
-- @param fd the descriptor
-- @param options on_line(line, overlong): a line without its end; overlong: only its first `max`
-- bytes (65536); on_end(reason, rest): the end of input, `rest` is what came after the last line
-- @return reader with pause() and resume()
function M.reader(fd, options)
  local self = setmetatable({
    fd = fd, handle = open_stream(fd, true), max = options.max or 65536, parts = {}, count = 0, size = 0,
    on_line = options.on_line, on_end = options.on_end,
  }, reader)
  read(self)
  return self
end

function reader:pause()
  if self.paused or self.ended then return end
  self.paused = true
  if self.handle then self.handle:read_stop() end
end

function reader:resume()
  if not self.paused or self.ended then return end
  self.paused = false
  read(self)
end

--- Reads no more; on_end is not called.
function reader:close()
  if self.ended then return end
  self.ended = true
  if self.handle then self.handle:close() end
  self.handle = nil
end

-- ---- writing -----------------------------------------------------------------

local writer = {}
writer.__index = writer

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

--- Writes text, in order and without waiting.
-- @param options on_drain(): called when the queue has become short (`low` bytes, 65536);
-- on_broken(reason, code): the other side has closed ("EPIPE"), or writing fails otherwise
-- @return writer
function M.writer(fd, options)
  local self = setmetatable({
    fd = fd, handle = open_stream(fd, false), writing = 0, low = options.low or 65536,
    on_drain = options.on_drain, on_broken = options.on_broken,
  }, writer)
  self.written = safely(function(err) written(self, err) end)
  return self
end

--- Bytes that are not yet written.
function writer:queued()
  return self.handle and self.handle:get_write_queue_size() or 0
end

--- @return false when the other side has closed, or we have
function writer:write(text)
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
function writer:close(done)
  if self.closed then return end
  self.closed, self.done = true, done
  if self.writing == 0 or self.broken then close(self) end
end

--- Gives up what is not yet written; `done` of close() runs now.
function writer:abandon()
  if self.done then close(self) end
end

return M
