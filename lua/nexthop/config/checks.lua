--- What the files that check the options of nexthop.new share. Misuse (a wrong type) raises a text; what only
-- shows when it is tried raises an error of code `config`, which nexthop.config catches and returns.
local errors = require "nexthop.errors"

local M = {}

--- Raises an error of code `config`.
function M.fail(...)
  error(errors.new("config", ...), 0)
end

local function misuse(format, ...)
  error(format:format(...), 0)
end

--- Returns a string or a list of strings as a list.
-- @param key the option, for messages
function M.strings(value, key)
  if type(value) == "string" then return { value } end
  if type(value) ~= "table" then
    misuse("bad option '%s' to 'new' (string or list of strings expected, got %s)", key, type(value))
  end
  local n = 0
  for name in pairs(value) do
    n = n + 1
    if type(name) ~= "number" then
      misuse("bad option '%s' to 'new' (string or list of strings expected, got a table with the key '%s')",
        key, tostring(name))
    end
  end
  for i = 1, n do -- a nil entry must not hide those behind it
    if type(value[i]) ~= "string" then
      misuse("bad option '%s' to 'new' (entry %d is a %s, not a string)", key, i, type(value[i]))
    end
  end
  return value
end

--- @return what is in a file; or nil and why it cannot be read
function M.read_file(path)
  local file, reason = io.open(path, "r")
  if not file then return nil, reason end
  local text, why = file:read "*a"
  file:close()
  return text, text == nil and (path .. ": " .. tostring(why)) or nil
end

--- Returns the first of these paths that can be opened, or nil.
function M.first_existing(paths)
  for _, path in ipairs(paths) do
    local file = io.open(path, "r")
    if file then
      file:close()
      return path
    end
  end
end

return M
