--- The program nexthop-monitor(8).
local program = require("nexthop.programs.program").new("nexthop-monitor", [[
usage: nexthop-monitor -c file
       nexthop-monitor -n -c file
       nexthop-monitor -V

  -c file     the configuration, a Lua file
  -n          check the configuration and exit
  -V          print versions and exit
  -h, --help  print this and exit
]])

local function log(text) program:complain(text) end

-- ---- the socket ------------------------------------------------------------

local function same(one, other)
  return one.host == other.host and one.port == other.port
end

local Service = {}
Service.__index = Service

-- Listens at another place; the old one is left only then. Returns nil and why not.
function Service:listen(endpoint)
  if self.listener and same(self.endpoint, endpoint) then return true end
  local http = require "nexthop.luv.http"
  local listener, reason = http.listen(endpoint, function(...)
    return self.routes(...)
  end, log)
  if not listener then return nil, reason end
  if self.listener then self.listener:close() end
  self.listener, self.endpoint = listener, endpoint
  return true
end

-- Reads the configuration again. What is wrong with a new one is logged, and the old one holds.
function Service:reload()
  local settings, reason = require("nexthop.programs.monitor.settings").load(self.path)
  local ok = settings ~= nil
  if ok then ok, reason = self:listen(settings.listen) end
  if not ok then return log(("%s; the old configuration holds"):format(reason)) end
  self.monitor:configure(settings)
  log(("%s: read again, %d domains"):format(self.path, #settings.domains))
end

local function run(self, settings)
  local protect = require "nexthop.protect"
  local signals = require "nexthop.luv.signals"
  local uv = require "luv"

  local is_over
  local function leave()
    if self.is_leaving then return end
    self.is_leaving = true
    self.listener:close()
    self.monitor:close(function()
      is_over = true
      uv.stop()
    end)
  end
  local ok, reason = self:listen(settings.listen)
  if not ok then program:fail(program.FAILED, "%s", reason) end
  self.monitor = require("nexthop.monitor.monitor").new(settings, log)
  self.routes = require("nexthop.monitor.web").routes(self.monitor)
  local watch = signals.watch(uv, {
    sigterm = leave, sigint = leave, sighup = protect.callback(function()
      if not self.is_leaving then self:reload() end
    end, log), sigpipe = false,
  })
  log(("%d domains; listening on %s port %d"):format(#settings.domains, settings.listen.host,
    settings.listen.port))
  protect.keep_running(function() return is_over end)
  watch:close()
  uv.run "nowait" -- what was closed is gone before Lua is
end

return function(words)
  local given = program:parse(words)
  program:need("luv", "cjson")
  if given.V then program:print_versions() end
  if not given.c then program:misuse "-c file is missing" end
  local path = given.c[#given.c]

  -- Before the configuration is read: it may print, read, and start other programs.
  local descriptors = require "nexthop.luv.descriptors"
  if given.n then descriptors.reserve_input() else descriptors.reserve() end
  local settings, reason = require("nexthop.programs.monitor.settings").load(path)
  if not settings then program:fail(program.FAILED, "%s", reason) end
  if given.n then program:print_checked(path, settings.resolver) end

  require("nexthop.core").more_descriptors(8192)
  run(setmetatable({ path = path }, Service), settings)
  return program.OK
end
