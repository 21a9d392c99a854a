-- The lab's process: builds the zones, runs NSD, is the scriptable DNS server, obeys its clients.
--
--   LUA tests/lab/server.lua FOLDER OWNER       (started by lab.lua, which makes and removes FOLDER)
--
-- Commands are JSON objects, one a line, from standard input and from connections to FOLDER/socket;
-- each is answered with one line. The first line of standard input holds the options. The end of
-- standard input, or of the process OWNER, ends the lab (not with `detached`).
local folder, owner = arg[1], tonumber(arg[2])
local here = arg[0]:match("^(.*)/tests/lab/[^/]*$") or "."
package.path = here .. "/?.lua;" .. package.path

local uv = require "luv"
local json = require "cjson"
local zones = require "tests.lab.zones"
local build = require "tests.lab.build"
local dnsd = require "tests.lab.dnsd"
local nsd = require "tests.lab.nsd"

local state = { clients = 0, last = uv.now() }
local commands = {}

-- Each command: request, reply(fields), fail(text).

function commands.describe(_, reply)
  reply(state.description)
end

function commands.rule(request, reply, fail)
  local id, err = state.dnsd:add_rule(request.rule)
  if not id then
    return fail(err)
  end
  reply { id = id }
end

function commands.unrule(request, reply)
  reply { found = state.dnsd:remove_rule(request.id) }
end

function commands.clear(_, reply, fail)
  state.dnsd:clear()
  if not state.nsd or state.nsd.process then
    return reply {}
  end
  commands.start_nsd(nil, reply, fail)
end

function commands.counts(request, reply)
  local counts = {}
  for proto, each in pairs(state.dnsd.counts) do
    if not request.proto or request.proto == proto then
      for key, count in pairs(each) do
        counts[key] = (counts[key] or 0) + count
      end
    end
  end
  reply { counts = counts }
end

local function total(request)
  return state.dnsd:total(request.name or "*", request.type or "*", request.proto)
end

function commands.count(request, reply)
  reply { count = total(request) }
end

function commands.queries(_, reply)
  reply { queries = state.dnsd.log }
end

function commands.reset(_, reply)
  state.dnsd:reset()
  reply {}
end

function commands.release(request, reply)
  reply { released = state.dnsd:release(request.id) }
end

-- Replies when as many such queries have come, fails when they do not in time.
function commands.wait(request, reply, fail)
  local timer = uv.new_timer()
  local function check()
    if timer:is_closing() then
      return true
    elseif total(request) >= (request.count or 1) then
      timer:close()
      reply { count = total(request) }
      return true
    end
    return false
  end
  if not check() then
    table.insert(state.dnsd.waiters, check)
    timer:start(math.floor((request.seconds or 10) * 1000), 0, function()
      timer:close()
      fail(("waited in vain for %s %s"):format(request.name or "*", request.type or "*"))
    end)
  end
end

function commands.listen(request, reply, fail)
  local port, err = state.dnsd:listen(request.address, request.port or state.description.port,
    request.forward or false, request.view)
  if not port then
    return fail(("cannot listen on %s: %s"):format(request.address, err))
  end
  reply { port = port }
end

function commands.start_nsd(_, reply, fail)
  if not state.nsd then
    return reply {}
  end
  local waiting, failed = 1 + #state.levels, nil
  local function started(err)
    waiting, failed = waiting - 1, failed or err
    if waiting == 0 and failed then
      fail(failed)
    elseif waiting == 0 then
      reply {}
    end
  end
  state.nsd:start(state.zones, started)
  for _, level in ipairs(state.levels) do
    level.nsd:start(level.zones, started)
  end
end

function commands.stop_nsd(_, reply)
  local waiting = 1 + #state.levels
  local function stopped()
    waiting = waiting - 1
    if waiting == 0 then
      reply {}
    end
  end
  state.nsd:stop(stopped)
  for _, level in ipairs(state.levels) do
    level.nsd:stop(stopped)
  end
end

