-- Runs NSD on a free high port of 127.0.0.1, as the current user, with everything in one folder.
local uv = require "luv"
local wire = require "tests.lab.wire"
local files = require "tests.support.files"

local nsd = {}
nsd.__index = nsd

local config_head = [[
server:
    ip-address: 127.0.0.1@%d
    do-ip6: no
    server-count: 1
    username: ""
    chroot: ""
    database: ""
    zonesdir: "%s"
    pidfile: ""
    logfile: "%s/nsd.log"
    xfrdfile: ""
    zonelistfile: "%s/nsd.zones"
    xfrdir: "%s"
    tcp-count: 1000
    rrl-ratelimit: 0
    minimal-responses: %s
remote-control:
    control-enable: no
]]

-- Binds UDP and TCP to a port (0: any); answers it, or nil when one of them is taken.
local function try_port(port)
  local udp, tcp = uv.new_udp(), uv.new_tcp()
  local bound = udp:bind("127.0.0.1", port)
  port = bound and udp:getsockname().port
  local ok = bound and tcp:bind("127.0.0.1", port) and tcp:listen(1, function() end)
  udp:close()
  tcp:close()
  return ok and port or nil
end

-- A port that is free for UDP and TCP now.
local function free_port()
  for _ = 1, 50 do
    local port = try_port(0)
    if port then
      return port
    end
  end
  error("no free port on 127.0.0.1", 0)
end

-- Calls done when the port is free, after 5 seconds in any case: a child of an NSD that has ended may
-- have it (and answer) a moment longer, or a resolver, which sends from ports of chance.
local function when_free(port, done)
  local timer, tries = uv.new_timer(), 0
  timer:start(0, 5, function()
    tries = tries + 1
    if not timer:is_closing() and (try_port(port) or tries > 1000) then
      timer:close()
      done()
    end
  end)
end

-- refers: resolvers may learn name servers from the answers. Of an NSD that serves all zones they must
-- not: there is only this one.
function nsd.new(path, dir, refers)
  return setmetatable({ path = path, dir = dir, port = free_port(), refers = refers }, nsd)
end

local function write_config(self, zones)
  local dir = self.dir
  local parts = { config_head:format(self.port, dir, dir, dir, dir, self.refers and "no" or "yes") }
  for _, zone in ipairs(zones) do
    parts[#parts + 1] = ("zone:\n    name: \"%s\"\n    zonefile: \"%s\"\n"):format(zone.name, zone.file)
  end
  files.write(dir .. "/nsd.conf", table.concat(parts))
end

-- Calls done when NSD answers for its first zone, failed(text) when it ends before that.
local function await(self, done, failed)
  local question = "\18\52\0\0\0\1\0\0\0\0\0\0" .. wire.encode_name(self.first) .. "\0\6\0\1"
  local socket, timer = uv.new_udp(), uv.new_timer()
  local function stop()
    socket:close()
    timer:close()
  end
  assert(socket:bind("127.0.0.1", 0))
  socket:recv_start(function(_, packet)
    -- Without its log it is not ours that answers: another lab's may have taken the port meanwhile.
    local is_ours = packet and uv.fs_stat(self.dir .. "/nsd.log")
    if is_ours and packet:byte(4) % 16 == 0 and not socket:is_closing() then
      stop()
      done()
    end
  end)
  timer:start(0, 5, function()
    if self.process then
      socket:send(question, "127.0.0.1", self.port, function() end)
    else
      stop()
      local _, log = pcall(files.read, self.dir .. "/nsd.log")
      failed("nsd ended at its start: " .. log)
    end
  end)
end

local function spawn(self, done)
  local arguments = { "-d", "-c", self.dir .. "/nsd.conf" }
  local command = self.path
  -- Should this process be killed, the kernel ends NSD too.
  if uv.fs_stat("/usr/bin/setpriv") then
    command = "/usr/bin/setpriv"
    arguments = { "--pdeathsig", "TERM", self.path, "-d", "-c", self.dir .. "/nsd.conf" }
  end
  local process, err
  process, err = uv.spawn(command, { args = arguments, stdio = { nil, 2, 2 } }, function()
    process:close()
    self.process = nil
    if self.stopped then
      local stopped = self.stopped
      self.stopped = nil
      self.killer:close()
      when_free(self.port, stopped)
    end
  end)
  if not process then
    return done("cannot run " .. command .. ": " .. err)
  end
  self.process = process
  await(self, function()
    -- NSD serves on after what it could not read in a zone file: a lab with holes is no lab.
    local complaint = files.read(self.dir .. "/nsd.log"):match("[^\n]*error:[^\n]*")
    done(complaint)
  end, done)
end

-- Starts it when its port is free. A resolver may have taken the port again a moment later.
local function start(self, tries, done)
  os.remove(self.dir .. "/nsd.log")
  when_free(self.port, function()
    if self.process then
      return done(nil)
    end
    spawn(self, function(why)
      if tries > 1 and not self.process and why and why:find("in use", 1, true) then
        return start(self, tries - 1, done)
      end
      done(why)
    end)
  end)
end

-- Starts NSD for zones; done(nil) or done(why not).
function nsd:start(zones, done)
  if self.process then
    return done(nil)
  end
  write_config(self, zones)
  self.first = zones[1].name
  start(self, 5, done)
end

-- Ends NSD; done() when it is gone.
function nsd:stop(done)
  if not self.process then
    return done()
  end
  local process = self.process
  self.stopped, self.killer = done, uv.new_timer()
  process:kill("sigterm")
  self.killer:start(3000, 0, function()
    process:kill("sigkill")
  end)
end

return nsd
