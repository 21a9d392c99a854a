-- A small world for what asks each name server on its own: the signed zone "up", which is the trust anchor,
-- and below it "roll.up" on two NSDs, which may have different versions of it. NSD is real, on loopback.
--
--   local world = rollover_world.start()                    -- of this spec file; ends with this process
--   world:publish(1, { text = "_25._tcp.mx TLSA ...", age = 60 })
--   world:options()                                       -- for bin/nexthop
--
-- A version: text; age (seconds since it was signed, 10 days), ttl (3600), serial (1), refresh (3600),
-- minimum (60).
local files = require "tests.support.files"
local nsd = require "tests.lab.nsd"
local shell = require "tests.support.shell"
local uv = require "luv"

local M = {}

local World = {}
World.__index = World

local function run(command)
  local said, status = shell.run(command)
  if status ~= 0 then error(command .. "\n" .. said, 2) end
  return said
end

-- Runs the loop of luv until something has called back; raises what it was called with.
local function await(start)
  local finished, problem
  start(function(why) finished, problem = true, why end)
  while not finished do uv.run "once" end
  if problem then error(problem, 2) end
end

local function start(self, name, zone)
  local served = { { name = zone, file = ("%s/%s.signed"):format(self.folder, name) } }
  await(function(done) self.servers[name]:start(served, done) end)
end

local function stop(self, name)
  await(function(done) self.servers[name]:stop(done) end)
end

local function sign(self, name, zone, text, age)
  files.write(("%s/%s.zone"):format(self.folder, name), text)
  local begun = os.time() - age
  run(("cd %s && ldns-signzone -i %d -e %d -f %s.signed %s.zone %s"):format(self.folder, begun,
    os.time() + 20 * 86400, name, name, self.keys[zone]))
end

local function zone_text(zone, version, more)
  return ([[
$ORIGIN %s.
$TTL %d
@ SOA ns hostmaster %d %d 600 86400 %d
@ NS ns
ns A 127.255.255.53
%s
]]):format(zone, version.ttl or 3600, version.serial or 1, version.refresh or 3600, version.minimum or 60,
    more or "")
end

--- Makes the keys, and serves the zone above.
function M.start()
  local self = setmetatable({ folder = files.folder(), servers = {}, ports = {}, keys = {} }, World)
  local path = run("tests/lab/daemon-path nsd"):gsub("%s+$", "")
  for _, zone in ipairs { "up", "roll.up" } do
    self.keys[zone] = run(("cd %s && ldns-keygen -a ECDSAP256SHA256 -k %s"):format(self.folder, zone))
      :gsub("%s+$", "")
  end
  for _, name in ipairs { "up", "first", "second" } do
    run("mkdir " .. shell.quote(self.folder .. "/" .. name))
    self.servers[name] = nsd.new(path, self.folder .. "/" .. name)
    self.ports[name] = self.servers[name].port
  end
  self.anchor = ("%s/%s.ds"):format(self.folder, self.keys.up)
  local ds = files.read(("%s/%s.ds"):format(self.folder, self.keys["roll.up"]))
  sign(self, "up", "up", zone_text("up", {}, "roll NS ns.roll\nns.roll A 127.255.255.53\n" .. ds), 864000)
  start(self, "up", "up")
  return self
end

local names = { "first", "second" }

--- Has a name server answer with a version of the zone; nil: it is silent.
function World:publish(number, version)
  local name = names[number]
  stop(self, name)
  if not version then return end
  sign(self, name, "roll.up", zone_text("roll.up", version, "mx A 192.0.2.1\n" .. version.text),
    version.age or 864000)
  start(self, name, "roll.up")
end

--- The options of bin/nexthop that lead to it.
function World:options()
  return { "--anchor", self.anchor, "--stub", "up=127.0.0.1@" .. self.ports.up,
    "--stub", "roll.up=127.0.0.1@" .. self.ports.first, "--stub", "roll.up=127.0.0.1@" .. self.ports.second }
end

function World:stop()
  for name in pairs(self.ports) do stop(self, name) end
  uv.run() -- what was closed ends
end

return M
