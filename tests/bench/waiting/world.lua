-- What the cases of cases.lua are made of: coroutines that run side by side in one process, each
-- with a resolver and a view of the tree (zones.lua) of its own.
--
--   local here = world.place("recursion")         or "stub", "forward"; has here.resolver
--   local rule = here:rule("zone", { action = "silent" })    "root", "lag", "zone", "all"
--   local plan, err, seconds = here:plan "d1.one.lag"        waits
--   world.sleep(1.5)
--   here:late(10)              the host does not call process() for ten seconds
--   here:close()
local uv = require "luv"
local zones = require "tests.bench.waiting.zones"

local world = {}
local place = {}
place.__index = place

local state = { threads = {}, places = {}, views = 0 }

function world.now()
  return uv.hrtime() / 1e9
end
local now = world.now

-- settings: { name, timeout, options = {}, forward = {} (further options behind a forwarder),
-- resolver = {} (further options of nexthop.new) }. A lab behind the one described is started.
function world.open(settings, behind)
  state.settings = settings
  state.lab = require("tests.lab.lab").start { behind = behind }
  state.second = 10 + uv.os_getpid() % 200
  return state.lab
end

-- Views -----------------------------------------------------------------------------------------

local function address(view, number)
  return ("127.%d.%d.%d"):format(state.second, view, number)
end

local function listen(view, number, options)
  options = options or {}
  options.view = ("127.%d.%d"):format(state.second, view)
  return pcall(state.lab.listen, state.lab, address(view, number), options)
end

-- The silent servers: nobody answers there, but the packets must not be refused.
local function open_graves()
  for n = 1, zones.dead do
    local network, number = zones.dead_address(n)
    listen(250 + network, number, { port = 53 })
  end
  state.lab:rule { address = ("127.%d.251.*"):format(state.second), action = "silent" }
  state.lab:rule { address = ("127.%d.252.*"):format(state.second), action = "silent" }
end

-- Finds 127.N that is free, if port 53 may be used at all.
local function can_recurse()
  if state.recurse == nil then
    state.recurse = false
    for _ = 1, 40 do
      local ok, err = listen(0, 1, { port = 53 })
      if ok then
        state.recurse = true
        open_graves()
        break
      elseif not tostring(err):find "EADDRINUSE" then
        break
      end
      state.second = 10 + (state.second - 9) % 200
    end
  end
  return state.recurse
end

local function write_hints(view)
  local path = ("%s/hints.%d"):format(state.lab.folder, view)
  local file = assert(io.open(path, "w"))
  file:write((". 3600 IN NS ns.\nns. 3600 IN A %s\n"):format(address(view, 1)))
  file:close()
  return path
end

local modes = {}

-- The root hints of a view that a resolver may use for recursion.
local function open_tree(view)
  assert(can_recurse(), "port 53 of a loopback address is not to be had here")
  for number = 1, 3 do
    assert(listen(view, number, { port = 53 }))
  end
  return write_hints(view)
end

function modes.recursion(view)
  return { resolv_conf = false, options = { ["root-hints"] = open_tree(view),
    ["do-not-query-localhost"] = "no" } }
end

function modes.stub(view)
  for number = 1, 3 do
    assert(listen(view, number))
  end
  local function at(number)
    return ("%s@%d"):format(address(view, number), state.lab.port)
  end
  return { stub = { ["."] = at(1), ["lag."] = at(2), ["one.lag."] = at(3), ["two.lag."] = at(3) } }
end

function modes.forward(view)
  assert(listen(view, 9, { forward = true }))
  return { forward = ("%s@%d"):format(address(view, 9), state.lab.port) }
end

-- extra: further options of nexthop.new and, in `options`, of libunbound.
function world.place(mode, extra)
  state.views = state.views + 1
  local self = setmetatable({ mode = mode, view = state.views }, place)
  local options = modes[mode](self.view)
  local settings = state.settings
  options.trust_anchor_file = state.lab.anchor_file
  options.options = options.options or {}
  local function take(list)
    for key, value in pairs(list or {}) do
      options.options[key] = value
    end
  end
  take(settings.options)
  take(mode == "forward" and settings.forward)
  options.timeout = settings.timeout
  for key, value in pairs(settings.resolver or {}) do
    options[key] = value
  end
  for key, value in pairs(extra or {}) do
    if key == "options" then
      take(value)
    else
      options[key] = value
    end
  end
  self.settings = options
  self:open()
  state.places[self] = true
  -- To make a context takes tens of milliseconds, in which nobody calls process(): all are made before
  -- anything is asked, and the cases begin one after the other.
  local begin
  world.wait_for(function()
    begin = begin or state.ready and state.ready + 0.1 * self.view
    return begin ~= nil and now() >= begin
  end)
  return self
end

-- A view for a resolver that is not ours: its root hints, and the trust anchor's file.
function world.tree()
  state.views = state.views + 1
  return open_tree(state.views), state.lab.anchor_file, state.lab.folder
