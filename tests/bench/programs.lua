-- Loads filter-nexthop, table-nexthop or nexthop-server and tells what it costs them.
--
--   LUA tests/bench/programs.lua WHAT ANCHOR-FILE ADDRESS DOMAINS COUNT ZONE...
--
-- WHAT is filter, table, table-server, server or scrape.
--
-- Prints microseconds per request: CPU of the program, then wall time. Tables are asked one question at a
-- time, as smtpd does it, and their wall time is the 99th percentile. table-server is a table with a
-- nexthop-server behind it, whose CPU does not count. scrape is GET /metrics of a nexthop-server, one after
-- the other, also with the 99th percentile.
local files = require "tests.support.files"
local uv = require "luv"

local what, anchor, address = arg[1], arg[2], arg[3]
local domains, count = tonumber(arg[4]), tonumber(arg[5])

local config = { ("return { resolver = { trust_anchor_file = %q,"):format(anchor),
  '  options = { ["msg-cache-size"] = "64m", ["rrset-cache-size"] = "128m" }, stub = {' }
for k = 6, #arg do
  config[#config + 1] = ("    [%q] = %q,"):format(arg[k], address)
end
config[#config + 1] = what == "filter" and '  } }, sender = { unroutable = "proceed" } }\n' or "  } } }\n"
local path = files.new(table.concat(config, "\n"))

-- Seconds of CPU of a process so far.
local ticks = tonumber(io.popen "getconf CLK_TCK":read "*l")
local function cpu(pid)
  local file = assert(io.open(("/proc/%d/stat"):format(pid)))
  local fields, n = file:read "*a":match "^.*%)(.*)$", 0
  file:close()
  local sum = 0
  for field in fields:gmatch "%S+" do
    n = n + 1
    if n == 12 or n == 13 then
      sum = sum + tonumber(field)
    end
  end
  return sum / ticks
end

local interpreter = arg[-1]
local process, pid

local function spawn(words, stdio)
  process, pid = uv.spawn(interpreter, { args = words, stdio = stdio }, function(status)
    io.stderr:write(words[1], " has ended with status ", status, "\n")
    os.exit(1)
  end)
  assert(process, pid)
end

-- Calls back with whole lines and how many they are.
local function lines(stream, callback)
  local pending = ""
  stream:read_start(function(err, chunk)
    if err or not chunk then
      return
    end
    local whole, rest = chunk:match "^(.*\n)(.*)$"
    if not whole then
      pending = pending .. chunk
      return
    end
    whole, pending = pending .. whole, rest
    local _, n = whole:gsub("\n", "")
    callback(n, whole)
  end)
end

-- request(k) sends the k-th request; `under_way` are unanswered at any time.
local function load(total, under_way, request)
  local sent, answered = 0, 0
  local function answer(n)
    answered = answered + n
    while sent < total and sent - answered < under_way do
      sent = sent + 1
      request(sent)
    end
  end
  answer(0)
  return answer, function()
    while answered < total do
      uv.run "once"
    end
  end
end

local take
local function measure(under_way, request)
  for _, total in ipairs { domains, domains, count } do
    local cpu_before, wall_before = cpu(pid), uv.hrtime()
    local wait
    take, wait = load(total, under_way, request)
    wait()
    if total == count then
      print(("%.3f %.3f"):format((cpu(pid) - cpu_before) * 1e6 / count,
        (uv.hrtime() - wall_before) / 1e3 / count))
    end
  end
end

local function domain(k)
  return ("d%d-2.bench.example"):format(k % domains)
end

-- Asks a table for one domain after the other; prints what it took when all of them are in the cache.
local function measure_table(argument)
  local pair = assert(uv.socketpair("stream", nil, { nonblock = true }, { nonblock = false }))
  local pipe, answers = uv.new_pipe(false), 0
  pipe:open(pair[1])
  spawn({ "bin/table-nexthop", argument }, { pair[2], pair[2], 2 })
  uv.fs_close(pair[2])
  lines(pipe, function(n) answers = answers + n end)
  local function wait(n)
    while answers < n do uv.run "once" end
  end
  pipe:write "config|smtpd-version|7.6.0\nconfig|protocol|0.1\nconfig|tablename|t\nconfig|ready\n"
  wait(2) -- register|domain, register|ready
  local taken, cpu_before = {}, nil
  for k = 1, 2 * domains + count do
    if k == 2 * domains + 1 then cpu_before = cpu(pid) end
    local before = uv.hrtime()
    pipe:write(("table|0.1|1.0|t|check|domain|%08x|%s\n"):format(k, domain(k)))
    wait(k + 2)
    if cpu_before then taken[#taken + 1] = (uv.hrtime() - before) / 1e3 end
  end
  table.sort(taken)
  print(("%.3f %.3f"):format((cpu(pid) - cpu_before) * 1e6 / count, taken[math.ceil(#taken * 0.99)]))
end

local function start_server()
  local socket = path .. ".sock"
  spawn({ "bin/nexthop-server", "-l", socket, "-c", path }, { nil, nil, 2 })
  while not uv.fs_stat(socket) do
    uv.sleep(20)
  end
  return socket
end

-- Gets the metrics again and again.
local function measure_scrapes(socket)
  local taken, cpu_before = {}, cpu(pid)
  for k = 1, count do
    local before, pipe, done = uv.hrtime(), uv.new_pipe(false), false
    pipe:connect(socket, function()
      pipe:write "GET /metrics HTTP/1.0\r\n\r\n"
      pipe:read_start(function(_, chunk)
        if chunk then return end
        done = true
        pipe:close()
      end)
    end)
    while not done do uv.run "once" end
    taken[k] = (uv.hrtime() - before) / 1e3
  end
  table.sort(taken)
  print(("%.3f %.3f"):format((cpu(pid) - cpu_before) * 1e6 / count, taken[math.ceil(#taken * 0.99)]))
end

if what == "table" then
  measure_table(path)
elseif what == "table-server" then
  local socket = start_server()
  local server = process
  measure_table(socket)
  server:kill "sigkill"
elseif what == "scrape" then
  local socket = start_server()
  measure_scrapes(socket)
  os.remove(socket)
elseif what == "filter" then
  local input, output = uv.new_pipe(false), uv.new_pipe(false)
  spawn({ "bin/filter-nexthop", "-c", path }, { input, output, 2 })
  local ready
  local free = {} -- sessions without a request under way
  lines(output, function(n, chunk)
    ready = ready or chunk:find "register|ready"
    for session in chunk:gmatch "filter%-result|(a%d+)|" do
      free[#free + 1] = session
    end
    if take then
      take(n)
    end
  end)
  input:write "config|smtpd-version|7.6.0\nconfig|smtp-session-timeout|300\nconfig|ready\n"
  while not ready do
    uv.run "once"
  end
  for k = 1, 16 do
    free[k] = "a" .. k
    input:write(("report|0.7|1.0|smtp-in|link-connect|a%d|client|pass|%s|%s\n"):format(k,
      "192.31.196.9:9", "192.31.196.8:25"))
  end
  measure(16, function(k)
    input:write(("filter|0.7|1.0|smtp-in|mail-from|%s|%d|user@%s\n"):format(table.remove(free), k,
      domain(k)))
  end)
else
  local socket = start_server()
  local clients = {}
  for k = 1, 8 do
    clients[k] = uv.new_pipe(false)
    local connected
    clients[k]:connect(socket, function(err)
      assert(not err, err)
      connected = true
    end)
    while not connected do
      uv.run "once"
    end
    lines(clients[k], function(n)
      take(n)
    end)
  end
  measure(16, function(k)
    clients[k % 8 + 1]:write(('{"id":%d,"op":"plan","domain":"%s"}\n'):format(k, domain(k)))
  end)
  os.remove(socket)
end
process:kill "sigterm"
os.remove(path)
os.exit(0)
