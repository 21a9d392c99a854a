--- Log lines of key=value on a descriptor, which smtpd copies to the mail log. Nothing blocks: who
-- does not read them loses some. What peers send is quoted, so that it can look like nothing else.
local new_writer = require "nexthop.luv.writer"
local uv = require "luv"

local log = {}
log.__index = log

local max_queue, max_value = 1048576, 400
local order = {
  "session", "role", "phase", "event", "error", "finding", "action", "domain", "address", "source",
  "report", "reason", "reply", "message", "line",
}

local function escape(c)
  return c == '"' and '\\"' or c == "\\" and "\\\\" or ("\\x%02x"):format(c:byte())
end

--- A value as it stands in a line: as it is where that is plain, else in quotes, with what is no
-- printable ASCII as \xNN.
local function quote(value)
  local ok, text = pcall(tostring, value)
  value = ok and type(text) == "string" and text or "?" -- LuaJIT lets __tostring return anything
  if #value > max_value then value = value:sub(1, max_value) .. "..." end
  if value ~= "" and not value:find "[^%w@.:_+/%[%]-]" then return value end
  return '"' .. value:gsub('[%c"\\\127-\255]', escape) .. '"'
end

--- Writes a line. Fields without a place in the usual order come last.
function log:line(fields)
  local parts, done = {}, {}
  local function add(key)
    if fields[key] ~= nil and not done[key] then
      done[key] = true
      parts[#parts + 1] = key .. "=" .. quote(fields[key])
    end
  end
  for _, key in ipairs(order) do add(key) end
  local others = {}
  for key in pairs(fields) do others[#others + 1] = key end
  table.sort(others)
  for _, key in ipairs(others) do add(key) end
  self:write(table.concat(parts, " ") .. "\n")
end

function log:write(text)
  if self.is_closed then
    uv.fs_write(self.fd, text, -1) -- what is left to say after the end: nobody waits for its reader
    return
  end
  if self.writer:queued() > max_queue then
    self.lost = (self.lost or 0) + 1
    return
  end
  if self.lost then
    text = ("event=log lost=%d\n"):format(self.lost) .. text
    self.lost = nil
  end
  self.writer:write(text)
end

--- Runs `done` when all is written; gives up on a reader that takes nothing for a second.
function log:close(done)
  local timer = uv.new_timer()
  timer:start(1000, 0, function() self.writer:abandon() end)
  self.writer:close(function()
    timer:close()
    self.is_closed = true
    done()
  end)
end

return {
  quote = quote,
  new = function(fd)
    return setmetatable({ fd = fd, writer = new_writer(fd, {}) }, log)
  end,
}
