-- The parts of a page of metrics, without a socket: text, histograms, HTTP, files.
local files = require "tests.support.files"
local http = require "nexthop.luv.http"
local metrics = require "nexthop.doctor.metrics"
local histograms = require "nexthop.metrics.histogram"
local metrics_file = require "nexthop.metrics.file"
local process = require "nexthop.metrics.process"
local promtool = require "tests.support.promtool"
local support = require "tests.support"
local text = require "nexthop.metrics.text"
local uv = require "luv"

local function page_of(reader)
  local page = text.new(reader)
  page:family("a_seconds", "counter", "Time.", "seconds")
  page:sample("a_seconds_total", { b = "x" }, 3)
  page:family("c", "gauge", "A gauge.")
  page:sample("c", nil, 0.1)
  return page:finish()
end

describe("a page of metrics", function()
  after_each(files.remove)

  it("declares a counter so that its reader sees it", function()
    local gauge = "# TYPE c gauge\n# HELP c A gauge.\nc 0.1\n# EOF\n"
    assert.equal("# HELP a_seconds_total Time.\na_seconds_total{b=\"x\"} 3\n" .. gauge, page_of(nil))
    assert.equal("# TYPE a_seconds_total counter\n# HELP a_seconds_total Time.\na_seconds_total{b=\"x\"} 3\n"
      .. gauge, page_of "textfile")
    assert.equal("# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds Time.\n"
      .. "a_seconds_total{b=\"x\"} 3\n" .. gauge, page_of "openmetrics")
    assert.same({ 0, "" }, { promtool.check(page_of(nil)) })
    assert.same({ 0, "" }, { promtool.check(page_of "textfile") })
  end)

  it("gives a reader of OpenMetrics what it asks for", function()
    assert.equal("openmetrics",
      text.reader_of "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")
    assert.is_nil(text.reader_of "*/*")
    assert.is_nil(text.reader_of(nil))
  end)

  it("sorts and escapes labels, and replaces what is no UTF-8", function()
    local page = text.new()
    page:family("g", "gauge", "Help\nof \\ two lines.")
    page:sample("g", { z = 'a"b\\c\nd', a = "\195\188\255\0" }, 1)
    assert.equal('# TYPE g gauge\n# HELP g Help\\nof \\\\ two lines.\n'
      .. 'g{a="\195\188??",z="a\\"b\\\\c\\nd"} 1\n# EOF\n', page:finish())
  end)

  it("prints numbers exactly", function()
    for number, printed in pairs {
      [0] = "0", [-1] = "-1", [0.1] = "0.1", [1 / 3] = "0.3333333333333333", [1795845959] = "1795845959",
      [2 ^ 53 - 1] = "9007199254740991", [1e300] = "1e+300", [math.huge] = "+Inf", [-math.huge] = "-Inf",
    } do
      assert.equal(printed, text.number(number))
    end
    assert.equal("NaN", text.number(0 / 0))
  end)

  it("has no family twice, and no unit that the name does not end with", function()
    local page = text.new()
    page:family("g", "gauge", "A gauge.")
    assert.has_error(function() page:family("g", "gauge", "A gauge.") end, "g")
    assert.has_error(function() page:family("g_days", "gauge", "A gauge.", "seconds") end, "g_days")
  end)

  it("counts durations below bounds", function()
    local histogram = histograms.new { 0.5, 1 }
    for _, seconds in ipairs { 0.25, 0.5, 0.75, 3 } do histogram:observe(seconds) end
    local page = text.new()
    page:family("h", "histogram", "Durations.")
    page:histogram("h", { a = "x" }, histogram)
    assert.equal('h_bucket{a="x",le="0.5"} 2\nh_bucket{a="x",le="1.0"} 3\nh_bucket{a="x",le="+Inf"} 4\n'
      .. 'h_count{a="x"} 4\nh_sum{a="x"} 4.5\n# EOF\n', page:finish():match "\n(h_.*)$")
  end)

  it("says of the process what Linux does", function()
    local page = text.new()
    process.add(page)
    local said = page:finish()
    local function value(name) return tonumber(said:match("\n" .. name .. " (%S+)\n")) end
    local stat = files.read "/proc/self/stat"
    assert.is_true(value "process_cpu_seconds_total" >= 0 and value "process_cpu_seconds_total" < 600)
    assert.is_true(value "process_resident_memory_bytes" > 1e6)
    assert.is_true(value "process_resident_memory_bytes" < value "process_virtual_memory_bytes")
    local fd = uv.fs_open("/dev/null", "r", 0)
    local second = text.new()
    process.add(second)
    uv.fs_close(fd)
    assert.equal(value "process_open_fds" + 1, tonumber(second:finish():match "\nprocess_open_fds (%d+)\n"))
    assert.is_true(value "process_open_fds" < value "process_max_fds")
    local ticks = tonumber(stat:match(".*%) " .. ("%S+ "):rep(19) .. "(%d+)"))
    local uptime = tonumber(files.read("/proc/uptime"):match "^%S+")
    local started = os.time() - uptime + ticks / 100
    assert.is_true(math.abs(value "process_start_time_seconds" - started) < 3)
  end)
end)

