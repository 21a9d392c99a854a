-- verify and faults of the SMTP dialogue: what the server says before TLS. Every host has a DANE record that
-- its certificate matches, so that the dialogue alone decides.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local mail_server = require "tests.support.mail_server"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local world = verifying.world(chains.zone, 33)
local steps = mail_server.steps
local record = ca.tlsa(chains.ec, 3, 1, 1)

-- A reply of so many lines.
local function lines(code, count)
  local text = {}
  for index = 1, count do text[index] = ("%d%s%d"):format(code, index < count and "-" or " ", index) end
  return table.concat(text, "\n")
end

-- So many bytes of a reply in lines of so many bytes each, CRLF included.
local function long_lines(code, count, length)
  local text = {}
  for index = 1, count do
    text[index] = ("%d%s%s"):format(code, index < count and "-" or " ", ("x"):rep(length - 6))
  end
  return table.concat(text, "\n")
end

describe("verify, SMTP:", function()
  local it, group = verifying.grouped(it)
  local number = 0

  local function host(server)
    number = number + 1
    server.certificates = { chains.ec }
    local label = "smtp" .. number
    world:host(label, { tlsa = { record }, server = server })
    return label
  end

  -- A server that is as good as another.
  local function good(title, server, check)
    local label = host(server)
    it(title .. ": verified", function()
      local connection = world:connection(label)
      verifying.good(connection, "verified")
      if check then check(connection) end
    end)
  end

  -- expected: result, stage, the last code (of a reply that is not whole, too), is it temporary
  local function bad(title, server, result, stage, reply, temporary)
    local label = host(server)
    it(("%s: %s"):format(title, result), function()
      local connection, entry = world:connection(label)
      verifying.bad(connection, result, stage)
      assert.same({ reply = reply, temporary = temporary, result = result, none = "none" },
        { reply = connection.reply, temporary = connection.temporary, result = entry.result,
          none = entry.records[1].matches })
      assert.is_nil(connection.dane)
      assert.is_nil(connection.tls)
      assert.equal(temporary, entry.temporary)
    end)
  end

  group("the greeting:", function()
    good("several lines", { greeting = "220-one\n220-two\n220 three" }, function(connection)
      assert.equal("220-one\n220-two\n220 three", connection.greeting)
    end)
    good("its last line has another code of class 2", { greeting = "220-one\n250 two" })
    good("a code alone", { greeting = "220" })
    good("lines that end with LF alone", { greeting = { steps.send "220-one\n220 two\n" } })
    good("a hundred lines", { greeting = lines(220, 100) })
    good("byte by byte", { greeting = { steps.drip("220 slow\r\n", 3) } })
    bad("421", { greeting = "421 4.3.2 later" }, "greeting-refused", "greeting", 421, true)
    bad("450, then the connection ends", { greeting = { steps.reply "450 later", steps.close } },
      "greeting-refused", "greeting", 450, true)
    bad("554", { greeting = "554 5.7.1 go away" }, "greeting-refused", "greeting", 554)
    bad("a last line of class 5", { greeting = "220-welcome\n554 no" }, "greeting-refused", "greeting", 554)
    bad("closed", { greeting = { steps.close } }, "protocol-error", "greeting")
    bad("closed within a line", { greeting = { steps.send "220 mail", steps.close } },
      "protocol-error", "greeting")
    bad("closed between two lines", { greeting = { steps.send "220-mail\r\n", steps.close } },
      "protocol-error", "greeting", 220)
    bad("reset", { greeting = { steps.sleep(50), steps.reset } }, "connect-failed", "greeting", nil, true)
    bad("another protocol", { greeting = "SSH-2.0-OpenSSH_9.2p1" }, "protocol-error", "greeting")
    bad("HTTP", { greeting = "HTTP/1.1 400 Bad Request\nConnection: close\n" }, "protocol-error", "greeting")
    bad("bytes that are no text", { greeting = { steps.send "\0\1\2\255\254\r\n" } },
      "protocol-error", "greeting")
    bad("an empty line", { greeting = "" }, "protocol-error", "greeting")
    bad("a code of two digits", { greeting = "22 hello" }, "protocol-error", "greeting")
    bad("no separator after the code", { greeting = "220x hello" }, "protocol-error", "greeting")
    bad("101 lines", { greeting = lines(220, 101) }, "protocol-error", "greeting", 220)
    bad("more than 64 KB in 70 lines", { greeting = long_lines(220, 70, 1000) }, "protocol-error",
      "greeting", 220)
    bad("a line without end", { greeting = { steps.send("220 " .. ("x"):rep(9996), 100000) } },
      "protocol-error", "greeting")
    bad("lines without end", { greeting = { steps.send("220-again\r\n", 10000000) } },
      "protocol-error", "greeting", 220)
  end)

  group("EHLO:", function()
    good("STARTTLS in lower case", { ehlo = "250-mail.test\n250 starttls" })
    good("lines that end with LF alone", { ehlo = { steps.send "250-mail.test\n250 STARTTLS\n" } })
    good("STARTTLS among a hundred lines",
      { ehlo = (lines(250, 100):gsub("250%-50\n", "250-STARTTLS\n")) })
    bad("no STARTTLS", { no_starttls = true }, "starttls-not-supported", "ehlo", 250)
    bad("one line", { ehlo = "250 mail.test", no_starttls = true }, "starttls-not-supported", "ehlo", 250)
    bad("STARTTLS in the first line, which is no extension",
      { ehlo = "250 STARTTLS", no_starttls = true }, "starttls-not-supported", "ehlo", 250)
    bad("words that begin or end with STARTTLS", { ehlo = "250-mail.test\n250-XSTARTTLS\n250 STARTTLSX",
      no_starttls = true }, "starttls-not-supported", "ehlo", 250)
    bad("421", { ehlo = "421 4.3.2 later" }, "protocol-error", "ehlo", 421, true)
    bad("502", { ehlo = "502 5.5.1 what" }, "protocol-error", "ehlo", 502)
    bad("closed", { ehlo = { steps.close } }, "protocol-error", "ehlo", 220)
    bad("closed between two lines", { ehlo = { steps.send "250-mail.test\r\n", steps.close } },
      "protocol-error", "ehlo", 250)
    bad("reset", { ehlo = { steps.reset } }, "connect-failed", "ehlo", 220, true)
    bad("garbage", { ehlo = "what?" }, "protocol-error", "ehlo", 220)
    bad("101 lines", { ehlo = lines(250, 101) }, "protocol-error", "ehlo", 250)
    bad("a line without end", { ehlo = { steps.send("250-" .. ("x"):rep(9996), 100000) } },
      "protocol-error", "ehlo", 220)
  end)

  group("STARTTLS:", function()
    good("several lines", { starttls = "220-get\n220 ready" })
    good("another code of class 2", { starttls = "250 ready" })
    for _, code in ipairs { 421, 454 } do
      bad(tostring(code), { starttls = code .. " 4.7.0 TLS is not available" }, "starttls-not-supported",
        "starttls", code, true)
    end
    for _, code in ipairs { 500, 502, 554 } do
      bad(tostring(code), { starttls = code .. " 5.7.0 no" }, "starttls-not-supported", "starttls", code)
    end
    bad("closed", { starttls = { steps.close } }, "protocol-error", "starttls", 250)
    bad("reset", { starttls = { steps.reset } }, "connect-failed", "starttls", 250, true)
    bad("garbage", { starttls = "ready" }, "protocol-error", "starttls", 250)
    bad("101 lines", { starttls = lines(220, 101) }, "protocol-error", "starttls", 220)
    bad("a reply in the same packet", { starttls = { steps.send "220 ready\r\n250 injected\r\n" } },
      "plaintext-injected", "starttls", 220)
    bad("one byte in the same packet", { starttls = { steps.send "220 ready\r\n\22" } },
      "plaintext-injected", "starttls", 220)
  end)

  setup(function() world:start() end)
  before_each(support.reset)
  after_each(support.close)
  teardown(function() world:stop() end)

  it("no server was told anything but EHLO, STARTTLS and QUIT", function()
    assert(world:polite() > number)
  end)
end)
