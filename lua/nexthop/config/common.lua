--- What the files that look at the options of nexthop.new share: errors of code `config`, and files.
local core = require "nexthop.core"

local unpack = unpack or table.unpack -- luacheck: ignore

local M = {}

--- What an error quotes is on one line, whatever was given.
function M.one_line(text)
  return (text:gsub("%c", function(c) return ("\\%03d"):format(c:byte()) end))
end

--- Raises an error of code `config`, which nexthop.config catches and returns.
function M.fail(format, ...)
  local words = { ... }
  for i, word in ipairs(words) do words[i] = M.one_line(tostring(word)) end -- %s of Lua 5.1 ends at a NUL
  error(setmetatable({
    code = "config", message = M.one_line(format:format(unpack(words))), permanent = false,
  }, core.metatables.error), 0)
end

--- @return what is in a file; or nil and why it cannot be read
function M.read_file(path)
  local file, reason = io.open(path, "r")
  if not file then return nil, reason end
  local text, why = file:read "*a"
  file:close()
  return text, text == nil and (path .. ": " .. tostring(why)) or nil
end

--- The first of these that can be opened, or nil.
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
