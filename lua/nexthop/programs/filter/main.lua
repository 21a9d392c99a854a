--- The program filter-nexthop(8).
local program = require("nexthop.programs.program").new("filter-nexthop", [[
usage: filter-nexthop [-nv] [-c file]
       filter-nexthop -V

  -c file     the configuration, a Lua file; without it the defaults hold
  -n          check the configuration and exit
  -v          log what proceeds, too
  -V          print versions and exit
  -h, --help  print this and exit
]])

return function(words)
  local given = program:parse(words)
  local path = given.c and given.c[#given.c]
  program:need "luv" -- for -n, too: smtpd ends when a filter does
  if given.V then program:print_versions() end

  -- Before the configuration is read: it may print, read, and start other programs.
  local descriptors = require "nexthop.luv.descriptors"
  local input, output
  if given.n then
    descriptors.reserve_input()
  else
    input, output = descriptors.reserve()
  end
  local settings, reason = require("nexthop.programs.filter.settings").load(path)
  if not settings then program:fail(program.FAILED, "%s", reason) end
  if given.n then
    program:try_metrics_file(path, settings.metrics_file)
    program:print_checked(path, settings.resolver)
  end

  require("nexthop.core").more_descriptors(8192)
  local ok
  ok, reason = require("nexthop.programs.filter.lookups").run(settings, {
    verbose = given.v, input = input, output = output,
  })
  if not ok then program:fail(program.IO, "%s", reason) end
  return program.OK
end
