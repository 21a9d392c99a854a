-- The files of examples/monitoring, each tried with the program that it is for, where Debian has that.
local cjson = require "cjson"
local files = require "tests.support.files"
local monitors = require "tests.support.monitor"
local shell = require "tests.support.shell"
local support = require "tests.support"
local contains = support.contains

local folder = "examples/monitoring/"

-- The path of a program out of a package that is not installed; without it the test is skipped.
local function tool(package, program)
  local log = files.new()
  local path, status = shell.run(("tests/lab/tool-path '%s' %s 2>%s"):format(package, program, log))
  if status == 75 then pending(files.read(log):match "[^\n]*") end
  assert.equal(0, status, files.read(log))
  return (path:gsub("%s+$", ""))
end

local function need(program)
  if select(2, shell.run("command -v " .. program)) ~= 0 then pending(program .. " is not installed") end
end

-- Runs a command, which must succeed. Returns what it says.
local function run(command)
  local said, status = shell.run(command)
  assert.equal(0, status, said)
  return said
end

describe("examples/monitoring:", function()
  local monitor
  setup(function()
    support.lab:clear()
    monitor = monitors.start { domains = { "dane.example", "nullmx.example" }, interval = 600, retry = 2,
      step = 1, deadline = 20, authoritative = false }
    monitor:state("dane.example", "error")
    monitor:state("nullmx.example", "error")
  end)
  teardown(function()
    monitor:finish()
    files.remove()
  end)

  it("promtool takes the configuration and the rules, and the alerts come when they must", function()
    local promtool = tool("promtool|prometheus", "promtool")
    contains(run(promtool .. " check config " .. folder .. "prometheus.yml"), "is valid prometheus config")
    contains(run(promtool .. " check rules " .. folder .. "nexthop.rules.yml"), "6 rules found")
    contains(run(promtool .. " test rules " .. folder .. "nexthop.rules.test.yml"), "SUCCESS")
  end)

  it("promtool takes the metrics of nexthop-monitor, which have what alerts and board ask for", function()
    local promtool = tool("promtool|prometheus", "promtool")
    local _, page, head = monitor:get "/metrics"
    contains(head, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert.equal("", run(promtool .. " check metrics <" .. files.new(page)))
    contains(page, 'nexthop_domain_ok{domain="nullmx.example"} 0\n', "process_resident_memory_bytes ",
      'nexthop_host_ok{domain="dane.example",host="mx1.dane.example",tls="dane"} 0\n')
    local known = {}
    for name in files.read("lua/nexthop/doctor/metrics.lua"):gmatch '"(nexthop_[%w_]+)"' do
      known[name] = true
    end
    local asked = 0
    for _, file in ipairs { "nexthop.rules.yml", "grafana.json" } do
      for name in files.read(folder .. file):gmatch "nexthop_[%w_]+" do
        assert(known[name], name)
        asked = asked + 1
      end
    end
    assert.is_true(asked > 10)
  end)

  it("the board of Grafana is JSON with eleven panels", function()
    local board = cjson.decode(files.read(folder .. "grafana.json"))
    assert.equal(11, #board.panels)
    for _, panel in ipairs(board.panels) do assert.is_string(panel.targets[1].expr) end
  end)

  it("check_http of the monitoring plugins tells by the state, as Icinga is told", function()
    local check_http = tool("monitoring-plugins-basic", "check_http")
    local text = files.read(folder .. "icinga.conf")
    contains(text, [["-s" = "\"state\":\"ok\""]], [["-u" = "/check/$nexthop_domain$"]])
    for state, expected in pairs { ok = 2, error = 0 } do
      local words = "%s -H 127.0.0.1 -p %d -u /check/nullmx.example -s '\"state\":\"%s\"'"
      local said, status = shell.run(words:format(check_http, monitor.port, state))
      assert.equal(expected, status, said)
    end
  end)

  it("the options of nexthop in them are ones that it has", function()
    for _, file in ipairs { "icinga.conf", "nexthop.cron", "nexthop-check.service" } do
      local seen = 0
      for line in files.read(folder .. file):gmatch "[^\n]+" do
        local options = {}
        for option in line:gsub("[\",]", ""):gmatch "%-%-[%w-]+" do options[#options + 1] = option end
        if line:find "nexthop[\", ]*%-%-check" and not line:find "^#" then
          local words = table.concat(options, " "):gsub("%-%-format", "--format nagios")
          local said = shell.run(("%s bin/nexthop %s --resolver x"):format(shell.quote(monitors.lua), words))
          contains(said, "missing argument 'domain'")
          seen = seen + 1
        end
      end
      assert.equal(1, seen, file)
    end
  end)

  it("the hourly check replaces its page by a complete one alone", function()
    local script = files.read(folder .. "nexthop-check.service"):match "ExecStart=/bin/sh %-c '([^\n]*)'\n"
    local place, bin = files.folder(), files.folder()
    for _, each in ipairs { { "first", 0, "first" }, { "incomplete", 75, "first" }, { "last", 0, "last" } } do
      files.write(bin .. "/nexthop", ("#!/bin/sh\necho %s\nexit %d\n"):format(each[1], each[2]))
      run("chmod +x " .. bin .. "/nexthop")
      local _, status = shell.run(("PATH=%s:$PATH FOLDER=%s DOMAINS=example.org sh -c %s"):format(bin, place,
        shell.quote(script)))
      assert.equal(each[2], status)
      assert.equal(each[3] .. "\n", files.read(place .. "/nexthop.prom"))
    end
  end)

  it("systemd accepts the units", function()
    need "systemd-analyze"
    local place = files.folder()
    for _, path in ipairs { folder .. "nexthop-check.service", folder .. "nexthop-check.timer",
      "share/systemd/nexthop-monitor.service" } do
      local name = path:match "[^/]*$"
      files.write(place .. "/" .. name, (files.read(path):gsub("=nexthop%-monitor ", "=/bin/true ")))
      assert.equal("", run(("systemd-analyze verify --man=no %s/%s 2>&1"):format(place, name)))
    end
  end)

  it("the configuration is right but for its folder, and the program of on_change sends a message", function()
    local text = files.read(folder .. "monitor.lua")
    local said, status = monitors.run("-n -c " .. files.new(text))
    assert.equal(1, status)
    contains(said, "state: /var/lib/nexthop-monitor: there is no such folder")
    text = text:gsub("/var/lib/nexthop%-monitor", files.folder()):gsub("return {", "%0 resolver = "
      .. monitors.text(support.lab:options()):gsub("^return ", "") .. ",")
    said, status = monitors.run("-n -c " .. files.new(text))
    assert.same({ 0, "configuration OK" }, { status, said:match "configuration OK$" })
    need "python3"
    local report = monitor:report "dane.example"
    report.monitor.was = "ok"
    local path = files.new(cjson.encode(report))
    local mail = run(("SENDMAIL='cat' %stell ops@example.org <%s"):format(folder, path))
    contains(mail, "To: ops@example.org\nSubject: dane.example: error (was: ok)\n",
      "\nerror: mx1.dane.example: mx1.dane.example (192.0.2.1, port 25): ", "\n  to do: see that the server")
  end)
end)
