--- The connection of a filter or a table to smtpd: lines come in, answers go out. smtpd ends, and all mail
-- with it, when the program ends before its input does. Therefore nothing but the end of input ends the
-- connection.
local core = require "nexthop.core"
local descriptors = require "nexthop.luv.descriptors"
local new_reader = require "nexthop.luv.reader"
local new_writer = require "nexthop.luv.writer"
local protect = require "nexthop.protect"
local signals = require "nexthop.luv.signals"
local uv = require "luv"

local Connection = {}
Connection.__index = Connection

local high_water = 1048576 -- bytes of answers that smtpd has not read, before we read no more

--- Sends text, one or more whole lines.
function Connection:send(text)
  self.writer:write(text)
  if self.writer:queued() > high_water then self.reader:pause() end
end

--- At the end of input, once all that was open has its answer and smtpd has it: leave. Where a signal said
-- that smtpd is being ended, or smtpd has gone, nobody waits for answers any more. Call it when something has
-- been answered.
function Connection:settle()
  if not self.ended or self.left or self.is_busy() and not self.terminated then return end
  self.left = true
  self.on_leave()
  self.reader:close()
  self.writer:close(function()
    self.log:close(function()
      self.finished = true
      uv.stop()
    end)
  end)
end

local function open_writer(self)
  return new_writer(self.output, {
    on_drain = function() self.reader:resume() end,
    on_broken = function(reason, code)
      self.log:line { error = "output", message = reason }
      if code ~= "EPIPE" then self.failure = "output: " .. reason end
      self.ended, self.terminated = true, true
      self:settle()
    end,
  })
end

local function open_reader(self)
  return new_reader(self.input, {
    max = self.max_line,
    on_line = self.on_line,
    on_end = function(reason, rest)
      if reason then
        self.log:line { error = "input", message = reason }
        if not reason:find "^ECONNRESET" then self.failure = "input: " .. reason end
      end
      if rest ~= "" then
        self.log:line { event = "ignored", reason = "unfinished", line = rest:sub(1, 200) }
      end
      self.ended = true
      if core.is_broken(self.output) then self.terminated = true end
      self:settle()
    end,
  })
end

--- Serves until the end of input. Returns true, or nil and why input or output failed.
function Connection:run()
  if self.input == 0 then self.input = descriptors.reserve() end
  if self.output == 1 then self.output = select(2, descriptors.reserve()) end
  -- a smtpd that reads no more is an error of writing, not our end; nor are the signals that tell
  -- smtpd's processes to end: it would take ours for a failure
  local watch = signals.watch(uv, { sigpipe = false, sighup = false, sigterm = function()
    self.terminated = true
    self:settle()
  end })
  self.writer = open_writer(self)
  self.reader = open_reader(self)
  protect.keep_running(function() return self.finished end)
  watch:close()
  uv.run("nowait") -- what was closed is gone before Lua is
  if self.failure then return nil, self.failure end
  return true
end

--- @param options log; input, output: descriptors (0 and 1: those of nexthop.luv.descriptors); max_line:
-- bytes; on_line(line, is_cut), which must not raise; is_busy(): is something open that wants an answer?
-- on_leave(): called once, before the end
return function(options)
  return setmetatable({
    log = options.log, input = options.input or 0, output = options.output or 1, max_line = options.max_line,
    on_line = options.on_line, is_busy = options.is_busy, on_leave = options.on_leave,
  }, Connection)
end
