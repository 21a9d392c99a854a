-- Thousands of names at once, dead ones among them.
local common = require "tests.bench.waiting.common"
local files = require "tests.support.files"
local workers = require "tests.bench.workers"
local world = require "tests.bench.waiting.world"
local json = require "cjson"
local unbound = require "tests.bench.unbound"
local zones = require "tests.bench.waiting.zones"

local case, name, seconds, longest_of = common.case, common.name, common.seconds, common.longest_of
local recursion_and_forward = common.recursion_and_forward
local now = world.now

local function many_dead(mode)
  local here = world.place(mode)
  here:ask(name(1))
  if mode ~= "recursion" then
    for n = 1, zones.dead do
      here:rule("all", { name = ("*.x%d.lag"):format(n), action = "silent" })
    end
  end
  local dead, good = {}, {}
  local begun = now()
  for k = 0, 2999 do
    dead[k + 1] = here:start(("n%d.x%d.lag"):format(k, k % zones.dead + 1), nil, "gather_destinations")
  end
  local started = now() - begun
  for _, at in ipairs { 0, 1, 3, 6, 10, 15 } do
    world.sleep_until(begun + started + at)
    good[#good + 1] = here:start(name(100 + 2 * at))
  end
  world.await(good)
  world.await(dead)
  local took = now() - begun
  here:close()
  local text, wrong = world.wrong(good)
  return ("%d of %d good fail%s; first %s, longest %s; all over after %s"):format(wrong, #good,
    wrong > 0 and ": " .. text or "", seconds(good[1].seconds), seconds(longest_of(good)), seconds(took)),
    wrong == 0 and longest_of(good) <= 2
end

case("dead", "3,000 dead", "3,000 dead names at once, good ones behind them", "right, <= 2 s",
  recursion_and_forward, many_dead)
case("dead1024", "3,000 dead", "the same with `ulimit -n 1024`", "right, <= 2 s",
  recursion_and_forward, many_dead)

-- Starts Debian's unbound with nothing set but where the root is. Returns it, the file of the trust anchor,
-- and the folder of both.
local function start_unbound()
  local hints, anchor, folder = world.tree()
  local text = ('    root-hints: "%s"\n    trust-anchor-file: "%s"\n'):format(hints, anchor)
  local server = assert(unbound.start(text))
  return server, anchor, folder
end

-- The options of the settings that are measured, as an unbound.conf (the program has no other way).
local function bulk_options(port, anchor, folder)
  local settings = world.settings "forward"
  if not next(settings.options) then
    return ("--resolver 127.0.0.1@%d --anchor %s"):format(port, anchor)
  end
  local lines = { "server:", "    do-not-query-localhost: no" }
  for key, value in pairs(settings.options) do
    lines[#lines + 1] = ("    %s: %s"):format(key, value)
  end
  lines[#lines + 1] = ("forward-zone:\n    name: \".\"\n    forward-addr: 127.0.0.1@%d"):format(port)
  return ("--unbound-conf %s --anchor %s"):format(
    files.write(folder .. "/bulk.conf", table.concat(lines, "\n") .. "\n"), anchor)
end

-- Reads what the program prints: how many lines, how many twice, how many good names are right, and what
-- became of the others.
local function read_lines(pipe)
  local found = { lines = 0, twice = 0, right = 0, wrong = {} }
  local seen = {}
  for line in pipe:lines() do
    local plan = json.decode(line)
    found.lines = found.lines + 1
    found.twice = found.twice + (seen[plan.domain] and 1 or 0)
    seen[plan.domain] = true
    if plan.domain:find "one%.lag$" then
      local host = type(plan.hosts) == "table" and plan.hosts[1]
      if host and host.tls == "dane" and #host.ips == 2 then
        found.right = found.right + 1
      else
        local what = type(plan.error) == "table" and plan.error.code or host and host.tls or "nothing"
        what = what == "dane" and "an address short" or what
        found.wrong[what] = (found.wrong[what] or 0) + 1
      end
    end
  end
  return found
end

case("bulk", "bulk", "`nexthop -f` with 3,000 names, 300 dead, 100 at a time, through a stock unbound",
  "0 of 2,700 good fail", { "forward" }, function()
    local server, anchor, folder = start_unbound()
    local names = {}
    for k = 1, 3000 do
      names[k] = k % 10 == 0 and ("n%d.x%d.lag"):format(k, k / 10) or name(k)
    end
    local path = files.write(folder .. "/names", table.concat(names, "\n") .. "\n")
    local timeout = world.settings("forward").timeout
    local has_retry = workers.line "nexthop --help | grep -c -e --retry" ~= "0"
    local command = ("nexthop -j 100 --json %s%s%s -f %s 2>%s/bulk.err"):format(
      bulk_options(server.port, anchor, folder), timeout and " --timeout " .. timeout or "",
      has_retry and " --retry 1" or "", path, folder)
    local begun = now()
    local pipe = assert(io.popen(command, "r"))
    local found = read_lines(pipe)
    pipe:close()
    server.stop()
    local list = {}
    for what, count in pairs(found.wrong) do
      list[#list + 1] = (" %s %d"):format(what, count)
    end
    local text = ("%d of 2700 good fail%s; %d lines"):format(2700 - found.right, table.concat(list, ","),
      found.lines)
    return ("%s%s; %.0f s%s"):format(text, found.twice > 0 and (", %d twice"):format(found.twice) or "",
      now() - begun, has_retry and "" or " (the program has no --retry)"),
      found.right == 2700 and found.lines == 3000 and found.twice == 0
  end)
