-- What the specs of plan share.
local support = require "tests.support"

local planning = {}

--- A resolver that asks the lab each question as it is asked and no other: counts are exact.
-- @param options more options of libunbound
-- @param extra more options of nexthop.new
function planning.exact(options, extra)
  local all, whole = { ["qname-minimisation"] = "no", ["aggressive-nsec"] = "no" }, {}
  for key, value in pairs(options or {}) do all[key] = value end
  for key, value in pairs(extra or {}) do whole[key] = value end
  whole.options = all
  return support.resolver(whole)
end

--- One field of each in a list.
function planning.field(list, key)
  local values = {}
  for index, each in ipairs(list) do values[index] = each[key] end
  return values
end

--- The fields of a result, without its metatable.
function planning.plain(result)
  local copy = {}
  for key, value in pairs(result) do copy[key] = value end
  return copy
end

return planning
