-- NSDs that serve versions of one zone, each on a loopback address of its own: a primary and a secondary that
-- may lag behind.
--
--   local pair = name_servers.new("doctor.example", 41)      -- a zone that the lab has, signed with its key
--   local first = pair:serve { serial = 2, text = "..." }    -- "127.41.0.1@PORT"
--   pair:publish { text = "..." }                            -- both have this version
--   pair:publish({ text = "...", serial = 2 }, { text = "..." })   -- false: that one is silent
--   pair:options()                                           -- those of bin/nexthop, for what was published
--   pair:stop()
--
-- A version: text (records), serial (1), age (seconds since it was signed, 10 days), days (until its
-- signatures end, 20), ttl (3600), refresh (3600), minimum (600), iterations (of NSEC3), signed.
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
  files.write(path, ("$ORIGIN %s.\n$TTL %d\n@ SOA ns hostmaster %d %d 600 86400 %d\n@ NS ns\n"
    .. "ns A 127.0.0.1\n%s\n"):format(self.zone, version.ttl or 3600, version.serial or 1,
      version.refresh or 3600, version.minimum or 600, version.text))
  if version.signed == false then return path end
  local key = files.read(("%s/%s.key"):format(lab.folder, self.zone)):match "%S+"
  local said, status = shell.run(("cd %s && ldns-signzone %s -i %d -e %d -f %s.signed %s %s"):format(
    shell.quote(lab.folder), version.iterations and ("-n -s ab -t %d"):format(version.iterations) or "",
    now - (version.age or 10 * day), now + (version.days or 20) * day, path, path, shell.quote(key)))
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
-- @param version see above
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

--- Has two servers, and ends those that were there: pair[1] and pair[2] are their addresses.
-- @param first version of the one
-- @param second version of the other (that of the first); false: it is silent
function M:publish(first, second)
  self:stop()
  self[1] = self:serve(first)
  self[2] = second == false and self:dead() or self:serve(second or first)
end

--- The options of bin/nexthop with which the pair is found, and the lab for all else.
function M:options()
  local words = { "--anchor", lab.anchor_file, ("--stub=%s=%s"):format(self.zone, self[1]),
    ("--stub=%s=%s"):format(self.zone, self[2]) }
  for parent, address in pairs(lab:stub()) do words[#words + 1] = ("--stub=%s=%s"):format(parent, address) end
  return words
end

--- Ends them all.
function M:stop()
  for _, pipe in ipairs(self.running) do pipe:close() end
  self.running = {}
end

return M
