-- nexthop-monitor: real checks of hosts with scripted mail servers, again and again.
local ca = require "tests.support.ca"
local cjson = require "cjson"
local files = require "tests.support.files"
local monitors = require "tests.support.monitor"
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
    assert.same({ bad, false, "uncovered-certificate" }, { report.domain, report.ok, report.findings[1].name })
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
    local monitor = start { domains = { changing, good }, on_change = { program } }
    local host = world.hosts.changing
    monitor:state(changing, "ok")
    monitor:hup() -- a round at once
    world.servers:host(host.addresses[1], { certificates = { other } })
    -- the place in the interval is far away: a start makes a round, too
    monitor:finish()
    monitor:run()
    local report = monitor:state(changing, "error")
    assert.is_true(report.monitor.checks >= 2)
    monitors.wait_for("on_change", function() return told()[1] end)
    monitor:checked_again(changing)
    assert.same({ changing .. " unknown->error" }, told())
    world.servers:host(host.addresses[1], { certificates = { rsa } })
    monitor:state(changing, "ok")
    monitors.wait_for("on_change", function() return told()[2] end)
    assert.same({ changing .. " unknown->error", changing .. " error->ok" }, told())
    assert.equal(0, monitor:finish())
  end)
end)
