--- Counts how often a duration was below each of some bounds.
local Histogram = {}
Histogram.__index = Histogram

local M = {}

--- Bounds, in seconds, for what the DNS answers.
M.BOUNDS = { 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10 }

--- Counts a duration in seconds.
function Histogram:observe(seconds)
  self.count, self.sum = self.count + 1, self.sum + seconds
  for i, bound in ipairs(self.bounds) do
    if seconds <= bound then
      self.counts[i] = self.counts[i] + 1
      return
    end
  end
end

--- @param bounds ascending, in seconds; nil: M.BOUNDS
function M.new(bounds)
  local self = setmetatable({ bounds = bounds or M.BOUNDS, counts = {}, count = 0, sum = 0 }, Histogram)
  for i = 1, #self.bounds do self.counts[i] = 0 end
  return self
end

return M
