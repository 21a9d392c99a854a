-- What slow, lossy, silent and mistaken servers cost: each case of waiting/, with nexthop and,
-- in the same run, with libunbound's own defaults. Beside them stands what is wanted.
local json = require "cjson"
local cases = require "tests.bench.waiting.cases"
local zones = require "tests.bench.waiting.zones"

-- libunbound 1.17's, and a timer of ours that lets it come to its own end, as far as there is time.
local own = {
  ["infra-cache-max-rtt"] = "120000", ["infra-cache-min-rtt"] = "50", ["infra-host-ttl"] = "900",
  ["outbound-msg-retry"] = "5", ["max-sent-count"] = "32",
}
local contenders = {
  { name = "nexthop" },
  { name = "libunbound's defaults", timeout = 60, options = own, forward = own },
}

local modes = { "recursion", "stub", "forward" }

-- What runs at the same time. Each of these needs the processors, so that others would measure how long they
-- wait for one.
local phases = {
  { { "trips" }, { "loss" } },
  { { "light" } },
  { { "dead" }, { "dead1024" } },
  { { "bulk" } },
}

local function has_cases(groups, mode)
  for _, each in ipairs(cases) do
    for _, of in ipairs(each.modes) do
      if of == mode and each.group == groups[1] then
        return true
      end
    end
  end
  return false
end

local quote = require("tests.support.shell").quote
local files = require "tests.support.files"

-- The commands of one phase, and where each writes.
local function commands_of(phase, context, lab)
  local commands, outputs = {}, {}
  for number, settings in ipairs(contenders) do
    for _, groups in ipairs(phase) do
      for _, mode in ipairs(modes) do
        if has_cases(groups, mode) then
          local set = {}
          for _, group in ipairs(groups) do
            set[group] = true
          end
          local order = { settings = settings, lab = lab:describe(), mode = mode, groups = set,
            only = os.getenv "NEXTHOP_WAITING" }
          local output = files.new()
          table.insert(outputs, { path = output, contender = number })
          table.insert(commands, ("{ %sexec timeout 400 %s %s %s >%s; } &"):format(
            set.dead1024 and "ulimit -n 1024; " or "", context.luas[1],
            "tests/bench/waiting/main.lua", quote(json.encode(order)), quote(output)))
        end
      end
    end
  end
  return commands, outputs
end

-- Runs one phase; adds to found[case][mode][contender].
local function run(phase, context, lab, found)
  local commands, outputs = commands_of(phase, context, lab)
  os.execute(context.workers.environment(context.luas[1]) .. table.concat(commands, "\n") .. "\nwait")
  for _, output in ipairs(outputs) do
    for line in io.lines(output.path) do
      local ok, result = pcall(json.decode, line)
      if ok then
        local index = math.floor(result.index)
        found[index] = found[index] or {}
        found[index][result.mode] = found[index][result.mode] or {}
        found[index][result.mode][output.contender] = result
      else
        print("  " .. line)
      end
    end
    os.remove(output.path)
  end
end

local function said(result)
  if not result then
    return "no result"
  end
  return (result.failed and "not measured: " or "") .. result.found
end

local function is_met(result)
  return result ~= nil and result.met == true and not result.failed
end

-- A line for each case and mode, and below it what was found.
local function print_table(found)
  local count, met, list = 0, 0, {}
  for index, each in ipairs(cases) do
    if found[index] then
      print(("\n  %s: %s\n  wanted: %s"):format(each.line, each.what, each.wanted or "(no target)"))
    end
    for _, mode in ipairs(each.modes) do
      local results = found[index] and found[index][mode]
      if results then
        local row = { line = each.line, what = each.what, wanted = each.wanted, mode = mode,
          nexthop = said(results[1]), defaults = said(results[2]) }
        if each.wanted then
          row.met, row.defaults_met = is_met(results[1]), is_met(results[2])
          count = count + 1
          met = met + (row.met and 1 or 0)
        end
        for k, contender in ipairs(contenders) do
          print(("    %-9s  %-21s  %-3s  %s"):format(k == 1 and mode or "", contender.name,
            not each.wanted and "" or is_met(results[k]) and "met" or "NO", said(results[k])))
        end
        list[#list + 1] = row
      end
    end
  end
  print(("\n  %d of %d met"):format(met, count))
  return list
end

return function(context)
  context.report.title "Waiting: what slow, lossy, silent and mistaken servers cost"
  local begun, found = os.time(), {}
  local lab = require("tests.lab.lab").start { zones = zones.all() }
  for _, phase in ipairs(phases) do
    run(phase, context, lab, found)
  end
  lab:stop()
  local list = print_table(found)
  print(("  %d s"):format(os.time() - begun))
  return list
end
