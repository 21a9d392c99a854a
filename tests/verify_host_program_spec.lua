-- verify and the program that calls it: the errors that it has in OpenSSL's queue, a program that calls
-- process() late, the budget of process(), the memory of what is remembered.
local ca = require "tests.support.ca"
local calling = require "tests.support.calling"
local chains = require "tests.support.chains"
local core = require "nexthop.core"
local cqueues = require "cqueues"
local errorqueue = require "errorqueue"
local files = require "tests.support.files"
local mail_server = require "tests.support.mail_server"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local zone = chains.zone
local world = verifying.world(zone, 65)
local steps = mail_server.steps
local record, issued = ca.tlsa(chains.ec, 3, 1, 1), ca.tlsa(chains.issuer, 2, 1, 1)

-- A leaf whose server sends so many certificates more.
local function long_chain(count)
  local sent = { files.read(chains.ec.file) }
  for _ = 1, count do sent[#sent + 1] = files.read(chains.issuer.file) end
  return { chain = files.write(files.path ".chain", table.concat(sent)), key = chains.ec.key }
end

-- What a late program has not read: more than one read takes.
local PAUSE = 200 -- milliseconds, in which the program becomes late
local long_greeting = { steps.sleep(PAUSE), steps.send("220-" .. ("x"):rep(980) .. "\r\n", 40),
  steps.reply "220 mail.test" }

describe("verify and the program that calls it:", function()
  local it = verifying.grouped(it)
  world:host("good", { tlsa = { record, issued }, server = { certificates = { chains.ec } } })
  world:host("old", { tlsa = { record }, server = { certificates = { chains.rsa }, max = "TLSv1.2",
    ciphers = "NULL-SHA256" } })
  world:host("implicit", { tlsa = { record },
    server = { certificates = { chains.ec }, implicit = true, tls_greeting = { steps.sleep(50),
      steps.reply "220 mail.test" } } })
  world:host("full", { tlsa = { record }, server = { full = true, certificates = { chains.ec } } })
  world:host("long-greeting", { tlsa = { record },
    server = { certificates = { chains.ec }, greeting = long_greeting } })
  world:host("long-chain", { tlsa = { record },
    server = { certificates = { long_chain(70) }, handshake = { steps.sleep(PAUSE), steps.tls } } })
  world:host("longest-chain", { tlsa = { record }, server = { certificates = { long_chain(150) } } })

  setup(function() world:start() end)
  before_each(function()
    support.reset()
    world.servers:forget()
  end)
  after_each(support.close)
  teardown(function() world:stop() end)

  local function name(label) return label .. "." .. zone end

  -- ---- OpenSSL's queue of errors

  local function with_errors(act)
    errorqueue.take()
    errorqueue.push(77, ("a long text "):rep(3))
    errorqueue.push(78)
    act()
    assert.equal(("128:77@host-program.c:42=%s 128:78@host-program.c:42= "):format(("a long text "):rep(3)),
      errorqueue.take())
  end

  it("its errors in OpenSSL's queue are the same after a handshake", function()
    local resolver = support.resolver()
    assert(resolver:plan(name "good"))
    with_errors(function() verifying.good(world:connection("good", nil, resolver), "verified") end)
    with_errors(function()
      local options = { reuse = 0, ca_file = chains.root.file }
      verifying.good(world:connection("good", options, resolver), "verified")
    end)
  end)

  it("its errors are the same after a handshake that fails, and behind TLS from the first byte", function()
    local resolver = support.resolver()
    with_errors(function()
      verifying.bad(world:connection("old", { keys = { "rsa" } }, resolver), "tls-failed", "handshake")
    end)
    with_errors(function()
      verifying.good(world:connection("implicit", { implicit_tls = true }, resolver), "verified")
    end)
  end)

  it("its errors are the same after files were read, and after a resolver", function()
    with_errors(function() assert.is_nil((core.certificates "no certificate")) end)
    with_errors(function() assert.equal(1, #core.certificates(files.read(chains.ec.file))) end)
    with_errors(function()
      local resolver = support.resolver()
      assert(resolver:plan(name "good"))
      resolver:close()
    end)
  end)

  it("a handshake that fails leaves no error of ours", function()
    errorqueue.take()
    verifying.bad(world:connection("old", { keys = { "rsa" } }), "tls-failed", "handshake")
    assert.equal("", errorqueue.take())
  end)

  -- ---- a late program

  local step = 0.6 * support.slow

  -- Verifies; the program does nothing for longer than a step once `begun` says so.
  local function late(label, begun, seconds)
    local resolver, report = support.resolver(), nil
    seconds = seconds or step
    assert(resolver:plan(name(label)))
    resolver:verify(name(label), world:options { step = seconds }, function(result) report = result end)
    begun(resolver, world.hosts[label].listening[1])
    cqueues.sleep(seconds + 2 * PAUSE / 1000)
    while not report do resolver:wait(1) end
    return report.hosts[1].connections[1]
  end

  -- The system drops the first attempt to connect. So the loop has not seen the second when the time is up.
  it("a connection that was made in time is no timeout", function()
    verifying.good(late("good", function() end), "verified")
    local connection = late("full", function(resolver)
      resolver:wait(0.1)
      world.servers:host(world.hosts.full.addresses[1], { certificates = { chains.ec } }):wait("open", 1, 20)
    end, 2.5 * step)
    verifying.good(connection, "verified")
  end)

  it("a greeting that came in time is no timeout, however long it is", function()
    local connection = late("long-greeting", function(resolver, server)
      server:wait "open"
      resolver:wait(PAUSE / 3000)
    end)
    verifying.good(connection, "verified")
    assert(#connection.greeting > 2 * 16384)
  end)

  it("certificates that came in time are no timeout, however many they are", function()
    local connection = late("long-chain", function(resolver, server)
      while server:count "command" < 2 do resolver:wait(0.01) end
      resolver:wait(PAUSE / 3000)
    end)
    verifying.good(connection, "verified")
    assert.equal(71, #connection.tls.chain)
  end)

  -- ---- the budget

  local VERDICTS = 500

  -- Starts that many calls whose verdicts are due. Each needs one of its own, because each has another time.
  local function many_verdicts(resolver, callback)
    verifying.good(world:connection("good", nil, resolver), "verified")
    for k = 1, VERDICTS do
      resolver:verify(name "good", world:options { at = os.time() + k }, callback)
    end
  end

  it("an answer that is there does not wait for all verdicts", function()
    local resolver, done, before = support.resolver { budget = 0 }, 0, nil
    many_verdicts(resolver, function() done = done + 1 end)
    resolver:plan(name "good", function() before = done end)
    while done < VERDICTS do
      assert.equal(0, resolver:timeout())
      assert.equal(1, resolver:process())
    end
    assert(before <= 2, before)
  end)

  -- Processor time, so that it does not matter what else the machine does.
  it("no call and no process() makes all verdicts", function()
    local resolver, done, longest = support.resolver { budget = 0.001 }, 0, 0
    local function measured(act, ...)
      local start = os.clock()
      act(...)
      longest = math.max(longest, os.clock() - start)
    end
    many_verdicts(resolver, function() done = done + 1 end)
    local start = os.clock()
    measured(resolver.plan, resolver, name "good", function() end)
    while done < VERDICTS do measured(resolver.process, resolver) end
    local all = os.clock() - start
    assert(longest < all / 4, ("%g of %g s"):format(longest, all))
  end)

  -- ---- how many, and how much

  it("the time for many contacts with few addresses grows with their number, and no faster", function()
    local function take(count)
      local resolver, start = support.resolver(), os.clock()
      local callback, calls = calling.recorder()
      for k = 1, count do
        resolver:verify(("127.65.240.%d"):format(k % 4 + 1),
          { connect_port = 9, helo = ("h%d.test"):format(k), step = 20 * support.slow }, callback)
      end
      while #calls < count do resolver:wait(1) end
      return os.clock() - start
    end
    local few = take(1500)
    local many = take(6000)
    assert(many < 9 * few, ("%g s, and %g s for four times as many"):format(few, many))
  end)

  it("what is remembered has a bound: the oldest is forgotten", function()
    local resolver = support.resolver()
    local function verify(index)
      local helo = ("h%d.test"):format(index)
      return (world:connection("longest-chain", { helo = helo }, resolver))
    end
    for index = 1, 60 do assert.is_nil(verify(index).reused) end -- 151 certificates each: 53 are 64 MB
    assert.is_true(verify(60).reused)
    assert.is_true(verify(20).reused)
    assert.is_nil(verify(1).reused)
  end)
end)
