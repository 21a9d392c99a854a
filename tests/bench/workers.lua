-- The processes that are measured: each reads commands and answers with CPU and wall seconds
-- (bare.c says which). Plain Lua: a FIFO in, a pipe out.
local files = require "tests.support.files"

local workers = {}
local worker = {}
worker.__index = worker

local quote = require("tests.support.shell").quote

-- Runs a shell command that prints one line.
function workers.line(command)
  local pipe = assert(io.popen(command, "r"))
  local line = pipe:read "*l"
  pipe:close()
  return line
end

-- The environment in which this Lua finds the module.
function workers.environment(lua)
  return ('eval "$(MAKEFLAGS= make -s --no-print-directory lua-env LUA=%s)"; '):format(lua)
end

-- Starts a command whose commands come on standard input.
function workers.start(name, command)
  local fifo = files.path()
  assert(os.execute("mkfifo " .. quote(fifo)))
  local output = assert(io.popen(("{ %s; } <%s"):format(command, quote(fifo)), "r"))
  local input = assert(io.open(fifo, "w"))
  os.remove(fifo)
  return setmetatable({ name = name, input = input, output = output }, worker)
end

local function arguments(lab)
  local zone_list = {}
  for zone in pairs(lab:stub()) do
    zone_list[#zone_list + 1] = quote(zone)
  end
  return ("%s %s %s"):format(quote(lab.anchor_file), lab.nsd_address, table.concat(zone_list, " "))
end

function workers.bare(lab)
  return workers.start("bare", "build/bench/bare " .. arguments(lab))
end

function workers.module(lab, lua)
  return workers.start("module, " .. lua, workers.environment(lua) .. lua
    .. " tests/bench/worker.lua " .. arguments(lab))
end

-- nil when lua-unbound is not there.
function workers.lunbound(lab)
  if workers.line "lua5.4 -e 'print(pcall(require, [[lunbound]]))' 2>/dev/null | cut -f1" ~= "true" then
    return nil
  end
  return workers.start("lua-unbound", ("lua5.4 tests/bench/lunbound.lua %s %s"):format(
    quote(lab.anchor_file), lab.forward_address))
end

-- Sends a command, returns the words of the answer as numbers.
function worker:ask(format, ...)
  self.input:write(format:format(...), "\n")
  self.input:flush()
  local line = self.output:read "*l"
  if not line then
    error(self.name .. " has ended at: " .. format:format(...), 0)
  end
  local numbers = {}
  for word in line:gmatch "%S+" do
    numbers[#numbers + 1] = tonumber(word)
  end
  return numbers
end

-- One sample: microseconds of CPU and of wall time per plan. call: { what =, hosts =, first =,
-- domains =, count =, under_way = }.
function worker:sample(call)
  local found = self:ask("%s %d %d %d %d %d", call.what, call.hosts or 2, call.first or 0, call.domains,
    call.count, call.under_way or 64)
  return { cpu = found[1] * 1e6 / call.count, wall = found[2] * 1e6 / call.count }
end

-- With a word of its own: a worker started later holds our end of the FIFO open, too.
function worker:stop()
  self.input:write "quit\n"
  self.input:close()
  self.output:close()
end

return workers
