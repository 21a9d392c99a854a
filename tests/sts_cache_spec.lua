-- MTA-STS: how long a policy is known, when it is fetched again, and the file that processes share.
local child = require "tests.support.child"
local errorqueue = require "errorqueue"
local files = require "tests.support.files"
local nexthop = require "nexthop"
local preload = require "tests.support.preload"
local shell = require "tests.support.shell"
local sts_world = require "tests.support.sts_world"
local support = require "tests.support"
local lab = support.lab

local it = sts_world.it(it, pending)
local zone = "stscache.example"
local world = sts_world.new(zone, 61, false)
local fetch_error, invalid = "sts-policy-fetch-error", "sts-policy-invalid"

local function enforce(...) return { mode = "enforce", mx = { ... } } end

-- Each test has a domain of its own.
for _, label in ipairs { "warm", "newid", "newbad", "newdown", "back", "recheck", "recheckbad", "recheckonce",
  "norecord", "tworecords", "failonce", "failnew", "forget", "zero", "late", "shared", "restart", "modes",
  "cli", "damaged", "notified", "testing", "shared-table", "atonce", "recheckmode", "newhost", "queue" } do
  world:domain(label, {})
end
world:records("mx2.newhost A 127.61.0.2")
world:domain("appears", { record = false })
world:domain("failing", { web = { status = 404 } })
for index = 1, 40 do world:domain("many" .. index, {}) end

