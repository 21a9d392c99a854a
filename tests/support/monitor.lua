-- Starts nexthop-monitor, and talks to it over HTTP.
--
--   local monitor = require("tests.support.monitor").start { domains = { "dane.example" }, ... }
--   local status, body = monitor:get "/metrics"
--   local report = monitor:report "dane.example"          -- decoded
--   assert.equal(0, monitor:finish())                     -- SIGTERM; its status
--
-- What it is told to start by on_change is M.teller: it writes each object that it gets into a file.
local child = require "tests.support.child"
local cjson = require "cjson"
local socket = require "socket"
local uv = require "luv"
local files = require "tests.support.files"
local ports = require "tests.support.ports"
local server = require "tests.support.server"
local lab = require("tests.lab.lab").shared()
local shell = require "tests.support.shell"

local M = {}

local Monitor = {}
Monitor.__index = Monitor

local here = debug.getinfo(1, "S").source:match "^@(.*)/tests/support/[^/]*$" or "."
local lua = child.lua

M.wait_for = server.wait_for

--- The interpreter of this run.
M.lua = lua

local function text_of(value)
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for key, item in pairs(value) do
    parts[#parts + 1] = ("[%s] = %s"):format(text_of(key), text_of(item))
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

--- The text of a configuration.
function M.text(config)
  return type(config) == "string" and config or "return " .. text_of(config)
end

--- Runs the program to its end: what it says, and its status.
function M.run(arguments)
  local text, status = shell.run(("%s %s/bin/nexthop-monitor %s"):format(shell.quote(lua), here, arguments))
  return (text:gsub("%s+$", "")), status
end

--- Starts the program with a configuration, whose `listen` is chosen here, and waits until it listens.
function M.start(config)
  local self = setmetatable({ port = ports.free(), said = "", path = files.new() }, Monitor)
  self:write(config)
  self:run()
  return self
end

--- Writes the configuration.
function Monitor:write(config)
  if type(config) == "table" then
    config.listen = config.listen or "127.0.0.1:" .. self.port
    config.resolver = config.resolver or lab:options()
  end
  files.write(self.path, M.text(config))
end

--- Starts it, or starts it again.
function Monitor:run()
  local stderr = uv.new_pipe(false)
  self.status, self.signal, self.said = nil, nil, ""
  self.handle, self.pid = assert(uv.spawn(lua, {
    args = { here .. "/bin/nexthop-monitor", "-c", self.path }, stdio = { nil, nil, stderr },
  }, function(status, signal) self.status, self.signal = status, signal end))
  stderr:read_start(function(_, chunk)
    if chunk then self.said = self.said .. chunk else stderr:close() end
  end)
  self:logged "listening on"
end

--- Waits until it has said that, as a literal text.
-- @param count how often (1)
function Monitor:logged(text, count)
  M.wait_for(("%q in the log"):format(text), function()
    local at = 1
    for _ = 1, count or 1 do
      local _, stop = self.said:find(text, at, true)
      if not stop then
        if self.status then error("the monitor ended: " .. self.said, 0) end
        return false
      end
      at = stop + 1
    end
    return true
  end, 20)
end

--- Sends one request.
-- @return the status, the body, the head
function Monitor:get(path, method)
  local client = socket.tcp()
  client:settimeout(10)
  assert(client:connect("127.0.0.1", self.port))
  assert(client:send(("%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n"):format(method or "GET", path)))
  local answer, reason, rest = client:receive "*a"
  client:close()
  answer = answer or reason == "closed" and rest or ""
  local head, body = answer:match "^(.-)\r\n\r\n(.*)$"
  assert(head, answer)
  uv.run "nowait"
  return tonumber(head:match "^HTTP/1%.%d (%d+)"), body, head
end

--- What it knows of a domain.
function Monitor:report(domain)
  local _, body = self:get("/check/" .. domain)
  return cjson.decode(body)
end

--- Waits until that is true of the report of a domain: the report.
function Monitor:wait(domain, condition)
  local report
  local ok, reason = pcall(M.wait_for, domain, function()
    if self.status then error("the monitor ended: " .. self.said, 0) end
    report = self:report(domain)
    return condition(report)
  end, 20)
  assert(ok, ("%s; the last report: %s"):format(tostring(reason), report and cjson.encode(report)))
  return report
end

--- Waits until a domain is in that state.
function Monitor:state(domain, state)
  return self:wait(domain, function(report) return report.monitor.state == state end)
end

--- Waits until a check has ended that had not begun yet.
function Monitor:checked_again(domain)
  local before = self:report(domain).monitor.checks or 0
  return self:wait(domain, function(report) return (report.monitor.checks or 0) >= before + 2 end)
end

--- Sends a signal and waits for the end: the status.
function Monitor:finish(signal)
  if not self.status then self.handle:kill(signal or "sigterm") end
  M.wait_for("the monitor's end", function() return self.status end)
  self.handle:close()
  uv.run "nowait" -- luv must not be left with handles that are half closed
  uv.run "nowait"
  return self.status, self.signal
end

function Monitor:hup()
  self.handle:kill "sighup"
end

--- A program for on_change, and a function that returns what it was told, in order.
-- @param body shell commands that it runs first
function M.teller(body)
  local folder = files.folder()
  local program = folder .. "/tell"
  files.write(program, ("#!/bin/sh\n%s\ncat >>%s/told\n"):format(body or "", folder))
  assert(os.execute("chmod 755 " .. program))
  return program, function()
    local list, file = {}, io.open(folder .. "/told")
    for line in (file and file:read "*a" or ""):gmatch "[^\n]+" do
      local object = cjson.decode(line)
      list[#list + 1] = ("%s %s->%s"):format(object.domain, object.monitor.was, object.monitor.state)
    end
    if file then file:close() end
    return list
  end
end

return M
