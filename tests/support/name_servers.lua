-- NSDs that serve versions of one zone, each on a loopback address of its own: a primary and a secondary that
-- may lag behind.
--
--   local pair = name_servers.new("doctor.example", 41)      -- a zone that the lab has, signed with its key
--   local first = pair:serve { serial = 2, text = "..." }    -- "127.41.0.1@PORT"
--   pair:stop()
local files = require "tests.support.files"
local lab = require("tests.lab.lab").shared()
local shell = require "tests.support.shell"

local M = {}
M.__index = M

--- @param network the servers have the addresses 127.NETWORK.0.1 and so on
function M.new(zone, network)
  return setmetatable({ zone = zone, network = network, count = 0, running = {} }, M)
end

-- Makes the zone file, and returns its path.
local function sign(self, folder, version)
  local path, now, day = folder .. "/zone", os.time(), 86400
  files.write(path, ("$ORIGIN %s.\n$TTL 3600\n@ SOA ns hostmaster %d 3600 600 86400 600\n@ NS ns\n"
    .. "ns A 127.0.0.1\n%s"):format(self.zone, version.serial or 1, version.text))
  if version.signed == false then return path end
  local key = files.read(("%s/%s.key"):format(lab.folder, self.zone)):match "%S+"
  local said, status = shell.run(("cd %s && ldns-signzone %s -i %d -e %d -f %s.signed %s %s"):format(
    shell.quote(lab.folder), version.iterations and ("-n -s ab -t %d"):format(version.iterations) or "",
    now - 10 * day, now + (version.days or 20) * day, path, path, shell.quote(key)))
  assert(status == 0, said)
  return path .. ".signed"
end

local config = [[
server:
    ip-address: %s@%d
    do-ip6: no
    server-count: 1
    username: ""
    chroot: ""
    database: ""
    zonesdir: "%s"
    pidfile: ""
    logfile: "%s/log"
    xfrdfile: ""
    zonelistfile: "%s/list"
    xfrdir: "%s"
    rrl-ratelimit: 0
remote-control:
    control-enable: no
zone:
    name: "%s"
    zonefile: "%s"
]]

-- The shell ends NSD when its input ends: with stop(), or with this process.
local starter = [[
unset LD_PRELOAD ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS
%s -d -c %s/conf & nsd=$!
cat >/dev/null; kill $nsd; wait $nsd
]]

local function is_ready(folder)
  local file = io.open(folder .. "/log")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  assert(not text:find "error:", text)
  return text:find "nsd started" ~= nil
end

--- Starts a server.
-- @param version { serial (1), text = records, days until its signatures end (20), iterations (of NSEC3),
-- signed }
-- @return its address and port
function M:serve(version)
  self.count = self.count + 1
  local address, folder = ("127.%d.0.%d"):format(self.network, self.count), files.folder()
  local path = sign(self, folder, version)
  files.write(folder .. "/conf", config:format(address, lab.nsd_port, folder, folder, folder, folder,
    self.zone, path))
  local nsd = (shell.run "tests/lab/daemon-path nsd"):gsub("%s+$", "")
  self.running[#self.running + 1] = assert(io.popen(starter:format(shell.quote(nsd), shell.quote(folder)),
    "w"))
  local started = os.time()
  while not is_ready(folder) do
    assert(os.time() - started < 20, "NSD does not start")
    shell.run "sleep 0.02" -- NSD says in its log alone that it runs
  end
  return ("%s@%d"):format(address, lab.nsd_port)
end

--- An address where nothing listens.
function M:dead()
  self.count = self.count + 1
  return ("127.%d.0.%d@%d"):format(self.network, self.count, lab.nsd_port)
end

--- Ends them all.
function M:stop()
  for _, pipe in ipairs(self.running) do pipe:close() end
  self.running = {}
end

return M
