-- nexthop-monitor: real checks of hosts with scripted mail servers, again and again.
local ca = require "tests.support.ca"
local cjson = require "cjson"
local files = require "tests.support.files"
local monitors = require "tests.support.monitor"
local ports = require "tests.support.ports"
local support = require "tests.support"
local verifying = require "tests.support.verifying"
local contains = support.contains

local world = verifying.world("vmonitor.example", 81)

local function leaf(label, options)
  options = options or {}
  options.name, options.names, options.to = "mon-" .. label, { "*.vmonitor.example" }, 60
  return ca.leaf(options)
end
local function tlsa(certificate) return ca.tlsa(certificate, 3, 1, 1) end

local rsa, other = leaf("rsa", { key = "rsa" }), leaf("other", { key = "rsa" })

for _, label in ipairs { "good", "changing", "second" } do
  world:host(label, { tlsa = { tlsa(rsa), ca.stale(3, 1, 1) }, server = { certificates = { rsa } } })
end
world:host("bad", { tlsa = { ca.stale(3, 1, 1) }, server = { certificates = { rsa } } })

local function domain(label) return ("mx-%s.vmonitor.example"):format(label) end

local good, bad, changing = domain "good", domain "bad", domain "changing"

local running = {}

-- A configuration for the world.
local function config(more)
  local out = { domains = { good }, interval = 600, retry = 0.4, connect_port = world.servers.port,
    helo = "client.test", authoritative = false, keys = { "rsa" } }
  for key, value in pairs(more) do out[key] = value end
  return out
end

