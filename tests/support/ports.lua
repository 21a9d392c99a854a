-- TCP ports for servers that are told their port before they start.
--
--   local ports = require "tests.support.ports"
--   local port = ports.free()                  -- at 127.0.0.1
--   local port = ports.free "127.60.0.3"
local socket = require "socket"

local ports = {}

-- Below the ports that the system gives to connections: such a port may be taken again before the server
-- that it is for has started.
local FIRST, LAST = 20000, 32000

-- Processes that run side by side begin at different places.
local last = FIRST + math.floor(socket.gettime() * 1e6) % (LAST - FIRST)

local function is_free(address, port)
  local listener = socket.bind(address, port)
  if listener then listener:close() end
  return listener ~= nil
end

--- A port that nobody listens at, and that this process has not been given before.
-- @param address where (127.0.0.1)
function ports.free(address)
  for _ = FIRST, LAST do
    last = last < LAST and last + 1 or FIRST
    if is_free(address or "127.0.0.1", last) then return last end
  end
  error("no free port at " .. (address or "127.0.0.1"), 2)
end

return ports
