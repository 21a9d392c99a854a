--- Descriptors that a program was started with, on luv's loop.
local core = require "nexthop.core"

local M = {}

--- Makes a handle for a descriptor that can be polled: a pipe, a socket, a terminal.
-- @return the handle; nil for files and other devices
function M.open(uv, fd, is_input)
  local kind = uv.guess_handle(fd)
  if kind == "tty" then return uv.new_tty(fd, is_input) end
  local is_pipe = kind == "pipe" or kind == "Pipe"
  if not is_pipe and kind ~= "tcp" then return nil end
  local handle = is_pipe and uv.new_pipe(false) or uv.new_tcp()
  assert(handle:open(fd))
  return handle
end

local own = {} -- descriptors that stand for 0 and 1

--- Takes standard input: a descriptor that no child process inherits stands for it from then on, and 0
-- is /dev/null. A second call gives the same descriptor.
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

return M
