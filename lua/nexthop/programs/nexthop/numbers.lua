--- Numbers on the command line.
local M = {}

--- Makes a function(text) that returns a number of seconds; or nil and what is wrong.
-- @param option its name, for the message
function M.seconds(option)
  return function(text)
    local n = text:find "^[%d.]+$" and tonumber(text)
    if not n or n < 0.001 or n > 86400 then
      return nil, ("%s: '%s' is no number of seconds from 0.001 to 86400"):format(option, text)
    end
    return n
  end
end

--- The same for a whole number.
function M.whole(option, low, high)
  return function(text)
    local n = text:find "^%d+$" and tonumber(text)
    if not n or n < low or n > high then
      return nil, ("%s: '%s' is no whole number from %d to %d"):format(option, text, low, high)
    end
    return n
  end
end

return M
