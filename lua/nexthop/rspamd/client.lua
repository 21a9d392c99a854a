--- Asks a nexthop-server for all domains of one task: one connection, a request for each domain, and
-- the answers in any order. The connection is one of rspamd_tcp, which holds the task until the last
-- answer has come, or the time is up. An answer that cannot be used is a failure, and is logged.
local errors = require "nexthop.errors"
local protocol = require "nexthop.server.protocol"

local M = {}

local Talk = {}
Talk.__index = Talk

--- The longest answer that is read, in bytes. The server itself keeps no more than this for a client.
M.max_answer = 1048576

-- ---- answers ----------------------------------------------------------------------------

local function is_error(value)
  return type(value) == "table" and type(value.code) == "string" and type(value.message) == "string"
end

-- Has a plan the hosts that are read here, each with its name, its verdict and its addresses?
local function is_plan(plan)
  if type(plan) ~= "table" or type(plan.hosts) ~= "table" then return false end
  for _, host in ipairs(plan.hosts) do
    if type(host) ~= "table" or type(host.host) ~= "string" or type(host.tls) ~= "string"
      or type(host.ips) ~= "table" then return false end
    for _, ip in ipairs(host.ips) do
      if type(ip) ~= "string" then return false end
    end
  end
  return true
end

-- Is `result` what the server answers to the operations `sender` and `recipient`?
local function is_result(self, role, result)
  if type(result) ~= "table" then return false, "no result" end
  local domain, plan, err, finding = result.domain, result.plan, result.error, result.finding
  if domain ~= nil and type(domain) ~= "string" then return false, "a domain that is no text" end
  if plan ~= nil and not is_plan(plan) then return false, "a plan that is none" end
  if err ~= nil and not is_error(err) then return false, "an error without code or message" end
  if finding == nil and type(result.skipped) == "string" then return true end
  if type(finding) ~= "string" then return false, "no finding" end
  if finding ~= "ok" and not self.findings[role][finding] then
    return false, ("the finding '%s', which a %s cannot have"):format(finding:sub(1, 40), role)
  end
  return true
end

-- Puts an answer into its query.
local function take(self, query, answer)
  local result, err = answer.result, answer.error
  if err == nil then
    local good, reason = is_result(self, query.role, result)
    if not good then err = errors.new("servfail", "the server's answer has %s", reason) end
  elseif not is_error(err) then
    err = errors.new("servfail", "the server's answer has an error without code or message")
  end
  if err == nil and self.restore then result, err = protocol.restore(query.operation, answer) end
  if err ~= nil then
    query.err = err
    self.log(("no finding for %s: %s"):format(query.domain, err.message))
    return
  end
  query.finding, query.skipped = result.finding, result.skipped
  query.domain = result.domain or query.domain
  query.result, query.err = result.plan, result.error
end

-- Takes one line. Returns nil and a reason, if nothing that follows can be trusted.
local function take_line(self, line)
  if #line > M.max_answer then
    return nil, ("an answer of more than %d bytes"):format(M.max_answer)
  end
  local answer, reason = protocol.decode(line)
  if not answer then return nil, "an answer that is " .. reason end
  if answer.id == nil then
    return nil, is_error(answer.error) and answer.error.message or "an answer without an id"
  end
  local query = self.waiting[answer.id]
  if not query then return nil, "an answer to a question that was not asked" end
  self.waiting[answer.id] = nil
  take(self, query, answer)
  return true
end

-- ---- the connection -------------------------------------------------------------------------

function Talk:finish(reason)
  if self.over then return end
  self.over = true
  if reason then
    for _, query in ipairs(self.queries) do
      if not query.finding and not query.skipped and not query.err then
        query.err = errors.new("timeout", "%s: %s", self.host, reason)
        self.log(("no finding for %s: %s"):format(query.domain, query.err.message))
      end
    end
  end
  self.done()
end

--- Sends the requests. `done` is called once, now or later; then each query has `finding` or `skipped`
-- or `err`, and `result`, the plan.
-- @param talk tcp = require "rspamd_tcp", task, host = the socket, timeout = seconds; queries, each with
-- role, operation and domain; options of the requests, and recipient, more of them for recipients; findings =
-- { role = { finding = ... } }; restore: shall plans be as those of a resolver; log = function(text);
-- done = function()
function M.ask(talk)
  local self = setmetatable(talk, Talk)
  self.waiting = {}
  local requests = {}
  for id, query in ipairs(self.queries) do
    self.waiting[id] = query
    local options = {}
    for key, value in pairs(self.options) do options[key] = value end
    local more = query.operation == "recipient" and self.recipient or {}
    for key, value in pairs(more) do options[key] = value end
    requests[id] = protocol.encode { id = id, op = query.operation, domain = query.domain, options = options }
  end
  local function read(err, data, connection)
    if self.over then return end
    if err or not data then return self:finish(tostring(err or "no answer")) end
    local good, reason = take_line(self, tostring(data))
    if not good then return self:finish(reason) end
    if next(self.waiting) == nil then return self:finish() end
    -- A connection that has nothing to read any more is closed by rspamd. Do not call its close():
    -- some versions then release it twice.
    connection:add_read(read, "\n")
  end
  local sent = self.tcp.new {
    task = self.task, host = self.host, port = 0, timeout = self.timeout,
    data = { table.concat(requests) }, stop_pattern = "\n", callback = read,
    on_error = read, -- of rspamd 4.1: a failed connection is told here, and an error logged without it
  }
  if not sent then self:finish "cannot connect" end
end

return M
