-- Medians, spreads, ratios pair by pair, and how they print.
local report = {}

local function sorted(values)
  local copy = {}
  for k, value in ipairs(values) do
    copy[k] = value
  end
  table.sort(copy)
  return copy
end

local function quantile(values, q)
  local list = sorted(values)
  local at = 1 + (#list - 1) * q
  local low = math.floor(at)
  return list[low] + ((list[low + 1] or list[low]) - list[low]) * (at - low)
end

-- { median =, low =, high = }: the quartiles are the spread.
function report.summary(values)
  return { median = quantile(values, 0.5), low = quantile(values, 0.25), high = quantile(values, 0.75),
    values = values }
end

-- Takes samples of several contenders in turn, `rounds` times, every other time from the last to the
-- first: noise of the machine hits all alike, and so does what one leaves behind for the next.
-- contenders: { { name =, sample = function() -> { cpu =, wall = } }, ... }, the first is what the
-- others are compared with. Returns, by name, summaries of cpu, wall and of the ratio of CPU.
function report.compare(contenders, rounds)
  local cpu, wall, ratio, result = {}, {}, {}, {}
  for round = 1, rounds do
    local found, n = {}, #contenders
    for k = 1, n do
      local at = round % 2 == 1 and k or n + 1 - k
      found[at] = contenders[at].sample(round)
    end
    for k, contender in ipairs(contenders) do
      local name = contender.name
      cpu[name], wall[name], ratio[name] = cpu[name] or {}, wall[name] or {}, ratio[name] or {}
      table.insert(cpu[name], found[k].cpu)
      table.insert(wall[name], found[k].wall)
      table.insert(ratio[name], found[k].cpu / found[1].cpu)
    end
  end
  for _, contender in ipairs(contenders) do
    local name = contender.name
    result[name] = { cpu = report.summary(cpu[name]), wall = report.summary(wall[name]),
      ratio = report.summary(ratio[name]) }
  end
  return result
end

-- Three significant digits.
function report.number(value)
  if value >= 100 then
    return ("%.0f"):format(value)
  end
  return ("%." .. (value >= 10 and 1 or 2) .. "f"):format(value)
end

function report.title(text)
  print("\n" .. text)
end

-- Prints what compare() returned, in the contenders' order.
function report.table(contenders, result, unit)
  print(("  %-26s %10s %15s %10s %8s %13s"):format("", "CPU " .. unit, "quartiles", "wall " .. unit,
    "ratio", "quartiles"))
  for _, contender in ipairs(contenders) do
    local found = result[contender.name]
    local number = report.number
    print(("  %-26s %10s %15s %10s %8s %13s"):format(contender.name, number(found.cpu.median),
      number(found.cpu.low) .. ".." .. number(found.cpu.high), number(found.wall.median),
      ("%.2f"):format(found.ratio.median),
      ("%.2f..%.2f"):format(found.ratio.low, found.ratio.high)))
  end
end

-- Prints a target: what was found, what it should be at most (or at least).
function report.target(text, found, sign, limit, format)
  local met = sign == "<=" and found <= limit or sign == ">=" and found >= limit
    or sign == "=" and found == limit
  print(("  %-58s %10s  %s %s  %s"):format(text, (format or "%.2f"):format(found), sign, limit,
    met and "" or "MISSED"))
end

return report
