-- Commands of the shell.
local shell = {}

--- A word of a command, whatever is in it.
function shell.quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Runs a command to its end: what it printed, errors too, and its status (128 and more: a signal).
function shell.run(command)
  local pipe = assert(io.popen("{ " .. command .. "\n} 2>&1; echo \"status $?\""))
  local text, status = pipe:read("*a"):match("^(.*)status (%d+)\n$")
  pipe:close()
  return text, tonumber(status)
end

return shell
