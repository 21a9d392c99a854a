--- Lists of domains that are not to be looked up: `example.org` is that name, `*.example.net` is everything
-- below it, at any depth, but not itself.
local M = {}

--- Compiles a list. Needs no C half: the caller says what is a name.
-- @param list strings, in any case
-- @param name_of function(text) -> a domain in the form that is compared; or nil and why it is none
-- @param on_wrong function(text, number), called for each entry that is no such thing
-- @return a function(domain) -> boolean; the domain is in the form that is compared
function M.compile(list, name_of, on_wrong)
  local names, below, count = {}, {}, 0
  for key in pairs(list) do
    if type(key) == "number" then count = count + 1 end
  end
  for i = 1, count do -- a nil, a misspelt variable for one, must not hide what follows
    local entry = list[i]
    if type(entry) ~= "string" then
      on_wrong(("a domain expected, got a %s"):format(type(entry)), i)
    else
      local wildcard, rest = entry:match "^(%*%.)(.*)$"
      local name, reason = name_of(rest or entry)
      if name then
        (wildcard and below or names)[name] = true
      else
        on_wrong(("'%s' is neither a domain nor '*.' and a domain%s"):format(entry,
          reason and (" (%s)"):format(reason) or ""), i)
      end
    end
  end
  return function(domain)
    if names[domain] then return true end
    local dot = domain:find(".", 1, true)
    while dot do
      if below[domain:sub(dot + 1)] then return true end
      dot = domain:find(".", dot + 1, true)
    end
    return false
  end
end

--- Compiles a list of U- or A-labels. Returns function(domain) -> boolean; or nil and which entry is wrong.
function M.of(list)
  local core, wrong = require "nexthop.core", nil
  local excludes = M.compile(list, core.name, function(reason, i)
    wrong = wrong or ("entry %d: %s"):format(i, reason)
  end)
  if wrong then return nil, wrong end
  return function(domain) return excludes(core.name(domain) or domain:lower()) end
end

return M
