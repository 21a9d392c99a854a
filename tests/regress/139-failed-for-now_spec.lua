-- A name of a list that failed for now was not asked for again: a forwarder that is busy with dead names
-- drops others, and those failed.
local cjson = require "cjson"
local program = require "tests.support.program"
local files = require "tests.support.files"
local socket = require "socket"
local support = require "tests.support"
local progress = require "nexthop.programs.nexthop.progress"
local lab

local function split(lines)
  local list = {}
  for _, line in ipairs(lines) do
    local object = cjson.decode(line)
    list[#list + 1] = object.domain .. " " .. (object.error and object.error.code or object.hosts[1].tls)
  end
  return list
end

local function run(arguments, text, options)
  local words = { "--json", "-f", "-" }
  for _, word in ipairs(arguments) do words[#words + 1] = word end
  options = options or {}
  options.stdin = text
  local r = program.run(words, options)
  r.lines = {}
  for line in r.out:gmatch "[^\n]+" do r.lines[#r.lines + 1] = line end
  r.list = split(r.lines)
  return r
end

local function sorted(list)
  table.sort(list)
  return list
end

describe("nexthop --file asks again for what failed for now", function()
  setup(function()
    lab = require("tests.lab.lab").start { zones = { { name = "flock", signed = false, text = [[
*.may       MX 10 mx.nodane.example.
*.none      MX 10 nothing.example.
]] } } }
    program.lab = lab
  end)
  teardown(function() lab:stop() end)
  before_each(function()
    lab:clear()
    lab:reset()
  end)
  after_each(files.remove)

  local asks = 6 -- times that libunbound asks a forwarder, for one lookup, which answers SERVFAIL

  -- The forwarder fails so many lookups.
  local function fail(name, lookups)
    lab:rule { name = name, type = "MX", action = "servfail", times = lookups and asks * lookups }
  end

  it("once, and prints each name once with its last result", function()
    fail("1.may.flock", 1)
    fail "2.may.flock"
    local r = run({}, "1.may.flock\n2.may.flock\n3.may.flock\n4.none.flock\n5.no.flock\n")
    assert.same({ "1.may.flock may", "2.may.flock servfail", "3.may.flock may", "4.none.flock skip",
      "5.no.flock nxdomain" }, sorted(r.list))
    assert.equal(75, r.status)
    assert.matches("^5 domains: 0 dane, 0 encrypt, 2 may, 1 skip, 0 no_mail, 2 errors", r.err)
    assert.equal(2 * asks, lab:count("2.may.flock", "MX"))
    -- an answer is none to be asked for again
    assert.equal(1, lab:count("4.none.flock", "MX"))
    assert.equal(1, lab:count("5.no.flock", "MX"))
  end)

  it("as often as --retry says, and the status is that of the last results", function()
    fail("1.may.flock", 2)
    local r = run({ "--retry", "2" }, "1.may.flock\n2.may.flock\n")
    assert.same({ "2.may.flock may", "1.may.flock may" }, r.list)
    assert.equal(0, r.status)
    lab:clear()
    lab:reset()
    fail("1.may.flock", 2)
    r = run({ "--retry", "0" }, "1.may.flock\n2.may.flock\n")
    assert.same({ "1.may.flock servfail", "2.may.flock may" }, sorted(r.list))
    assert.equal(75, r.status)
    assert.equal(asks, lab:count("1.may.flock", "MX"))
  end)

  it("--ordered keeps its order, and a failed name does not stop it for good", function()
    fail("1.may.flock", 1)
    local names, want = {}, {}
    for i = 1, 100 do names[i], want[i] = i .. ".may.flock", i .. ".may.flock may" end
    local r = run({ "--ordered", "--jobs", "2" }, table.concat(names, "\n"))
    assert.same(want, r.list)
    assert.equal(0, r.status)
  end)

  it("of a stream without end when nothing else comes", function()
    fail("1.may.flock", 1)
    local fifo = files.path()
    assert(os.execute("mkfifo " .. fifo))
    local p = program.start({ "--json", "-f", "-" }, { input = fifo })
    local input = assert(io.open(fifo, "w"))
    for i = 1, 2 do
      input:write(i, ".may.flock\n")
      input:flush()
      assert.same({ i .. ".may.flock may" }, split { p:line() })
    end
    input:close()
    assert.equal(0, p:finish().status)
  end)

  it("a quarter of --jobs at a time", function()
    -- The first lookup of each name fails, and the questions of its second one are held. The deadline is of
    -- no account here.
    local held, names = lab:rule { name = "*.may.flock", type = "MX", hold = true }, {}
    for i = 1, 40 do
      names[i] = i .. ".may.flock"
      fail(names[i], 1)
    end
    local p = program.start({ "--json", "-j", "20", "--timeout", "60", "-f", "-" },
      { patient = true, input = files.new(table.concat(names, "\n")) })
    lab:wait("*", "MX", 40 * asks + 5, 60 * support.slow)
    socket.sleep(0.2 * support.slow) -- in which more would come
    local under_way = 0 -- names: a question may be asked again
    for _, name in ipairs(names) do under_way = under_way + (lab:count(name, "MX") > asks and 1 or 0) end
    assert.equal(5, under_way)
    lab:unrule(held)
    lab:release()
    local r = p:finish()
    assert.equal(40, #r.lines)
    assert.is_nil(table.concat(split(r.lines), "\n"):match "[^\n]*servfail", r.err)
    assert.equal(0, r.status)
  end)

  it("and a signal prints the last result of what was still to be asked for", function()
    fail "1.may.flock"
    fail "2.may.flock"
    lab:rule { name = "9.may.flock", type = "MX", hold = true }
    local p = program.start({ "--json", "-f", "-" },
      { patient = true, input = files.new "1.may.flock\n2.may.flock\n9.may.flock\n8.may.flock\n" })
    assert.same({ "8.may.flock may" }, split { p:line() })
    lab:wait("1.may.flock", "MX", 2)
    lab:wait("2.may.flock", "MX", 2)
    lab:wait "9.may.flock"
    p:signal "INT"
    local r = p:finish()
    assert.equal(130, r.status)
    assert.same({ "1.may.flock servfail", "2.may.flock servfail" }, split(r.lines))
    assert.matches("^interrupted; 3 domains: 0 dane, 0 encrypt, 1 may, 0 skip, 0 no_mail, 2 errors", r.err)
  end)

  it("and so does one while they are asked for again", function()
    fail("1.may.flock", 1)
    local p = program.start({ "--json", "-f", "-" },
      { patient = true, input = files.new "1.may.flock\n2.may.flock\n" })
    assert.same({ "2.may.flock may" }, split { p:line() })
    lab:wait("1.may.flock", "MX", 2)
    lab:rule { name = "1.may.flock", type = "MX", hold = true }
    lab:wait("1.may.flock", "MX", 3)
    p:signal "TERM"
    local r = p:finish()
    assert.equal(143, r.status)
    assert.same({ "1.may.flock servfail" }, split(r.lines))
  end)

  it("--check, --ips and --destinations do, too", function()
    fail("1.may.flock", 1)
    local r = program.run({ "--destinations", "-f", "-" }, { stdin = "1.may.flock\n" })
    assert.equal(0, r.status)
    lab:rule { name = "mx.nodane.example", type = "*", action = "servfail", times = 4 }
    r = program.run({ "--ips", "-f", "-" }, { stdin = "mx.nodane.example\n" })
    assert.same({ 0, 1 }, { r.status, select(2, r.out:gsub("addresses  ", "")) })
    fail("2.may.flock", 1)
    r = run({ "--check" }, "2.may.flock\n")
    assert.equal(1, r.status)
    assert.same({ "2.may.flock may" }, r.list)
  end)

  it("is refused without --file, and what is no number", function()
    for _, words in ipairs { { "--retry", "1", "dane.example" }, { "--retry", "-1", "-f", "-" },
      { "--retry", "101", "-f", "-" } } do
      assert.equal(64, program.run(words).status)
    end
  end)

  it("and the progress bar says how many", function()
    assert.matches("7 to ask again$", progress.line(3, 1, 0.5, 7))
    assert.is_nil(progress.line(3, 1, 0.5, 0):find "again")
  end)
end)
