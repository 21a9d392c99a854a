-- Plans and gather_destinations, cold and warm, against the bare loop, lua-unbound and ub_resolve.
return function(context)
  local report, workers, lab = context.report, context.workers, context.lab
  local quick, domains, rounds = context.quick, context.domains, context.rounds
  local result = {}

  local bare, lunbound = workers.bare(lab), workers.lunbound(lab)
  local modules = {}
  for k, lua in ipairs(context.luas) do
    modules[k] = workers.module(lab, lua)
  end
  local first = modules[1].name

  local function contender(worker, call)
    return { name = worker.name, sample = function()
      return worker:sample(call)
    end }
  end

  -- The bare loop, then the modules.
  local function contenders(bare_call, call)
    local list = { contender(bare, bare_call) }
    for _, each in ipairs(modules) do
      list[#list + 1] = contender(each, call)
    end
    return list
  end

  local function measure(key, title, list, unit, n)
    report.title(title)
    result[key] = report.compare(list, n or rounds)
    report.table(list, result[key], unit)
    return result[key]
  end

  -- Each sample: an empty cache but for the trust chain, so many domains that are not in it.
  local cold_count = quick and 100 or 400
  local turn = 0
  local function cold(worker)
    return { name = worker.name, sample = function()
      worker:ask "new"
      worker:sample { what = "plan", domains = 1, count = 1, under_way = 1 }
      local from = 1 + turn % math.max(1, domains - cold_count)
      return worker:sample { what = "plan", first = from, domains = cold_count, count = cold_count }
    end }
  end
  local list = { cold(bare) }
  for _, each in ipairs(modules) do
    list[#list + 1] = cold(each)
  end
  if lunbound then
    list[#list + 1] = cold(lunbound)
  end
  local cold_found = measure("cold", "Plans, cold, 64 under way", list, "us", quick and rounds or 24)

  -- Warm: everything is in the cache from here on.
  local everybody = { bare }
  for _, each in ipairs(modules) do
    everybody[#everybody + 1] = each
  end
  everybody[#everybody + 1] = lunbound
  for _, each in ipairs(everybody) do
    each:sample { what = "plan", domains = domains, count = domains }
    each:sample { what = "plan", domains = domains, count = domains }
  end
  local call = { what = "plan", domains = domains, count = quick and 5000 or 20000 }
  list = contenders(call, call)
  if lunbound then
    list[#list + 1] = contender(lunbound,
      { what = "plan", domains = domains, count = quick and 100 or 300 })
  end
  list[#list + 1] = contender(bare, { what = "naive", domains = 20, count = quick and 20 or 60 })
  list[#list].name = "ub_resolve, one at a time"
  bare:sample { what = "naive", domains = 20, count = 20 }
  local warm = measure("warm", ("Plans, warm, 64 under way, round %d domains"):format(domains), list, "us",
    rounds * 2)

  call = { what = "naive", domains = domains, count = quick and 5000 or 20000 }
  list = contenders({ what = "plan", domains = domains, count = call.count, under_way = 1 }, call)
  measure("blocking", "Plans, warm, blocking calls, one at a time", list, "us")

  call = { what = "mx", domains = domains, count = quick and 10000 or 40000 }
  list = contenders(call, call)
  local mx = measure("destinations", "gather_destinations, warm, 64 under way, against one MX query", list,
    "us", rounds * 2)

  -- Upstream queries of one cold plan, seen by the lab's own server. (NSD's address is not counted.)
  local counted = workers.start("counting", workers.environment(context.luas[1]) .. context.luas[1]
    .. (" tests/bench/counting.lua %s %s"):format(lab.anchor_file, lab.forward_address))
  counted:ask "d0-2.bench.example"
  lab:reset()
  counted:ask "d1-2.bench.example"
  result.upstream = lab:total()
  counted:stop()

  report.title "Targets"
  report.target("plan cold, against the bare loop", cold_found[first].ratio.median, "<=", 1.05)
  report.target("plan warm, against the bare loop, " .. context.luas[1], warm[first].ratio.median,
    "<=", 2.0)
  report.target("gather_destinations warm, against one bare query", mx[first].ratio.median, "<=", 3.0)
  if lunbound then
    report.target("lua-unbound's plan warm, against ours",
      warm[lunbound.name].cpu.median / warm[first].cpu.median, ">=", 10, "%.0f")
  end
  report.target("upstream queries of a cold plan, two hosts", result.upstream, "=", 7, "%d")

  for _, each in ipairs(everybody) do
    each:stop()
  end
  return result
end
