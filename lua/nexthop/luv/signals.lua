--- Signals on luv's loop.
local M = {}

local Watch = {}
Watch.__index = Watch

--- Watches signals, until close() is called. A watched signal does not end the process.
-- @param handlers function() by name ("sigterm"); false for a signal that nothing happens at
-- @param keeps_loop do the signals keep the loop running?
function M.watch(uv, handlers, keeps_loop)
  local self = setmetatable({ handles = {} }, Watch)
  for name, handler in pairs(handlers) do
    local handle = uv.new_signal()
    handle:start(name, handler or function() end)
    if not keeps_loop then handle:unref() end
    self.handles[#self.handles + 1] = handle
  end
  return self
end

function Watch:close()
  for _, handle in ipairs(self.handles) do handle:close() end
  self.handles = {}
end

return M