local function list_zones()
  local names, parents = {}, {}
  for index, zone in ipairs(state.zones) do
    names[index] = zone.name
    if build.has_children(zone, state.zones) then
      parents[#parents + 1] = zone.name
    end
  end
  state.description.zones, state.description.parents = names, parents
end

function commands.add_zones(request, reply, fail)
  local ok, err = pcall(build.add, folder, state.zones, state.words, request.zones)
  if not ok then
    return fail(err)
  end
  list_zones()
  commands.stop_nsd(nil, function()
    commands.start_nsd(nil, function()
      reply(state.description)
    end, fail)
  end)
end

local function finish(status)
  if not state.finishing then
    state.finishing = true
    if not state.nsd then
      os.exit(status)
    end
    commands.stop_nsd(nil, function()
      os.exit(status)
    end)
  end
end

function commands.stop(_, reply)
  reply({}, function()
    finish(0)
  end)
end

-- Sessions -----------------------------------------------------------------------------------

-- Returns feed(chunk): runs the commands of a stream, answering with write(line, written).
local function session(write)
  local buffer = ""
  local function run(line)
    local function reply(fields, written)
      write(json.encode { ok = true, result = fields } .. "\n", written)
    end
    local function fail(text)
      write(json.encode { ok = false, error = tostring(text) } .. "\n")
    end
    local ok, request = pcall(json.decode, line)
    local command = ok and type(request) == "table" and commands[request.command]
    if not command then
      return fail("no such command: " .. line)
    end
    local done, err = pcall(command, request, reply, fail)
    if not done then
      fail(err)
    end
  end
  return function(chunk)
    buffer = buffer .. chunk
    while true do
      local line, rest = buffer:match("^(.-)\n(.*)$")
      if not line then
        return
      end
      buffer = rest
      run(line)
    end
  end
end

local function serve_socket()
  local pipe = uv.new_pipe(false)
  assert(pipe:bind(folder .. "/socket"))
  assert(pipe:listen(64, function()
    local client = uv.new_pipe(false)
    pipe:accept(client)
    state.clients = state.clients + 1
    local feed = session(function(line, written)
      if not client:is_closing() then
        client:write(line, written)
      end
    end)
    client:read_start(function(_, chunk)
      if chunk then
        feed(chunk)
      else
        state.clients, state.last = state.clients - 1, uv.now()
        client:close()
      end
    end)
  end))
end

local function write_stdout(line, written)
  io.stdout:write(line)
  io.stdout:flush()
  if written then
    written()
  end
end

local function serve_stdin(detached)
  local feed = session(write_stdout)
  local pipe = uv.new_pipe(false)
  pipe:open(0)
  pipe:read_start(function(_, chunk)
    if chunk then
      feed(chunk)
    elseif detached then
      pipe:close()
    else
      finish(0)
    end
  end)
  if detached then
    -- Whoever was to stop it may be gone: half an hour without a client or a query is enough.
    uv.new_timer():start(60000, 60000, function()
      if state.clients == 0 and uv.now() - math.max(state.last, state.dnsd.last) > 1800000 then
        finish(0)
      end
    end)
  elseif owner then
    uv.new_timer():start(500, 500, function()
      if not uv.kill(owner, 0) then
        finish(0)
      end
    end)
  end
end

-- Start --------------------------------------------------------------------------------------

local function nsd_path()
  local pipe = io.popen(("'%s/tests/lab/daemon-path' 2>&1"):format(here))
  local said = pipe:read("*a"):gsub("%s+$", "")
  pipe:close()
  if said:sub(1, 1) ~= "/" or said:find("\n") then
    error(said, 0)
  end
  return said
end

-- The NSDs that serve the zones with a `server`, one for each address; returns their ports.
local function make_levels(path)
  local levels, ports = {}, {}
  for _, zone in ipairs(state.zones) do
    local number = zone.server and zone.server:match("%d+$")
    if number and not levels[number] then
      local dir = folder .. "/level" .. number
      assert(uv.fs_mkdir(dir, 448))
      levels[number] = { nsd = nsd.new(path, dir, true), zones = {} }
      table.insert(state.levels, levels[number])
      ports[number] = levels[number].nsd.port
    end
    if number then
      table.insert(levels[number].zones, zone)
    end
  end
  return ports
end

local function prepare(options)
  state.zones, state.levels = zones.all(), {}
  for _, zone in ipairs(options.zones or {}) do
    if zone.name == "." then
      state.zones[1].server = zone.server
    else
      table.insert(state.zones, zone)
    end
  end
  local path = nsd_path()
  state.words = build.zones(folder, state.zones)
  state.nsd = nsd.new(path, folder)
  local levels = make_levels(path)
  state.dnsd = dnsd.new(state.nsd.port, levels)
  local port = assert(state.dnsd:listen("127.0.0.1", 0, false))
  local forward_port = assert(state.dnsd:listen("127.0.0.1", 0, true))
  local anchor, anchor_file = build.anchor(folder)
  state.description = {
    port = port, address = "127.0.0.1@" .. port,
    forward_port = forward_port, forward_address = "127.0.0.1@" .. forward_port,
    nsd_port = state.nsd.port, nsd_address = "127.0.0.1@" .. state.nsd.port,
    anchor = anchor, anchor_file = anchor_file,
    folder = folder, socket = folder .. "/socket", pid = uv.os_getpid(),
    certificate_file = folder .. "/server.pem", key_file = folder .. "/server.key",
    ca_file = folder .. "/ca.pem",
    demo = zones.demo, levels = levels,
  }
  list_zones()
end

-- Only the scriptable server, in front of another lab's NSD.
local function prepare_behind(other)
  state.zones, state.levels = {}, {}
  state.dnsd = dnsd.new(other.nsd_port, other.levels)
  other.port = assert(state.dnsd:listen("127.0.0.1", 0, false))
  other.forward_port = assert(state.dnsd:listen("127.0.0.1", 0, true))
  other.address = "127.0.0.1@" .. other.port
  other.forward_address = "127.0.0.1@" .. other.forward_port
  other.folder, other.socket, other.pid = folder, folder .. "/socket", uv.os_getpid()
  state.description = other
end

local function main()
  -- A client that is gone before its answer, on TCP or on the socket, is no reason to end.
  uv.new_signal():start("sigpipe", function() end)
  local options = json.decode(io.read("*l") or "{}")
  local ok, err
  if options.behind then
    ok, err = pcall(prepare_behind, options.behind)
  else
    ok, err = pcall(prepare, options)
  end
  if not ok then
    write_stdout(json.encode { ok = false, error = tostring(err) } .. "\n")
    os.exit(1)
  end
  commands.start_nsd(nil, function()
    serve_socket()
    serve_stdin(options.detached)
    commands.describe(nil, function(fields)
      write_stdout(json.encode { ok = true, result = fields } .. "\n")
    end)
  end, function(reason)
    write_stdout(json.encode { ok = false, error = reason } .. "\n")
    finish(1)
  end)
  uv.run()
end

main()
