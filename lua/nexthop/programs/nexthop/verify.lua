--- `nexthop --verify`: what the hosts of a domain really present, as the tree of its plan with what was seen
-- under each host.
local json_line = require "nexthop.programs.nexthop.json"
local repairs = require "nexthop.programs.nexthop.repairs"
local tally = require "nexthop.programs.nexthop.tally"
local utf8 = require "nexthop.json.utf8"
local words = require "nexthop.programs.nexthop.words"

local M = {}

local FIRST = 86400 -- seconds: a list that comes through a pipe may come for days
local LOOKUPS = 6 -- seconds; less than passes between a failure and the next try (run.lua)

--- Seconds for which what a contact has shown is taken again. A contact is made once in a pass over the
-- names. What was seen in the first pass is taken again for a day. In a later one, which began `age` seconds
-- ago, what was seen since then is; the time that the lookups before the contact take is added, because the
-- core compares when they are done.
function M.reuse(age)
  return age and age + LOOKUPS or FIRST
end

--- Returns function(name, callback, age) that verifies a domain.
-- @param call options of resolver:verify
function M.lookup(resolver, call)
  return function(name, callback, age)
    call.reuse = M.reuse(age)
    return resolver:verify(name, call, callback)
  end
end

-- ---- what a connection has shown ------------------------------------------------------------

-- "ok", or "validation-failure" in red; in yellow where it may go away.
local function result_text(tree, subject)
  if subject.ok then return tree:paint("green", "ok") end
  local text = subject.result or subject.err and subject.err.code or "failed"
  return tree:paint(subject.temporary and "yellow" or "red", text)
end

local steps = { "connect", "greeting", "ehlo", "starttls", "handshake" }
local called = { ehlo = "EHLO", starttls = "STARTTLS" }

local function duration(elapsed)
  local parts = {}
  for _, step in ipairs(steps) do
    local milliseconds = elapsed[step] and elapsed[step] * 1000
    if milliseconds then
      parts[#parts + 1] = (milliseconds < 10 and "%s %.1f ms" or "%s %.0f ms"):format(called[step] or step,
        milliseconds)
    end
  end
  return table.concat(parts, ", ")
end

local function matched_text(matched)
  local record = words.record(matched.record)
  if matched.depth == 0 then return ("%s matches this certificate"):format(record) end
  local text = ("%s matches its issuer (certificate %d of the chain)"):format(record, matched.depth + 1)
  return matched.name and ("%s, and the name %s fits"):format(text, matched.name) or text
end

