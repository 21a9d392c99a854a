-- The program bin/nexthop as a child process, on the lab.
--
--   local program = require "tests.support.program"
--   local r = program.run({ "--json", "dane.example" })        -- r.status, r.out, r.err
--   local p = program.start({ "-f", "-" }, { input = path })   -- p.pid, p:line(), p:finish()
local files = require "tests.support.files"
local shell = require "tests.support.shell"

local M = {}

--- The lab it is run on; a spec may set another.
M.lab = require("tests.lab.lab").shared()

--- The interpreter of this run, with what ASan or valgrind put round it.
M.lua = os.getenv("NEXTHOP_LUA") or arg[-1]

--- The options that lead to the lab: its forwarder and its trust anchor.
function M.lab_options()
  return { "--resolver", M.lab.forward_address, "--anchor", M.lab.anchor_file }
end

--- The same by an unbound.conf, with a libunbound that waits: it asks again only after 30 seconds, and
-- no answer that the lab holds back becomes a failure meanwhile.
function M.patient_options()
  return { "--unbound-conf", files.new(([[
server:
    do-not-query-localhost: no
    trust-anchor-file: "%s"
    infra-cache-min-rtt: 30000
    infra-cache-max-rtt: 60000
    unknown-server-time-limit: 30000
forward-zone:
    name: "."
    forward-addr: %s
]]):format(M.lab.anchor_file, M.lab.forward_address)) }
end

--- The command line. options: bare (no lab options), patient (see above), env ("NO_COLOR=1"), input
-- (path), under (a command before it).
function M.command(arguments, options)
  options = options or {}
  -- nothing of whoever runs the tests decides how trees are drawn
  local words = { "env -u NO_COLOR -u LC_CTYPE LC_ALL=C TERM=xterm", options.env or "", options.under or "",
    shell.quote(M.lua), "bin/nexthop" }
  for _, list in ipairs { options.bare and {} or options.patient and M.patient_options() or M.lab_options(),
    arguments } do
    for _, word in ipairs(list) do
      words[#words + 1] = shell.quote(word)
    end
  end
  words[#words + 1] = "<" .. shell.quote(options.input or "/dev/null")
  return table.concat(words, " ")
end

--- Runs it to its end. options as above, and stdin (text), tail ("| head -1").
function M.run(arguments, options)
  options = options or {}
  if options.stdin then
    options.input = files.new(options.stdin)
  end
  local out, err, status = files.new(), files.new(), files.new()
  os.execute(("{ %s 2>%s; echo $? >%s; } %s >%s"):format(
    M.command(arguments, options), err, status, options.tail or "", out))
  return { out = files.read(out), err = files.read(err), status = tonumber(files.read(status)) }
end

--- Runs it on a terminal (util-linux's script); returns all that it shows.
function M.on_terminal(arguments, options)
  local pipe = assert(io.popen(("script -qec %s /dev/null </dev/null"):format(
    shell.quote(M.command(arguments, options)))))
  local shown = pipe:read("*a")
  pipe:close()
  return shown
end

local running = {}
running.__index = running

--- Starts it; its output is read with line() and finish().
function M.start(arguments, options)
  local err = files.new()
  local pipe = assert(io.popen(("sh -c %s 2>%s; echo status $?"):format(
    shell.quote("echo $$; exec " .. M.command(arguments, options)), err)))
  return setmetatable({ pipe = pipe, pid = assert(tonumber(pipe:read("*l"))), err_file = err }, running)
end

--- The next line of its output; nil: it has ended.
function running:line()
  local line = self.pipe:read("*l")
  local status = line == nil or line:match("^status (%d+)$")
  if not status then
    return line
  end
  self.status = tonumber(status)
end

function running:signal(name)
  assert(os.execute(("kill -%s %d"):format(name, self.pid)))
end

--- Reads it to its end: r.status, r.lines (what was not read yet), r.err.
function running:finish()
  local lines = {}
  while self.status == nil do
    lines[#lines + 1] = self:line()
  end
  self.pipe:close()
  return { status = self.status, lines = lines, err = files.read(self.err_file) }
end

--- Kilobytes of a field of /proc/PID/status, "VmRSS".
function running:memory(field)
  local status = files.read(("/proc/%d/status"):format(self.pid))
  return tonumber(status:match("\n" .. field .. ":%s*(%d+)"))
end

return M
