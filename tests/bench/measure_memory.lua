-- Memory of a lookup under way, and of many plans one after the other.
return function(context)
  local report, workers, lab = context.report, context.workers, context.lab
  local function run(...)
    local worker = workers.start("memory", workers.environment(context.luas[1]) .. context.luas[1]
      .. (" tests/bench/memory.lua '%s' %s"):format(lab.anchor_file, lab.nsd_address))
    local found = worker:ask(...)
    worker:stop()
    return found
  end
  local result = {}
  report.title "Memory, bytes of ours per lookup under way (the Lua objects of the call included)"
  for _, method in ipairs { "gather_destinations", "gather_ips", "plan" } do
    local found = run("pending %s %d", method, context.quick and 5000 or 20000)
    result[method] = found[1]
    print(("  %-26s %8.0f"):format(method, found[1]))
  end
  local count = context.quick and 20000 or 100000
  local found = run("plans %d %d", count, math.min(context.domains, 200))
  result.plans, result.growth_kib = count, found[1]
  report.title(("%d plans in a row, resident memory after them against after the first %d"):format(count,
    count / 10))
  print(("  %+d KiB"):format(found[1]))
  report.target("bytes of ours per lookup under way", math.max(result.gather_destinations,
    result.gather_ips, result.plan), "<=", 4096, "%.0f")
  report.target(("KiB of growth over %d plans"):format(count), found[1], "<=", 512, "%d")
  return result
end
