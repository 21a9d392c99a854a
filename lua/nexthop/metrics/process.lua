--- What the system says of this process, under the names that all programs use for it. Linux tells it in
-- /proc; where that is missing, so are the samples.
local M = {}

local ticks = 100 -- a second, whatever the kernel was built with (USER_HZ)

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

-- The fields of /proc/self/stat after the name of the program, which may have spaces: the state is the first.
local function stat_fields()
  local rest = (read "/proc/self/stat" or ""):match ".*%)%s+(.*)"
  local fields = {}
  for word in (rest or ""):gmatch "%S+" do fields[#fields + 1] = word end
  return fields
end

local function open_descriptors()
  local found, uv = pcall(require, "luv")
  local scan = found and uv.fs_scandir "/proc/self/fd"
  if not scan then return nil end
  local count = 0
  while uv.fs_scandir_next(scan) do count = count + 1 end
  return count - 1 -- the one that reads the folder
end

local function kilobytes(status, name)
  local number = tonumber(status:match("\n" .. name .. ":%s*(%d+) kB"))
  return number and number * 1024
end

local boot_time -- seconds since 1970, as it was when it was asked for first

-- A sandbox may leave nothing of /proc but the processes; the time since the boot can be had without it.
local function find_boot_time()
  local told = tonumber((read "/proc/stat" or ""):match "\nbtime (%d+)")
  if told then return told end
  local found, uv = pcall(require, "luv")
  return found and os.time() - math.floor(uv.uptime())
end

local function start_time(started)
  boot_time = boot_time or find_boot_time()
  return boot_time and started and boot_time + started / ticks
end

--- Adds the families of this process to a page of nexthop.metrics.text.
function M.add(page)
  local fields, status = stat_fields(), read "/proc/self/status" or ""
  local user, system = tonumber(fields[12]), tonumber(fields[13])
  local function gauge(name, help, unit, value)
    if not value then return end
    page:family(name, "gauge", help, unit)
    page:sample(name, nil, value)
  end
  if user and system then
    page:family("process_cpu_seconds", "counter", "Processor time that the process has used.", "seconds")
    page:sample("process_cpu_seconds_total", nil, (user + system) / ticks)
  end
  gauge("process_resident_memory_bytes", "Memory of the process that is in use.", "bytes",
    kilobytes(status, "VmRSS"))
  gauge("process_virtual_memory_bytes", "Address space of the process.", "bytes", kilobytes(status, "VmSize"))
  gauge("process_open_fds", "Descriptors that are open.", nil, open_descriptors())
  gauge("process_max_fds", "Descriptors that may be open.", nil,
    tonumber((read "/proc/self/limits" or ""):match "\nMax open files%s+(%d+)"))
  gauge("process_start_time_seconds", "When the process started, in seconds since 1970.", "seconds",
    start_time(tonumber(fields[20])))
end

return M