describe("the metrics of checks", function()
  local function known(at, value)
    return { at = at, samples = { { name = "nexthop_connection_ok",
      labels = { host = "mx", ip = "192.0.2.1", keys = "rsa" }, value = value } } }
  end

  it("have the newest value where two domains have the same host", function()
    for _, list in ipairs { { known(1, 0), known(2, 1) }, { known(2, 1), known(1, 0) } } do
      local page = text.new()
      metrics.add(page, list)
      assert.equal('# TYPE nexthop_connection_ok gauge\n'
        .. '# HELP nexthop_connection_ok Did the host present what it is owed at this address, for this kind '
        .. 'of key?\n'
        .. 'nexthop_connection_ok{host="mx",ip="192.0.2.1",keys="rsa"} 1\n# EOF\n', page:finish())
    end
  end)
end)

describe("the metrics of a check", function()
  it("have the worse value where two ports differ, and the digest of a record that is whole", function()
    local function entry(ok, ends)
      return {
        plan = { hosts = { { host = "mx", tls = "dane" } } },
        report = { hosts = { {
          host = "mx", records = { { matches = "leaf", record =
            { usage = 3, selector = 0, match_type = 0, data = "abc" } } },
          connections = { { ip = "192.0.2.1", keys = "rsa", ok = ok,
            tls = { chain = { { key = "ec", not_after = ends } } } } },
        } } },
      }
    end
    local state = { ports = { entry(true, 9), entry(false, 7), entry(true, 8) }, findings = {},
      signatures = { ["a.example"] = 5 } }
    local values = {}
    for _, sample in ipairs(metrics.of("a.example", state, { at = 1, seconds = 2 }).samples) do
      values[sample.name] = sample.value
      if sample.labels.digest then values.digest = sample.labels.digest end
      if sample.labels.key then values.key = sample.labels.key end
    end
    assert.same({
      nexthop_domain_ok = 1, nexthop_host_ok = 1, nexthop_connection_ok = 0, nexthop_tlsa_matches = 1,
      nexthop_certificate_expiry_timestamp_seconds = 7, nexthop_signature_expiry_timestamp_seconds = 5,
      nexthop_check_timestamp_seconds = 1, nexthop_check_seconds = 2, key = "ecdsa",
      digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }, values)
  end)
end)

