--- `nexthop --check`: the plan for each port, what the hosts present (--verify), what the name servers say
-- (--authoritative), and what is printed of all that.
local assumed = require "nexthop.programs.nexthop.assumed"
local check = require "nexthop.programs.nexthop.check"
local core = require "nexthop.core"
local diagnose = require "nexthop.programs.nexthop.diagnose"
local findings = require "nexthop.doctor.findings"
local json_line = require "nexthop.programs.nexthop.json"
local live = require "nexthop.doctor.live"
local mail = require "nexthop.doctor.mail"
local options = require "nexthop.programs.nexthop.options"
local tally = require "nexthop.programs.nexthop.tally"
local tasks = require "nexthop.doctor.tasks"
local verify = require "nexthop.programs.nexthop.verify"
local words = require "nexthop.programs.nexthop.words"

local M = {}

-- Services that have TLS from the first byte at their ports (RFC 8314).
local implicit = { [465] = true, [993] = true, [995] = true }
-- Those that never have it.
local plain = { [25] = true, [587] = true }

local function has_implicit_tls(args, port)
  return implicit[port] == true or args.smtps == true and not plain[port]
end

local function append(list, items)
  for _, item in ipairs(items) do list[#list + 1] = item end
end

-- ---- what is looked up ------------------------------------------------------------

-- The findings of check.lua, once they have a name.
local function of_verdicts(verdicts, domain, port)
  local out = {}
  for _, verdict in ipairs(verdicts) do
    if not verdict.ok then
      out[#out + 1] = findings.of_plan(verdict.name, verdict.host or domain, verdict.text, port)
    end
  end
  return out
end

-- The hosts of the plan to which there was no connection, though they have no finding yet: `verify` makes a
-- plan of its own, and that one may fail.
local function not_verified(entry, report, err)
  local out, has_finding = {}, {}
  for _, verdict in ipairs(entry.verdicts) do
    if not verdict.ok and verdict.host then has_finding[verdict.host] = verdict.name end
  end
  local seen = {}
  for _, host in ipairs(report and report.hosts or {}) do seen[host.host] = host end
  local skipped = { ["no-address"] = true, ["reserved-name"] = true }
  for _, planned in ipairs(entry.plan.hosts) do
    local host = seen[planned.host]
    local is_missing = planned.tls ~= "skip" and not skipped[has_finding[planned.host]]
    if is_missing and not (host and (host.ok or #host.connections > 0)) then
      local why = host and host.err or err
      local text = why and why.message or "it is not among the hosts that are there now"
      out[#out + 1] = findings.new("not-all-checked", "error", planned.host,
        "there was no connection to it: " .. words.one_line(text),
        { cure = "check it again", port = entry.port })
    end
  end
  return out
end

-- Connects to the hosts. Returns the findings.
local function verified(task, resolver, name, args, entry, left, reuse)
  local call = options.verify_call(args)
  call.port, call.deadline, call.max_hosts = entry.port, left(), 1000
  call.implicit_tls, call.reuse = has_implicit_tls(args, entry.port), reuse
  local report, err = task:await(function(done) return resolver:verify(name, call, done) end)
  if not report then
    if err.code == "config" then return nil, err end
    entry.verify_err, task.expired = err, task.expired or err.expired
    return not_verified(entry, nil, err)
  end
  entry.report, task.expired = report, task.expired or report.expired
  local reserved = {} -- by these names each machine means another one
  for _, verdict in ipairs(entry.verdicts) do
    if verdict.name == "reserved-name" then reserved[verdict.host] = true end
  end
  local out = not_verified(entry, report)
  append(out, live.judge(report, {
    port = entry.port, at = args.at or os.time(), warning = args.warning, critical = args.critical,
    ca_file = args.ca_file, has_route = require("nexthop.doctor.servers").has_route, left_out = reserved,
  }))
  return out
end

local function examine(task, resolver, name, args, left, driver, reuse)
  local call = options.call(args)
  local state = { ports = {}, findings = {} }
  local domain = core.name(name) or name
  for _, port in ipairs(args.ports) do
    call.port, call.deadline = port, left()
    local plan, err, facts = task:await(function(done)
      return diagnose.plan(resolver, name, call, port, done)
    end)
    assumed.mark_plan(args.assume, plan or err)
    local entry = { port = port, plan = plan, err = err, facts = facts }
    entry.verdicts = check.verdicts(domain, plan, err, port, facts)
    state.ports[#state.ports + 1] = entry
    append(state.findings, of_verdicts(entry.verdicts, domain, port))
    append(state.findings, plan and mail.records(plan, port) or {})
    if plan and args.verify then
      local found, wrong = verified(task, resolver, name, args, entry, left, reuse)
      if not found then return nil, wrong end
      append(state.findings, found)
    end
  end
  if (args.verify or args.authoritative) and core.name(name) then
    local ask = require("nexthop.doctor.servers").asker(task, resolver, driver, left)
    append(state.findings, mail.domain(ask, domain, state.ports[1].plan))
  end
  if args.authoritative then
    local found
    found, state.signatures = require("nexthop.programs.nexthop.authoritative").check(task, resolver, domain,
      state.ports, {
        resolver = args.resolver_options or options.resolver(args), network = call.network,
        timeout = args.timeout, left = left, critical = args.critical, now = os.time(), driver = driver,
        assume = args.assume,
      })
    append(state.findings, found)
  end
  if (args.verify or args.authoritative) and (task.expired or left() == 0) then
    state.findings[#state.findings + 1] = findings.new("not-all-checked", "error", domain,
      "the deadline came before all was looked at", { cure = "give it more time (--deadline)" })
  end
  state.findings = findings.sorted(state.findings)
  return state
end

--- Returns function(name, callback, age), which examines a domain. It calls back with the plan of the first
-- port, the error in its place, and { ports = list of { port, plan, err, facts, verdicts, report,
-- verify_err }, findings, signatures = seconds since 1970 at which the first one of each zone ends
-- (--authoritative), by zone, seconds = how long it took }. `verify_err` says why there is no report, though
-- one was wanted.
-- @param args of options.lua. Other programs give resolver_options, those of nexthop.new; reuse, the seconds
-- for which what a contact has shown is taken again; and on_error, see tasks.lua
-- @param wake function(): has the loop run the resolver
function M.lookup(resolver, args, wake)
  local hrtime = require "luv".hrtime
  -- What the callbacks of other resolvers start has to be seen to.
  local driver = { soon = wake }
  return function(name, callback, age)
    local begun = hrtime()
    local function left()
      return args.deadline and math.max(0, args.deadline - (hrtime() - begun) / 1e9) or nil
    end
    return tasks.run(function(task)
      local state, err = examine(task, resolver, name, args, left, driver, args.reuse or verify.reuse(age))
      if state then
        state.seconds = (hrtime() - begun) / 1e9
        callback(state.ports[1].plan, state.ports[1].err, state)
      else
        callback(nil, err)
      end
      wake()
    end, args.on_error)
  end
end

-- ---- what is printed ------------------------------------------------------------

local labels = { error = { "red", "fail" }, warning = { "yellow", "warn" }, hint = { "dim", "hint" } }

-- Findings that a line of a host says already.
local function is_said(finding, said)
  return said[("%s %s"):format(finding.name, finding.text)]
end

-- Is something wrong with a host that is dane by what the DNS says?
local function is_sick(state, host, port)
  for _, finding in ipairs(state.findings) do
    if finding.severity ~= "hint" and finding.subject == host and (finding.port or port) == port then
      return true
    end
  end
  return false
end

local function print_verdicts(tree, out, state, args, said)
  for _, entry in ipairs(state.ports) do
    for _, verdict in ipairs(entry.verdicts) do
      local subject = verdict.subject
      if #args.ports > 1 then subject = ("%s port %d"):format(subject, entry.port) end
      if not (verdict.ok and args.quiet) then
        local is_ok = verdict.ok and not is_sick(state, verdict.host, entry.port)
        out[#out + 1] = ("%s  %s: %s%s\n"):format(
          is_ok and tree:paint("green", "ok  ") or tree:paint("red", "mend"), subject, verdict.text,
          is_ok == verdict.ok and "" or ", but see below")
      end
      if verdict.name then said[("%s %s"):format(verdict.name, verdict.text)] = true end
    end
  end
end

--- The lines about a domain.
-- @param state what lookup() gave
function M.lines(tree, state, args)
  local out, said = {}, {}
  print_verdicts(tree, out, state, args, said)
  for _, finding in ipairs(state.findings) do
    if not is_said(finding, said) and not (args.quiet and finding.severity == "hint") then
      local label = labels[finding.severity]
      local port = finding.port and #args.ports > 1 and (" port %d"):format(finding.port) or ""
      out[#out + 1] = ("%s  %s%s: %s: %s\n"):format(tree:paint(label[1], label[2]), finding.subject, port,
        tree:paint("bold", finding.name), finding.text)
      if finding.cure then out[#out + 1] = "      " .. tree:field("to do", finding.cure) .. "\n" end
      if finding.record then out[#out + 1] = "      " .. tree:field("publish", finding.record) .. "\n" end
    end
  end
  return table.concat(out)
end

-- What JSON has of the verdicts.
local function listed(state, args)
  local out = {}
  for _, entry in ipairs(state.ports) do
    for _, verdict in ipairs(entry.verdicts) do
      out[#out + 1] = { ok = verdict.ok, host = verdict.host, text = verdict.text,
        port = #args.ports > 1 and entry.port or nil }
    end
  end
  return out
end

--- Returns function(input, plan, err, state), which gives the text and an outcome of tally.lua.
-- @param input { text, name } of json.lua
function M.renderer(args, tree)
  return function(input, plan, err, state)
    local outcome = tally.outcome_of_plan(plan, err)
    if not state then -- an option that does not work
      outcome = tally.outcome_of_report(nil, err)
      outcome.bad = true
      return tree:error(err, input.name), outcome
    end
    outcome.bad = findings.are_bad(state.findings)
    local answer = plan or err
    answer.trace = nil -- was wanted for the verdicts alone
    if not args.json then return M.lines(tree, state, args), outcome end
    return json_line("domain", input, plan, err,
      { ok = not outcome.bad, verdicts = listed(state, args), findings = state.findings }), outcome
  end
end

return M
