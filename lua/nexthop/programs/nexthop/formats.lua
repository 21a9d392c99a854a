--- `nexthop --check --format`: the results of all domains for a monitoring system, printed at the end.
--
--   nagios       one line with performance data, then the lines of --check; the exit status is 0 to 3
--   openmetrics  a page for the textfile collector of node_exporter
local doctor = require "nexthop.programs.nexthop.doctor"
local metrics = require "nexthop.doctor.metrics"
local outcome = require "nexthop.doctor.outcome"
local tally = require "nexthop.programs.nexthop.tally"
local utf8 = require "nexthop.json.utf8"
local words = require "nexthop.programs.nexthop.words"

local M = {}

--- The formats by name.
M.names = { nagios = true, openmetrics = true }

local Collection = {}
Collection.__index = Collection

--- Returns function(input, plan, err, state), which keeps a result and prints nothing.
function Collection:renderer(tree)
  local args = self.args
  return function(input, plan, err, state)
    local one = { domain = input.name, plan = plan, err = err, state = state }
    local index = self.indices[input.name] or #self.list + 1 -- a name may be asked for again
    self.indices[input.name], self.list[index] = index, one
    local result = state and tally.outcome_of_plan(plan, err) or tally.outcome_of_report(nil, err)
    if state then
      if args.format == "nagios" then
        one.text = doctor.lines(tree, state, args)
      elseif not outcome.own_fault(state) then
        one.samples = metrics.of(input.name, state, { at = os.time(), seconds = state.seconds })
      end
    end
    return "", result
  end
end

-- ---- nagios ------------------------------------------------------------

local titles = { [0] = "OK", "WARNING", "CRITICAL", "UNKNOWN" }

-- A bar begins the performance data, wherever it stands.
local function plain(text)
  return (utf8.clean(text):gsub("|", "/"))
end

local function status_line(status, text, data)
  return ("NEXTHOP %s - %s%s\n"):format(titles[status], plain(words.one_line(text)),
    data and #data > 0 and " | " .. table.concat(data, " ") or "")
end

--- The output for what ends the program before any domain is looked at.
function M.unknown(reason)
  return status_line(outcome.UNKNOWN, reason), outcome.UNKNOWN
end

-- The performance data: what is counted, and the days that are left of what ends first.
local function data_of(list, args, now)
  local hosts, ok, certificate, signature, seconds = 0, 0, nil, nil, 0
  for _, one in ipairs(list) do
    local state = one.state
    seconds = math.max(seconds, state.seconds)
    for _, sample in ipairs(metrics.of(one.domain, state, { at = now, seconds = state.seconds }).samples) do
      if sample.name == "nexthop_host_ok" then hosts, ok = hosts + 1, ok + sample.value end
      if sample.name == "nexthop_signature_expiry_timestamp_seconds" then
        signature = math.min(signature or sample.value, sample.value)
      end
    end
    local first = outcome.expiries(state)[1]
    if first then certificate = math.min(certificate or first.not_after, first.not_after) end
  end
  local data = { ("domains=%d;;;0"):format(#list), ("hosts=%d;;;0"):format(hosts),
    ("hosts_ok=%d;;;0"):format(ok), ("time=%.3fs;;;0"):format(seconds) }
  if certificate then
    data[#data + 1] = ("certificate_days=%.1f;%d:;%d:"):format((certificate - (args.at or now)) / 86400,
      args.warning, args.critical)
  end
  if signature then
    data[#data + 1] = ("signature_days=%.1f;%d:"):format((signature - now) / 86400, args.critical)
  end
  return data
end

local function all_is_well(list)
  local hosts = 0
  for _, one in ipairs(list) do
    for _, entry in ipairs(one.state.ports) do hosts = hosts + #entry.plan.hosts end
  end
  return ("%s, %s, nothing to mend"):format(words.count(#list, "domain"), words.count(hosts, "host"))
end

function Collection:nagios(now)
  local args, problems, texts, judged = self.args, {}, {}, {}
  local settings = { at = args.at or now, warning = args.warning, critical = args.critical }
  if #self.list == 0 then return M.unknown "there is no domain to check" end
  for _, one in ipairs(self.list) do
    local found = { { status = outcome.UNKNOWN, text = one.err and one.err.message or "" } }
    if one.state then
      judged[#judged + 1] = one
      found = outcome.problems(one.state, settings)
    end
    for _, problem in ipairs(found) do problems[#problems + 1] = problem end
    texts[#texts + 1] = one.text
  end
  local worst = outcome.sort(problems)[1]
  local text = worst and worst.text or all_is_well(judged)
  if problems[2] then text = ("%s (and %d more)"):format(text, #problems - 1) end
  local status = worst and worst.status or outcome.OK
  return status_line(status, text, data_of(judged, args, now)) .. table.concat(texts):gsub("|", "/"), status
end

-- ---- openmetrics ------------------------------------------------------------

-- A domain of which the check says nothing has no samples, and the status says so.
function Collection:openmetrics()
  local page = require("nexthop.metrics.text").new "textfile"
  local known, status, complaints = {}, 0, {}
  for _, one in ipairs(self.list) do
    known[#known + 1] = one.samples
    if not one.samples then
      status = 75
      complaints[#complaints + 1] = ("%s: the check says nothing: %s"):format(one.domain,
        one.state and outcome.own_fault(one.state) or one.err.message)
    end
  end
  metrics.add(page, known)
  return page:finish(), status, complaints
end

--- Returns the output, the exit status, and a list of complaints.
-- @param interrupted has the run not come to its end? Then not all is known
function Collection:finish(interrupted)
  if self.args.format == "openmetrics" then return self:openmetrics() end
  local text, status = M.unknown "the check was interrupted"
  if not interrupted then text, status = self:nagios(os.time()) end
  return text, status, {}
end

--- @param args of options.lua
function M.new(args)
  return setmetatable({ args = args, list = {}, indices = {} }, Collection)
end

return M
