-- `make lab`: a shell on the lab. In it the programs of nexthop and `lua5.4 -lnexthop` ask the signed DNS of
-- the lab, and `nexthop --verify` and `--sts` reach the mail servers and the web server that `make demo` has.
-- The commands that docs/ shows are typed there, and tests/docs_spec.lua types them.
local quote = require("tests.support.shell").quote

-- The program, with the ports of the lab's servers. Where it asks the name servers of a zone one by one, it
-- finds them by `--stub`, as none of the lab's has port 53.
local wrapper = [[
#!/bin/sh
case " $* " in *" --verify "*) set -- --connect-port %d "$@" ;; esac
case " $* " in *" --authoritative "* | *" --rollover "*) set -- %s "$@" ;; esac
case " $* " in *" --sts "*) set -- --sts-port %d --ca-file %s "$@" ;; esac
exec %s/nexthop "$@"
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

local pwd = io.popen "pwd"
local here = pwd:read "*l" -- the source tree: `make lab` starts this file there
pwd:close()
local lab = require("tests.lab.lab").start():share()
local servers = require("tests.lab.mail_demo").start(lab)
local policies = require("nexthop.core").sts() and require("tests.lab.sts_demo").start()

local programs = assert(os.getenv "PATH"):match "^[^:]*" -- `make lua-env` puts them first
local folder = lab.folder .. "/bin"
os.execute("mkdir -p " .. quote(folder))
local stubs, stub = {}, lab:stub()
for _, zone in ipairs { "dane.example", "servers.example" } do stub[zone] = lab.address end
for zone, address in pairs(stub) do stubs[#stubs + 1] = ("--stub %s=%s"):format(zone, address) end
write(folder .. "/nexthop", wrapper:format(servers.port, table.concat(stubs, " "),
  policies and policies.port or 443, quote(policies and policies.ca_file or "/dev/null"), quote(programs)))
os.execute("chmod 755 " .. quote(folder .. "/nexthop"))
write(folder .. "/rc", ("PS1='lab$ '\necho 'Domains of the lab: %s'\necho 'Ctrl-D ends it.'\n"):format(
  table.concat(lab.demo, " ")))

local environment = {
  PATH = folder .. ":" .. os.getenv "PATH",
  LUA_INIT = "@" .. here .. "/tests/lab/shell_init.lua",
  LAB = lab.folder,
  LAB_RESOLVER = lab.forward_address,
  LAB_ANCHOR = lab.anchor_file,
}
local words = { "env" }
for name, value in pairs(environment) do words[#words + 1] = quote(name .. "=" .. value) end
words[#words + 1] = ("bash --rcfile %s $([ -t 0 ] && echo -i)"):format(quote(folder .. "/rc"))
os.execute(table.concat(words, " "))

if policies then policies.stop() end
servers.stop()
lab:stop()
