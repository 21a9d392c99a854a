-- verify as a call like the others: callbacks, cancel, close, fork, deadline, the garbage collector.
local ca = require "tests.support.ca"
local calling = require "tests.support.calling"
local chains = require "tests.support.chains"
local mail_server = require "tests.support.mail_server"
local nexthop = require "nexthop"
local support = require "tests.support"
local testos = require "testos"
local verifying = require "tests.support.verifying"

local zone = chains.zone
local world = verifying.world(zone, 38)
local lab = support.lab
local steps = mail_server.steps
local record = ca.tlsa(chains.ec, 3, 1, 1)

-- The steps of a dialogue up to each stage, after which the server is silent.
local silent = {
  greeting = { greeting = { steps.silent } },
  ehlo = { ehlo = { steps.silent } },
  starttls = { starttls = { steps.silent } },
  handshake = { handshake = { steps.raw, steps.silent } },
}

describe("verify, a call:", function()
  local it = verifying.grouped(it)
  world:host("good", { tlsa = { record }, server = { certificates = { chains.ec } } })
  for stage, server in pairs(silent) do
    server.certificates = { chains.ec }
    world:host("silent-" .. stage, { tlsa = { record }, server = server })
  end

  local function name(label) return label .. "." .. zone end

  -- Starts a call and waits until the server has come to that stage.
  local function begin(resolver, stage, callback, options)
    local server = world.hosts["silent-" .. stage].listening[1]
    local handle = resolver:verify(name("silent-" .. stage), world:options(options), callback)
    local wanted = { greeting = { "open", 1 }, ehlo = { "command", 1 }, starttls = { "command", 2 },
      handshake = { "command", 2 } }
    while server:count(wanted[stage][1]) < wanted[stage][2] do resolver:wait(0.02) end
    return server, handle
  end

  it("with a callback: after the call has returned, from process()", function()
    local resolver = support.resolver()
    local callback, calls = calling.recorder()
    local handle = resolver:verify(name "good", world:options(), callback)
    assert.is_not_nil(handle.cancel)
    assert.equal(0, #calls)
    while #calls == 0 do resolver:wait(1) end
    assert.is_true(calls[1][1].ok)
    assert.is_nil(calls[1][2])
    resolver:wait(0.1)
    assert.equal(1, #calls)
  end)

  it("with a callback: an invalid name, too", function()
    local resolver = support.resolver()
    local callback, calls = calling.recorder()
    assert.is_not_nil(resolver:verify("two words", callback))
    assert.same({ 0, 0 }, { #calls, resolver:timeout() })
    resolver:process()
    support.failed("invalid_name", calls[1][1], calls[1][2])
  end)

  it("a callback may verify again, and block", function()
    local resolver, inner = support.resolver(), nil
    local done = false
    resolver:verify(name "good", world:options(), function()
      inner = resolver:verify(name "good", world:options { helo = "inner.test" })
      done = true
    end)
    while not done do resolver:wait(1) end
    assert.is_true(inner.ok)
  end)

  it("a callback that raises stops no other", function()
    local resolver, count = support.resolver(), 0
    for index = 1, 3 do
      resolver:verify(name "good", world:options(), function()
        count = count + 1
        if index == 1 then error "raised by a callback" end
      end)
    end
    local message
    while count < 3 do
      local ok, err = pcall(resolver.wait, resolver, 1)
      if not ok then message = err end
    end
    assert.matches("raised by a callback", message)
  end)

  for stage in pairs(silent) do
    it("cancel() at " .. stage .. ": no callback, and the connection ends", function()
      local resolver = support.resolver()
      local callback, calls = calling.recorder()
      local server, handle = begin(resolver, stage, callback)
      handle:cancel()
      resolver:wait(2)
      server:wait("close", 1)
      assert.same({ 0, 0 }, { #calls, resolver:pending() })
    end)

    it("close() at " .. stage .. ": the code `closed`, and the connection ends", function()
      local resolver = support.resolver()
      local callback, calls = calling.recorder()
      local server = begin(resolver, stage, callback)
      assert.is_true(resolver:close())
      assert.equal(1, #calls)
      support.failed("closed", calls[1][1], calls[1][2])
      server:wait("close", 1)
    end)

    it("the garbage collector at " .. stage .. ": the connection ends", function()
      local callback, calls = calling.recorder()
      local server
      do
        local resolver = nexthop.new(lab:options())
        server = begin(resolver, stage, callback)
      end
      collectgarbage()
      collectgarbage()
      server:wait("close", 1)
      assert.equal(0, #calls)
    end)

    it("a deadline at " .. stage .. ": a report with what is known", function()
      local resolver, label = support.resolver(), "silent-" .. stage
      assert(resolver:plan(name(label))) -- all of the time is for the host
      local report = assert(world:verify(label, { deadline = 0.5 * support.slow }, resolver))
      assert.same({ true, false }, { report.expired, report.ok })
      local connection = report.hosts[1].connections[1]
      verifying.bad(connection, "timeout", stage)
      assert.is_true(connection.temporary)
    end)
  end

  it("after close(): closed", function()
    local resolver = support.resolver()
    resolver:close()
    support.failed("closed", resolver:verify(name "good"))
    support.failed("closed", resolver:verify(name "good", print))
  end)

  it("cancelling one of two that share a contact leaves the other", function()
    local resolver = support.resolver()
    local first, first_calls = calling.recorder()
    local second, second_calls = calling.recorder()
    local handle = resolver:verify(name "good", world:options(), first)
    resolver:verify("mx-good." .. zone, world:options(), second)
    handle:cancel()
    while #second_calls == 0 do resolver:wait(1) end
    assert.is_true(second_calls[1][1].ok)
    assert.equal(0, #first_calls)
  end)

  it("a deadline before the plan is there: the plan's error", function()
    lab:rule { name = name "good", action = "silent" }
    local err = support.failed("timeout", world:verify("good", { deadline = 0.2 * support.slow }))
    assert.is_true(err.expired)
  end)

  it("a deadline before the TLSA answer: the host is skipped, and the report has expired", function()
    local resolver = support.resolver()
    assert(resolver:gather_ips(name "good"))
    assert(resolver:gather_destinations(name "good"))
    lab:rule { name = "_25._tcp." .. name "good", action = "silent" }
    local report = assert(world:verify("good", { deadline = 0.3 * support.slow }, resolver))
    assert.same({ true, false, "skip", {} },
      { report.expired, report.ok, report.hosts[1].tls, report.hosts[1].connections })
  end)

  it("a deadline that is not reached changes nothing", function()
    local report = assert(world:verify("good", { deadline = 30 }))
    assert.is_true(report.ok)
    assert.is_nil(report.expired)
  end)

  it("a deadline ends one call of two that share a contact", function()
    local resolver = support.resolver()
    local label = "silent-greeting"
    local long, long_calls = calling.recorder()
    resolver:verify(name(label), world:options(), long)
    local options = world:options { deadline = 0.3 * support.slow }
    local report = assert(resolver:verify("mx-" .. name(label), options))
    assert.is_true(report.expired)
    assert.equal(0, #long_calls)
    assert.equal(1, world.hosts[label].listening[1]:count())
  end)

  it("fork(): the child gets `forked`, and the parent's call goes on", function()
    local resolver = support.resolver()
    local callback, calls = calling.recorder()
    local server = begin(resolver, "greeting", callback)
    local pid = testos.fork()
    if pid == 0 then
      local _, err = resolver:verify(name "good", world:options())
      local closed = pcall(resolver.close, resolver)
      testos.exit(err and err.code == "forked" and closed and 7 or 8)
    end
    assert.same({ "exit", 7 }, { testos.wait(pid) })
    assert.same({ 0, 0 }, { server:count "close", #calls })
    assert.is_true(assert(resolver:verify(name "good", world:options())).ok)
    resolver:close()
    assert.equal("closed", calls[1][2].code)
  end)

  it("pollfd() and timeout() are enough to drive it", function()
    local cqueues = require "cqueues"
    local resolver = support.resolver()
    local callback, calls = calling.recorder()
    resolver:verify(name "good", world:options(), callback)
    while #calls == 0 do
      cqueues.poll(resolver)
      resolver:process()
    end
    assert.is_true(calls[1][1].ok)
  end)

  it("descriptors are as many after two hundred as before", function()
    local resolver = support.resolver()
    -- A connection that has its result is open until the server closes it, or for a second.
    local function settled(wanted)
      local stop = os.time() + 5 * support.slow
      repeat resolver:process() until testos.descriptors() == wanted or os.time() > stop
      return testos.descriptors()
    end
    resolver:plan(name "good")
    local before = testos.descriptors()
    resolver:verify(name "good", world:options { reuse = 0 })
    for _ = 1, 200 do
      assert.is_true(assert(resolver:verify(name "good", world:options { reuse = 0 })).ok)
    end
    assert.equal(before, settled(before))
    assert.equal(201, world.hosts.good.listening[1]:count())
  end)

  it("a collector that runs at each step breaks nothing", function()
    local pause, factor = collectgarbage("setpause", 0), collectgarbage("setstepmul", 10000)
    local resolver, count = support.resolver(), 0
    for index = 1, 20 do
      resolver:verify(name "good", world:options { helo = ("h%d.test"):format(index) }, function(report)
        assert(report.ok)
        count = count + 1
      end)
      collectgarbage()
    end
    while count < 20 do
      resolver:wait(0.01)
      collectgarbage()
    end
    collectgarbage("setpause", pause)
    collectgarbage("setstepmul", factor)
    assert.equal(20, world.hosts.good.listening[1]:count())
  end)

  setup(function() world:start() end)
  before_each(function()
    support.reset()
    world.servers:forget()
  end)
  after_each(support.close)
  teardown(function() world:stop() end)
end)
