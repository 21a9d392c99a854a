-- verify and the text of servers: it is bounded and quoted wherever it is shown, and messages say what
-- failed.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local mail_server = require "tests.support.mail_server"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local world = verifying.world(chains.zone, 39)
local steps = mail_server.steps
local record = ca.tlsa(chains.ec, 3, 1, 1)

describe("verify, text of servers:", function()
  local it = verifying.grouped(it)
  local number = 0

  local function host(server)
    number = number + 1
    server.certificates = { chains.ec }
    local label = "text" .. number
    world:host(label, { tlsa = { record }, server = server })
    return label
  end

  local function greeting(title, sent, shown)
    local label = host { greeting = { steps.send(sent) } }
    it("a greeting " .. title, function()
      local connection = world:connection(label)
      verifying.good(connection, "verified")
      assert.equal(shown, connection.greeting)
    end)
  end

  greeting("of printable ASCII", "220 mail.test ~!@#\"'` ESMTP\r\n", "220 mail.test ~!@#\"'` ESMTP")
  greeting("with a backslash", "220 a\\b\\x41\r\n", "220 a\\\\b\\\\x41")
  greeting("with control characters", "220 \27[2J\7\127\tx\r\n", "220 \\x1b[2J\\x07\\x7f\\x09x")
  greeting("with bytes over 127", "220 \195\164\255\r\n", "220 \\xc3\\xa4\\xff")
  greeting("with a zero byte", "220 a\0b\r\n", "220 a\\x00b")
  greeting("with CR in a line", "220 a\rb\r\n", "220 a\\x0db")
  greeting("of several lines", "220-a\r\n220-\r\n220 c\r\n", "220-a\n220-\n220 c")
  greeting("with spaces at its end", "220 a  \r\n", "220 a  ")
  greeting("of a code alone", "220\r\n", "220")
  greeting("of 1,000 bytes", "220 " .. ("x"):rep(996) .. "\r\n", "220 " .. ("x"):rep(996))
  greeting("of 5,000 bytes: 1,000 are shown", "220 " .. ("x"):rep(4996) .. "\r\n", "220 " .. ("x"):rep(996))

  local function extensions(title, sent, shown)
    local label = host { ehlo = { steps.send(sent) } }
    it("extensions: " .. title, function()
      local connection = world:connection(label)
      verifying.good(connection, "verified")
      assert.same(shown, connection.extensions)
    end)
  end

  extensions("the first line is none", "250-STARTTLS is here\r\n250-SIZE 1000\r\n250 STARTTLS\r\n",
    { "SIZE 1000", "STARTTLS" })
  extensions("odd bytes", "250-a\r\n250-\27\195\\\r\n250-\r\n250 STARTTLS\r\n", { "\\x1b\\xc3\\\\", "",
    "STARTTLS" })
  extensions("as sent", "250-a\r\n250-Auth=Login plain\r\n250 StartTLS\r\n", { "Auth=Login plain",
    "StartTLS" })

  -- A message names the host and the address, and shows what the server has said on one line.
  local function message(title, server, parts)
    local label = host(server)
    it("a message: " .. title, function()
      local connection, entry = world:connection(label)
      assert.is_false(connection.ok)
      support.contains(connection.message, entry.host, connection.ip)
      support.contains(connection.message, (table.unpack or unpack)(parts)) -- luacheck: ignore
      assert.is_nil(connection.message:find "[^\32-\126]", connection.message)
      assert(#connection.message < 2500, #connection.message)
    end)
  end

  message("the reply that refuses", { greeting = "554 5.7.1 You are not welcome" },
    { "554 5.7.1 You are not welcome" })
  message("control characters are quoted", { greeting = "554 \27]0;x\7" }, { "554 \\x1b]0;x\\x07" })
  message("several lines", { greeting = "554-one\n554 two" }, { "554-one", "554 two" })
  message("of a reply that is none", { greeting = "SSH-2.0-OpenSSH\\9" }, { "SSH-2.0-OpenSSH\\\\9" })
  message("a long reply is cut", { greeting = "554 " .. ("y"):rep(20000) }, { "554 yyyy" })
  message("a hundred lines are cut", { greeting = ("554-0123456789\n"):rep(99) .. "554 end" },
    { "554-0123456789" })
  message("STARTTLS refused", { starttls = "454 4.7.0 TLS not available" }, { "STARTTLS",
    "454 4.7.0 TLS not" })
  message("STARTTLS not offered", { no_starttls = true }, { "STARTTLS" })
  message("EHLO refused", { ehlo = "502 5.5.1 what?" }, { "EHLO", "502 5.5.1 what?" })

  world:host("stale", { tlsa = { ca.stale(3, 1, 1) }, server = { certificates = { chains.ec } } })
  it("a message: no record matches", function()
    local connection = world:connection "stale"
    support.contains(connection.message, "TLSA", "stale." .. chains.zone)
  end)

  local function sized(bytes)
    local label = host { greeting = "220 " .. ("\255"):rep(bytes) }
    it(("a greeting of %d bytes over 127 is bounded, too"):format(bytes), function()
      local connection = world:connection(label)
      verifying.good(connection, "verified")
      assert.equal("220 " .. ("\\xff"):rep(996), connection.greeting)
    end)
  end
  sized(2000)

  world:host("names", { tlsa = { ca.tlsa(chains.issuer, 2, 1, 1) }, server = { certificates = {
    ca.leaf { name = "odd-names", issuer = chains.issuer, names = { "evil\27[2J.example",
      "names." .. chains.zone },
      cn = "a\\\\b" },
  } } })
  it("names of a certificate are quoted", function()
    local connection = world:connection "names"
    verifying.good(connection, "verified")
    local leaf = connection.tls.chain[1]
    assert.same({ "evil\\x1b[2J.example", "names." .. chains.zone }, leaf.names)
    assert.is_nil((leaf.subject .. leaf.issuer):find "[^\32-\126]")
  end)

  setup(function() world:start() end)
  before_each(support.reset)
  after_each(support.close)
  teardown(function() world:stop() end)
end)