describe("a request by HTTP", function()
  local logged
  local function routes(path, fields)
    if path == "/boom" then error "boom" end
    if path == "/metrics" then return 200, "text/plain", "accept=" .. tostring(fields.accept) end
  end
  local function ask(...)
    logged = {}
    local session = http.session(routes, function(message) logged[#logged + 1] = message end)
    for _, piece in ipairs { ... } do session:feed(piece) end
    return session:take(), session
  end
  local function status_of(...)
    local response = ask(...)
    return response and tonumber(response:match "^HTTP/1.1 (%d+) ")
  end

  it("gets what is at its path, however it is cut, without its query", function()
    local whole = "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\nAccept: b/c\r\nACCEPT: d\r\n\r\n"
    local pieces = {}
    for byte in whole:gmatch "." do pieces[#pieces + 1] = byte end
    for _, list in ipairs { { whole }, pieces } do
      local response = ask((table.unpack or unpack)(list)) -- luacheck: ignore
      assert.equal("accept=b/c, d", response:match "\r\n\r\n(.*)$")
      assert.truthy(response:find "\r\nContent%-Length: 13\r\n")
      assert.truthy(response:find "\r\nConnection: close\r\n")
    end
    assert.equal(200, status_of "GET http://a.example/metrics HTTP/1.1\nHost: a\n\n")
    assert.equal(200, status_of "\r\nGET /metrics HTTP/1.0\r\n\r\n")
  end)

  it("takes a field without the blanks around it", function()
    local blanks = (" \t"):rep(1000)
    local value = blanks .. "b" .. blanks .. "c" .. blanks
    local response = ask("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept:", value,
      "\r\nX:" .. blanks .. "\r\n\r\n")
    assert.equal("accept=b" .. blanks .. "c", response:match "\r\n\r\n(.*)$")
  end)

  it("gets no body with HEAD", function()
    local response = ask "HEAD /metrics HTTP/1.0\r\n\r\n"
    assert.equal("", response:match "\r\n\r\n(.*)$")
    assert.truthy(response:find "\r\nContent%-Length: 10\r\n")
  end)

  it("is refused with the status that says why", function()
    for request, status in pairs {
      ["POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n"] = 405, ["GET /other HTTP/1.0\r\n\r\n"] = 404,
      ["GET /metrics/ HTTP/1.0\r\n\r\n"] = 404, ["GET /metrics HTTP/1.1\r\n\r\n"] = 400,
      ["GET /metrics HTTP/2.0\r\n\r\n"] = 505, ["GET /metrics\r\n\r\n"] = 400,
      ["GET /met\0rics HTTP/1.0\r\n\r\n"] = 400, ["GET /metrics HTTP/1.0\r\nnonsense\r\n\r\n"] = 400,
      ["GET /metrics HTTP/1.0\r\nA: b\r\n folded\r\n\r\n"] = 400, ["GET /boom HTTP/1.0\r\n\r\n"] = 500,
      ["GET /metrics HTTP/1.0\r\nA: " .. ("x"):rep(8193) .. "\r\n\r\n"] = 431,
    } do
      assert.same({ request, status }, { request, status_of(request) })
    end
    assert.truthy(ask "PUT / HTTP/1.0\r\n\r\n":find "\r\nAllow: GET, HEAD\r\n")
    ask "GET /boom HTTP/1.0\r\n\r\n"
    assert.truthy(logged[1]:find "boom")
  end)

  it("is over once it has its response, and when the client ends before", function()
    local _, session = ask "GET /metrics HTTP/1.0\r\n"
    assert.is_false(session:is_done())
    session:finish()
    assert.is_true(session:is_done())
    assert.equal("400", session:take():match "^HTTP/1.1 (%d+)")
    _, session = ask ""
    session:finish()
    assert.is_nil(session:take())
    assert.is_true(session:is_done())
    local response
    response, session = ask("GET /metrics HTTP/1.0\r\n\r\n", "GET /metrics HTTP/1.0\r\n\r\n")
    assert.equal(1, select(2, response:gsub("HTTP/1.1", "")))
    assert.is_nil(session:take())
  end)

  it("is told from lines of JSON by its first bytes", function()
    assert.is_true(http.is_http "GET /")
    assert.is_true(http.is_http "DELETE /")
    assert.is_nil(http.is_http "GE")
    for _, bytes in ipairs { "{", " GET /", "get /", "GET\n", ("A"):rep(16) } do
      assert.is_false(http.is_http(bytes))
    end
  end)

  it("goes to an address and a port", function()
    assert.same({ host = "127.0.0.1", port = 9645 }, http.endpoint "127.0.0.1:9645")
    assert.same({ host = "::1", port = 1 }, http.endpoint "[::1]:1")
    assert.same({ host = "127.0.0.1", port = 9645 }, http.endpoint(9645))
    for _, wrong in ipairs {
      "localhost:9645", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:9645", "", {},
    } do
      assert.is_nil(http.endpoint(wrong))
    end
  end)
end)

describe("a client of the HTTP server", function()
  local limits, listener = {}, nil
  before_each(function()
    for name, value in pairs(http.limits) do limits[name] = value end
    http.limits.time = 500 * support.slow
    local big = ("x"):rep(8000000)
    listener = assert(http.listen({ host = "127.0.0.1", port = 0 }, function(path)
      if path == "/big" then return 200, "text/plain", big end
      if path == "/small" then return 200, "text/plain", "small" end
    end, error))
  end)
  after_each(function()
    for name, value in pairs(limits) do http.limits[name] = value end
    listener:close()
    uv.run "nowait"
  end)

  -- Connects and sends these bytes. Returns the connection, and { output, ended }.
  local function connect(bytes, reads)
    local tcp, state = uv.new_tcp(), { output = "" }
    tcp:connect("127.0.0.1", listener:port(), function()
      state.connected = true
      if bytes then tcp:write(bytes) end
      if not reads then return end
      tcp:read_start(function(err, chunk)
        if chunk then state.output = state.output .. chunk else state.ended = err or "end" end
      end)
    end)
    return tcp, state
  end

  local function run_until(condition)
    local begun, timer = uv.hrtime(), uv.new_timer()
    timer:start(0, 20, function() end)
    while not condition() and (uv.hrtime() - begun) / 1e9 < 20 * support.slow do uv.run "once" end
    timer:close()
    assert.is_true(condition() and true)
  end

  it("that never reads is ended, and holds up nobody meanwhile", function()
    local deaf = connect "GET /big HTTP/1.0\r\n\r\n"
    run_until(function() return listener.count == 1 end)
    local reader, state = connect("GET / HTTP/1.0\r\n\r\n", true)
    run_until(function() return state.ended end)
    assert.equal("HTTP/1.1 404", state.output:sub(1, 12))
    assert.is_true(listener.count >= 1) -- the deaf one is still there
    reader:close()
    run_until(function() return listener.count == 0 end)
    deaf:close()
  end)

  it("that asks for nothing, or sends no end, is ended", function()
    for _, bytes in ipairs { false, "GET / HTTP/1.0\r\nA: " } do
      local tcp, state = connect(bytes or nil, true)
      run_until(function() return state.ended end)
      assert.equal("", state.output)
      tcp:close()
    end
  end)

  it("waits while there are too many", function()
    listener.limits.connections = 1
    local first = connect()
    run_until(function() return listener.count == 1 end)
    local second, state = connect("GET /small HTTP/1.0\r\n\r\n", true)
    run_until(function() return state.connected end)
    first:close()
    run_until(function() return state.ended end)
    assert.equal("small", state.output:match "\r\n\r\n(.*)$")
    second:close()
  end)
end)

describe("a file of metrics", function()
  after_each(files.remove)

  it("is replaced whole, readable for others, and leaves nothing beside it", function()
    local folder = files.folder()
    local path = folder .. "/nexthop.prom"
    assert.is_true(metrics_file.write(path, "old"))
    local before = uv.fs_stat(path)
    local reader = assert(io.open(path))
    local done
    metrics_file.write(path, ("new\n"):rep(50000), function(ok, reason) done = { ok, reason } end)
    assert.is_nil(done) -- the loop does not wait
    while not done do uv.run "once" end
    assert.same({ true }, done)
    assert.equal("old", reader:read "*a") -- who had opened the old one still reads that
    reader:close()
    assert.equal(("new\n"):rep(50000), files.read(path))
    local after = uv.fs_stat(path)
    assert.are_not.equal(before.ino, after.ino)
    assert.equal(420, after.mode % 512)
    local scan, names = uv.fs_scandir(folder), {}
    for name in uv.fs_scandir_next, scan do names[#names + 1] = name end
    assert.same({ "nexthop.prom" }, names)
  end)

  it("that cannot be written is told, and what is there stays", function()
    local folder = files.folder()
    assert.is_nil((metrics_file.write(folder, "x")))
    assert.is_nil((metrics_file.check(folder)))
    local ok, reason = metrics_file.write(folder .. "/none/a.prom", "x")
    assert.is_nil(ok)
    assert.truthy(reason:find "ENOENT")
    local done
    metrics_file.write(folder .. "/none/a.prom", "x", function(...) done = { ... } end)
    while not done do uv.run "once" end
    assert.is_nil(done[1])
    assert.truthy(done[2]:find "ENOENT")
    assert.is_nil((metrics_file.check(folder .. "/none/a.prom")))
    assert.truthy(metrics_file.check(folder .. "/a.prom"))
    assert.is_nil(uv.fs_stat(folder .. "/a.prom"))
  end)
end)
