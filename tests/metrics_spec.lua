-- What nexthop-server, filter-nexthop and table-nexthop tell a monitoring system.
local files = require "tests.support.files"
local filter = require "tests.support.filter"
local ports = require "tests.support.ports"
local promtool = require "tests.support.promtool"
local servers = require "tests.support.server"
local support = require "tests.support"
local tables = require "tests.support.table"
local text = require "nexthop.metrics.text"
local uv = require "luv"
local lab = support.lab
local contains = support.contains

local request = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"

-- Sends bytes to a Unix socket or a port, and reads on until the end unless `deaf`: { output, ended }.
local function open(target, bytes, deaf)
  local is_port = type(target) == "number"
  local self = { handle = is_port and uv.new_tcp() or uv.new_pipe(false), output = "" }
  local function connected(err)
    self.connected = true
    if err then
      self.ended = err
      return
    end
    self.handle:write(bytes, function() end)
    if deaf then return end
    self.handle:read_start(function(failed, chunk)
      if chunk then
        self.output = self.output .. chunk
      else
        self.ended = failed or "end"
        if self.on_end then self:on_end() end
      end
    end)
  end
  if is_port then
    self.handle:connect("127.0.0.1", target, connected)
  else
    self.handle:connect(target, connected)
  end
  return self
end

local function close(connection)
  connection.handle:close()
end

-- The response to one request: status, fields, body.
local function get(target, bytes)
  local connection = open(target, bytes or request)
  servers.wait_for("a response", function() return connection.ended end)
  close(connection)
  local status, head, body = connection.output:match "^HTTP/1.1 (%d+) [^\r]*\r\n(.-\r\n)\r\n(.*)$"
  return tonumber(status), head, body
end

-- The samples of a page by name and labels.
local function samples(page)
  local out = {}
  for line in page:gmatch "[^\n]+" do
    local name, value = line:match "^([^#].*) (%S+)$"
    if name then
      assert.is_nil(out[name], name)
      out[name] = tonumber(value)
    end
  end
  return out
end

local function sum(list)
  local total = 0
  for _, value in pairs(list) do total = total + value end
  return total
end

