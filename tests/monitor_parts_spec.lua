-- The parts of nexthop-monitor that need no network: when a domain is checked, what its state is, its
-- settings, its page.
local domain_metrics = require "nexthop.doctor.metrics"
local exposition = require "nexthop.monitor.exposition"
local new_schedule = require("nexthop.monitor.schedule").new
local page = require "nexthop.monitor.page"
local settings = require "nexthop.programs.monitor.settings"
local states = require "nexthop.monitor.states"
local tasks = require "nexthop.doctor.tasks"
local text = require "nexthop.metrics.text"

local function names(count)
  local list = {}
  for i = 1, count do list[i] = ("d%04d.example"):format(i) end
  return list
end

-- Runs a schedule by a clock of our own for so long. Each check takes a second.
-- @return the times at which each domain was checked, and the most checks that began in one second
local function simulate(schedule, from, seconds, again)
  local times, most, running = {}, 0, {}
  for now = from, from + seconds do
    for _, domain in ipairs(running) do
      schedule:finish(domain, now, again and again(domain, now) or false)
    end
    running = {}
    local domain = schedule:take(now)
    while domain do
      running[#running + 1] = domain
      times[domain] = times[domain] or {}
      table.insert(times[domain], now)
      domain = schedule:take(now)
    end
    most = math.max(most, #running)
  end
  return times, most
end

describe("the schedule", function()
  it("spreads the checks over the interval, and never leaves more than it between two", function()
    local list = names(1000)
    local schedule = new_schedule(list, { interval = 3600, retry = 300 }, 1e6, {})
    local times, most = simulate(schedule, 1e6, 300 + 3 * 3600)
    for _, domain in ipairs(list) do
      local before = 1e6
      assert.is_true(times[domain][1] <= 1e6 + 300)
      for _, at in ipairs(times[domain]) do
        assert.is_true(at - before <= 3601, domain)
        before = at
      end
      assert.is_true(#times[domain] == 4 or #times[domain] == 5, domain)
    end
    assert.is_true(most <= 6, tostring(most))
  end)

  it("checks a few domains within seconds of the start", function()
    local times = simulate(new_schedule(names(3), { interval = 3600, retry = 300 }, 1e6, {}), 1e6, 10)
    assert.same({ ["d0001.example"] = { 1e6 }, ["d0002.example"] = { 1e6 + 1 },
      ["d0003.example"] = { 1e6 + 2 } }, times)
  end)

  it("repeats after `retry` what is to be checked again", function()
    local schedule = new_schedule(names(1), { interval = 3600, retry = 300 }, 7200, {})
    local left = 2
    local times = simulate(schedule, 7200, 2000, function()
      left = left - 1
      return left >= 0
    end)
    assert.same({ 7200, 7501, 7802 }, times["d0001.example"])
    assert.equal(10800, schedule:due "d0001.example")
  end)

  it("leaves `retry` before a repetition where the place of the domain comes earlier", function()
    local schedule = new_schedule(names(1), { interval = 3600, retry = 300 }, 7190, {})
    assert.equal("d0001.example", schedule:take(7190))
    schedule:finish("d0001.example", 7191, true)
    assert.equal(7491, schedule:due "d0001.example")
  end)

  it("goes on after a start where it was, and begins with what is overdue", function()
    local known = { ["d0001.example"] = { checked = 9000 },
      ["d0002.example"] = { checked = 9000, again = true },
      ["d0003.example"] = { checked = 100 }, ["d0004.example"] = { checked = 99999 } }
    local schedule = new_schedule(names(4), { interval = 3600, retry = 300 }, 9100, known)
    assert.same({ 10800, 9300, 9100, 9101 }, { schedule:due "d0001.example", schedule:due "d0002.example",
      schedule:due "d0003.example", schedule:due "d0004.example" })
    assert.equal(0, schedule:left(9100))
    assert.equal("d0003.example", schedule:take(9100))
    assert.is_nil(schedule:take(9100))
    assert.equal(0.5, schedule:left(9100.5))
    assert.is_nil(schedule:due "d0003.example")
  end)
end)

describe("a state", function()
  local ok = { level = "ok", key = "" }
  local one, two = { level = "error", key = "error a" }, { level = "error", key = "error b" }
  local warning = { level = "warning", key = "warning c" }

  -- The levels and keys after each result; those in which it has changed are marked.
  local function after(...)
    local state, out = {}, {}
    for i, result in ipairs { ... } do
      local changed = states.step(state, result, i)
      out[i] = ("%s%s %s %s"):format(changed and "*" or "", state.level or "-", state.key or "-",
        state.since or "-")
    end
    return out, state
  end

  it("is good at once from the start, and bad after two results", function()
    assert.same({ "ok  1" }, (after(ok)))
    assert.same({ "- - -", "*error error a 2" }, (after(one, one)))
    assert.same({ "- - -", "ok  2" }, (after(one, ok)))
  end)

  it("changes after two results in a row that are alike", function()
    assert.same({ "ok  1", "ok  1", "*error error a 3", "error error a 3", "*ok  5" },
      (after(ok, one, one, ok, ok)))
    assert.same({ "ok  1", "ok  1", "ok  1", "ok  1", "ok  1" }, (after(ok, one, ok, one, ok)))
    assert.same({ "- - -", "*error error a 2", "error error a 2", "*error error b 4" },
      (after(one, one, two, two)))
    assert.same({ "- - -", "*error error a 2", "error error a 2", "error error a 2", "error error a 2" },
      (after(one, one, two, ok, two)))
  end)

  it("is no longer good after two bad results, whatever they have found", function()
    assert.same({ "ok  1", "ok  1", "*error error b 3" }, (after(ok, one, two)))
    assert.same({ "ok  1", "ok  1", "*warning warning c 3", "warning warning c 3" },
      (after(ok, one, warning, one)))
  end)

  it("is told once, and not at all where all is well from the start", function()
    local _, state = after(ok)
    assert.is_false(states.is_untold(state))
    states.step(state, one, 2)
    assert.is_false(states.is_untold(state))
    states.step(state, one, 3)
    assert.is_true(states.is_untold(state))
    states.told(state, { key = one.key, level = one.level })
    assert.is_false(states.is_untold(state))
    _, state = after(one, one)
    assert.is_true(states.is_untold(state))
  end)

  it("is unsettled where an error is there, may be, or may be gone", function()
    local function unsettled(...) return states.is_unsettled(select(2, after(...))) end
    assert.same({ false, true, true, true, false, false }, { unsettled(ok), unsettled(ok, one),
      unsettled(one, one), unsettled(warning), unsettled(warning, warning), unsettled(ok, one, ok) })
  end)

  it("is made of errors and warnings, and of no hints", function()
    local function finding(severity, name)
      return { severity = severity, name = name, subject = "mx", port = 25 }
    end
    assert.same({ level = "ok", key = "" }, states.result { finding("hint", "not-prepared") })
    assert.same({ level = "error", key = "error timeout mx 25\nwarning stale-record mx 25" },
      states.result { finding("warning", "stale-record"), finding("hint", "a"), finding("error", "timeout") })
  end)
end)

describe("a check", function()
  it("says nothing about a domain where the fault is our own, by codes that there are", function()
    local outcome, own = require "nexthop.doctor.outcome", {}
    local function fault_of(err)
      local entry = { plan = { hosts = { { host = "a" }, { host = "b", err = err } } }, facts = {} }
      return outcome.own_fault { ports = { entry } },
        outcome.own_fault { ports = { { err = err, facts = {} } } }
    end
    local meta = assert(io.open("lua/nexthop/meta/nexthop.lua")):read "*a"
    for code in meta:match "alias nexthop%.Code\n(.-)\n\n":gmatch '"([%w_]+)"' do
      local err = { code = code, message = code .. "!" }
      local of_host, of_domain = fault_of(err)
      assert.equal(of_host, of_domain)
      if of_host then own[#own + 1] = code end
    end
    assert.same({ "config", "closed", "forked", "no_memory" }, own)
  end)
end)

describe("the settings", function()
  local function wrong(more)
    local given = { domains = { "example.org" }, resolver = { trust_anchor_file = false } }
    for key, value in pairs(more) do given[key] = value end
    local checked, reason = settings.check(given)
    assert.is_nil(checked)
    return reason
  end

  it("name the key that is wrong, and what it must be", function()
    for key, case in pairs {
      domains = { {}, "domains: a list of domains expected" },
      interval = { 0, "interval: seconds expected, 1 to 604800, got 0" },
      retry = { 4000, "retry: it must not be more than interval" },
      listen = { "localhost:80", "listen: an address with a port expected, such as 127.0.0.1:9646 or "
        .. "[::1]:9646, got localhost:80" },
      warning = { -1, "warning: days expected, 0 to 3650, got -1" },
      critical = { "3", "critical: days expected, 0 to 3650, got 3" },
      keys = { { "dsa" }, "keys: 'dsa' is no key kind (any, rsa, ecdsa, ed25519)" },
      on_change = { { "tell" }, "on_change: the path of the program must begin with /, and is 'tell'" },
      state = { "/nonexistent", "state: /nonexistent: there is no such folder" },
      ports = { { 0 }, "ports: a port expected, 1 to 65535, got 0" },
      network = { "ip5", "network: \"ip4\" or \"ip6\" expected, got ip5" },
      authoritative = { 1, "authoritative: true or false expected, got a number" },
      resolver = { { forwards = "1" }, "resolver: unknown option" },
    } do
      local reason = wrong { [key] = case[1] }
      assert.equal(key == "resolver" and reason:sub(1, 24) or case[2],
        key == "resolver" and case[2]:sub(1, 24) or reason)
    end
    assert.matches("^intervals: no such key; there are: authoritative, ca_file, ", wrong { intervals = 1 })
    assert.matches("^domains: it is missing", select(2, settings.check {}))
  end)

  it("have the domains as the DNS has them, each once", function()
    local checked = assert(settings.check {
      domains = { "b.example.", "A.example", "B.example", "bücher.example" },
      resolver = { trust_anchor_file = false } })
    assert.same({ "a.example", "b.example", "xn--bcher-kva.example" }, checked.domains)
    assert.same({ host = "127.0.0.1", port = 9646 }, checked.listen)
    assert.same({ 3600, 300, 14, 3 }, { checked.interval, checked.retry, checked.warning, checked.critical })
  end)
end)

it("the page shows what others have written as text", function()
  local html = page.html({ { domain = "a.example", state = { level = "error", since = 0, key = "x" },
    checked = 60, seconds = 1, findings = { { severity = "error", name = "timeout", subject = "<b>&\"'",
      text = "\27[31m",
      cure = "</li><script>", record = "TXT \"a\"" } } } },
    { due = function() return 120 end, is_outdated = function() return false end }, 90)
  assert.is_nil(html:find "<script")
  assert.is_nil(html:find "\27")
  for _, part in ipairs { "&lt;b&gt;&amp;&quot;&#39;", "&lt;/li&gt;&lt;script&gt;", "TXT &quot;a&quot;",
    "1970-01-01 00:01:00 UTC in 1.0 s",
    "next check 1970-01-01 00:02:00 UTC", "0 of 1 good, 1 with errors" } do
    assert(html:find(part, 1, true), part)
  end
end)

describe("the metrics of all domains", function()
  local function known(at, ...)
    local samples = {}
    for i, sample in ipairs { ... } do
      samples[i] = { name = sample[1], labels = sample[2], value = sample[3] }
    end
    return { at = at, samples = samples }
  end
  local shared = { host = "mx.example", key = "rsa" }
  local expiry = "nexthop_certificate_expiry_timestamp_seconds"
  local a = known(10, { "nexthop_domain_ok", { domain = "a.example" }, 1 }, { expiry, shared, 1000 })
  local b = known(20, { "nexthop_domain_ok", { domain = "b.example" }, 0 }, { expiry, shared, 2000 },
    { "nexthop_check_seconds", { domain = "b.example" }, 1.5 })

  -- The lines of a page without those that say what the families are, sorted.
  local function lines(whole_page)
    local list = {}
    for line in whole_page:gmatch "[^\n]+" do list[#list + 1] = not line:find "^# EOF" and line or nil end
    table.sort(list)
    return list
  end

  local function whole(...)
    local one = text.new()
    domain_metrics.add(one, { ... })
    return lines(one:finish())
  end

  it("are those of a page that is made of them at once, whatever came first", function()
    for _, order in ipairs { { a, b }, { b, a } } do
      local all = exposition.new()
      for _, metrics in ipairs(order) do all:put(metrics.samples[1].labels.domain, metrics) end
      assert.same(whole(a, b), lines(all:text()))
      assert(all:text():find(expiry .. '{host="mx.example",key="rsa"} 2000\n', 1, true))
    end
  end)

  it("are those of the last check where the clock was set back since the one before", function()
    local all = exposition.new()
    all:put("b.example", b)
    local is_ok = { "nexthop_domain_ok", { domain = "b.example" }, 1 }
    all:put("b.example", known(5, is_ok, { expiry, shared, 9 }))
    local said = all:text()
    assert.equal('nexthop_certificate_expiry_timestamp_seconds{host="mx.example",key="rsa"} 9',
      said:match "\n(nexthop_cert[^\n]*)")
    assert.equal('nexthop_domain_ok{domain="b.example"} 1', said:match "\n(nexthop_domain_ok[^\n]*)")
  end)

  it("go with their domain, but not what another domain has, too", function()
    local all = exposition.new()
    all:put("a.example", a)
    all:put("b.example", b)
    local newer = known(30, { "nexthop_domain_ok", { domain = "b.example" }, 1 })
    all:put("b.example", newer)
    local found = all:text()
    for part, is_there in pairs { ['{domain="b.example"} 1\n'] = true, nexthop_check_seconds = false,
      ['key="rsa"'] = true } do
      assert.equal(is_there, found:find(part, 1, true) ~= nil, part)
    end
    all:put("a.example", nil)
    all:put("b.example", nil)
    assert.equal("", all:text())
  end)
end)

it("an error in the code of a check is told once, and ends that check alone", function()
  local problems, closed, resume, is_over = {}, 0, nil, false
  tasks.run(function(task)
    task:finally(function() closed = closed + 1 end)
    task:all { function()
      task:await(function(done) resume = done end)
      error "a bug"
    end, function() task:await(function() return { cancel = function() closed = closed + 10 end } end) end }
    is_over = true
  end, function(problem) problems[#problems + 1] = problem end)
  resume()
  resume()
  assert.same({ 1, 11, false }, { #problems, closed, is_over })
  assert.matches("a bug\nstack traceback", problems[1])
  tasks.run(function(task) task:await(function(done) resume = done end) error "another" end)
  assert.has_error(resume)
end)
