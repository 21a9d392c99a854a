-- Children of this interpreter, and files that go away again.
local M = {}

--- The interpreter of this run, with what ASan or valgrind put round it.
M.lua = os.getenv("NEXTHOP_LUA") or arg[-1]

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- A file with this text, its path; M.remove_files() takes them all away.
local files = {}
function M.file(text)
  local path = os.tmpname()
  files[#files + 1] = path
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  return path
end

--- What is in a file.
function M.read(path)
  local file = assert(io.open(path, "r"))
  local text = file:read "*a"
  file:close()
  return text
end

function M.remove_files()
  for _, path in ipairs(files) do os.remove(path) end
  files = {}
end

--- Runs Lua code in a child. Returns what it printed (errors too) and its status: 0 to 255, 128 and
-- more for a signal. Upvalues are not carried over; values (strings, numbers) go as arguments: `...`.
-- options: stdin = text; args = the interpreter's own ("-lnexthop") in place of the code;
-- before = shell commands ("ulimit -n 32"); preload = a library, for the interpreter alone.
function M.run(code, options, ...)
  options = options or {}
  local words = { options.before and options.before .. ";" or "", "timeout -k 5 120",
    options.preload and "env LD_PRELOAD=" .. quote(options.preload) or "", quote(M.lua) }
  if options.args then
    words[#words + 1] = options.args
  else
    words[#words + 1] = quote(M.file(code))
  end
  for i = 1, select("#", ...) do words[#words + 1] = quote(tostring((select(i, ...)))) end
  words[#words + 1] = "<" .. (options.stdin and quote(M.file(options.stdin)) or "/dev/null")
  local pipe = assert(io.popen("{ " .. table.concat(words, " ") .. "; } 2>&1; echo status $?"))
  local output = pipe:read("*a")
  pipe:close()
  local text, status = output:match("^(.*)status (%d+)\n$")
  return text, tonumber(status)
end

return M
