-- Connections of an SMTP client that read whole replies.
local uv = require "luv"

local M = {}

--- The header of the PROXY protocol, version 2, for a TCP connection.
function M.proxy_header(from)
  local core = require("nexthop.core")
  local source = core.address(from)
  local kind = #source == 4 and "\17" or "\33"
  local body = source .. (#source == 4 and "\192\0\2\1" or core.address("2001:db8::1"))
    .. "\200\1\0\25"
  return "\13\10\13\10\0\13\10QUIT\10\33" .. kind .. string.char(0, #body) .. body
end

--- What was received, as whole replies; who makes it adds send and close.
function M.new()
  local link = { replies = {}, pending = "" }
  -- the end of the first reply of one or more lines
  local function reply_end(from)
    local line, after = link.pending:match("^([^\n]*)\n()", from)
    if line and line:sub(4, 4) == "-" then
      return reply_end(after)
    end
    return after
  end
  function link.feed(chunk)
    if not chunk then
      link.closed = true
      return
    end
    link.pending = link.pending .. chunk
    local stop = reply_end(1)
    while stop do
      table.insert(link.replies, (link.pending:sub(1, stop - 1):gsub("\r?\n$", "")))
      link.pending = link.pending:sub(stop)
      stop = reply_end(1)
    end
  end
  return link
end

--- Connects to a port of the loopback; `header` is sent first.
function M.connect(port, header)
  local link, socket = M.new(), uv.new_tcp()
  function link.send(text) socket:write(text) end
  function link.close()
    if not socket:is_closing() then
      socket:close()
    end
  end
  local function connected(err)
    if err then
      link.closed = true
      return
    end
    if header then
      socket:write(header)
    end
    socket:read_start(function(_, chunk) link.feed(chunk) end)
  end
  local started, err = socket:connect("127.0.0.1", port, connected)
  if not started then
    connected(err)
  end
  return link
end

return M
