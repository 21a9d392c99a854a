--- The lines of smtpd-filters(7), taken apart and put together; no input or output.
-- Nothing is escaped in them, and only the last field may hold a `|`.
local addresses = require "nexthop.mail.addresses"

local M = {}

-- Every phase and report of smtpd since 6.6; another name in `register` would end it.
M.order = {
  "connect", "helo", "ehlo", "starttls", "auth", "mail-from", "rcpt-to", "data", "data-line",
  "rset", "quit", "noop", "help", "wiz", "commit",
  "link-connect", "link-disconnect", "link-greeting", "link-identify", "link-tls", "link-auth",
  "tx-reset", "tx-begin", "tx-mail", "tx-rcpt", "tx-envelope", "tx-data", "tx-commit",
  "tx-rollback", "protocol-client", "protocol-server", "filter-report", "filter-response", "timeout",
}

M.phases, M.reports = {}, {}
for i, name in ipairs(M.order) do
  if i <= 15 then M.phases[name] = true else M.reports[name] = true end
end

--- Reports that are always asked for: sessions are kept by them.
M.needed = {
  ["link-connect"] = true, ["link-disconnect"] = true, ["link-identify"] = true,
  ["link-auth"] = true,
}

--- The same for outgoing mail.
M.needed_outgoing = { ["link-connect"] = true, ["link-disconnect"] = true, ["link-tls"] = true }

-- What a version has no more.
local removed = { wiz = 7009 } -- 7.9

--- Reports that make a session known.
M.begins = { ["link-connect"] = true, ["link-identify"] = true, ["link-auth"] = true }

-- Versions as one number: 0.7 is 7, 0.10 is 10, 1.0 is 1000.
local function version_of(text)
  local major, minor = text:match "^(%d+)%.(%d+)"
  return major and tonumber(major) * 1000 + tonumber(minor)
end

--- Is that phase or report one of a version of smtpd ("7.9.0")? Of one that does not tell, it is.
function M.is_known(name, version)
  return not removed[name] or (version_of(version or "") or 0) < removed[name]
end

-- Fields of reports by name. The last takes what is left; where `first` is set, the first does, for
-- the names and addresses that old versions have in front.
local fields = {
  ["link-greeting"] = { { "hostname" } },
  ["link-identify"] = { { "method", "helo" } },
  ["link-tls"] = { { "tls" } },
  ["link-auth"] = { { "username", "result", first = true }, [7] = { "result", "username" } },
  ["link-connect"] = { { "rdns", "fcrdns", "source", "destination", first = true } },
  ["tx-reset"] = { { "message_id" } },
  ["tx-begin"] = { { "message_id" } },
  ["tx-mail"] = {
    { "message_id", "address", "result", middle = true }, [6] = { "message_id", "result", "address" },
  },
  ["tx-envelope"] = { { "message_id", "envelope_id" } },
  ["tx-data"] = { { "message_id", "result" } },
  ["tx-commit"] = { { "message_id", "size" } },
  ["tx-rollback"] = { { "message_id" } },
  ["protocol-client"] = { { "command" } },
  ["protocol-server"] = { { "response" } },
  ["filter-report"] = { { "filter_kind", "filter_name", "message" } },
  ["filter-response"] = { { "phase", "response", "parameter" } },
}
fields["tx-rcpt"] = fields["tx-mail"]