end

-- The settings that are measured here; those of a mode in `options`.
function world.settings(mode)
  local options = {}
  local forward = mode == "forward" and state.settings.forward
  for _, list in ipairs { state.settings.options or {}, forward or {} } do
    for key, value in pairs(list) do
      options[key] = value
    end
  end
  return { timeout = state.settings.timeout, options = options }
end

-- A resolver with an empty cache in the same place.
function place:open()
  if self.resolver then
    self.resolver:close()
  end
  self.resolver = assert(require("nexthop").new(self.settings))
end

function place:close()
  state.places[self] = nil
  self.resolver:close()
end

local numbers = { root = "1", lag = "2", zone = "3", all = "*" }

-- Adds a rule for the queries to one server of this place; a forwarder is all of them in one.
function place:rule(server, rule)
  local number = self.mode == "forward" and "9" or assert(numbers[server])
  rule.address = ("127.%d.%d.%s"):format(state.second, self.view, number)
  return state.lab:rule(rule)
end

function place:unrule(id)
  state.lab:unrule(id)
end

-- Running ---------------------------------------------------------------------------------------

local function wait_for(condition)
  while not condition() do
    coroutine.yield(condition)
  end
end
world.wait_for = wait_for

function world.sleep(seconds)
  local till = now() + seconds
  wait_for(function()
    return now() >= till
  end)
end

function world.sleep_until(time)
  wait_for(function()
    return now() >= time
  end)
end

function place:late(seconds)
  self.late_until = now() + seconds
  world.sleep(seconds)
end

-- Starts a call; the record gets result, err, seconds and done.
function place:start(name, options, method)
  local record = { name = name, asked = now() }
  self.resolver[method or "plan"](self.resolver, name, options or {}, function(result, err)
    record.result, record.err, record.done = result, err, true
    record.ended = now()
    record.seconds = record.ended - record.asked
  end)
  return record
end

function world.await(records)
  for _, record in ipairs(records) do
    wait_for(function()
      return record.done
    end)
  end
  return records
end

function place:ask(name, options, method)
  local record = self:start(name, options, method)
  world.await { record }
  return record
end

function world.spawn(run)
  local thread = { co = coroutine.create(run) }
  table.insert(state.threads, thread)
  return thread
end

-- Runs functions side by side and waits for all of them.
function world.together(list)
  local left = #list
  for _, run in ipairs(list) do
    world.spawn(function()
      run()
      left = left - 1
    end)
  end
  wait_for(function()
    return left == 0
  end)
end

local function step(thread)
  local ok, condition = coroutine.resume(thread.co)
  if not ok then
    error(debug.traceback(thread.co, condition), 0)
  end
  thread.condition = condition
  return coroutine.status(thread.co) == "dead"
end

function world.run()
  while #state.threads > 0 do
    local busy, idle = false, true
    for each in pairs(state.places) do
      if not (each.late_until and now() < each.late_until) then
        local ran = each.resolver:process()
        busy = busy or (ran or 0) > 0 or each.resolver:timeout() == 0
      end
    end
    for k = #state.threads, 1, -1 do
      local thread = state.threads[k]
      if not thread.condition or thread.condition() then
        busy, idle = true, idle and thread.condition ~= nil
        if step(thread) then
          table.remove(state.threads, k)
        end
      end
    end
    if idle and not state.ready then
      state.ready = now()
    end
    if not busy then
      uv.sleep(2)
    end
  end
end

-- What came -------------------------------------------------------------------------------------

-- "dane" when a plan is all that it should be, else what it is instead.
function world.verdict(record)
  local plan, err = record.result, record.err
  if not plan then
    return err and err.code or "nothing"
  end
  local hosts = record.name:find "two%.lag$" and 2 or 1
  if #plan.hosts ~= hosts then
    return ("%d hosts"):format(#plan.hosts)
  end
  for _, host in ipairs(plan.hosts) do
    if host.tls ~= "dane" then
      return host.tls .. (host.err and " (" .. host.err.code .. ")" or "")
    elseif #host.ips ~= 2 then
      return ("%d addresses"):format(#host.ips)
    end
  end
  return "dane"
end

function world.is_right(record)
  return world.verdict(record) == "dane"
end

-- The verdicts that are not "dane", with how many: "servfail 3, skip (timeout) 1"; "" when all are.
function world.wrong(records)
  local counts, list, total = {}, {}, 0
  for _, record in ipairs(records) do
    local verdict = world.verdict(record)
    if verdict ~= "dane" then
      counts[verdict] = (counts[verdict] or 0) + 1
      total = total + 1
    end
  end
  for verdict, count in pairs(counts) do
    list[#list + 1] = ("%s %d"):format(verdict, count)
  end
  table.sort(list)
  return table.concat(list, ", "), total
end

return world
