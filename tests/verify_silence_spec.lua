-- verify and servers that are silent: each step has its own time, and nothing waits longer.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local mail_server = require "tests.support.mail_server"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local world = verifying.world(chains.zone, 35)
local steps = mail_server.steps
local record = ca.tlsa(chains.ec, 3, 1, 1)
local silent = { steps.silent }
local short = 0.3 * support.slow

describe("verify, silence:", function()
  local it = verifying.grouped(it)
  local order = { "connect", "greeting", "ehlo", "starttls", "handshake" }

  local function case(stage, title, server)
    local label = title:lower():gsub("%W+", "-")
    server.certificates = { chains.ec }
    world:host(label, { tlsa = { record }, server = server })
    it(("%s: timeout at %s"):format(title, stage), function()
      local connection, host = world:connection(label, { step = short })
      verifying.bad(connection, "timeout", stage)
      assert.is_true(connection.temporary)
      assert.is_true(host.temporary)
      -- The steps that have ended have a time, and no others.
      local before = true
      for _, each in ipairs(order) do
        if each == stage then before = false end
        if before then
          assert(connection.elapsed[each] < short, each)
        elseif each ~= stage then
          assert.is_nil(connection.elapsed[each], each)
        end
      end
    end)
  end

  case("connect", "No answer to the SYN", { full = true })
  case("greeting", "No greeting", { greeting = silent })
  case("greeting", "Half a greeting", { greeting = { steps.send "220 mail", steps.silent } })
  case("greeting", "Lines of a greeting that never ends", {
    greeting = { steps.drip(("220-again\r\n"):rep(90), 20 * support.slow) },
  })
  case("ehlo", "No answer to EHLO", { ehlo = silent })
  case("ehlo", "Half an answer to EHLO", { ehlo = { steps.send "250-mail.test\r\n250-", steps.silent } })
  case("starttls", "No answer to STARTTLS", { starttls = silent })
  case("handshake", "No answer to the ClientHello", { handshake = { steps.raw, steps.silent } })
  case("handshake", "Half a ServerHello", { handshake = { steps.hello(60), steps.silent } })
  case("handshake", "Alerts of no weight that never end", {
    handshake = { steps.raw, steps.drip(("\21\3\3\0\2\1\90"):rep(100), 10 * support.slow) },
  })

  world:host("slow", { tlsa = { record }, server = {
    certificates = { chains.ec },
    greeting = { steps.sleep(200), steps.reply "220 mail" },
    ehlo = { steps.sleep(200), steps.reply "250-mail\n250 STARTTLS" },
    starttls = { steps.sleep(200), steps.reply "220 ready" },
    handshake = { steps.sleep(200), steps.tls },
  } })
  it("a server that is slow at each step is waited for", function()
    local connection = world:connection("slow", { step = 0.5 * support.slow })
    verifying.good(connection, "verified")
    for _, stage in ipairs(order) do
      assert(connection.elapsed[stage] >= (stage == "connect" and 0 or 0.15), stage)
    end
  end)

  world:host("stays", { tlsa = { record }, server = {
    script = { steps.reply "220 mail", steps.line, steps.reply "250-mail\n250 STARTTLS", steps.line,
      steps.reply "220 ready", steps.tls, steps.silent },
    certificates = { chains.ec },
  } })
  it("a server that does not answer QUIT is left", function()
    local server = world.hosts.stays.listening[1]
    local resolver = support.resolver()
    verifying.good((world:connection("stays", nil, resolver)), "verified")
    resolver:wait(5)
    server:wait("close", 1)
    assert.same({ "EHLO client.test", "STARTTLS", "QUIT" }, server:commands()[1])
  end)

  it("one silent host holds up no other result", function()
    local resolver, results = support.resolver(), {}
    for _, label in ipairs { "no-greeting", "slow" } do
      resolver:verify(label .. "." .. chains.zone, world:options { step = 60 }, function(report)
        results[#results + 1] = report and report.domain
      end)
    end
    while #results == 0 do resolver:wait(0.05) end
    assert.same({ "slow." .. chains.zone, 1 }, { results[1], resolver:pending() })
  end)

  setup(function() world:start() end)
  before_each(support.reset)
  after_each(support.close)
  teardown(function() world:stop() end)

  it("no server was told anything but EHLO, STARTTLS and QUIT", function()
    assert(world:polite() > 8)
  end)
end)
