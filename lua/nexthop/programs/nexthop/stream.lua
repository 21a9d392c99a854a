--- Lines in and text out on luv's loop, without ever blocking it where that can be had.
--
-- A pipe or terminal is opened anew through /proc/self/fd, so that making it non-blocking does not do
-- so for the other programs that share it. A socket cannot be opened anew, nor can another user's pipe:
-- these are made non-blocking as they are, or who sends the next name after a result would wait for ever,
-- and who stops reading would stop the lookups. A plain file is read and written as it is.
local core = require "nexthop.core"
local new_lines = require "nexthop.luv.lines"
local uv = require "luv"

local M = {}

-- A descriptor opened anew, for "O_RDONLY" or "O_WRONLY"; or nil. Never waits: a FIFO that the other side
-- has closed already would have the program wait for the next to open it. Where there is pledge(2), nothing
-- is opened for writing (and there is no /proc).
local function reopen(fd, access)
  if core.has_pledge() then return nil end
  local flags = uv.constants[access] + uv.constants.O_NONBLOCK
  return (uv.fs_open(("/proc/self/fd/%d"):format(fd), flags, 0))
end

-- A descriptor of our own (nil: none, use it as it is) and a poll handle (nil: it may block), for input.
local function pollable(fd)
  local kind = uv.guess_handle(fd)
  if kind ~= "pipe" and kind ~= "tty" and kind ~= "tcp" then return nil end
  local own = reopen(fd, "O_RDONLY")
  if not own then return nil, kind ~= "tty" and (uv.new_poll(fd)) or nil end
  local poll = uv.new_poll(own)
  if poll then return own, poll end
  uv.fs_close(own)
end

-- ---- input ------------------------------------------------------------

local Input = {}
Input.__index = Input

local BLOCK = 65536
local LONGEST = 1025 -- no name is as long; the rest of such a line is left out

--- Opens a file of lines ("-": standard input). `wake` is called when there is more to read.
-- Returns it, or nil and why not.
function M.input(path, wake)
  local fd = 0
  if path ~= "-" then
    local reason
    fd, reason = uv.fs_open(path, "r", 0)
    if not fd then return nil, reason end
  end
  local stat = uv.fs_fstat(fd)
  if stat and stat.type == "directory" then return nil, path .. ": is a directory" end
  local self = setmetatable({ fd = fd, wake = wake, lines = new_lines(LONGEST), read_bytes = 0 }, Input)
  self.own, self.poll = pollable(fd)
  if stat and stat.type == "file" then self.size = stat.size end
  return self
end

-- Reads a block. True: there is more; false: not now.
function Input:fill()
  local block, reason, code = uv.fs_read(self.own or self.fd, BLOCK, -1)
  if not block and code == "EAGAIN" and not self.poll then
    uv.sleep(5)
    return true
  elseif not block then
    if code ~= "EAGAIN" then
      self.ended, self.failed = true, reason -- told at the end
      return true
    end
    if not self.waiting then
      self.waiting = true
      self.poll:start("r", function()
        self.waiting = false
        self.poll:stop()
        self.wake()
      end)
    end
    return false
  end
  if block == "" then self.ended = true end
  self.read_bytes = self.read_bytes + #block
  self.lines:push(block)
  return true
end

-- The next line; nil: not now, or (with self.ended) no more.
function Input:line()
  while true do
    local line = self.lines:next()
    if line then return line end
    if self.ended then
      line = self.lines:rest()
      return line ~= "" and line or nil
    end
    if not self:fill() then return nil end
  end
end

--- The next name; blank lines and those that begin with # are none.
function Input:next()
  while true do
    local line = self:line()
    if not line then return nil end
    if not self.begun then -- Windows' mark of UTF-8
      self.begun, line = true, line:gsub("^\239\187\191", "")
    end
    local name = line:match "^%s*(.-)%s*$"
    if name ~= "" and name:sub(1, 1) ~= "#" then return name end
  end
