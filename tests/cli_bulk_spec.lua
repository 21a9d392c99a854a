-- nexthop(1) with many names: --file, --jobs, --ordered, the progress bar, the summary, signals, memory.
local cjson = require "cjson"
local program = require "tests.support.program"
local files = require "tests.support.files"
local lab
local support = require "tests.support"
local run, contains = program.run, support.contains

-- The domains of JSON Lines.
local function domains(lines)
  local list = {}
  for i, line in ipairs(lines) do
    list[i] = cjson.decode(line).domain
  end
  return list
end

local function split(text)
  local lines = {}
  for line in text:gmatch("[^\n]+") do
    lines[#lines + 1] = line
  end
  return lines
end

-- "1.wild.flock\n2.wild.flock\n...": names of an unsigned zone, so that each is asked for (a signed
-- wildcard answers for all names, once it is known).
local function wild(from, to)
  local lines = {}
  for number = from, to do
    lines[#lines + 1] = number .. ".wild.flock"
  end
  return table.concat(lines, "\n") .. "\n"
end

describe("nexthop --file", function()
  setup(function()
    lab = require("tests.lab.lab").start { zones = {
      { name = "flock", signed = false, text = [[
*.wild      MX 10 mx1.dane.example.
*.may       MX 10 mx.nodane.example.
*.skip      MX 10 nothing.example.
*.nullmx    MX 0 .
]] },
      { name = "herd", text = [[
*.dane      MX 10 mx1.dane.example.
*.encrypt   MX 10 t-allbad.example.
]] },
    } }
    program.lab = lab
  end)
  teardown(function()
    lab:stop()
  end)
  before_each(function()
    lab:clear()
    lab:reset()
  end)
  after_each(files.remove)

  it("reads one name a line and loses none, whatever the lines are like", function()
    local names = table.concat({ "dane.example\r", "", "   # a comment", "\t", " nullmx.example ",
      "two words",
      "a\0b.example", ("x"):rep(200000), "-", "#no", ".", "insecure.example" }, "\n")
    for _, path in ipairs { "-", files.new(names) } do
      local r = run({ "--json", "--ordered", "-f", path }, { stdin = names })
      local objects = {}
      for i, line in ipairs(split(r.out)) do
        objects[i] = cjson.decode(line)
      end
      local codes = {}
      for i, object in ipairs(objects) do
        codes[i] = object.error and object.error.code or object.domain
      end
      assert.same({ "dane.example", "no_mail", "invalid_name", "invalid_name", "invalid_name",
        "invalid_name",
        "invalid_name", "insecure.example" }, codes)
      assert.equal("two words", objects[3].domain)
      assert.is_true(#objects[5].domain < 2000)
      assert.equal(1, r.status)
      contains(r.err, "8 domains: 1 dane, 0 encrypt, 1 may, 0 skip, 1 no_mail, 5 errors (")
    end
  end)

  it("is content with an empty file", function()
    local r = run { "-f", "/dev/null" }
    assert.same({ 0, "" }, { r.status, r.out })
    contains(r.err, "0 domains: 0 dane, 0 encrypt, 0 may, 0 skip, 0 no_mail, 0 errors (")
  end)

  it("counts a domain as the weakest of the hosts that can be used", function()
    local r = run({ "-f", "-" }, { stdin = table.concat({ "dane.example", "mxeverywhere.example",
      "mx-t-allbad.example", "mxnothing.example", "mx-bogustlsa.example", "nullmx.example",
      "nothing.example", "broken.example" }, "\n") })
    contains(r.err, "8 domains: 1 dane, 1 encrypt, 1 may, 2 skip, 1 no_mail, 2 errors (")
    assert.equal(75, r.status)
  end)

  it("gives results as they come", function()
    lab:rule { name = "1.wild.flock", type = "MX", hold = true }
    local p = program.start({ "--json", "-f", "-" }, { patient = true, input = files.new(wild(1,
      50)) })
    local lines = {}
    for i = 1, 49 do
      lines[i] = p:line()
    end
    lab:release()
    assert.equal("1.wild.flock", cjson.decode(p:line()).domain)
    local list = domains(lines)
    table.sort(list)
    for i = 2, #list do
      assert.is_not.equal(list[i - 1], list[i])
    end
    assert.equal(0, p:finish().status)
  end)

  it("--ordered: in order, with bounded room for what is done too early", function()
    lab:rule { name = "1.wild.flock", type = "MX", hold = true }
    local p = program.start({ "--json", "--ordered", "--jobs", "3", "-f", "-" },
      { patient = true, input = files.new(wild(1, 100)) })
    lab:wait("30.wild.flock", "MX")
    lab:wait("1.wild.flock", "MX")
    -- 31 would be the eleventh time three; nothing more can come before the first is there
    assert.equal(0, lab:count("32.wild.flock", "MX"))
    lab:release()
    local r = p:finish()
    assert.equal(0, r.status)
    local list = domains(r.lines)
    assert.equal(100, #list)
    for i, domain in ipairs(list) do
      assert.equal(i .. ".wild.flock", domain)
    end
  end)

  it("--jobs: never more than so many under way", function()
    lab:rule { name = "*.wild.flock", type = "MX", hold = true }
    local p = program.start({ "--json", "--jobs", "7", "-f", "-" }, { input = files.new(wild(1,
      100)) })
    for i = 1, 7 do
      lab:wait(i .. ".wild.flock", "MX")
    end
    assert.equal(0, lab:count("8.wild.flock", "MX"))
    lab:clear()
    assert.equal(100, #p:finish().lines)
  end)

  it("answers while the input still comes", function()
    local fifo = files.path()
    assert(os.execute("mkfifo " .. fifo))
    local p = program.start({ "--json", "-f", "-" }, { input = fifo })
    local input = assert(io.open(fifo, "w"))
    for i = 1, 3 do
      input:write(i, ".wild.flock\n")
      input:flush()
      assert.equal(i .. ".wild.flock", cjson.decode(p:line()).domain)
    end
    input:write("4.wild.flock") -- and no line's end
    input:close()
    local r = p:finish()
    assert.same({ "4.wild.flock" }, domains(r.lines))
    assert.equal(0, r.status)
  end)

  it("works for --check, --ips and --tlsa too", function()
    local r = run({ "--check", "-f", "-" }, { stdin = "dane.example\nnodane.example\n" })
    assert.equal(1, r.status)
    contains(r.out, "ok    dane.example 10", "mend  nodane.example 10")
    r = run({ "--ips", "-f", "-" }, { stdin = "mx1.dane.example\nnothing.example\n" })
    contains(r.err, "2 names: 1 failed (")
  end)

  for name, status in pairs { INT = 130, TERM = 143 } do
    it("stops at SIG" .. name .. " with all that is done, and says how much that is", function()
      for _, order in ipairs { "--json", "--ordered" } do
        lab:clear()
        lab:reset()
        lab:rule { name = "3.wild.flock", type = "MX", hold = true }
        lab:rule { name = "9.wild.flock", type = "MX", hold = true }
        local p = program.start({ "--json", order, "--jobs", "2", "-f", "-" },
          { patient = true, input = files.new(wild(1, 100)) })
        lab:wait("9.wild.flock", "MX")
        local lines = {}
        if order == "--json" then
          for i = 1, 7 do
            lines[i] = p:line() -- 1, 2, 4 to 8
          end
        end
        p:signal(name)
        local r = p:finish()
        for _, line in ipairs(r.lines) do
          lines[#lines + 1] = line
        end
        assert.equal(status, r.status)
        local list = domains(lines)
        table.sort(list)
        assert.same({ "1.wild.flock", "2.wild.flock", "4.wild.flock", "5.wild.flock",
          "6.wild.flock", "7.wild.flock", "8.wild.flock" }, list)
        contains(r.err, "interrupted; 7 domains: 0 dane, 0 encrypt, 7 may")
      end
    end)
  end

  it("ends quietly when nobody reads on", function()
    local r = run({ "--json", "-f", "-" }, { stdin = wild(1, 2000), tail = "| head -n 2" })
    assert.equal(2, #split(r.out))
    assert.same({ 141, "" }, { r.status, r.err })
    r = run({ "dane.example" }, { tail = "| :" })
    assert.same({ 141, "" }, { r.status, r.err })
  end)

  it("says so when the output cannot be written", function()
    local r = run({ "dane.example" }, { tail = "| cat >/dev/null",
      under = "sh -c 'exec \"$@\" >/dev/full' sh" })
    assert.equal(74, r.status)
    contains(r.err, "nexthop: standard output: ", "ENOSPC")
    if os.getenv "NEXTHOP_SLOW" then return end -- valgrind puts something in its place
    r = run({ "dane.example" }, { under = "sh -c 'exec \"$@\" >&-' sh" })
    assert.equal(74, r.status)
    contains(r.err, "nexthop: standard output: EBADF")
  end)

  it("looks up on while its reader rests", function()
    -- the reader does not take a line until the last name has been asked for and answered
    lab:rule { name = "1200.wild.flock", type = "MX", hold = true }
    local p = program.start({ "--json", "--timeout", "30", "-f", "-" },
      { patient = true, input = files.new(wild(1, 1200)) })
    local first = p:line()
    local lines = { first }
    for i = 2, 1199 do
      lines[i] = p:line()
    end
    lab:wait("1200.wild.flock", "MX")
    lab:release()
    local r = p:finish()
    assert.same({ 0, 1, 1199 }, { r.status, #r.lines, #lines })
  end)

  describe("on a terminal", function()
    it("shows how far it is, how fast, and how long still; then the summary", function()
      lab:rule { name = "*.wild.flock", type = "MX", delay = 300 }
      local shown = program.on_terminal({ "--json", "--jobs", "1", "-f", files.new(wild(1, 3)) },
        { patient = true })
      local bar = shown:gsub("{[^\n]+\n", "")
      assert.is_truthy(bar:find("\r%[#+%.+%] +33%%  1 done, %d+/s, 0:%d%d left\27%[K"), bar)
      assert.is_truthy(bar:find("\r\27%[K3 domains: 0 dane, 0 encrypt, 3 may"), bar)
    end)

    it("shows none for a dumb one, and none elsewhere", function()
      lab:rule { name = "4.wild.flock", type = "MX", delay = 500 }
      local path = files.new(wild(1, 4))
      assert.is_nil(program.on_terminal({ "--json", "-f", path },
        { env = "TERM=dumb" }):find("left", 1, true))
      lab:clear()
      assert.is_nil(run({ "--json", "-f", path }).err:find("left", 1, true))
    end)
  end)

  -- Six kinds of domains, each a wildcard.
  it("plans 20,000 domains in memory that does not grow", function()
    local kinds = { "dane.herd", "encrypt.herd", "may.flock", "skip.flock", "nullmx.flock",
      "gone.flock" }
    local under = os.getenv("UNDER") or ""
    local total = under == "" and 20000 or 2000
    local names, expected = {}, {}
    for number = 1, total do
      local kind = kinds[number % #kinds + 1]
      names[number] = ("%d.%s"):format(number, kind)
      expected[kind] = (expected[kind] or 0) + 1
    end
    local p = program.start({ "--json", "--file", files.new(table.concat(names, "\n")) })
    local seen, halves, count = {}, { 0, 0 }, 0
    for line in function() return p:line() end do
      count = count + 1
      local domain = line:match('^{"domain":"([^"]+)"')
      assert.is_nil(seen[domain])
      seen[domain] = true
      if count % 500 == 0 and count < total then
        local half = count <= total / 2 and 1 or 2
        halves[half] = math.max(halves[half], p:memory("VmRSS") or 0)
      end
    end
    local r = p:finish()
    assert.equal(75, r.status)
    assert.equal(total, count)
    contains(r.err,
      ("%d domains: %d dane, %d encrypt, %d may, %d skip, %d no_mail, %d errors ("):format(total,
        expected["dane.herd"], expected["encrypt.herd"], expected["may.flock"], expected["skip.flock"],
        expected["nullmx.flock"], expected["gone.flock"]))
    if under == "" then
      assert(halves[1] > 0 and halves[2] <= halves[1] + 4096, -- a result is a kilobyte or two
        ("memory grows: %d kB, then %d kB"):format(halves[1], halves[2]))
    end
  end)
end)
