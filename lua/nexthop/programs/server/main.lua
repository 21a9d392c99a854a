--- The program nexthop-server(8).
local program = require("nexthop.programs.program").new("nexthop-server", [[
usage: nexthop-server [-l socket] [-c file]
       nexthop-server -n [-c file]
       nexthop-server -V

  -l socket   the Unix socket to listen on; not necessary if a service manager passes it
  -c file     the configuration, a Lua file; without it the defaults hold
  -n          check the configuration and exit
  -V          print versions and exit
  -h, --help  print this and exit
]])

-- Serves until a signal tells the program to end.
local function serve(server, path, fd, sts_cache)
  local protect = require "nexthop.protect"
  local signals = require "nexthop.luv.signals"
  local uv = require "luv"

  local is_leaving, has_left
  local function leave()
    if is_leaving then return end
    is_leaving = true
    server:drain(function()
      has_left = true
      uv.stop()
    end)
  end
  -- SIGHUP, the end of a terminal session, is ignored: there is nothing to read anew
  local watch = signals.watch(uv, { sigterm = leave, sigint = leave, sighup = false })
  local ok, err = server:listen(path, { fd = fd })
  if not ok then program:fail(program.FAILED, "%s", err.message) end
  program:complain("listening on " .. server.listener.path)
  local folders = { program.folder_of(server.listener.path) }
  if sts_cache then folders[2] = program.folder_of(sts_cache) end
  program:confine("unix", folders)
  protect.keep_running(function() return has_left end)
  watch:close()
  server:close()
  uv.run "nowait" -- what was closed is gone before Lua is
end

return function(words)
  local given = program:parse(words)
  local path = given.c and given.c[#given.c]
  program:need("luv", "cjson")
  if given.V then program:print_versions() end

  local nexthop_server = require "nexthop.server"
  local descriptors = require "nexthop.luv.descriptors"

  local fd, wrong = require("nexthop.core").passed_socket()
  if fd == nil then program:fail(program.FAILED, "the socket of the service manager: %s", wrong) end
  -- Before the configuration is read: it may print, read, and start other programs.
  if given.n then descriptors.reserve_input() else descriptors.reserve() end
  local options, reason = nexthop_server.load(path)
  if not options then program:fail(program.FAILED, "%s", reason) end
  if given.n then
    local checked, err = nexthop_server.check(options)
    if not checked then program:fail(program.FAILED, "%s: %s", path or "defaults", err.message) end
    program:print_checked(path, checked.resolver)
  end
  if not given.l and not fd then program:misuse "-l socket is missing" end

  require("nexthop.core").more_descriptors(8192)
  local server, err = nexthop_server.new(options)
  if not server then program:fail(program.FAILED, "%s: %s", path or "defaults", err.message) end
  program:warn(server.resolver)
  serve(server, given.l and given.l[#given.l], fd or nil, (options.resolver or {}).sts_cache)
  return program.OK
end
