--- Writes a file whole, by a second file that is then renamed: whoever reads the path finds the old text or
-- the new one, and nothing between.
--
--   local ok, reason = file.write(path, text)           -- now; the process waits for the disk
--   file.write(path, text, function(ok, reason) end)    -- on luv's loop, which does not wait
local protect = require "nexthop.protect"
local uv = require "luv"

local M = {}

local readable = 420 -- 0644: who collects the metrics is another user

-- Calls a function of luv, in a coroutine when `is_async`, and returns its result; or nil and why not.
local function step(is_async, call, ...)
  if not is_async then
    local result, reason = call(...)
    if result == nil then return nil, reason end
    return result
  end
  local thread = coroutine.running()
  local arguments = { ... }
  arguments[#arguments + 1] = protect.callback(function(...) assert(coroutine.resume(thread, ...)) end)
  local request, reason = call((unpack or table.unpack)(arguments)) -- luacheck: ignore
  if not request then return nil, reason end
  local err, result = coroutine.yield()
  if err then return nil, err end
  return result == nil or result
end

local function fill(is_async, fd, text)
  local written, reason = step(is_async, uv.fs_write, fd, text, -1)
  if written and written < #text then written, reason = nil, "the disk took a part of it" end
  if written then written, reason = step(is_async, uv.fs_fchmod, fd, readable) end
  local closed, why = step(is_async, uv.fs_close, fd)
  if not written then return nil, reason end
  return closed, why
end

-- Several processes may be told to write the same path, so that each has a second file of its own.
local function write(is_async, path, text)
  local second = ("%s.%d"):format(path, uv.os_getpid())
  step(is_async, uv.fs_unlink, second) -- of an earlier process with this number
  local fd, reason = step(is_async, uv.fs_open, second, "wx", readable)
  if not fd then return nil, reason end
  local ok
  ok, reason = fill(is_async, fd, text)
  if ok then ok, reason = step(is_async, uv.fs_rename, second, path) end
  if not ok then
    step(is_async, uv.fs_unlink, second)
    return nil, reason
  end
  return true
end

--- Writes the file.
-- @param callback function(ok, reason), or nil: then the results are returned
function M.write(path, text, callback)
  if not callback then return write(false, path, text) end
  coroutine.wrap(function() callback(write(true, path, text)) end)()
end

--- Can the file be written at all? Tries with a file beside it.
-- @return true; or nil and why not
function M.check(path)
  local stat = uv.fs_stat(path)
  if stat and stat.type ~= "file" then return nil, path .. ": is there, and is no file" end
  local second = ("%s.%d"):format(path, uv.os_getpid())
  local fd, reason = uv.fs_open(second, "wx", readable)
  if not fd then return nil, reason end
  uv.fs_close(fd)
  return uv.fs_unlink(second)
end

return M
