-- Cost per plan as more are under way and as domains have more hosts; warm.
return function(context)
  local report, workers, lab, quick = context.report, context.workers, context.lab, context.quick
  local zones = require "tests.bench.zones"
  local bare, module = workers.bare(lab), workers.module(lab, context.luas[1])
  local rounds = quick and 3 or 5
  local result = { under_way = {}, hosts = {} }

  local function measure(call)
    local list = {}
    for k, worker in ipairs { bare, module } do
      worker:sample { what = "plan", hosts = call.hosts, domains = call.domains, count = call.domains }
      list[k] = { name = worker.name, sample = function()
        return worker:sample(call)
      end }
    end
    local found = report.compare(list, rounds)
    return { bare = found.bare.cpu, module = found[module.name].cpu, ratio = found[module.name].ratio }
  end

  local function line(label, found, per)
    print(("  %8s %10s %10s %8.2f %12s"):format(label, report.number(found.bare.median),
      report.number(found.module.median), found.ratio.median,
      report.number(found.module.median / per)))
  end

  report.title("Growth: CPU us per warm plan, " .. module.name)
  print(("  %8s %10s %10s %8s %12s"):format("underway", "bare", "module", "ratio", ""))
  for _, under_way in ipairs { 1, 4, 16, 64, 256, 1024, 4096 } do
    local found = measure { what = "plan", domains = math.min(context.domains, 500),
      count = quick and 8192 or 20480, under_way = under_way }
    found.under_way = under_way
    table.insert(result.under_way, found)
    line(under_way, found, 1)
  end
  print(("  %8s %10s %10s %8s %12s"):format("hosts", "bare", "module", "ratio", "module/query"))
  for _, hosts in ipairs(zones.hosts) do
    local found = measure { what = "plan", hosts = hosts, domains = zones.few,
      count = (quick and 8000 or 24000) / hosts }
    found.hosts = hosts
    table.insert(result.hosts, found)
    line(hosts, found, 1 + 3 * hosts)
  end
  bare:stop()
  module:stop()
  return result
end
