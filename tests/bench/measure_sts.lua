-- MTA-STS: what a known policy costs a plan whose answers are in the cache, and how long process() takes
-- while many fetches from slow web servers are under way.
return function(context)
  local report, workers, result = context.report, context.workers, {}
  local count = context.quick and 100 or 500
  for _, lua in ipairs(context.luas) do
    report.title("MTA-STS, " .. lua)
    local command = "%s%s tests/bench/sts_worker.lua %d %d"
    local child = assert(io.popen(command:format(workers.environment(lua), lua, context.rounds, count)))
    local ratios, with = {}, {}
    for round = 1, context.rounds do
      local line = assert(child:read "*l", "the worker has ended")
      local plain, sts = line:match "^(%S+)%s(%S+)$"
      ratios[round], with[round] = sts / plain, sts / 5000 * 1e6
    end
    local longest = tonumber(child:read "*l")
    child:close()
    local ratio = report.summary(ratios).median
    report.target("a plan whose answers are known, with sts against without", ratio, "<=", 1.1)
    print(("  %.2f microseconds of CPU with sts"):format(report.summary(with).median))
    report.target(("longest process() with %d slow fetches under way, ms"):format(count), longest * 1e3, "<=",
      10, "%.1f")
    result[lua] = { ratio = ratios, microseconds = with, longest = longest }
  end
  return result
end
