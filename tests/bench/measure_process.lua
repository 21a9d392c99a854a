-- The longest single process() while 512 cold lookups come in. Wall time is what a host feels, and
-- what other programs of a busy machine spoil; CPU time within the same call stands beside it.
return function(context)
  local report, workers, lab = context.report, context.workers, context.lab
  local wall, cpu = {}, {}
  for _ = 1, context.quick and 3 or 7 do
    local worker = workers.start("process", workers.environment(context.luas[1]) .. context.luas[1]
      .. (" tests/bench/process.lua '%s' %s"):format(lab.anchor_file, lab.forward_address))
    local found = worker:ask "512"
    worker:stop()
    table.insert(wall, found[1] * 1000)
    table.insert(cpu, found[2] * 1000)
  end
  local result = { wall = report.summary(wall), cpu = report.summary(cpu) }
  report.title "The longest process() with 512 cold lookups, ms"
  print(("  wall %.1f (%.1f..%.1f), CPU %.1f (%.1f..%.1f)"):format(result.wall.median, result.wall.low,
    result.wall.high, result.cpu.median, result.cpu.low, result.cpu.high))
  report.target("the longest process(), ms of wall time", result.wall.median, "<=", 10)
  report.target("the longest process(), ms of CPU", result.cpu.median, "<=", 10)
  return result
end
