-- Debian's unbound, unpacked and not installed, as the forwarder of a measurement.
local files = require "tests.support.files"
local ports = require "tests.support.ports"
local socket = require "socket"
local uv = require "luv"
local workers = require "tests.bench.workers"

local M = {}

local frame = [[
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
%s]]

--- Starts it on a free port of 127.0.0.1, and waits until it listens. It ends with this process.
-- @param text more lines of the clause `server`, and other clauses
-- @return { address, port, stop() }; or nil and why not
function M.start(text)
  local binary = workers.line "tests/lab/daemon-path unbound 2>&1"
  if not binary or binary:sub(1, 1) ~= "/" then return nil, binary end
  local folder, port = workers.line "mktemp -d", ports.free()
  local function remove() os.execute("rm -rf '" .. folder .. "'") end
  local conf = files.write(folder .. "/unbound.conf", frame:format(port, folder, folder, text))
  local process, reason, is_over
  process, reason = uv.spawn("/usr/bin/setpriv", { args = { "--pdeathsig", "TERM", binary, "-c", conf } },
    function()
      is_over = true
      process:close()
    end)
  if not process then
    remove()
    return nil, reason
  end
  local client = socket.connect("127.0.0.1", port)
  while not client and not is_over do
    uv.sleep(20)
    uv.run "nowait"
    client = socket.connect("127.0.0.1", port)
  end
  if client then client:close() end
  if is_over then
    local found, log = pcall(files.read, folder .. "/unbound.log")
    remove()
    return nil, "unbound ended: " .. (found and log or "it wrote no log")
  end
  return { address = ("127.0.0.1@%d"):format(port), port = port, stop = function()
    if not is_over then process:kill "sigterm" end
    while not is_over do uv.run "once" end
    remove()
  end }
end

--- Starts it with the servers of the lab as the root, and with caches that hold all.
-- @return as start()
function M.before_lab(anchor_file, nsd_address)
  local stubs = {}
  for _, zone in ipairs { ".", "example.", "bench.example." } do
    stubs[#stubs + 1] = ("stub-zone:\n    name: \"%s\"\n    stub-addr: %s\n"):format(zone, nsd_address)
  end
  return M.start(([[
    trust-anchor-file: "%s"
    num-threads: 1
    outgoing-range: 4096
    num-queries-per-thread: 2048
    msg-cache-size: 64m
    rrset-cache-size: 128m
remote-control:
    control-enable: no
%s]]):format(anchor_file, table.concat(stubs)))
end

return M