local function start(more)
  local monitor = monitors.start(config(more))
  running[#running + 1] = monitor
  return monitor
end

describe("nexthop-monitor", function()
  setup(function() world:start() end)
  teardown(function() world:stop() end)
  after_each(function()
    for _, monitor in ipairs(running) do
      if not monitor.status then monitor:finish "sigkill" end
    end
    running = {}
    files.remove()
  end)

  it("has the report of --check --json of each domain in its list, and of no other", function()
    local monitor = start { domains = { good, bad } }
    local report = monitor:state(bad, "error")
    assert.same({ bad, false, "uncovered-certificate" },
      { report.domain, report.ok, report.findings[1].name })
    report = monitor:state(good, "ok")
    assert.same({ true, "dane", true }, { report.ok, report.hosts[1].tls, report.monitor.is_confirmed })
    local status, body, head = monitor:get("/check/" .. good:upper())
    assert.same({ 200, good }, { status, cjson.decode(body).domain })
    contains(head, "application/json")
    assert.equal(404, (monitor:get("/check/" .. changing)))
    assert.equal(404, (monitor:get "/check/"))
    assert.equal(0, world.hosts.changing.listening[1]:count())
    assert.equal(0, monitor:finish())
  end)

  it("shows a page for people, with the findings in words and no script", function()
    local monitor = start { domains = { good, bad } }
    monitor:state(bad, "error")
    monitor:state(good, "ok")
    local status, body, head = monitor:get "/"
    assert.equal(200, status)
    contains(head, "text/html; charset=utf-8")
    contains(body, "Mail domains: 1 of 2 good, 1 with errors", '<b class="error">error</b>, since 20',
      "bad.vmonitor.example port 25: the server at 127.81.0.", "and no TLSA record matches it",
      "To do: publish a record of its key", "Publish: <code>_25._tcp.bad.vmonitor.example. TLSA 3 1 1 ",
      'name="viewport"', "checked 20")
    support.lacks(body, "<script")
    assert(body:find("<h2>" .. bad, 1, true) < body:find("<h2>" .. good, 1, true), "the bad one stands first")
  end)

  it("tells a change and its mending once each, and only after two like results", function()
    local program, told = monitors.teller()
    local monitor = start { domains = { changing }, on_change = { program }, interval = 1, retry = 0.3 }
    local address = world.hosts.changing.addresses[1]
    monitor:state(changing, "ok")
    world.servers:host(address, { certificates = { other } })
    local report = monitor:wait(changing, function(found) return not found.ok end)
    assert.same({ "ok", false }, { report.monitor.state, report.monitor.is_confirmed })
    report = monitor:state(changing, "error")
    assert.is_true(report.monitor.is_confirmed)
    monitor:checked_again(changing)
    assert.same({ changing .. " ok->error" }, told())
    world.servers:host(address, { certificates = { rsa } })
    monitor:state(changing, "ok")
    monitors.wait_for("on_change", function() return told()[2] end)
    monitor:checked_again(changing)
    assert.same({ changing .. " ok->error", changing .. " error->ok" }, told())
    contains(monitor.said, changing
      .. ": error (was: ok): uncovered-certificate of changing.vmonitor.example\n",
      changing .. ": ok (was: error)\n")
    assert.equal(0, monitor:finish())
  end)

  it("knows after kill -9 what it knew, and tells what was not told yet", function()
    local group = files.new()
    local program = monitors.teller(("echo $$ >%s; sleep 60"):format(group))
    local more = { domains = { good, bad }, on_change = { program }, state = files.folder() }
    local monitor = start(more)
    monitor:state(bad, "error")
    local before = monitor:state(good, "ok")
    monitors.wait_for("on_change", function() return files.read(group) ~= "" end)
    monitor:finish "sigkill"
    assert(os.execute("kill -9 -" .. files.read(group))) -- a service manager does that
    local contacts = world.hosts.good.listening[1]:count()
    local told
    program, told = monitors.teller()
    more.on_change = { program }
    monitor:write(config(more))
    monitor:run()
    local after = monitor:report(good)
    assert.same({ before.monitor.since, before.monitor.checked, "ok", 0 },
      { after.monitor.since, after.monitor.checked, after.monitor.state, after.monitor.checks })
    before.monitor, after.monitor = nil, nil
    assert.same(before, after)
    monitors.wait_for("on_change", function() return told()[1] end)
    monitor:checked_again(bad)
    assert.same({ bad .. " unknown->error" }, told())
    assert.equal(contacts, world.hosts.good.listening[1]:count())
  end)

  it("says which file of its state is damaged, and goes on without it", function()
    local folder = files.folder()
    files.write(folder .. "/" .. good .. ".json", '{"version":1,"domain":"x"')
    local monitor = start { state = folder }
    contains(monitor.said, good .. ".json: is damaged, and is not used")
    monitor:state(good, "ok")
    contains(files.read(folder .. "/" .. good .. ".json"), '"level":"ok"')
  end)

  it("does not say that a domain is well by a result that is too old", function()
    local folder = files.folder()
    local monitor = start { state = folder }
    monitor:state(good, "ok")
    assert.equal(0, monitor:finish())
    local path = folder .. "/" .. good .. ".json"
    local changed, count = files.read(path):gsub('"checked":%d+', '"checked":' .. os.time() - 3 * 600 - 121)
    assert.equal(1, count)
    files.write(path, changed)
    monitor:write(config { state = folder, resolver = { forward = "127.0.0.1@1",
      trust_anchor_file = support.lab.anchor_file, timeout = 0.3 } })
    monitor:run()
    monitor:logged(good .. ": the check says nothing: ")
    local status, body = monitor:get("/check/" .. good)
    local about = cjson.decode(body).monitor
    assert.same({ 503, "unknown", false }, { status, about.state, about.is_confirmed })
    assert.is_string(about.failed.message)
    contains(select(2, monitor:get "/"), "0 of 1 good, 1 not known, the last check of 1 failed",
      "The last result is too old")
  end)

  it("takes no file of its state whose metrics are not its own", function()
    local folder = files.folder()
    local monitor = start { state = folder }
    monitor:state(good, "ok")
    assert.equal(0, monitor:finish())
    local path = folder .. "/" .. good .. ".json"
    local kept = files.read(path)
    local changed = kept:gsub('\\"labels\\":{', '\\"labels\\":{\\"x}\\":\\"1\\",', 1)
    assert.not_equal(kept, changed)
    files.write(path, changed)
    monitor:run()
    contains(monitor.said, path .. ": is damaged, and is not used")
  end)

  it("goes on with on_change after a program that has failed while it was taken out and put back", function()
    local gate = files.folder()
    local program, told = monitors.teller(("touch %s/runs; while [ ! -e %s/go ]; do sleep 0.05; done"):format(
      gate, gate))
    files.write(program, (files.read(program):gsub("cat >>", "[ -e " .. gate .. "/second ] || exit 3\n%0")))
    local more = { domains = { bad }, on_change = { program } }
    local monitor = start(more)
    monitors.wait_for("on_change", function() return io.open(gate .. "/runs") end)
    monitor:write(config { domains = { bad } })
    monitor:hup()
    monitor:logged "read again, 1 domains"
    files.write(gate .. "/go", "")
    monitor:logged("ended with status 3, signal 0, for " .. bad)
    support.lacks(monitor.said, "traceback")
    files.write(gate .. "/second", "")
    more.domains = { bad, changing }
    world.servers:host(world.hosts.changing.addresses[1], { certificates = { other } })
    monitor:write(config(more))
    monitor:hup()
    monitors.wait_for("on_change", function() return told()[1] end)
    world.servers:host(world.hosts.changing.addresses[1], { certificates = { rsa } })
    assert.equal(changing .. " unknown->error", told()[1])
    assert.equal(0, monitor:finish())
  end)

  it("tells a change once where its program ends while the monitor does", function()
    local gate = files.folder()
    local program, told = monitors.teller(("trap '' TERM; touch %s/runs; sleep 0.5"):format(gate))
    local more = { domains = { bad }, on_change = { program }, state = files.folder() }
    local monitor = start(more)
    monitors.wait_for("on_change", function() return io.open(gate .. "/runs") end)
    assert.equal(0, monitor:finish())
    assert.same({ bad .. " unknown->error" }, told())
    monitor:run()
    monitor:checked_again(bad)
    assert.equal(0, monitor:finish())
    assert.same({ bad .. " unknown->error" }, told())
  end)

  it("takes no domain for well whose hosts could not be looked at", function()
    local doctor = require "nexthop.programs.nexthop.doctor"
    local monitor_outcome = require "nexthop.monitor.outcome"
    local settings = require "nexthop.programs.monitor.settings"
    local given = assert(settings.check(config { resolver = support.lab:options() }))
    local resolver, args = assert(require("nexthop").new(given.resolver)), settings.arguments(given)
    local code
    finally(function() resolver:close() end)
    local failing = setmetatable({
      verify = function(_, _, _, done) done(nil, { code = code, message = "no luck" }) end,
    }, { __index = function(_, name)
      return function(_, ...) return resolver[name](resolver, ...) end
    end })
    local function check(with)
      local result
      code = with
      doctor.lookup(failing, args, function() end)(good, function(...)
        result = { monitor_outcome.of(good, args, 1, ...) }
      end)
      while not result do resolver:wait(1) end
      return result[1], result[2]
    end
    local found = check "servfail"
    assert.same({ level = "error", key = "error not-all-checked good.vmonitor.example 25" }, found.result)
    for _, sample in ipairs(found.metrics.samples) do assert.not_equal("nexthop_host_ok", sample.name) end
    for _, own in ipairs { "no_memory", "closed" } do assert.same({ nil, "no luck" }, { check(own) }) end
  end)

  it("checks a domain again whose result it could not read", function()
    local uv = require "luv"
    local outcome = require "nexthop.monitor.outcome"
    local log, of, calls = {}, outcome.of, 0
    finally(function() outcome.of = of end)
    outcome.of = function()
      calls = calls + 1
      error "boom"
    end
    local given = config { resolver = support.lab:options(), interval = 1, retry = 0.1, jobs = 1 }
    local settings = assert(require("nexthop.programs.monitor.settings").check(given))
    local self = require("nexthop.monitor.monitor").new(settings, function(line) log[#log + 1] = line end)
    monitors.wait_for("two checks", function() return calls >= 2 end, 20)
    assert.matches("boom", log[1])
    assert.is_string(self.records[good].trouble.reason)
    self:close(function() end)
    uv.run "nowait"
  end)

  it("ends a program of on_change that does not end, and says how it ended", function()
    local hook = require "nexthop.monitor.hook"
    local uv = require "luv"
    local program, told = monitors.teller "trap '' TERM; [ $1 != stuck ] || { sleep 60 & wait; sleep 60; }"
    local log, done = {}, {}
    local command = { program, "stuck" }
    local self = hook.new(command, {
      limit = 0.2, grace = 0.2, log = function(text) log[#log + 1] = text end,
      take = function(name)
        return cjson.encode { domain = name, monitor = { was = "a", state = "b" } } .. "\n", name
      end,
      done = function(name)
        done[#done + 1] = name
        command[2] = "free"
      end,
    })
    self:add "one.example"
    self:add "two.example"
    self:add "two.example"
    monitors.wait_for("both", function() return done[2] end)
    uv.run "nowait"
    assert.same({ "one.example", "two.example" }, done)
    assert.same({ "two.example a->b" }, told())
    assert.same({ program .. ": has not ended within 0.2 s, and is ended",
      program .. ": ended with status 0, signal 9, for one.example" }, log)
  end)

  it("keeps its configuration where a new one is wrong, and takes a good one", function()
    local monitor = start {}
    monitor:state(good, "ok")
    monitor:write "return { domains = { 'a b' } }"
    monitor:hup()
    monitor:logged "domains: 'a b' is no domain; the old configuration holds"
    assert.equal("ok", monitor:report(good).monitor.state)
    monitor:write "return {"
    monitor:hup()
    monitor:logged("the old configuration holds", 2)
    local blocker = require("socket").bind("127.0.0.1", 0)
    local _, port = blocker:getsockname()
    monitor:write(config { domains = { bad }, listen = "127.0.0.1:" .. port })
    monitor:hup()
    monitor:logged("the old configuration holds", 3)
    blocker:close()
    assert.equal("ok", monitor:report(good).monitor.state)
    monitor:write(config { domains = { bad }, listen = "127.0.0.1:" .. ports.free() })
    monitor:hup()
    monitor:logged "read again, 1 domains"
    monitor.port = tonumber(files.read(monitor.path):match "127.0.0.1:(%d+)")
    monitor:state(bad, "error")
    assert.equal(404, (monitor:get("/check/" .. good)))
    assert.equal(0, monitor:finish())
  end)

  it("takes nothing that it sees without a resolver for a fault of a domain", function()
    local monitor = start { resolver = { forward = "127.0.0.1@1", trust_anchor_file = support.lab.anchor_file,
      timeout = 0.3 } }
    monitor:logged(good .. ": the check says nothing: ")
    local status, body = monitor:get("/check/" .. good)
    local report = cjson.decode(body)
    assert.same({ 503, "unknown" }, { status, report.monitor.state })
    assert.is_string(report.monitor.failed.message)
    contains(select(2, monitor:get "/"), "0 of 1 good, 1 not known, the last check of 1 failed",
      "says nothing about this domain")
  end)

  it("checks its configuration with -n, and names the key that is wrong", function()
    local path = files.new("return " .. monitors.text(config {}):gsub("^return ", ""))
    assert.same({ path .. ": configuration OK", 0 }, { monitors.run("-n -c " .. path) })
    files.write(path, "return { domains = { 'example.org' }, on_change = 'mail' }")
    local said, status = monitors.run("-n -c " .. path)
    assert.equal(1, status)
    contains(said, path .. ": on_change: a list of strings")
    assert.equal(64, select(2, monitors.run "-n"))
    contains((monitors.run "-V"), "libunbound ")
  end)
end)
