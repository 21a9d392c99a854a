-- The programs: filter-nexthop, table-nexthop and nexthop-server per request, nexthop over a list of domains.
local files = require "tests.support.files"

return function(context)
  local report, workers, lab, quick = context.report, context.workers, context.lab, context.quick
  local lua = context.luas[1]
  local result = {}
  local zone_list = {}
  for zone in pairs(lab:stub()) do
    zone_list[#zone_list + 1] = zone
  end

  local function run(what, count)
    local cpu, wall = {}, {}
    for k = 1, quick and 1 or 3 do
      local line = workers.line(("%stimeout 300 %s tests/bench/programs.lua %s '%s' %s %d %d '%s'")
        :format(workers.environment(lua), lua, what, lab.anchor_file, lab.nsd_address,
          math.min(context.domains, 500), count, table.concat(zone_list, "' '")))
      local first, second = (line or ""):match "^(%S+) (%S+)$"
      cpu[k], wall[k] = tonumber(first), tonumber(second)
    end
    if not cpu[1] then
      print(("  %s: not measured"):format(what))
      return nil
    end
    return { cpu = report.summary(cpu), wall = report.summary(wall) }
  end

  -- Seconds of CPU of a command, children and all.
  local function cpu_of(command)
    local pipe = assert(io.popen(("{ %s; } >/dev/null 2>&1; times"):format(command)))
    local line = pipe:read "*a":match "([^\n]*)\n$" -- the second: of the children
    pipe:close()
    local sum = 0
    for minutes, seconds in line:gmatch "(%d+)m([%d.]+)s" do
      sum = sum + tonumber(minutes) * 60 + tonumber(seconds)
    end
    return sum
  end

  report.title "Programs, us per request from the cache"
  for _, what in ipairs { "filter", "server", "table", "table-server", "scrape" } do
    local is_table = what:find "^table" or what == "scrape"
    local found = run(what, (quick and 10000 or 40000) / (is_table and 4 or 1))
    result[what] = found
    if found then
      print(("  %-12s CPU %.1f, wall %.1f%s"):format(what, found.cpu.median, found.wall.median,
        is_table and " (99th percentile, one at a time)" or ""))
    end
  end
  if result.filter then
    report.target("filter, us of CPU per request", result.filter.cpu.median, "<=", 100, "%.0f")
    report.target("filter, requests/s on one core", 1e6 / result.filter.cpu.median, ">=", 10000, "%.0f")
  end
  for _, what in ipairs { "table", "table-server" } do
    if result[what] then
      report.target(what .. ", ms for a warm answer at p99", result[what].wall.median / 1000, "<=", 1)
    end
  end
  if result.server then
    report.target("server, warm plans/s on one core", 1e6 / result.server.cpu.median, ">=", 15000, "%.0f")
  end

  if result.scrape then
    report.target("server, ms of CPU for a scrape of its metrics", result.scrape.cpu.median / 1000, "<=", 2)
  end

  local count, names = quick and 1000 or 20000, {}
  for k = 1, count do
    names[k] = ("d%d-2.bench.example\n"):format((k - 1) % context.domains)
  end
  local path = files.new(table.concat(names))
  local stubs = {}
  for k, zone in ipairs(zone_list) do
    stubs[k] = ("--stub '%s=%s'"):format(zone, lab.nsd_address)
  end
  local run_with = workers.environment(lua) .. lua
  local program, alone, ratio = {}, {}, {}
  for k = 1, quick and 1 or 5 do
    program[k] = cpu_of(("%s bin/nexthop %s --anchor '%s' --file %s"):format(run_with,
      table.concat(stubs, " "), lab.anchor_file, path))
    alone[k] = cpu_of(("%s tests/bench/bulk.lua %s '%s' %s '%s'"):format(run_with, path, lab.anchor_file,
      lab.nsd_address, table.concat(zone_list, "' '")))
    ratio[k] = program[k] / alone[k]
  end
  os.remove(path)
  result.bulk = { count = count, program = report.summary(program), alone = report.summary(alone),
    ratio = report.summary(ratio) }
  report.title(("nexthop --file, %d names, round %d domains"):format(count, context.domains))
  print(("  CPU %.2f s, the module alone %.2f s, ratio %.2f (%.2f..%.2f)"):format(
    result.bulk.program.median, result.bulk.alone.median, result.bulk.ratio.median, result.bulk.ratio.low,
    result.bulk.ratio.high))
  report.target("bulk run, against the module alone", result.bulk.ratio.median, "<=", 1.15)
  return result
end
