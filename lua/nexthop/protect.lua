--- Runs functions and files of users so that their errors end nothing: handlers, policies, configurations.
local M = {}

M.call = xpcall
if not select(2, xpcall(function(argument) return argument end, debug.traceback, true)) then
  local unpack = unpack or table.unpack -- luacheck: ignore
  --- xpcall with arguments, which Lua 5.1's does not pass on.
  function M.call(handler, on_error, ...)
    local arguments, count = { ... }, select("#", ...)
    return xpcall(function() return handler(unpack(arguments, 1, count)) end, on_error)
  end
end

--- Returns an error as text, whatever it is.
function M.text(err)
  local ok, text = pcall(tostring, err)
  return ok and type(text) == "string" and text or "an error that cannot be printed"
end

local function tell(text)
  io.stderr:write("error=streams message=", ("%q"):format(text), "\n")
end

--- Wraps a callback of luv, which ends the process when a callback raises.
-- @param log function(text), for the error; nil: it goes to standard error
function M.callback(callback, log)
  return function(...)
    local ok, err = M.call(callback, log and debug.traceback or M.text, ...)
    if not ok then (log or tell)(M.text(err)) end
  end
end

-- What stands for os.exit where the program must not end.
local function refuse()
  error("os.exit would end the whole program: raise an error instead", 2)
end

-- Makes os.exit raise; returns a function that undoes it.
local function hold()
  local exit = os.exit
  rawset(os, "exit", refuse)
  return function() rawset(os, "exit", exit) end
end

--- Runs luv's loop until `is_over()` says true, or until nothing is left in it. Functions of users run in it:
-- os.exit raises there, and their uv.stop does not end the loop.
function M.keep_running(is_over)
  local uv = require "luv"
  local release = hold()
  local ok, err = pcall(function()
    while uv.run() and not is_over() do end
  end)
  release()
  if not ok then error(err, 0) end
end

-- The globals, of which one that is not defined raises: `null_mx = reject`, without quotes, would be nil,
-- and the default would hold without a word.
local function environment()
  return setmetatable({}, { __index = function(_, name)
    local value = rawget(_G, name)
    if value == nil then
      error(("'%s' is not defined (is it to be a string, in quotes?)"):format(tostring(name)), 2)
    end
    return value
  end })
end

--- Runs a Lua file. os.exit raises in it: a configuration that ends the program, with whatever status,
-- would pass for one that was checked and found good.
-- @return true and what it returns; or false and why it could not be run, the path in it
function M.file(path)
  local chunk, reason
  if setfenv then -- luacheck: ignore
    chunk, reason = loadfile(path)
    if chunk then setfenv(chunk, environment()) end -- luacheck: ignore
  else
    chunk, reason = loadfile(path, "t", environment())
  end
  if not chunk then return false, tostring(reason) end
  local release = hold()
  local ok, value = pcall(chunk)
  release()
  if not ok then return false, ("%s: %s"):format(path, M.text(value)) end
  return true, value
end

return M
