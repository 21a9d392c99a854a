--- How a report of verify prints, in the REPL and in logs: a few lines for a person to read.
local core = require "nexthop.core"

local metatables = core.metatables

local function record_text(record)
  local text = tostring(record)
  return #text > 150 and text:sub(1, 100) .. ("... (%d bytes)"):format(#record.data) or text
end

-- What a connection that is ok has shown.
local function seen(connection)
  if connection.absent then return "no certificate of this kind" end
  local tls = connection.tls
  local text = tls and tls.version or "no TLS is offered"
  local matched = connection.matched
  if not matched then return text end
  text = ("%s, %s matches"):format(text, record_text(matched.record))
  if matched.depth > 0 then text = ("%s at depth %d"):format(text, matched.depth) end
  return matched.name and ("%s, name %s"):format(text, matched.name) or text
end

-- "192.0.2.1 port 25, rsa: ok: TLSv1.3, 3 1 1 ... matches"
local function connection_text(connection)
  local keys = connection.keys ~= "any" and ", " .. connection.keys or ""
  local title = ("%s port %d%s"):format(connection.ip, connection.port, keys)
  if connection.ok then return ("%s: ok: %s"):format(title, seen(connection)) end
  local message = (connection.message or "it failed"):gsub("%s*\n%s*", " / ")
  return ("%s: %s: %s"):format(title, connection.result or "failed", message)
end

local function result_of(subject)
  return subject.ok and "ok" or subject.result or subject.err and subject.err.code or "failed"
end

local function add_host(host, lines)
  lines[#lines + 1] = ("  %s%s: %s, %s"):format(
    host.pref >= 0 and ("%d "):format(host.pref) or "", host.host, host.tls, result_of(host))
  if host.err then lines[#lines] = ("%s: %s"):format(lines[#lines], tostring(host.err)) end
  for _, connection in ipairs(host.connections) do
    lines[#lines + 1] = "    " .. connection_text(connection)
  end
  if host.truncated then
    lines[#lines + 1] = ("    %d more addresses left out"):format(host.truncated)
  end
  local presented = false
  for _, connection in ipairs(host.connections) do presented = presented or connection.tls ~= nil end
  for _, entry in ipairs(host.records) do
    if entry.matches == "none" and presented and not host.ok then
      lines[#lines + 1] = ("    TLSA %s matches nothing"):format(record_text(entry.record))
    end
  end
end

metatables.connection.__tostring = connection_text

metatables.report_host.__tostring = function(host)
  local lines = {}
  add_host(host, lines)
  return (table.concat(lines, "\n"):gsub("^  ", ""):gsub("\n  ", "\n"))
end

metatables.report.__tostring = function(report)
  local lines = { ("%s: %s"):format(report.domain, report.ok and "ok" or "not ok") }
  if report.expired then lines[1] = lines[1] .. ", the deadline came" end
  for _, host in ipairs(report.hosts) do add_host(host, lines) end
  if report.plan.truncated then
    lines[#lines + 1] = ("  %d more hosts left out"):format(report.plan.truncated)
  end
  return table.concat(lines, "\n")
end