local function tls_lines(tree, lines, connection)
  local tls = connection.tls
  if not tls then return end
  local negotiated = {}
  for _, key in ipairs { "version", "cipher", "group" } do
    if tls[key] then negotiated[#negotiated + 1] = utf8.clean(tls[key]) end
  end
  if #negotiated > 0 then lines[#lines + 1] = tree:field("TLS", table.concat(negotiated, ", ")) end
  local leaf = tls.chain and tls.chain[1]
  if not leaf then return end
  lines[#lines + 1] = tree:field("presents", repairs.certificate(leaf))
  if connection.matched then
    lines[#lines + 1] = tree:field("DANE", tree:paint("green", matched_text(connection.matched)))
  elseif connection.ok then
    lines[#lines + 1] = tree:field("", tree:paint("dim", "its record would be 3 1 1 " .. leaf.spki_sha256))
  end
end

local function pkix_text(pkix)
  if pkix.ok then return "trusted, and the name fits" end
  return "not trusted: " .. utf8.clean(pkix.reason or "why is not known")
end

local function connection_title(tree, connection)
  local kind = repairs.kind(connection.keys)
  local address = connection.ip:find(":", 1, true) and "[" .. connection.ip .. "]" or connection.ip
  local title = ("%s:%d%s"):format(address, connection.port, kind and " " .. kind or "")
  if connection.absent then
    return ("%s: %s"):format(title, tree:paint("dim", "the server has no certificate of this kind"))
  end
  return ("%s: %s"):format(title, result_text(tree, connection))
end

local function connection_lines(tree, case)
  local connection = case.connection
  local lines = { connection_title(tree, connection) }
  if connection.absent then return lines end
  if not connection.ok then
    if connection.message then lines[2] = tree:field("what", words.one_line(connection.message)) end
    local advice = repairs.advice(case)
    if advice then lines[#lines + 1] = tree:field("to do", advice) end
  elseif connection.dane == nil and not connection.tls then
    lines[2] = tree:field("TLS", "none is offered")
  end
  tls_lines(tree, lines, connection)
  if connection.pkix then lines[#lines + 1] = tree:field("PKIX", pkix_text(connection.pkix)) end
  local took = duration(connection.elapsed or {})
  if took ~= "" then
    lines[#lines + 1] = tree:field("took", connection.reused and took .. " (seen for another domain)" or took)
  end
  return lines
end

-- ---- hosts ------------------------------------------------------------

-- The whole record: what is printed of a long one is cut.
local function key_of(record)
  return ("%d %d %d "):format(record.usage, record.selector, record.match_type) .. record.data
end

-- Returns function(record) -> which certificate the record matched, for the records of the plan.
local function note_of(tree, host)
  local seen, presented = {}, false
  for _, entry in ipairs(host.records or {}) do seen[key_of(entry.record)] = entry end
  for _, connection in ipairs(host.connections) do
    presented = presented or connection.tls and connection.tls.chain and #connection.tls.chain > 0
  end
  return function(record)
    local entry = seen[key_of(record)]
    local kind = entry and repairs.kind(entry.key)
    local certificate = kind and ("the %s certificate"):format(kind) or "the certificate"
    if entry and entry.matches == "leaf" then
      return tree:paint("green", "matches " .. certificate)
    elseif entry and entry.matches == "issuer" then
      return tree:paint("green", "matches an issuer of " .. certificate)
    end
    if not presented then return tree:paint("dim", "no certificate was seen") end
    return tree:paint(host.ok and "dim" or "yellow", "matches no certificate that was seen")
  end
end

local function case_of(report, i, args)
  return {
    report = report, host = report.hosts[i], planned = report.plan.hosts[i], port = args.port or 25,
    at = args.at or os.time(),
  }
end

local function with_connection(case, connection)
  local copy = {}
  for key, value in pairs(case) do copy[key] = value end
  copy.connection = connection
  return copy
end

local function host_lines(tree, report, i, args)
  local host, case = report.hosts[i], case_of(report, i, args)
  local seen = { result = result_text(tree, host), note = note_of(tree, host) }
  local lines = tree:host(report.plan, case.planned, seen)
  if host.err and not case.planned.err then
    lines[#lines + 1] = tree:field("why", tree:failure(host.err, host.host))
  end
  if host.truncated then
    lines[#lines + 1] = tree:field("", words.count(host.truncated, "more address") .. " not connected to")
  end
  -- what is to be done about connections is said there
  local advice = #host.connections == 0 and repairs.advice(case)
  if advice then lines[#lines + 1] = tree:field("to do", advice) end
  for k, connection in ipairs(host.connections) do
    tree:branch(lines, connection_lines(tree, with_connection(case, connection)), k == #host.connections)
  end
  return lines
end

--- A report as a tree.
function M.tree(tree, report, args)
  local remark = args.at and ("  (certificates as of %s)"):format(os.date("!%Y-%m-%d %H:%M UTC", args.at))
    or nil
  return tree:hosts(report.plan, function(i) return host_lines(tree, report, i, args) end, remark)
end

-- ---- --down ------------------------------------------------------------

local before_tls = { connect = true, greeting = true, ehlo = true }

-- Does this connection keep a DANE sender from delivering? To a host that owes no TLS such a sender delivers
-- without TLS, too.
local function is_blocked(host, connection)
  if connection.ok then return false end
  return host.tls ~= "may" or before_tls[connection.stage or "connect"] == true
end

-- A sender tries the addresses in turn, and does not choose the kind of certificate that it gets.
local function is_down(host)
  if host.ok then return false end
  local good = {}
  for _, connection in ipairs(host.connections) do
    local ip = connection.ip
    good[ip] = good[ip] ~= false and not is_blocked(host, connection)
  end
  for _, is_good in pairs(good) do
    if is_good then return false end
  end
  return true
end

--- The hosts that a DANE sender cannot reach, one a line, with the result behind a tab. A domain whose hosts
-- cannot be found stands for them.
function M.down(name, report, err)
  if not report then return ("%s\t%s\n"):format(words.name(name), err.code) end
  local out = {}
  for _, host in ipairs(report.hosts) do
    if is_down(host) then
      out[#out + 1] = ("%s\t%s\n"):format(host.host, host.result or host.err and host.err.code or "failed")
    end
  end
  return table.concat(out)
end

-- ---- all of it ------------------------------------------------------------

-- Adds to a report what the tree says beside it.
local function add_advice(report, args)
  for i, host in ipairs(report.hosts) do
    local case = case_of(report, i, args)
    if #host.connections == 0 then host.advice = repairs.advice(case) end
    for _, connection in ipairs(host.connections) do
      connection.advice = repairs.advice(with_connection(case, connection))
    end
  end
end

--- Returns function(input, report, err), which gives the text and an outcome of tally.lua.
-- @param args of options.lua; input is { text, name } of json.lua
function M.renderer(args, tree)
  return function(input, report, err)
    local printed
    local outcome = tally.outcome_of_report(report, err)
    if args.down then
      printed = M.down(input.name, report, err)
    elseif args.json then
      if report then add_advice(report, args) end
      printed = json_line("domain", input, report, err, not report and { ok = false } or nil)
    elseif report then
      printed = M.tree(tree, report, args)
    else
      printed = tree:error(err, input.name)
    end
    return printed, outcome
  end
end

return M
