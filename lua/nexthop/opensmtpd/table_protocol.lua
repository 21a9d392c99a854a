--- The lines of smtpd-tables(7), taken apart and put together; no input or output.
-- Nothing is escaped in them, and only the last field may hold a `|`.
local M = {}

--- What smtpd can ask a table for. Another name in `register` would end it.
M.services = {}
for _, name in ipairs {
  "alias", "domain", "credentials", "netaddr", "userinfo", "source", "mailaddr", "addrname", "mailaddrmap",
  "relayhost", "string", "regex", "auth",
} do
  M.services[name] = true
end

local max_text = 400 -- bytes of an error message

-- The name of a table in smtpd.conf may hold a `|`: it is known from `config|tablename`.
local function without_name(text, name)
  if name and text:sub(1, #name + 1) == name .. "|" then return text:sub(#name + 2) end
  return text:match "^[^|]*|(.*)$"
end

local function parse_request(line, name, is_cut)
  local rest = without_name(line:match "^table|[^|]*|[^|]*|(.*)$" or "", name)
  local operation, fields = (rest or ""):match "^([^|]+)|(.*)$"
  if not operation then return nil, "not a request to a table" end
  local request = { kind = "request", operation = operation }
  local after
  if operation == "update" then
    request.id, after = fields:match "^([^|]*)(.*)$"
  else
    request.service, request.id, after = fields:match "^([^|]*)|([^|]*)(.*)$"
  end
  if not request.id or request.id == "" or is_cut and after == "" then return nil, "no id" end
  request.query = after:sub(2)
  return request
end

--- Takes a line apart.
-- @param name the name of the table, once it is known
-- @param is_cut is this only the beginning of the line?
-- @return a table whose `kind` is "config" or "request"; or nil and why it is none
function M.parse(line, name, is_cut)
  if line:find "^table|" then return parse_request(line, name, is_cut) end
  local key, value = line:match "^config|([^|]*)|?(.*)$"
  if key then return { kind = "config", key = key, value = value } end
  return nil, "unknown"
end

-- One line of printable ASCII, which smtpd copies to the log.
local function plain(text)
  if #text > max_text then text = text:sub(1, max_text) .. "..." end
  return (text:gsub("[^ -~]", "?"))
end

--- The line that answers a request.
-- @param word "found", "not-found", "error" or "ok"
-- @param text the value, or the message; nil: none
function M.result(request, word, text)
  if word == "error" then text = plain(text) end
  return request.operation .. "-result|" .. request.id .. "|" .. word .. (text and "|" .. text or "") .. "\n"
end

--- Is this a value that smtpd takes? One line, not empty.
-- @return the value; or nil and what is wrong with it
function M.value(value)
  if type(value) ~= "string" then
    return nil, ("a value expected, got a %s"):format(type(value))
  elseif value == "" then
    return nil, "a value is not empty"
  elseif value:find "[%z\r\n]" then
    return nil, "a value is one line"
  elseif #value > 65536 then
    return nil, "a value has at most 65536 bytes"
  end
  return value
end

return M
