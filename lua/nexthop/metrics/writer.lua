--- Writes a page of metrics to a file every 15 s, and once more at the end. A file that cannot be written is
-- logged once, until it can be written again.
local file = require "nexthop.metrics.file"
local protect = require "nexthop.protect"
local uv = require "luv"

local M = {}

local interval = 15000 -- ms

local Writer = {}
Writer.__index = Writer

local function note(self, ok, reason)
  if not ok and not self.has_failed then self.on_error(reason) end
  self.has_failed = not ok
end

local function write(self)
  if not self.path or self.is_writing then return end -- the disk is slow
  local page = self.make()
  self.is_writing = true -- from here on nothing raises
  file.write(self.path, page, function(ok, reason)
    self.is_writing = false
    note(self, ok, reason)
  end)
end

--- Writes the last page. Call it outside of luv's callbacks.
function Writer:close()
  if self.closed then return end
  self.closed = true
  if self.timer then self.timer:close() end
  while self.is_writing do uv.run "once" end
  if self.path then note(self, file.write(self.path, self.make())) end
end

--- Writes to this file from now on, first in the next turn of the loop; nil: to none.
function Writer:set_path(path)
  if path == self.path then return end
  self.path = path
  self.timer = self.timer or uv.new_timer()
  self.timer:start(0, interval, protect.callback(function() write(self) end, self.on_error))
  self.timer:unref()
end

--- @param path of the file; nil: there is none yet
-- @param make function() -> text
-- @param on_error function(reason)
function M.new(path, make, on_error)
  local self = setmetatable({ make = make, on_error = on_error }, Writer)
  self:set_path(path)
  return self
end

return M
