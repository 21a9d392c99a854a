-- SMTP servers on loopback addresses that say and do what a test tells them (tests/mailserver).
--
--   local mail_server = require "tests.support.mail_server"
--   local servers = mail_server.start()                 -- one process, ends with stop() or with ours
--   local host = servers:host("127.30.0.1", { certificates = { leaf } })
--   host:commands()                                     -- { { "EHLO me", "STARTTLS", "EHLO me", "QUIT" } }
--
-- All calls block, and use nothing but files and pipes of plain Lua.
--
-- A host is described by a table. Its dialogue is made from these fields, or is given as `script`:
--   greeting, ehlo, starttls, tls_greeting   what it says at each step: a string (a reply, CRLF is added)
--                                or a list of steps (see mail_server.steps)
--   no_starttls                  the EHLO reply has no STARTTLS
--   handshake                    a list of steps in place of the TLS handshake
--   implicit                     TLS from the first byte
--   takes_mail                   it takes messages, each of which is an event "message" with the text "tls"
--                                or "clear": "tls", "plain" (no STARTTLS), or "broken" (the connection ends
--                                after STARTTLS)
--   script                       the whole list of steps, in place of all that
-- TLS, by OpenSSL:
--   certificates                 list of leaves of tests/support/ca.lua, of different key kinds
--   sni                          { ["name"] = list of leaves }: what a client gets that sends this name
--   min, max                     "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"
--   ciphers, sigalgs, groups     OpenSSL's lists
--   ask                          "optional" or "required": it asks for a certificate of the client
--   full                         the system drops all attempts to connect
local shell = require "tests.support.shell"

local M = {}

local Servers, Host = {}, {}
Servers.__index, Host.__index = Servers, Host

local versions = { ["TLSv1"] = 769, ["TLSv1.1"] = 770, ["TLSv1.2"] = 771, ["TLSv1.3"] = 772 }

-- The program is beside the modules that the Makefile built for this Lua.
local function program()
  for pattern in package.cpath:gmatch "[^;]+" do
    local path = pattern:gsub("%?%.so$", "mail-server")
    local file = path ~= pattern and io.open(path, "rb")
    if file then
      file:close()
      return path
    end
  end
  error("mail-server is not built: make test-modules", 0)
end

-- The program opens the FIFO for reading alone, so that it sees the end when we are gone. We open it for
-- reading too, so that its death is no SIGPIPE. What a sanitizer put into the environment is not for it.
local starter = [[
unset LD_PRELOAD ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS
export OPENSSL_CONF=/dev/null
fifo=$(mktemp -u "${TMPDIR:-/tmp}/nexthop-mail.XXXXXX") && mkfifo "$fifo" && echo "$fifo" &&
{ exec %s <"$fifo"; } 2>&1 &
]]

