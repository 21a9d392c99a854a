-- The processes of examples/cluster in a Debian root, on loopback addresses: the files of the example with
-- other addresses, and the lab as the whole DNS.
--
--   local machines = require("tests.cluster.machines").new(root, lab)
--   machines:start "unbound-1"          -- also unbound-2, redis, server-1, server-2; waits until it listens
--   machines:kill "redis"               -- SIGKILL; returns when it has ended
--   machines:socket(1)                  -- the path of the first nexthop-server's socket
--   machines:stop()
local uv = require "luv"
local files = require "tests.support.files"
local ports = require "tests.support.ports"
local shell = require "tests.support.shell"

local M = {}
M.__index = M

-- The addresses of the example, and ours.
local addresses = {
  ["192.0.2.1"] = "127.88.0.1", ["192.0.2.2"] = "127.88.0.2", ["192.0.2.10"] = "127.88.0.10",
}

-- A file of the example, changed by a list of { plain text, replacement }: each must be there.
local function example(name, changes)
  local text = files.read("examples/cluster/" .. name)
  for _, change in ipairs(changes) do
    local from, to = text:find(change[1], 1, true)
    assert(from, ("%s lacks: %s"):format(name, change[1]))
    text = text:sub(1, from - 1) .. change[2] .. text:sub(to + 1)
  end
  return text
end

function M:write(name, text)
  files.write(self.outside .. "/" .. name, text)
  return self.inside .. "/" .. name
end

-- What unbound needs here and not in the world: the lab in place of the root servers, and no other files.
local function on_the_lab(self, lab)
  local text = { ([[
server:
    username: ""
    chroot: ""
    directory: "%s"
    pidfile: ""
    use-syslog: no
    logfile: ""
    trust-anchor-file: "%s"
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
remote-control:
    control-enable: no
]]):format(self.inside, self.anchor) }
  for zone in pairs(lab:stub()) do
    text[#text + 1] = ("stub-zone:\n    name: \"%s\"\n    stub-addr: %s\n"):format(zone, lab.address)
  end
  return table.concat(text)
end

local function configure(self, lab)
  local port, redis_port = self.port, self.redis_port
  local redis = { "192.0.2.10", addresses["192.0.2.10"] }
  for number = 1, 2 do
    local ip = addresses["192.0.2." .. number]
    local conf = self:write(("unbound-%d.conf"):format(number), example("unbound.conf", {
      { "interface: 192.0.2.1\n", ("interface: %s@%d\n"):format(ip, port) },
      { "redis-server-host: 192.0.2.10", "redis-server-host: " .. redis[2] },
      { "redis-server-port: 6379", "redis-server-port: " .. redis_port },
    }) .. on_the_lab(self, lab))
    self.commands["unbound-" .. number] = { "unbound", "-d", "-c", conf, listens = { ip, port } }
    local config = self:write(("server-%d.lua"):format(number), example("nexthop-server.lua", {
      { '"192.0.2.1"', ('"%s@%d"'):format(addresses["192.0.2.1"], port) },
      { '"192.0.2.2"', ('"%s@%d"'):format(addresses["192.0.2.2"], port) },
      { "resolver = { ", ("resolver = { trust_anchor_file = %q, "):format(self.anchor) },
    }))
    self.commands["server-" .. number] = { "nexthop-server", "-l", self.inside .. "/" .. number, "-c", config,
      socket = self:socket(number) }
  end
  local conf = self:write("redis.conf", example("redis.conf",
    { { "bind " .. redis[1], "bind " .. redis[2] }, { "port 6379", "port " .. redis_port } }))
  self.commands.redis = { "redis-server", conf, listens = { redis[2], redis_port } }
end

function M.new(root, lab)
  local self = setmetatable({ root = root, commands = {}, processes = {}, port = ports.free() }, M)
  repeat self.redis_port = ports.free() until self.redis_port ~= self.port
  self.outside = shell.run(("mktemp -d %s/tmp/cluster.XXXXXX"):format(shell.quote(root))):match "[^\n]+"
  self.inside = self.outside:sub(#root + 1)
  -- The path of a socket has at most 107 bytes, and that of a root may be long.
  self.short = os.tmpname()
  os.remove(self.short)
  assert(uv.fs_symlink(self.outside, self.short))
  self.anchor = self:write("root.ds", files.read(lab.anchor_file))
  configure(self, lab)
  return self
end

function M:socket(number) return self.short .. "/" .. number end

-- Does something accept connections there?
local function is_open(command)
  local answered, ok
  local socket = command.socket and uv.new_pipe(false) or uv.new_tcp()
  local function on_connect(err) answered, ok = true, not err end
  local started
  if command.socket then
    started = socket:connect(command.socket, on_connect)
  else
    started = socket:connect(command.listens[1], command.listens[2], on_connect)
  end
  while started and not answered do uv.run "once" end
  socket:close()
  return ok
end

--- Starts the process, and waits until it takes connections.
function M:start(name)
  local command, log = self.commands[name], self.outside .. "/" .. name .. ".log"
  local fd = assert(uv.fs_open(log, "a", 420)) -- 0644
  local process = { name = name }
  local args = { self.root }
  for _, word in ipairs(command) do args[#args + 1] = word end
  process.handle, process.pid = assert(uv.spawn("chroot", { args = args, stdio = { nil, fd, fd },
    env = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root" } },
    function(status, signal) process.ended = ("%d/%d"):format(status, signal) end))
  uv.fs_close(fd)
  self.processes[name] = process
  local stop = uv.hrtime() + 20e9
  while not is_open(command) do
    if process.ended or uv.hrtime() > stop then
      error(("%s does not start (%s): %s"):format(name, process.ended or "it runs",
        files.read(log):sub(-1000)), 0)
    end
    uv.sleep(20)
    uv.run "nowait"
  end
end

--- Sends a signal to a process that goes on.
function M:signal(name, signal) assert(self.processes[name].handle:kill(signal)) end

function M:kill(name)
  local process = self.processes[name]
  if not process.ended then process.handle:kill "sigkill" end
  while not process.ended do uv.run "once" end
  process.handle:close()
  self.processes[name] = nil
end

function M:stop()
  for name in pairs(self.processes) do self:kill(name) end
  uv.run "nowait"
  os.remove(self.short)
  os.execute("rm -rf " .. shell.quote(self.outside))
end

return M