describe("policies that are known:", function()
  local path

  setup(function() world:start() end)
  teardown(function() world:stop() end)
  before_each(function()
    support.reset()
    path = files.path(".sts")
  end)
  after_each(function()
    support.close()
    os.remove(path)
    os.remove(path .. ".damaged")
  end)

  -- What a plan says of a domain, in short.
  local function short(label, resolver, options)
    local plan = assert(world:plan(label, options, resolver))
    return { plan.hosts[1].tls, plan.sts and plan.sts.id, plan.sts and plan.sts.source,
      plan.sts_err and plan.sts_err.code }
  end

  it("a known policy is not fetched again", function()
    local resolver = support.resolver()
    assert.same({ "sts", "1", "fetch" }, short("warm", resolver))
    assert.same({ "sts", "1", "cache" }, short("warm", resolver))
    assert.same({ "sts", "1", "cache" }, short("warm", resolver))
    assert.equal(1, world:fetches("warm", 1))
  end)

  it("a fetch keeps the errors that the host program has in OpenSSL's queue", function()
    errorqueue.take()
    errorqueue.push(77)
    local resolver = support.resolver()
    assert.same({ "sts", "1", "fetch" }, short("queue", resolver))
    resolver:close()
    assert.equal("128:77@host-program.c:42= ", errorqueue.take())
  end)

  it("until the TTL of its record is over, a known policy needs no lookup", function()
    local resolver = support.resolver()
    for _ = 1, 2 do short("atonce", resolver) end -- the second one reads the record out of the cache
    local lookups, first = resolver:stats().lookups, resolver:plan(world:name "atonce")
    local without = resolver:stats().lookups - lookups
    local plan = assert(world:plan("atonce", nil, resolver))
    assert.equal(lookups + 2 * without, resolver:stats().lookups)
    assert.same({ "sts", "match", "cache" }, { plan.hosts[1].tls, plan.hosts[1].sts, plan.sts.source })
    assert.is_true(plan.ttl <= first.ttl)
    local traced = assert(world:plan("atonce", { trace = true }, resolver))
    assert.equal("_mta-sts." .. world:name "atonce", traced.trace[2].name)
    assert.same(plan.sts, traced.sts)
  end)

  it("the plans that know a policy share its table", function()
    local resolver = support.resolver()
    local function plan(label) return assert(world:plan(label, nil, resolver)).sts end
    local fetched, first = plan "shared-table", plan "shared-table"
    assert.equal("fetch", fetched.source)
    assert.equal("cache", first.source)
    assert.is_true(rawequal(first, plan "shared-table"))
    assert.is_false(rawequal(first, plan "many1"))
    local expires = first.expires
    resolver:sts_forget(world:name "shared-table") -- a policy that is fetched later has a table of its own
    first, fetched = nil, nil -- luacheck: ignore
    collectgarbage()
    plan "shared-table"
    local later = plan "shared-table"
    assert.is_true(later.expires >= expires)
    assert.same({ "mx.shared-table." .. zone }, later.mx)
    resolver:close()
  end)

  it("a new id fetches anew", function()
    local resolver = support.resolver()
    assert.same({ "sts", "1", "fetch" }, short("newid", resolver))
    world:serve("newid", { mode = "testing", mx = { "mx.@" } })
    world:set_record("newid", "v=STSv1; id=2")
    assert.same({ "may", "2", "fetch" }, short("newid", support.resolver()))
    assert.equal(2, world:fetches("newid", 2))
  end)

  -- A resolver whose cache does not have the record: the lab's records of these tests have a TTL of 300.
  local function short_records(options)
    options = options or {}
    options.options = { ["cache-max-ttl"] = "0" }
    return support.resolver(options)
  end

  it("a new id fetches anew in the same resolver", function()
    world:set_record("modes", "v=STSv1; id=a")
    local resolver = short_records()
    assert.same({ "sts", "a", "fetch" }, short("modes", resolver))
    world:serve("modes", { mode = "none" })
    assert.same({ "sts", "a", "cache" }, short("modes", resolver))
    world:set_record("modes", "v=STSv1; id=b")
    assert.same({ "may", "b", "fetch" }, short("modes", resolver))
    assert.same({ "may", "b", "cache" }, short("modes", resolver))
    assert.equal(2, world:fetches("modes", 2))
  end)

  it("a new id with a policy that is invalid: the known one counts, and it is said", function()
    world:set_record("newbad", "v=STSv1; id=a")
    local resolver = short_records()
    assert.same({ "sts", "a", "fetch" }, short("newbad", resolver))
    world:serve("newbad", "version: STSv1\n")
    world:set_record("newbad", "v=STSv1; id=b")
    assert.same({ "sts", "a", "cache", invalid }, short("newbad", resolver))
    assert.same({ "sts", "a", "cache", invalid }, short("newbad", resolver))
    assert.equal(2, world:fetches("newbad", 2))
  end)

  it("a new id while the policy host is down: the known one counts, and it is said", function()
    world:set_record("newdown", "v=STSv1; id=a")
    local resolver = short_records()
    assert.same({ "sts", "a", "fetch" }, short("newdown", resolver))
    world.server:stop()
    world:set_record("newdown", "v=STSv1; id=b")
    local said = short("newdown", resolver)
    world.server:start()
    assert.same({ "sts", "a", "cache", fetch_error }, said)
    world:set_record("newdown", "v=STSv1; id=c")
    assert.same({ "sts", "c", "fetch" }, short("newdown", resolver))
  end)

  it("an id whose fetch has failed is not tried again at once, another one is", function()
    world:set_record("failing", "v=STSv1; id=a")
    local resolver = short_records()
    for _ = 1, 3 do assert.same({ "may", nil, nil, fetch_error }, short("failing", resolver)) end
    assert.equal(1, world:fetches("failing", 1))
    world:set_record("failing", "v=STSv1; id=b")
    assert.same({ "may", nil, nil, fetch_error }, short("failing", resolver))
    assert.equal(2, world:fetches("failing", 2))
  end)

  it("without a record a known policy counts", function()
    world:set_record("norecord", "v=STSv1; id=a")
    local resolver = short_records()
    assert.same({ "sts", "a", "fetch" }, short("norecord", resolver))
    world:set_record("norecord")
    assert.same({ "sts", "a", "cache" }, short("norecord", resolver))
  end)

  it("with two records a known policy counts, and it is said", function()
    world:set_record("tworecords", "v=STSv1; id=a")
    local resolver = short_records()
    assert.same({ "sts", "a", "fetch" }, short("tworecords", resolver))
    world:set_record("tworecords", "v=STSv1; id=a", "v=STSv1; id=b")
    assert.same({ "sts", "a", "cache", invalid }, short("tworecords", resolver))
  end)

  it("when the record cannot be looked up a known policy counts, and it is said", function()
    local resolver = short_records()
    assert.same({ "sts", "1", "fetch" }, short("back", resolver))
    lab:rule { name = "_mta-sts.back." .. zone, action = "servfail" }
    assert.same({ "sts", "1", "cache", fetch_error }, short("back", resolver))
  end)

  it("when the deadline comes first a known policy counts", function()
    local resolver = short_records()
    assert.same({ "sts", "1", "fetch" }, short("late", resolver))
    lab:rule { name = "_mta-sts.late." .. zone, hold = true }
    assert.same({ "sts", "1", "cache", fetch_error }, short("late", resolver, { deadline = 0.3 }))
  end)

  it("a host that does not match makes a known policy be fetched again", function()
    local resolver = support.resolver()
    world:serve("recheck", enforce "old.@")
    assert.same({ "skip", "1", "fetch" }, short("recheck", resolver))
    world:serve("recheck", enforce "mx.@") -- and the owner forgot the id
    assert.same({ "sts", "1", "fetch" }, short("recheck", resolver))
    assert.same({ "sts", "1", "cache" }, short("recheck", resolver))
    assert.equal(2, world:fetches("recheck", 2))
  end)

  it("but once in five minutes at most", function()
    local resolver = support.resolver()
    world:serve("recheckonce", enforce "old.@")
    assert.same({ "skip", "1", "fetch" }, short("recheckonce", resolver))
    assert.same({ "skip", "1", "fetch" }, short("recheckonce", resolver))
    for _ = 1, 3 do assert.same({ "skip", "1", "cache" }, short("recheckonce", resolver)) end
    assert.equal(2, world:fetches("recheckonce", 2))
  end)

  it("and when its mode is none then, the hosts are not compared with it", function()
    local resolver = support.resolver()
    world:serve("recheckmode", enforce "old.@")
    assert.same({ "skip", "1", "fetch" }, short("recheckmode", resolver))
    world:serve("recheckmode", { mode = "none" })
    local plan = assert(world:plan("recheckmode", nil, resolver))
    assert.same({ "none", "fetch", "may" }, { plan.sts.mode, plan.sts.source, plan.hosts[1].tls })
    assert.is_nil(plan.hosts[1].sts)
  end)

  it("and while that fails the known policy counts", function()
    local resolver = support.resolver()
    world:serve("recheckbad", enforce "old.@")
    assert.same({ "skip", "1", "fetch" }, short("recheckbad", resolver))
    world:serve("recheckbad", "")
    assert.same({ "skip", "1", "cache", invalid }, short("recheckbad", resolver))
    assert.equal(2, world:fetches("recheckbad", 2))
  end)

  it("in the mode testing a mismatch makes nobody fetch", function()
    local resolver = support.resolver()
    world:serve("testing", { mode = "testing", mx = { "old.@" } })
    assert.same({ "may", "1", "fetch" }, short("testing", resolver))
    assert.same({ "may", "1", "cache" }, short("testing", resolver))
    assert.equal(1, world:fetches("testing", 1))
  end)

  it("a policy with max_age 0 counts once", function()
    local resolver = support.resolver()
    world:serve("zero", { mode = "enforce", mx = { "mx.@" }, max_age = 0 })
    assert.same({ "sts", "1", "fetch" }, short("zero", resolver))
    assert.same({ "sts", "1", "fetch" }, short("zero", resolver))
    assert.equal(2, world:fetches("zero", 2))
  end)

  it("sts_forget drops one policy", function()
    local resolver = support.resolver()
    assert.is_false(resolver:sts_forget("forget." .. zone))
    assert.same({ "sts", "1", "fetch" }, short("forget", resolver))
    assert.is_true(resolver:sts_forget("Forget." .. zone .. "."))
    assert.is_false(resolver:sts_forget("forget." .. zone))
    assert.same({ "sts", "1", "fetch" }, short("forget", resolver))
    support.failed("invalid_name", resolver:sts_forget "a..b")
    assert.has_error(function() resolver:sts_forget() end)
  end)

  it("sts_forget lets an id be tried again", function()
    local resolver = support.resolver()
    world:serve("failonce", "")
    assert.same({ "may", nil, nil, invalid }, short("failonce", resolver))
    world:serve("failonce", enforce "mx.@")
    assert.same({ "may", nil, nil, invalid }, short("failonce", resolver))
    resolver:sts_forget("failonce." .. zone)
    assert.same({ "sts", "1", "fetch" }, short("failonce", resolver))
  end)

  -- ---- the file ----------------------------------------------------------------------------------

  it("resolvers that share a file see each other's policies", function()
    local one, two = support.resolver { sts_cache = path }, support.resolver { sts_cache = path }
    assert.same({ "sts", "1", "fetch" }, short("shared", one))
    assert.same({ "sts", "1", "cache" }, short("shared", two))
    assert.is_true(two:sts_forget("shared." .. zone))
    assert.same({ "sts", "1", "fetch" }, short("shared", two))
    assert.equal(2, world:fetches("shared", 2))
  end)

  it("a policy is known after a restart", function()
    local resolver = support.resolver { sts_cache = path }
    assert.same({ "sts", "1", "fetch" }, short("restart", resolver))
    local plan = assert(world:plan("restart", nil, resolver))
    resolver:close()
    local again = assert(world:plan("restart", nil, support.resolver { sts_cache = path }))
    assert.same(plan.sts, again.sts)
    assert.equal(1, world:fetches("restart", 1))
  end)

  it("the file has the mode 0640", function()
    support.resolver { sts_cache = path }
    assert.equal("640\n", (shell.run("stat -c %a " .. shell.quote(path))))
  end)

  it("a file that cannot be written is a bad configuration", function()
    for _, bad in ipairs { "/nonexistent/cache", "/dev/null", "/" } do
      local err = support.failed("config", nexthop.new(lab:options { sts_cache = bad }))
      support.contains(err.message, "sts_cache", bad)
    end
    assert.has_error(function() nexthop.new(lab:options { sts_cache = "" }) end)
    assert.has_error(function() nexthop.new(lab:options { sts_cache = true }) end)
  end)

  it("a damaged file is set aside, and it is said", function()
    files.write(path, "this is no file of policies\n")
    local resolver = support.resolver { sts_cache = path }
    local warnings = nexthop.warnings(resolver)
    assert.equal(1, #warnings)
    support.contains(warnings[1], path, path .. ".damaged")
    assert.equal("this is no file of policies\n", files.read(path .. ".damaged"))
    assert.same({ "sts", "1", "fetch" }, short("damaged", resolver))
    assert.same({ "sts", "1", "cache" }, short("damaged", support.resolver { sts_cache = path }))
  end)

  local worker = [[
    local nexthop = require "nexthop"
    local address, anchor, port, ca, path, zone, first, last = ...
    io.stdout:setvbuf "no"
    local r = assert(nexthop.new { forward = address, trust_anchor_file = anchor, sts_cache = path })
    for index = tonumber(first), tonumber(last) do
      local domain = "many" .. index .. "." .. zone
      local plan = assert(r:plan(domain, { sts = true, sts_port = tonumber(port), ca_file = ca }))
      print(index, plan.sts and plan.sts.source or tostring(plan.sts_err))
    end
  ]]

  local function start_worker(first, last, out)
    local words = { shell.quote(child.lua), shell.quote(files.new(worker)) }
    for _, word in ipairs { lab.forward_address, lab.anchor_file, world.server.port, world.root.file, path,
      zone,
      first, last } do
      words[#words + 1] = shell.quote(tostring(word))
    end
    return table.concat(words, " ") .. " >" .. shell.quote(out) .. " 2>&1"
  end

  it("two processes fill one file, and lose nothing", function()
    local one, two = files.new(), files.new()
    shell.run(start_worker(1, 20, one) .. " & " .. start_worker(21, 40, two) .. "; wait")
    local resolver = support.resolver { sts_cache = path }
    for index = 1, 40 do assert.same({ "sts", "1", "cache" }, short("many" .. index, resolver)) end
    assert.equal("", ((files.read(one) .. files.read(two)):gsub("%d+\tfetch\n", "")))
  end)

  it("processes that are killed at any moment lose nothing that they had", function()
    local killed = 0
    for round = 1, 15 do
      os.remove(path)
      local out = files.new()
      -- It has at least one policy when it is killed, a little later in each round.
      local kill = [[
        %s & worker=$!
        while kill -0 $worker && [ ! -s %s ]; do sleep 0.01; done
        sleep %.3f; kill -s KILL $worker; wait $worker]]
      local status = select(2, shell.run(kill:format(start_worker(1, 40, out), shell.quote(out),
        0.005 * round)))
      killed = killed + (status == 137 and 1 or 0)
      local resolver = support.resolver { sts_cache = path }
      for index in files.read(out):gmatch "(%d+)\tfetch\n" do
        assert.same({ "sts", "1", "cache" }, short("many" .. index, resolver))
      end
      assert.same({}, nexthop.warnings(resolver))
      resolver:close()
    end
    assert(killed > 0, "no process was killed")
  end)

  -- ---- the clock -----------------------------------------------------------------------------------

  local clocked = [[
    local nexthop, clock = require "nexthop", require "clock"
    local address, port, ca, path, domain = ...
    local function new() return assert(nexthop.new { forward = address, trust_anchor_file = false,
      sts_cache = path ~= "" and path or nil }) end
    local function say(r)
      local plan = assert(r:plan(domain, { sts = true, sts_port = tonumber(port), ca_file = ca }))
      print(plan.hosts[1].tls, plan.sts and plan.sts.source or "-", plan.sts_err and plan.sts_err.code or "-")
    end
    local r = new()
  ]]

  local function run_clocked(label, body, own_path)
    local library = preload.library("clock", pending)
    return (child.run(clocked .. body, { preload = library }, lab.forward_address, world.server.port,
      world.root.file, own_path or "", label .. "." .. zone))
  end

  it("a policy is fetched again in good time, and every day", function()
    world:serve("newid", { mode = "enforce", mx = { "mx.@" }, max_age = 10 * 86400 })
    local before = world:fetches "newid"
    local said = run_clocked("newid", [[say(r) clock.set(0.9) say(r) clock.set(1.1) say(r) say(r)]])
    assert.equal("sts\tfetch\t-\nsts\tcache\t-\nsts\tfetch\t-\nsts\tcache\t-\n", said)
    assert.equal(before + 2, world:fetches("newid", before + 2))
  end)

  -- The same, and this test does `change` when the child says change().
  local function run_changed(label, body, change)
    local fifo, said = files.path(), {}
    assert(shell.run("mkfifo " .. shell.quote(fifo)))
    local function quoted(...)
      local words = { ... }
      for index, word in ipairs(words) do words[index] = shell.quote(tostring(word)) end
      return table.concat(words, " ")
    end
    local output = io.popen(("timeout 60 env LD_PRELOAD=%s %s %s %s 2>&1"):format(
      preload.library("clock", pending), shell.quote(child.lua),
      quoted(files.new(clocked .. [[
        io.stdout:setvbuf "line"
        local fifo = select(6, ...)
        local function change() print "change" io.open(fifo, "r"):close() end
      ]] .. body)),
      quoted(lab.forward_address, world.server.port, world.root.file, "", label .. "." .. zone, fifo)))
    for line in output:lines() do
      if line == "change" then
        change()
        io.open(fifo, "w"):close()
      else
        said[#said + 1] = (line:gsub("%s", " "))
      end
    end
    output:close()
    return said
  end

  -- The record in the zone has a TTL of 300 seconds, and its absence has one of as many at least.
  it("a new id counts when the TTL of the record is over, and not before", function()
    local said = run_changed("shared", [[
      say(r) say(r) say(r) change()
      clock.set(280 / 86400) say(r) clock.set(320 / 86400) say(r)
    ]], function() world:set_record("shared", "v=STSv1; id=next") end)
    assert.same({ "sts fetch -", "sts cache -", "sts cache -", "sts cache -", "sts fetch -" }, said)
  end)

  it("a record counts when the TTL of its absence is over, and not before", function()
    local said = run_changed("appears", [[
      say(r) say(r) change() say(r) clock.set(0.5) say(r)
    ]], function() world:set_record("appears", "v=STSv1; id=first") end)
    assert.same({ "may - -", "may - -", "may - -", "sts fetch -" }, said)
  end)

  it("a new host that does not match makes a policy be fetched again that needed no lookup", function()
    local domain = world:name "newhost"
    local function set_mx(label)
      local rdata = ("\0\10%s%s"):format(string.char(#label) .. label, "\7newhost\8stscache\7example\0")
      lab:rule { name = domain, type = "MX", action = "answer", records = { { name = domain, type = "MX",
        ttl = 5, rdata = (rdata:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) } } }
    end
    set_mx "mx"
    local said = run_changed("newhost", [[
      say(r) say(r) say(r) change() clock.set(10 / 86400) say(r) say(r)
    ]], function() set_mx "mx2" end)
    assert.same({ "sts fetch -", "sts cache -", "sts cache -", "skip fetch -", "skip cache -" }, said)
  end)

  it("a short policy is fetched again when half of its time is over", function()
    world:serve("newid", { mode = "enforce", mx = { "mx.@" }, max_age = 86400 })
    assert.equal("sts\tfetch\t-\nsts\tcache\t-\nsts\tfetch\t-\n",
      run_clocked("newid", [[say(r) clock.set(0.45) say(r) clock.set(0.55) say(r)]]))
  end)

  it("while that fails the known policy counts, until it expires; then it is forgotten", function()
    world:serve("notified", { mode = "enforce", mx = { "mx.@" }, max_age = 86400 })
    local said = run_clocked("notified", [[
      say(r)
      local policy = io.open(path .. ".text", "r"):read "*a"
      os.remove(policy)
      clock.set(0.6) say(r) clock.set(0.99) say(r) clock.set(1.01) say(r)
      r:close() os.remove(policy) r = new() say(r) clock.set(0.5) r:close() r = new() say(r)
    ]], (function()
      files.write(path .. ".text", world.server.folder .. "/mta-sts.notified." .. zone)
      return path
    end)())
    os.remove(path .. ".text")
    local failed = "\t" .. fetch_error .. "\n"
    assert.equal("sts\tfetch\t-\nsts\tcache" .. failed .. "sts\tcache" .. failed .. "may\t-" .. failed
      .. "may\t-" .. failed .. "sts\tcache" .. failed, said)
  end)
end)
