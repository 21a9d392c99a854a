--- A request of smtpd, as a handler of nexthop.opensmtpd gets it: it has one answer, and what is written is
-- whole and valid, or smtpd would end.
local protocol = require "nexthop.opensmtpd.protocol"

local Request = {}
Request.__index = Request

-- Writes the answer, once.
local function answer(self, decision, parameter)
  if self.phase == "data-line" then error("data-line has no answer but lines, see write", 3) end
  if self.answered then return nil, "has its answer already" end
  self.answered = decision
  local owner = self.filter
  owner.open = owner.open - 1
  owner.deadlines:unwatch(self)
  local waiting = owner.waiting[self.id]
  if waiting and waiting[self.phase] == self then
    waiting[self.phase] = nil
    if next(waiting) == nil then owner.waiting[self.id] = nil end
  end
  owner:send(protocol.result(self, decision, parameter))
  owner:settle()
  return true
end

--- Nothing against it.
function Request:proceed() return answer(self, "proceed") end

--- Marks the message, or the session, as junk. Raises at `commit`, where smtpd does not take it.
function Request:junk()
  if self.phase == "commit" then error("junk is no answer at commit", 2) end
  return answer(self, "junk")
end

local function checked(text)
  local reply, reason = protocol.reply(text)
  if not reply then error(reason, 3) end
  return reply
end

--- Refuses the command. text: the SMTP reply, 4xx or 5xx, a space and printable ASCII; raises on any other.
function Request:reject(text) return answer(self, "reject", checked(text)) end

--- Refuses and closes the connection; text as for reject.
function Request:disconnect(text) return answer(self, "disconnect", checked(text)) end

--- Goes on with another parameter in place of the client's.
function Request:rewrite(parameter)
  if type(parameter) ~= "string" or parameter == "" or #parameter > 1900 or parameter:find "%c" then
    error("a parameter expected, one line of up to 1900 bytes", 2)
  end
  return answer(self, "rewrite", parameter)
end

--- For `data-line`: sends a line of the message on. The last one is "."
function Request:write(line)
  if self.phase ~= "data-line" then error("lines are for data-line", 2) end
  -- a CR is let through: smtpd's own lines may hold one
  if line:find("\n", 1, true) then error("one line expected", 2) end
  self.written = true -- an error that comes after it does not send the line once more
  self.filter:send(protocol.data_line(self, line))
end

return Request
