--- The program table-nexthop(8).
local program = require("nexthop.programs.program").new("table-nexthop", [[
usage: table-nexthop [-n] [file | socket]
       table-nexthop -V

  file        the configuration, a Lua file; without it the defaults hold
  socket      the socket of a nexthop-server, which is asked in place of a resolver of this process
  -n          check the configuration and exit
  -V          print versions and exit
  -h, --help  print this and exit
]])

--- @param words of the command line
-- @return the exit status
return function(words)
  local given, others = program:parse(words, true)
  local path = others[1]
  if others[2] then program:misuse(("%s: one file or socket is taken"):format(others[2])) end
  program:need "luv"
  if given.V then program:print_versions() end

  -- Before the configuration is read: it may print, read, and start other programs.
  local descriptors = require "nexthop.luv.descriptors"
  local input, output
  if given.n then
    descriptors.reserve_input()
  else
    input, output = descriptors.reserve()
  end
  local settings, reason = require("nexthop.programs.table.settings").load(path)
  if not settings then program:fail(program.FAILED, "%s", reason) end
  if settings.socket then program:need "cjson" end
  if given.n then
    program:try_metrics_file(path, settings.metrics_file)
    program:print_checked(path, settings.resolver)
  end

  require("nexthop.core").more_descriptors(8192)
  local ok
  ok, reason = require("nexthop.programs.table.lookups").run(settings, {
    path = path, input = input, output = output,
  })
  if not ok then program:fail(program.IO, "%s", reason) end
  return program.OK
end