local function pattern_of(names)
  local parts = {}
  for i = 1, #names do parts[i] = "([^|]*)" end
  parts[names.first and 1 or names.middle and 2 or #names] = "(.*)"
  return "^" .. table.concat(parts, "|") .. "$"
end
for _, versions in pairs(fields) do
  for _, names in pairs(versions) do names.pattern = pattern_of(names) end
end

local function set_fields(event, text)
  local versions = fields[event.name]
  if not versions then return end
  local names, since = versions[1], 0
  for version, others in pairs(versions) do
    if version > 1 and version > since and event.number >= version then
      names, since = others, version
    end
  end
  local values = { text:match(names.pattern) }
  if #values == 0 then
    -- fewer fields: the first of them, as they come; filter-response has its parameter not always
    if event.name == "link-identify" then
      values = { nil, text }
    else
      for value in (text .. "|"):gmatch "([^|]*)|" do values[#values + 1] = value end
    end
  end
  for i, name in ipairs(names) do event[name] = values[i] end
end

local function parse_report(line)
  local version, time, subsystem, name, rest = line:match "^report|([^|]*)|([^|]*)|([^|]*)|([^|]*)|(.*)$"
  if not version then return nil, "not a report" end
  local id, text = rest:match "^([^|]*)|(.*)$"
  local event = {
    kind = "report", version = version, number = version_of(version) or 1e9, time = time,
    subsystem = subsystem, name = name, id = id or rest, parameter = text or "",
  }
  if event.id == "" then return nil, "no session" end
  set_fields(event, event.parameter)
  return event
end

local function parse_filter(line)
  local version, time, subsystem, phase, id, rest =
    line:match "^filter|([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]+)|(.+)$"
  if not version then return nil, "not a filter request" end
  local token, text = rest:match "^([^|]*)|(.*)$"
  token = token or rest
  if token == "" then return nil, "no token" end
  local event = {
    kind = "filter", version = version, number = version_of(version) or 1e9, time = time,
    subsystem = subsystem, phase = phase, id = id, token = token, parameter = text or "",
  }
  if phase == "mail-from" or phase == "rcpt-to" then event.address = event.parameter end
  return event
end

--- Takes a line apart.
-- @return a table whose `kind` is "config", "report" or "filter"; or nil and why it is none
function M.parse(line)
  local kind = line:match "^(%w+)|"
  if kind == "report" then return parse_report(line) end
  if kind == "filter" then return parse_filter(line) end
  if kind == "config" then
    local key, value = line:match "^config|([^|]*)|?(.*)$"
    return { kind = "config", key = key, value = value }
  end
  return nil, "unknown"
end

-- unix:/path, local, 192.0.2.1:25, [2001:db8::1]:25
local function is_local(source)
  if source == "local" or source:find "^unix:" then return true end
  local ip = source:match "^%[(.*)%]" or source:match "^(%d+%.%d+%.%d+%.%d+)" or source
  return addresses.is_loopback((ip:gsub("^[Ii][Pp][Vv]6:", "")))
end

--- Keeps in a session what a report says of it.
function M.update(session, event)
  if event.name == "link-connect" then
    session.rdns, session.fcrdns = event.rdns, event.fcrdns
    session.source, session.destination = event.source, event.destination
    session.is_local = event.source ~= nil and is_local(event.source)
  elseif event.name == "link-identify" then
    session.helo = event.helo
  elseif event.name == "link-auth" and event.result == "pass" then
    session.authenticated, session.username = true, event.username
  end
end

local function head(word, request)
  local first, second = request.id, request.token
  if request.number < 5 then first, second = second, first end
  return word .. "|" .. first .. "|" .. second .. "|"
end

--- The line that answers a request.
function M.result(request, decision, parameter)
  return head("filter-result", request) .. decision .. (parameter and "|" .. parameter or "") .. "\n"
end

--- A line of the message, for data-line.
function M.data_line(request, line)
  return head("filter-dataline", request) .. line .. "\n"
end

--- Is this a reply that smtpd passes on as it is? One line, 4xx or 5xx, printable ASCII.
-- @return text; or nil and what is wrong with it
function M.reply(text)
  if type(text) ~= "string" then
    return nil, ("a reply expected, got a %s"):format(type(text))
  elseif #text > 1900 then
    return nil, "a reply is at most 1900 bytes long"
  elseif not text:find "^[45]%d%d " then
    return nil, "a reply begins with 4xx or 5xx and a space"
  elseif text:find "[^ -~]" or not text:find "^...%s+%S" then
    return nil, "a reply has a text, of printable ASCII"
  end
  return text
end

return M
