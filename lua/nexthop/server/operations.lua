--- The operations of the lookup server: what a request may ask, and what is done for it.
local policy = require "nexthop.policy"
local protocol = require "nexthop.server.protocol"

local M = {}

-- The options of a plan: those of the request, and what the server's configuration has for all. A client does
-- not choose which files are read and which ports are connected to.
local function plan_options(server, options, all)
  for _, key in ipairs { "ca_file", "sts_port" } do
    if options[key] ~= nil then error(("option '%s' is the server's to set"):format(key), 0) end
  end
  local settings = server.settings
  for _, key in ipairs { "sts", "tlsrpt" } do
    if options[key] == nil and all then options[key] = settings[key] end
  end
  if options.sts then options.sts_port, options.ca_file = settings.sts_port, settings.ca_file end
  return options
end

-- { field, run } by name. run = function(server, request, options, answer): calls answer(result, err) once,
-- now or later, and returns the handle of what is under way.
local ops = {}

for op, field in pairs {
  gather_destinations = "domain", gather_ips = "host", gather_tlsa = "host",
} do
  ops[op] = { field = field, run = function(server, request, options, answer)
    return server.resolver[op](server.resolver, request[field], options, answer)
  end }
end

ops.plan = { field = "domain", run = function(server, request, options, answer)
  return server.resolver:plan(request.domain, plan_options(server, options, true), function(plan, err)
    server.metrics_counts:plan(plan, err)
    answer(plan, err)
  end)
end }

for _, role in ipairs { "sender", "recipient" } do
  ops[role] = { field = "domain", run = function(server, request, options, answer)
    local domain, skipped = policy.domain("@" .. request.domain)
    if domain and server.excludes(domain) then skipped = "excluded" end
    if skipped then
      return answer { finding = protocol.null, plan = protocol.null, error = protocol.null,
        domain = domain, skipped = skipped }
    end
    options = plan_options(server, options, role == "recipient")
    return server.resolver:plan(domain, options, function(plan, err)
      server.metrics_counts:plan(plan, err)
      answer { finding = policy.find(role, plan, err), domain = domain, plan = plan or protocol.null,
        error = err or policy.unfinished(plan) or protocol.null }
    end)
  end }
end

ops.stats = { run = function(server, _, _, answer)
  answer(server:stats())
end }

--- What is counted of requests: the ops, and "invalid" for all else.
M.names = { "invalid" }
for op in pairs(ops) do M.names[#M.names + 1] = op end

local fields = { id = true, op = true, options = true } -- of every request

--- Checks a request.
-- @return what is wrong with it; or nil and its operation
function M.check(request)
  if type(request.id) == "number" and request.id - request.id ~= 0 then request.id = nil end -- 1e999
  if request.id == nil then return "the field 'id' is missing" end
  if type(request.id) ~= "number" and type(request.id) ~= "string" then
    return "the field 'id' is neither a number nor a string"
  end
  if type(request.op) ~= "string" then return "the field 'op' is missing" end
  local op = ops[request.op]
  if not op then return ("no such op '%s'"):format(request.op:sub(1, 40)) end
  if op.field and type(request[op.field]) ~= "string" then
    return ("the field '%s' is missing, or no string"):format(op.field)
  end
  if request.options ~= nil and type(request.options) ~= "table" then
    return "the field 'options' is no object"
  end
  for name in pairs(request) do
    if not fields[name] and name ~= op.field then
      return ("the op '%s' has no field '%s'; there are: %s"):format(request.op, tostring(name):sub(1, 40),
        op.field and "id, op, options, " .. op.field or "id, op, options")
    end
  end
  return nil, op
end

return M
