-- Debian's unbound, unpacked and not installed, as the forwarder of a measurement.
local files = require "tests.support.files"
local uv = require "luv"
local workers = require "tests.bench.workers"

local M = {}

--- Starts it on a free port of 127.0.0.1, with the servers of the lab as the root and with caches that hold
-- all. It ends with this process.
-- @return { address, stop() }; or nil and why not
function M.start(anchor_file, nsd_address)
  local binary = workers.line "tests/lab/daemon-path unbound 2>&1"
  if not binary or binary:sub(1, 1) ~= "/" then return nil, binary end
  local folder = workers.line "mktemp -d"
  local socket = uv.new_udp()
  assert(socket:bind("127.0.0.1", 0))
  local port = socket:getsockname().port
  socket:close()
  local stubs = {}
  for _, zone in ipairs { ".", "example.", "bench.example." } do
    stubs[#stubs + 1] = ("stub-zone:\n    name: \"%s\"\n    stub-addr: %s\n"):format(zone, nsd_address)
  end
  local conf = files.write(folder .. "/unbound.conf", ([[
server:
    interface: 127.0.0.1@%d
    username: ""
    chroot: ""
    directory: "%s"
    pidfile: ""
    use-syslog: no
    logfile: "%s/unbound.log"
    do-daemonize: no
    do-not-query-localhost: no
    trust-anchor-file: "%s"
    num-threads: 1
    outgoing-range: 4096
    num-queries-per-thread: 2048
    msg-cache-size: 64m
    rrset-cache-size: 128m
remote-control:
    control-enable: no
%s]]):format(port, folder, folder, anchor_file, table.concat(stubs)))
  local process, reason
  process, reason = uv.spawn("/usr/bin/setpriv", { args = { "--pdeathsig", "TERM", binary, "-c", conf } },
    function() process:close() end)
  if not process then return nil, reason end
  workers.line "sleep 1; echo" -- until it listens
  return { address = ("127.0.0.1@%d"):format(port), stop = function()
    process:kill "sigterm"
    uv.run()
    os.execute("rm -rf '" .. folder .. "'")
  end }
end

return M