end

--- How much of the file has been taken, 0 to 1; nil where that is not known.
function Input:fraction()
  if not self.size or self.size == 0 then return nil end
  return math.min(1, (self.read_bytes - self.lines:length()) / self.size)
end

function Input:close()
  if self.poll and not self.poll:is_closing() then self.poll:close() end
  if self.own then uv.fs_close(self.own) end
  self.own, self.poll = nil, nil
  if self.fd ~= 0 then uv.fs_close(self.fd) end
  self.ended = true
end

--- The same over a list of names.
function M.list(names)
  local at = 0
  return {
    next = function(self)
      at = at + 1
      self.ended = at >= #names
      return names[at]
    end,
    fraction = function() return at / #names end,
    close = function(self) self.ended = true end,
    ended = #names == 0,
  }
end

-- ---- output ------------------------------------------------------------

local Output = {}
Output.__index = Output

-- A handle of standard output opened anew, or (true behind it) as it is; nil: it may block.
local function writable()
  local kind = uv.guess_handle(1)
  if kind == "tty" then return (uv.new_tty(1, false)) end -- opens it anew by itself
  if kind ~= "pipe" and kind ~= "tcp" then return nil end
  local own = reopen(1, "O_WRONLY")
  local handle = kind == "tcp" and uv.new_tcp() or uv.new_pipe(false)
  if handle:open(own or 1) then return handle, not own end
  handle:close()
  if own then uv.fs_close(own) end
end

--- Standard output. `wake(reason, code)` is called when all has been written, or (with a reason) when
-- it cannot be.
function M.output(wake)
  local handle, is_shared = writable()
  return setmetatable({
    wake = wake, queue = {}, n = 0, pending = 0, handle = handle, is_shared = is_shared,
  }, Output)
end

-- So many bytes of it are written, or on their way.
function Output:shorten(text, n)
  self.queue[1] = n < #text and text:sub(n + 1) or nil
  self.n = self.queue[1] and 1 or 0
end

function Output:fail(reason, code)
  self.failed, self.pending, self.queue, self.n = true, 0, {}, 0
  self.wake(reason, code)
end

-- The handle has what it could not take at once; goes on when it has.
function Output:await(text)
  self.waiting = true
  self:shorten(text, #text)
  local ok, reason, code = self.handle:write(text, function(err)
    self.waiting = false
    if self.closed or self.failed then return end
    if err then return self:fail(err, err:match "^%u+") end
    self.pending = self.pending - #text
    self:flush()
    if self.pending == 0 then self.wake() end
  end)
  if not ok then
    self.waiting = false
    self:fail(reason, code)
  end
end

--- Writes what can be written; it is cut where the reader cannot take more.
function Output:flush()
  while not self.failed and not self.waiting and not self.closed do
    if self.n > 1 then self.queue, self.n = { table.concat(self.queue, "", 1, self.n) }, 1 end
    local text = self.queue[1]
    if not text then return end
    local n, reason, code
    if self.handle then
      n, reason, code = self.handle:try_write(text)
    else
      n, reason, code = uv.fs_write(1, text, -1)
    end
    if n then
      self.pending = self.pending - n
      self:shorten(text, n)
    elseif code == "EAGAIN" and self.handle then
      self:await(text)
    elseif code == "EAGAIN" then -- not ours, and yet somebody has made it non-blocking
      uv.sleep(5)
    elseif code ~= "EINTR" then
      self:fail(reason, code)
    end
  end
end

--- Text to be written by the next flush(), or at once when there is much.
function Output:write(text)
  if self.failed or text == "" then return end
  self.n = self.n + 1
  self.queue[self.n] = text
  self.pending = self.pending + #text
  if self.pending >= BLOCK then self:flush() end
end

function Output:close()
  self.closed = true
  if self.is_shared then self.handle:set_blocking(true) end -- as others expect it
  if self.handle then self.handle:close() end
end

return M
