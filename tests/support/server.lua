-- Starts nexthop-server on the lab, and talks to it line by line.
--
--   local server = require("tests.support.server").start { exclude = { "example.org" } }
--   local c = server:connect()
--   c:send { id = 1, op = "plan", domain = "dane.example" }
--   local answer = c:receive()                -- decoded; nil at the end of the connection
--   assert.equal(0, server:finish())          -- SIGTERM; its status
local cjson = require "cjson"
local uv = require "luv"
local files = require "tests.support.files"
local filter = require "tests.support.filter"
local shell = require "tests.support.shell"
local support = require "tests.support"

local M = {}

local Server, Connection = {}, {}
Server.__index, Connection.__index = Server, Connection

local here = debug.getinfo(1, "S").source:match "^@(.*)/tests/support/[^/]*$" or "."
local lua = os.getenv "NEXTHOP_LUA" or arg[-1]

--- Runs the loop until that is true, which the test fails without.
function M.wait_for(what, condition, seconds)
  local start, timer = uv.hrtime(), uv.new_timer()
  timer:start(0, 20, function() end)
  while not condition() do
    if (uv.hrtime() - start) / 1e9 > (seconds or 10) * support.slow then
      timer:close()
      error("waited too long for " .. what, 2)
    end
    uv.run "once"
  end
  timer:close()
end

--- A path that is free.
function M.path()
  return files.path ".sock"
end

--- Runs the program to its end: what it says, and its status.
function M.run(arguments)
  local text, status = shell.run(("%s %s/bin/nexthop-server %s"):format(shell.quote(lua), here, arguments))
  return (text:gsub("%s+$", "")), status
end

-- As a service manager starts it, with a socket as descriptor 3.
local function passing(fd, count, arguments)
  local words = { "exec", shell.quote(lua) }
  for _, argument in ipairs(arguments) do words[#words + 1] = shell.quote(argument) end
  local script = ("export LISTEN_PID=$$ LISTEN_FDS=%d LISTEN_FDNAMES=a; %s"):format(count or 1,
    table.concat(words, " "))
  return "/bin/sh", { "-c", script }, fd
end

--- Starts the program at this path, and waits until it listens.
-- @param config see tests.support.filter
-- @param passed { fd, count, path }: passes that socket, with `-l path` or without -l; nil: none
function M.start(config, path, passed)
  local self = setmetatable({ path = path or M.path(), config = filter.config(config), said = "" }, Server)
  local stderr = uv.new_pipe(false)
  local program, arguments, fd = lua, { here .. "/bin/nexthop-server", "-l", self.path, "-c", self.config }
  if passed then
    arguments = { here .. "/bin/nexthop-server", "-c", self.config, passed.path and "-l" or nil, passed.path }
    program, arguments, fd = passing(passed.fd, passed.count, arguments)
  end
  self.handle, self.pid = assert(uv.spawn(program, {
    args = arguments, stdio = { nil, nil, stderr, fd },
  }, function(status, signal) self.status, self.signal = status, signal end))
  stderr:read_start(function(_, chunk)
    if chunk then self.said = self.said .. chunk else stderr:close() end
  end)
  M.wait_for("the server", function()
    if self.status then
      self.handle:close()
      error("the server ended: " .. self.said, 3)
    end
    return self.said:find "listening on" ~= nil
  end)
  return self
end

function Server:connect()
  local c = setmetatable({ pipe = uv.new_pipe(false), input = "", lines = {} }, Connection)
  local done
  c.pipe:connect(self.path, function(err) c.err, done = err, true end)
  M.wait_for("a connection", function() return done end)
  assert(not c.err, c.err)
  c:read()
  return c
end

--- Sends a signal and waits for the end: the status.
function Server:finish(signal)
  if not self.status then self.handle:kill(signal or "sigterm") end
  M.wait_for("the server's end", function() return self.status end)
  self.handle:close()
  uv.run "nowait" -- luv must not be left with handles that are half closed
  uv.run "nowait"
  os.remove(self.config)
  os.remove(self.path)
  return self.status, self.signal
end

function Connection:read()
  self.pipe:read_start(function(err, chunk)
    if not chunk then
      self.ended = err or true
      return
    end
    self.input = self.input .. chunk
    local start = 1
    for stop in self.input:gmatch "()\n" do
      self.lines[#self.lines + 1] = self.input:sub(start, stop - 1)
      start = stop + 1
    end
    self.input = self.input:sub(start)
  end)
end

--- Text as it is, or a table as a line.
function Connection:send(what)
  self.pipe:write(type(what) == "string" and what or cjson.encode(what) .. "\n", function() end)
end

--- No more is sent.
function Connection:shut()
  self.pipe:shutdown()
end

--- The next line, as text; nil at the end of the connection.
function Connection:line()
  M.wait_for("a line", function() return self.lines[1] or self.ended end)
  return table.remove(self.lines, 1)
end

function Connection:receive()
  local line = self:line()
  return line and cjson.decode(line)
end

--- So many answers, by id.
function Connection:receive_all(n)
  M.wait_for(n .. " lines", function() return #self.lines >= n or self.ended end, 60)
  local answers, count = {}, 0
  for _, line in ipairs(self.lines) do
    local answer = cjson.decode(line)
    answers[answer.id], count = answer, count + 1
  end
  self.lines = {}
  return answers, count
end

function Connection:close()
  if not self.pipe:is_closing() then self.pipe:close() end
  uv.run "nowait"
end

return M