describe("the metrics of nexthop-server", function()
  local server, port
  setup(function()
    filter.prepare()
    port = ports.free()
    server = servers.start { metrics = "127.0.0.1:" .. port, exclude = { "example.org" } }
  end)
  teardown(function()
    assert.equal(0, server:finish())
    lab:clear()
    files.remove()
  end)

  it("are at its own socket and at the port, in OpenMetrics, and accepted by promtool", function()
    for _, target in ipairs { server.path, port } do
      local status, head, page = get(target)
      assert.equal(200, status)
      contains(head, "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n",
        "Connection: close\r\n")
      assert.equal("\n# EOF\n", page:sub(-7))
      assert.same({ 0, "" }, { promtool.check(page) })
      local _, _, strict = get(target,
        "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: " .. text.CONTENT_TYPE .. "\r\n\r\n")
      contains(strict, "# TYPE nexthop_lookups counter\n", "# TYPE nexthop_request_seconds histogram\n",
        "# UNIT nexthop_request_seconds seconds\n")
    end
  end)

  it("are there for GET and HEAD at /metrics alone", function()
    for _, target in ipairs { server.path, port } do
      assert.equal(404, (get(target, "GET / HTTP/1.0\r\n\r\n")))
      assert.equal(405, (get(target, "POST /metrics HTTP/1.0\r\n\r\n")))
      local status, _, body = get(target, "HEAD /metrics HTTP/1.0\r\n\r\n")
      assert.same({ 200, "" }, { status, body })
    end
  end)

  it("equal its counters after a mixed load", function()
    lab:rule { name = "mx-only4.example", action = "refused" }
    local c = server:connect()
    local load = {
      { op = "plan", domain = "dane.example" }, { op = "plan", domain = "dane.example" },
      { op = "recipient", domain = "nullmx.example" }, { op = "sender", domain = "nodane.filter.example" },
      { op = "sender", domain = "example.org" }, { op = "gather_tlsa", host = "mx1.dane.example" },
      { op = "gather_ips", host = "mx1.dane.example" },
      { op = "gather_destinations", domain = "nothing.example" },
      { op = "gather_destinations", domain = "mx-only4.example" },
      { op = "gather_ips", host = "bogus4.example" }, { op = "nonsense" },
      { op = "plan", domain = "dane.example", options = { nonsense = 1 } },
    }
    for i, each in ipairs(load) do
      each.id = i
      c:send(each)
      if i == 1 then c:receive_all(1) end -- the second one has it from the cache
    end
    c:receive_all(#load - 1)
    c:send { id = "s", op = "stats" }
    local stats = c:receive().result
    local _, _, page = get(port)
    local found = samples(page)
    c:close()

    local function of(name, label)
      local out = {}
      for key, value in pairs(found) do
        local labelled = key:match("^" .. name .. "{" .. label .. '="([^"]+)"}$')
        if labelled then out[labelled] = value end
      end
      return out
    end
    assert.same(stats.plans, of("nexthop_plans_total", "verdict"))
    assert.same({ 1, 1 }, { stats.plans.null_mx, stats.plans.no_dane })
    assert.equal(4, sum(stats.plans))
    assert.same(stats.ops, of("nexthop_requests_total", "op"))
    assert.same({ 3, 2, 1, 1 }, { stats.ops.plan, stats.ops.sender, stats.ops.recipient, stats.ops.invalid })
    assert.equal(stats.requests, sum(stats.ops))
    local resolver = stats.resolver
    assert.is_true(resolver.secure > 0 and resolver.kept > 0 and resolver.bogus > 0)
    assert.is_true(resolver.servfail + resolver.timeouts > 0)
    assert.are_not.equal(resolver.bogus, resolver.servfail + resolver.timeouts)
    assert.same({ secure = resolver.secure, insecure = resolver.insecure, bogus = resolver.bogus,
      failed = resolver.servfail + resolver.timeouts }, of("nexthop_lookups_total", "security"))
    assert.same({ resolver.kept, resolver.pending },
      { found.nexthop_cache_hits_total, found.nexthop_pending })
    lab:clear()
    -- the answer to `stats` itself came after its counters were read
    assert.equal(stats.answered + 1, found.nexthop_request_seconds_count)
    assert.equal(found.nexthop_request_seconds_count, found['nexthop_request_seconds_bucket{le="+Inf"}'])
    assert.is_true(found.nexthop_request_seconds_sum > 0)
  end)

  it("come to others soon, and lookups at once, where scrapers never ask or never read", function()
    local slow = {}
    for i = 1, 70 do
      slow[#slow + 1] = open(port, "GET /met")
      slow[#slow + 1] = open(server.path, "GET /met")
      if i <= 10 then slow[#slow + 1] = open(server.path, request, true) end
    end
    servers.wait_for("the connections", function()
      local count = 0
      for _, each in ipairs(slow) do count = count + (each.connected and 1 or 0) end
      return count == #slow
    end)
    local c = server:connect()
    c:send { id = 1, op = "recipient", domain = "nullmx.example" }
    assert.equal("null_mx", c:receive().result.finding)
    c:close()
    assert.equal(503, (get(server.path))) -- there are 64 at most
    local begun = uv.hrtime()
    assert.equal(200, (get(port))) -- has waited for one of 64 to end
    assert.is_true((uv.hrtime() - begun) / 1e9 > 2)
    for _, each in ipairs(slow) do
      close(each)
    end
    uv.run "nowait"
  end)

  it("come to each of 1,000 scrapers at once", function()
    local crowd, ended = {}, 0
    for i = 1, 1000 do
      crowd[i] = open(port, request)
      crowd[i].on_end = function(each)
        ended = ended + 1
        close(each)
      end
    end
    local c = server:connect()
    c:send { id = 1, op = "recipient", domain = "nullmx.example" }
    assert.equal("null_mx", c:receive().result.finding)
    c:close()
    servers.wait_for("all responses", function() return ended == 1000 end, 60)
    for _, each in ipairs(crowd) do
      assert.equal("HTTP/1.1 200 OK", each.output:sub(1, 15))
      assert.equal("# EOF\n", each.output:sub(-6))
    end
    uv.run "nowait"
  end)

  it("come from a server that cannot have its port: it says so and ends", function()
    local path = filter.config { metrics = "127.0.0.1:" .. port }
    local said, status = servers.run(("-l %s -c %s"):format(servers.path(), path))
    assert.equal(1, status)
    contains(said, ("nexthop-server: metrics: 127.0.0.1 port %d: EADDRINUSE: "):format(port))
    said, status = servers.run("-n -c " .. filter.config { metrics = "localhost" })
    assert.equal(1, status)
    contains(said, 'metrics: an address and a port expected, such as "127.0.0.1:9645", got localhost')
  end)
end)

describe("the metrics file of", function()
  local folder
  setup(filter.prepare)
  before_each(function() folder = files.folder() end)
  after_each(function()
    filter.reset()
    tables.reset()
    files.remove()
  end)
  teardown(function() lab:clear() end)

  local function read(path)
    local page = files.read(path)
    assert.equal("# EOF\n", page:sub(-6))
    assert.same({ 0, "" }, { promtool.check(page) })
    contains(page, "# TYPE nexthop_lookups_total counter\n")
    return samples(page)
  end

  it("the filter is there from the beginning, and has all at the end", function()
    local path = folder .. "/filter.prom"
    local f = filter.start { config = { metrics_file = path } }
    servers.wait_for("the file", function() return uv.fs_stat(path) end)
    assert.equal(0, read(path)['nexthop_requests_total{op="mail-from"}'])
    f:connect("a1", "192.0.2.9:1234")
    for _, address in ipairs { "user@nullmx.example", "user@dane.example", "<>" } do
      f:answer("a1", f:ask("a1", "mail-from", address))
    end
    assert.equal(0, f:finish())
    local found = read(path)
    assert.same({ 3, 1, 3 }, { found['nexthop_requests_total{op="mail-from"}'],
      found['nexthop_plans_total{verdict="null_mx"}'], found.nexthop_request_seconds_count })
    assert.is_true(found['nexthop_lookups_total{security="secure"}'] > 0)
  end)

  it("the table is there, too, and moves when the configuration is read again", function()
    local first, second = folder .. "/first.prom", folder .. "/second.prom"
    local t = tables.start { config = { metrics_file = first, deadline = 5 } }
    assert.equal("found", t:check "dane.example")
    servers.wait_for("the first file", function() return uv.fs_stat(first) end)
    files.write(t.path, files.read(t.path):gsub("first%.prom", "second.prom"))
    t:update()
    assert.equal("not-found", t:check "nullmx.example")
    assert.equal(0, t:finish())
    local found = read(second)
    assert.same({ 2, 1 }, { found['nexthop_requests_total{op="check"}'],
      found['nexthop_plans_total{verdict="null_mx"}'] })
  end)

  it("either that cannot be written any more at the end is a line of the log", function()
    local path = folder .. "/there/a.prom"
    for _, start in ipairs { filter.start, tables.start } do
      assert(uv.fs_mkdir(folder .. "/there", 448))
      local program = start { config = { metrics_file = path } }
      servers.wait_for("the file", function() return uv.fs_stat(path) end)
      assert(uv.fs_unlink(path))
      assert(uv.fs_rmdir(folder .. "/there"))
      assert.equal(0, program:finish())
      contains(program.log, "error=metrics_file message=\"ENOENT: no such file or directory: " .. folder)
    end
  end)

  it("either that cannot be written is an error with -n, and a line of the log later", function()
    local path = folder .. "/none/a.prom"
    local message = ("metrics_file: ENOENT: no such file or directory: %s"):format(path)
    local f = filter.start { config = { metrics_file = path } }
    f:connect("a1", "192.0.2.9:1234")
    assert.matches("^reject|550 5.7.27 ", f:answer("a1", f:ask("a1", "mail-from", "user@nullmx.example")))
    assert.equal(0, f:finish())
    contains(f.log, "error=metrics_file message=\"ENOENT: no such file or directory: " .. folder)
    assert.equal(1, select(2, f.log:gsub("error=metrics_file", "")))
    for _, program in ipairs { "filter", "table" } do
      local words = { program == "filter" and "-nc" or "-n", filter.config { metrics_file = path } }
      local said, status = require("tests.support.shell").run(("%s bin/%s-nexthop %s"):format(
        os.getenv "NEXTHOP_LUA" or arg[-1], program, table.concat(words, " ")))
      assert.equal(1, status, said)
      contains(said, message)
    end
  end)
end)
