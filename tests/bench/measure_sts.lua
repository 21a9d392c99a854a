-- MTA-STS: what it costs a plan whose answers are in the cache, how long process() takes while many fetches
-- from slow web servers are under way, and what it costs who does not ask for it.

-- What the worker printed: for each kind the ratios and the microseconds with sts; and the longest process().
local function read(child, rounds)
  local kinds, order = {}, {}
  for round = 1, rounds do
    for kind, plain, sts in assert(child:read "*l", "the worker has ended"):gmatch "(%S+) (%S+) (%S+)" do
      if round == 1 then
        order[#order + 1] = kind
        kinds[kind] = { ratio = {}, microseconds = {} }
      end
      kinds[kind].ratio[round], kinds[kind].microseconds[round] = sts / plain, tonumber(sts)
    end
  end
  local cpu, wall = child:read("*l"):match "^(%S+)%s(%S+)$"
  return kinds, order, { cpu = tonumber(cpu), wall = tonumber(wall) }
end

-- Microseconds of a warm plan without sts, and KiB of resident memory, of a build.
local function unasked(context, lua, variant)
  local command = ('eval "$(MAKEFLAGS= make -s --no-print-directory lua-env LUA=%s VARIANT=%s)"; %s '
    .. "tests/bench/sts_unasked.lua '%s' %s"):format(lua, variant, lua, context.lab.anchor_file,
      context.lab.nsd_address)
  local child = assert(io.popen(command))
  local microseconds, kib = child:read("*l"):match "^(%S+) (%S+)$"
  child:close()
  return tonumber(microseconds), tonumber(kib)
end

-- The build with libcurl against the one without: nobody asks for sts.
local function measure_unasked(context, lua)
  local report, ratio, grown = context.report, {}, {}
  local variant = "-no-sts"
  assert(os.execute(("MAKEFLAGS= make -s --no-print-directory LUA=%s VARIANT=%s STS=no all")
    :format(lua, variant)))
  for round = 1, context.rounds do
    local with, without, kib, kib_without
    if round % 2 == 1 then with, kib = unasked(context, lua, "") end
    without, kib_without = unasked(context, lua, variant)
    if round % 2 == 0 then with, kib = unasked(context, lua, "") end
    ratio[round], grown[round] = with / without, kib - kib_without
  end
  report.target("a plan without sts, against a build without libcurl", report.summary(ratio).median, "<=",
    1.02)
  report.target("KiB more memory (RssAnon) of a resolver without sts", report.summary(grown).median, "<=", 64,
    "%.0f")
  return { ratio = ratio, kib = grown }
end

return function(context)
  local report, workers, result = context.report, context.workers, {}
  local count = context.quick and 100 or 500
  for _, lua in ipairs(context.luas) do
    report.title("MTA-STS, " .. lua)
    local command = "%s%s tests/bench/sts_worker.lua %d %d"
    local child = assert(io.popen(command:format(workers.environment(lua), lua, context.rounds, count)))
    local kinds, order, longest = read(child, context.rounds)
    child:close()
    for _, kind in ipairs(order) do
      local found = kinds[kind]
      local microseconds = report.summary(found.microseconds).median
      local text = ("with sts (%.2f us) against without: %s"):format(microseconds, (kind:gsub(",", ", ")))
      report.target(text, report.summary(found.ratio).median, "<=", 1.1)
    end
    report.target(("longest process() with %d slow fetches, ms of CPU (wall: %.1f)"):format(count,
      longest.wall * 1e3), longest.cpu * 1e3, "<=", 10, "%.1f")
    result[lua] = { kinds = kinds, longest = longest, unasked = measure_unasked(context, lua) }
  end
  return result
end
