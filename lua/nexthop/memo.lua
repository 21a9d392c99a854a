--- Remembers what a function has made of short values: the same names, records and numbers come again
-- and again.
local most, longest = 1000, 200 -- values, and bytes of what is made of one

--- @param make function(value) -> text
-- @return a table: memo[value] is make(value), made once for as long as it is remembered
return function(make)
  local left = most
  return setmetatable({}, { __index = function(self, value)
    local text = make(value)
    if #text > longest or value ~= value then return text end -- NaN is no key
    if left == 0 then
      for known in pairs(self) do self[known] = nil end
      left = most
    end
    left = left - 1
    self[value] = text
    return text
  end })
end
