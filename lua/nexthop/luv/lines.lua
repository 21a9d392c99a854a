--- Cuts bytes, as they come, into lines.
--
--   local lines = new(65536)
--   lines:push(chunk)
--   for line, is_cut in lines.next, lines do ... end
local Lines = {}
Lines.__index = Lines

-- Adds a piece to the line that has no end yet. Of a line that is too long, only the beginning is kept.
local function keep(self, piece)
  if self.size <= self.max and piece ~= "" then
    self.count = self.count + 1
    self.parts[self.count] = piece
  end
  self.size = self.size + #piece
end

-- Takes what was kept as one text.
local function take(self)
  local line, is_cut = table.concat(self.parts, "", 1, self.count), self.size > self.max
  self.parts, self.count, self.size = {}, 0, 0
  return is_cut and line:sub(1, self.max) or line, is_cut
end

--- Adds bytes.
function Lines:push(bytes)
  self.buffer, self.at = self.at > #self.buffer and bytes or self.buffer:sub(self.at) .. bytes, 1
end

--- Takes the next line.
-- @return the line, and whether only its first `max` bytes are left; nil: there is no whole line yet
function Lines:next()
  local from, stop = self.at, self.buffer:find("\n", self.at, true)
  if not stop then
    keep(self, self.buffer:sub(from))
    self.buffer, self.at = "", 1
    return nil
  end
  self.at = stop + 1
  if self.size == 0 and stop - from <= self.max then return self.buffer:sub(from, stop - 1), false end
  keep(self, self.buffer:sub(from, stop - 1))
  return take(self)
end

--- Takes what came after the last newline; "" where that was nothing. Call it when next() has returned nil.
function Lines:rest()
  return take(self)
end

--- Returns how many bytes have been pushed and not taken.
function Lines:length()
  return self.size + #self.buffer - self.at + 1
end

--- Is the line that has no end yet too long already?
function Lines:is_overlong()
  return self.size > self.max
end

--- @param max bytes of a line, beyond which the rest of it is left out; nil: no bound
return function(max)
  return setmetatable({ max = max or math.huge, buffer = "", at = 1, parts = {}, count = 0, size = 0 }, Lines)
end
