--- The progress bar on stderr: how far, how fast, how long still.
local uv = require "luv"

local M = {}

local WIDTH = 30

local function clock(seconds)
  seconds = math.floor(seconds + 0.5)
  local hours, minutes = math.floor(seconds / 3600), math.floor(seconds / 60) % 60
  if hours > 0 then return ("%d:%02d:%02d"):format(hours, minutes, seconds % 60) end
  return ("%d:%02d"):format(minutes, seconds % 60)
end

--- One line of at most 79 characters. fraction: 0 to 1, or nil; failed: names that are asked again.
function M.line(done, seconds, fraction, failed)
  local rate = seconds > 0 and done / seconds or 0
  local line = ("%d done, %.0f/s"):format(done, rate)
  if fraction then
    local filled = math.floor(fraction * WIDTH)
    line = ("[%s%s] %3d%%  %s"):format(("#"):rep(filled), ("."):rep(WIDTH - filled),
      math.floor(fraction * 100), line)
    if fraction > 0 and done > 0 then
      line = ("%s, %s left"):format(line, clock(seconds * (1 - fraction) / fraction))
    end
  end
  if failed and failed > 0 then line = ("%s, %d to ask again"):format(line, failed) end
  return line:sub(1, 79)
end

local Bar = {}
Bar.__index = Bar

function M.new()
  return setmetatable({ since = uv.hrtime(), shown = false }, Bar)
end

function Bar:seconds()
  return (uv.hrtime() - self.since) / 1e9
end

function Bar:show(run)
  self.shown = true
  -- what is under way has been taken from the file, and is not done
  local fraction = run.source:fraction()
  if fraction and run.started > 0 then fraction = fraction * run.done / run.started end
  io.stderr:write("\r", M.line(run.done, self:seconds(), fraction, run.failed), "\27[K")
end

--- Takes it off the screen, so that something else can be written there.
function Bar:hide()
  if self.shown then io.stderr:write("\r\27[K") end
  self.shown = false
end

return M
