-- The lab for people and for test runners.
--
--   lua5.4 tests/lab/run.lua           serves until Ctrl-C or the end of standard input
--   eval "$(lua5.4 tests/lab/run.lua start)"   starts one that stays, tests join it by $NEXTHOP_LAB
--   lua5.4 tests/lab/run.lua stop      ends the one of $NEXTHOP_LAB
--   lua5.4 tests/lab/run.lua clear     takes all rules out of the one of $NEXTHOP_LAB
--   lua5.4 tests/lab/run.lua relay SOCKET      copies standard input to a lab and its answers back
local here = arg[0]:match("^(.*)/tests/lab/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local verbs = {}

function verbs.serve()
  local self = require("tests.lab.lab").start()
  print(("The signed test DNS serves on %s (as a forwarder on %s; NSD itself on %s)."):format(
    self.address, self.forward_address, self.nsd_address))
  print("Trust anchor: " .. self.anchor_file)
  print("For example:  drill -D -p " .. self.port .. " @127.0.0.1 dane.example MX")
  print("Domains:      " .. table.concat(self.demo, " "))
  print("Ctrl-C ends it.")
  io.stdout:flush()
  io.read("*a")
  self:stop()
end

function verbs.start()
  local self = require("tests.lab.lab").start { detached = true }
  print(("export NEXTHOP_LAB='%s'"):format(self.socket))
end

-- The lab that stays.
local function there()
  local socket = os.getenv("NEXTHOP_LAB") or arg[2]
  if not socket or socket == "" then
    error("NEXTHOP_LAB does not name a lab", 0)
  end
  return require("tests.lab.lab").connect(socket)
end

function verbs.stop()
  there():stop()
  print("unset NEXTHOP_LAB")
end

function verbs.clear()
  there():clear()
end

function verbs.relay(socket)
  local uv = require "luv"
  local lab, client = uv.new_pipe(false), uv.new_pipe(false)
  lab:connect(socket, function(err)
    if err then
      io.stdout:write(('{"ok":false,"error":"no lab at %s: %s"}\n'):format(socket, err))
      os.exit(1)
    end
    client:open(0)
    client:read_start(function(_, chunk)
      if chunk then
        lab:write(chunk)
      else
        os.exit(0)
      end
    end)
    lab:read_start(function(_, chunk)
      if not chunk then
        os.exit(0)
      end
      io.stdout:write(chunk)
      io.stdout:flush()
    end)
  end)
  uv.run()
end

local verb = verbs[arg[1] or "serve"]
if not verb then
  io.stderr:write("usage: run.lua [start | stop | clear | relay SOCKET]\n")
  os.exit(64)
end
local ok, err = pcall(verb, arg[2])
if not ok then
  io.stderr:write(tostring(err), "\n")
  os.exit(1)
end
