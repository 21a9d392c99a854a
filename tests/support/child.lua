-- Children of this interpreter. What they read is a file until files.remove().
local files = require "tests.support.files"
local shell = require "tests.support.shell"

local M = {}

--- The interpreter of this run, with what ASan or valgrind put round it.
M.lua = os.getenv("NEXTHOP_LUA") or arg[-1]

--- Runs Lua code in a child. Returns what it printed (errors too) and its status: 0 to 255, 128 and
-- more for a signal. Upvalues are not carried over; values (strings, numbers) go as arguments: `...`.
-- options: stdin = text; args = the interpreter's own ("-lnexthop") in place of the code; timeout = seconds;
-- before = shell commands ("ulimit -n 32"); preload = a library, for the interpreter alone.
function M.run(code, options, ...)
  options = options or {}
  local words = { options.before and options.before .. ";" or "",
    ("timeout -k 5 %d"):format(options.timeout or 120),
    options.preload and "env LD_PRELOAD=" .. shell.quote(options.preload) or "", shell.quote(M.lua) }
  if options.args then
    words[#words + 1] = options.args
  else
    words[#words + 1] = shell.quote(files.new(code))
  end
  for i = 1, select("#", ...) do words[#words + 1] = shell.quote(tostring((select(i, ...)))) end
  words[#words + 1] = "<" .. (options.stdin and shell.quote(files.new(options.stdin)) or "/dev/null")
  return shell.run(table.concat(words, " "))
end

return M