--- A text as one word of a command.
local function escape(text)
  return (text:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

--- Starts the process.
function M.start()
  local answers = assert(io.popen(starter:format(shell.quote(program())), "r"))
  local fifo = assert(answers:read "*l", "mail-server did not start")
  local requests = assert(io.open(fifo, "r+"))
  local self = setmetatable({ requests = requests, answers = answers, fifo = fifo }, Servers)
  self.port = tonumber(self:ask "port")
  os.remove(fifo)
  return self
end

--- Sends one command and waits for its answer.
function Servers:ask(command)
  assert(self.requests:write(command, "\n"))
  assert(self.requests:flush())
  local line = self.answers:read "*l" or "error the mail server has ended"
  local word, rest = line:match "^(%S*) ?(.*)$"
  if word ~= "ok" then error("mail server: " .. command:sub(1, 200) .. ": " .. line, 2) end
  return rest
end

--- Ends the process.
function Servers:stop()
  if self.requests then
    self.requests:close()
    self.answers:read "*a"
    self.answers:close()
    self.requests = nil
  end
end

--- Removes all that was logged.
function Servers:forget()
  self:ask "forget"
end

-- ---- steps -------------------------------------------------------------------------------------

--- What a script is made of: each is one line for the program.
M.steps = {
  line = "line", silent = "silent", serve = "serve", reset = "reset", close = "close", tls = "tls",
  raw = "raw",
}
local steps = M.steps

--- Says this text as it is.
-- @param count how often (1)
function steps.send(text, count) return ("send %s %d"):format(escape(text), count or 1) end

--- Says a reply: CRLF is added, and LF inside becomes CRLF.
function steps.reply(text) return steps.send((text:gsub("\n", "\r\n")) .. "\r\n") end

--- Says a text byte by byte, with so many milliseconds after each.
function steps.drip(text, milliseconds) return ("drip %s %d"):format(escape(text), milliseconds) end

function steps.sleep(milliseconds) return ("sleep %d"):format(milliseconds) end

--- The first bytes of the answer to a ClientHello, and no more.
function steps.hello(bytes) return ("hello %d"):format(bytes) end

local function add(script, said, default)
  if type(said) == "table" then
    for _, step in ipairs(said) do script[#script + 1] = step end
  else
    script[#script + 1] = steps.reply(said or default)
  end
end

--- The steps of a description.
function M.script(description)
  if description.script then return description.script end
  if description.takes_mail then
    return { steps.reply "220 mail.test ESMTP", "accept " .. description.takes_mail }
  end
  local script = {}
  local function refuses(said) return type(said) == "string" and said:match "^[45]" end
  if description.implicit then
    add(script, description.handshake or { steps.tls })
    add(script, description.tls_greeting or "220 mail.test ESMTP")
    add(script, { steps.serve })
    return script
  end
  add(script, description.greeting, "220 mail.test ESMTP")
  if refuses(description.greeting) then
    add(script, { steps.serve })
    return script
  end
  add(script, { steps.line })
  if description.no_starttls then
    add(script, description.ehlo, "250-mail.test\n250 PIPELINING")
  else
    add(script, description.ehlo, "250-mail.test\n250-PIPELINING\n250 STARTTLS")
    add(script, { steps.line })
    add(script, description.starttls, "220 2.0.0 Ready")
    if not refuses(description.starttls) then add(script, description.handshake or { steps.tls }) end
  end
  add(script, { steps.serve })
  return script
end

-- ---- hosts -------------------------------------------------------------------------------------

--- Starts a host, or puts another in the place of the one that is at this address.
-- @param port the port of all hosts without it
function Servers:host(address, description, port)
  local host = setmetatable({ servers = self, address = address, port = port or self.port }, Host)
  host.name = ("%s %d"):format(address, host.port)
  local lines = { "host " .. host.name }
  local function put(...) lines[#lines + 1] = table.concat({ ... }, " ") end
  if description.full then put "full" end
  local function certificates(list, name)
    for _, leaf in ipairs(list or {}) do put("cert", escape(leaf.chain), escape(leaf.key), name) end
  end
  certificates(description.certificates)
  for name, list in pairs(description.sni or {}) do certificates(list, escape(name)) end
  for _, limit in ipairs { "min", "max" } do
    if description[limit] then put(limit, assert(versions[description[limit]])) end
  end
  for _, list in ipairs { "ciphers", "sigalgs", "groups", "ask" } do
    if description[list] then put(list, escape(description[list])) end
  end
  for _, step in ipairs(M.script(description)) do put("step", step) end
  put "end"
  self:ask(table.concat(lines, "\n"))
  return host
end

--- It listens no more; connections that it has go on.
function Host:stop()
  self.servers:ask("stop " .. self.name)
end

--- All that happened: a list of { order =, connection =, event =, text = }; `order` counts over all hosts.
function Host:log()
  local events = {}
  for index = 1, tonumber(self.servers:ask("log " .. self.name)) do
    local order, number, event, text = self.servers.answers:read("*l"):match "^(%d+) (%d+) (%S+) (.*)$"
    events[index] = { order = tonumber(order), connection = tonumber(number), event = event,
      text = unescape(text) }
  end
  return events
end

--- Waits until there have been so many events; raises after so many seconds.
-- @param event "open", "command", "tls", "close" ..., see tests/mailserver/main.c
function Host:wait(event, count, seconds)
  self.servers:ask(("wait %s %s %d %g"):format(self.name, event, count or 1, seconds or 10))
end

--- How many events of that name there were; without a name: how many connections.
function Host:count(event)
  local count = 0
  for _, each in ipairs(self:log()) do
    if each.event == (event or "open") then count = count + 1 end
  end
  return count
end

--- The texts of all events of that name, in their order.
function Host:texts(event)
  local texts = {}
  for _, each in ipairs(self:log()) do
    if each.event == event then texts[#texts + 1] = each.text end
  end
  return texts
end

--- What the clients said, a list for each connection.
function Host:commands()
  local connections, index = {}, {}
  for _, each in ipairs(self:log()) do
    if each.event == "open" then
      connections[#connections + 1] = {}
      index[each.connection] = connections[#connections]
    elseif each.event == "command" and index[each.connection] then
      table.insert(index[each.connection], each.text)
    end
  end
  return connections
end

--- The addresses that connections came from, in their order.
function Host:clients()
  local clients = {}
  for index, text in ipairs(self:texts "open") do clients[index] = text:match "^%S+" end
  return clients
end

local function most(hosts, pattern)
  local peak = 0
  for _, host in ipairs(hosts) do
    for _, text in ipairs(host:texts "open") do peak = math.max(peak, tonumber(text:match(pattern))) end
  end
  return peak
end

--- The most connections that were open to this host at one time, since the log was removed.
function Host:peak() return most({ self }, "^%S+ (%d+)") end

--- The most connections that were open to all hosts of the process, at the time of a connection to these.
function M.peak(hosts) return most(hosts, "(%d+)$") end

return M
