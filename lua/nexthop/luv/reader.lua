--- Reads lines from a descriptor on luv's loop, whatever it is: a pipe, a socket, a terminal, a file.
local descriptors = require "nexthop.luv.descriptors"
local new_lines = require "nexthop.luv.lines"
local protect = require "nexthop.protect"
local uv = require "luv"

local chunk_size = 65536

local Reader = {}
Reader.__index = Reader

local function finish(self, reason)
  if self.ended then return end
  self:close()
  self.on_end(reason, (self.lines:rest()))
end

local function feed(self, chunk)
  self.lines:push(chunk)
  for line, is_cut in self.lines.next, self.lines do self.on_line(line, is_cut) end
end

local function read_file(self)
  if self.ended or self.paused or self.reading then return end
  self.reading = true
  uv.fs_read(self.fd, chunk_size, -1, protect.callback(function(err, chunk)
    self.reading = false
    if err or chunk == "" then return finish(self, err) end
    feed(self, chunk)
    read_file(self)
  end))
end

local function read(self)
  if not self.handle then return read_file(self) end
  self.handle:read_start(protect.callback(function(err, chunk)
    if chunk then feed(self, chunk) else finish(self, err) end
  end))
end

function Reader:pause()
  if self.paused or self.ended then return end
  self.paused = true
  if self.handle then self.handle:read_stop() end
end

function Reader:resume()
  if not self.paused or self.ended then return end
  self.paused = false
  read(self)
end

--- Reads no more; on_end is not called.
function Reader:close()
  if self.ended then return end
  self.ended = true
  if self.handle then self.handle:close() end
  self.handle = nil
end

--- @param options on_line(line, is_cut): a line without its newline; is_cut: only its first `max` bytes
-- (65536) are left; on_end(reason, rest): the end of input, `rest` is what came after the last line
return function(fd, options)
  local self = setmetatable({
    fd = fd, handle = descriptors.open(uv, fd, true), lines = new_lines(options.max or 65536),
    on_line = options.on_line, on_end = options.on_end,
  }, Reader)
  read(self)
  return self
end
