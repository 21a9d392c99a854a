-- Talks to a table program as smtpd does.
--
--   local tables = require "tests.support.table"
--   local t = tables.start { config = { deadline = 2 } }   -- on the lab; `config` may be text
--   assert.equal("found", t:check "dane.example")
--   assert.equal(0, t:finish())                            -- closes its input
local files = require "tests.support.files"
local filter = require "tests.support.filter"
local uv = require "luv"

local Table = {}
Table.__index = Table

local M = {}

local slow = tonumber(os.getenv "NEXTHOP_SLOW" or 1) -- a tool slows everything down (tests/under)
local here = debug.getinfo(1, "S").source:match "^@(.*)/tests/support/[^/]*$" or "."
local lua = os.getenv "NEXTHOP_LUA" or arg[-1] or "lua5.4"

local running = {}

local function take_line(self, line)
  local operation, id, answer = line:match "^(%w+)%-result|([^|]*)|(.*)$"
  if not operation then
    self.other[#self.other + 1] = line
    return
  end
  self.answers[id] = self.answers[id] or {}
  table.insert(self.answers[id], { operation = operation, text = answer })
  self.count = self.count + 1
end

--- Starts a table. Options: config (see tests.support.filter), args (in place of the configuration), program
-- (bin/table-nexthop), handshake = false: send none.
function M.start(options)
  options = options or {}
  local self = setmetatable({ answers = {}, other = {}, log = "", count = 0, ids = 0 }, Table)
  self.path = not options.args and filter.config(options.config) or nil
  local program = options.program or "bin/table-nexthop"
  local words = { program:find "^/" and program or here .. "/" .. program }
  for _, word in ipairs(options.args or { self.path }) do words[#words + 1] = word end
  -- one socket for both directions, as under smtpd
  local pair = assert(uv.socketpair("stream", nil, { nonblock = true }, { nonblock = false }))
  local err = uv.new_pipe(false)
  self.pipe = uv.new_pipe(false)
  self.pipe:open(pair[1])
  self.process, self.pid = assert(uv.spawn(lua, { args = words, stdio = { pair[2], pair[2], err } },
    function(code, signal)
      self.code, self.signal = code, signal
      self.process:close()
    end))
  uv.fs_close(pair[2])
  local pending = ""
  self.pipe:read_start(function(_, chunk)
    if not chunk then
      self.closed = true
      return
    end
    pending = (pending .. chunk):gsub("([^\n]*)\n", function(line)
      take_line(self, line)
      return ""
    end)
  end)
  err:read_start(function(_, chunk)
    if chunk then
      self.log = self.log .. chunk
    else
      self.log_closed = true
      err:close()
    end
  end)
  running[self] = true
  if options.handshake ~= false then
    self:send("config|smtpd-version|7.6.0", "config|protocol|0.1", "config|tablename|owes-tls",
      "config|ready")
    self:wait(function() return self.other[#self.other] == "register|ready" end)
  end
  return self
end

--- Runs the loop until `done` says true; raises after `seconds` (20), with what the table logged.
function Table:wait(done, seconds)
  local late = false
  local timer = uv.new_timer()
  timer:start((seconds or 20) * slow * 1000, 0, function() late = true end)
  while not done() and not late do uv.run "once" end
  timer:close()
  uv.run "nowait"
  if not done() then error("the table did not do it in time; it logged:\n" .. self.log, 2) end
end

--- Sends lines.
function Table:send(...)
  self.pipe:write(table.concat({ ... }, "\n") .. "\n")
end

--- A request; returns its id.
function Table:ask(operation, service, query)
  self.ids = self.ids + 1
  local id = ("%08x"):format(self.ids)
  self:send(("table|0.1|1713795082.354255|owes-tls|%s|%s%s%s"):format(operation,
    service and service .. "|" or "", id, query and "|" .. query or ""))
  return id
end

--- The answer to a request, waited for; raises when there are two, or when it is one to another operation.
function Table:answer(id, operation)
  self:wait(function() return self.answers[id] end)
  local answers = self.answers[id]
  if #answers ~= 1 then error(("%d answers to %s"):format(#answers, id), 2) end
  if operation and answers[1].operation ~= operation then
    error("an answer to " .. answers[1].operation, 2)
  end
  return answers[1].text
end

--- Asks and waits, as smtpd does for `for domain <owes-tls>`.
function Table:check(domain)
  return self:answer(self:ask("check", "domain", domain), "check")
end

function Table:lookup(domain)
  return self:answer(self:ask("lookup", "domain", domain), "lookup")
end

function Table:update()
  return self:answer(self:ask "update", "update")
end

--- Waits until the log has this text (a Lua pattern).
function Table:logged(pattern)
  self:wait(function() return self.log:find(pattern) end)
end

--- Ends its input and waits for its end; returns its status.
function Table:finish()
  self.pipe:shutdown()
  self:wait(function() return self.code and self.log_closed end)
  self:clean()
  return self.signal ~= 0 and "signal " .. self.signal or self.code
end

function Table:clean()
  running[self] = nil
  if self.path then os.remove(self.path) end
  if not self.pipe:is_closing() then self.pipe:close() end
end

--- For after_each: ends what a failed test left; no rules and no files are left.
function M.reset()
  for self in pairs(running) do
    if not self.code then self.process:kill "sigkill" end
    self:clean()
  end
  uv.run "nowait"
  files.remove()
  require("tests.lab.lab").shared():clear()
end

--- Runs the program to its end without input; returns its status, output and error output.
function M.run(...)
  local self = M.start { args = { ... }, handshake = false }
  self.pipe:shutdown()
  self:wait(function() return self.code and self.log_closed and self.closed end)
  self:clean()
  return self.code, table.concat(self.other, "\n"), self.log
end

return M
