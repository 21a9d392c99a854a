-- `make demo-opensmtpd`: a real smtpd with filter-nexthop, on the signed lab that the tests use. Four
-- mails; what client and server say, and what the filter decides. Then what smtpd sends: the audit, and
-- table-nexthop. SUITE=bookworm for smtpd 6.8, which has no such tables.
package.path = "./?.lua;" .. package.path
local relaying = require "tests.integration.relaying" -- first: it gives us a network of our own
local filter = require "tests.support.filter"
local smtpd = require "tests.integration.smtpd"

local suite = os.getenv "SUITE" or "trixie"
local authenticated = suite ~= "bookworm" -- whose smtpd cannot do TLS with its OpenSSL

local function say(...)
  print((...):format(select(2, ...)))
  io.stdout:flush()
end

say("An smtpd out of Debian's %s, in a folder of its own; nothing is installed on this machine.", suite)
say("The first time the folder is made, which takes a minute or two.")
local root, why = smtpd.root(suite)
if not root then
  io.stderr:write("It cannot be had here: ", tostring(why), "\n")
  os.exit(1)
end
filter.prepare()
local server = smtpd.start { root = root, tls = authenticated }
say("%s", server.log:match "OpenSMTPD [^\n]*")

local shown = 0
local function decisions()
  server:wait(function() return server.log:find("\n[^\n]* smtp disconnected", shown + 1) end)
  for line in server.log:sub(shown + 1):gmatch "[^\n]+" do
    local decision = line:match "^nexthop: (session=.*)$"
    if decision then say("  filter: %s", decision) end
  end
  shown = #server.log
end

local function mail(title, sender, recipient, options)
  say("\n%s", title)
  options.careful = true
  options.show = function(line) say("  %s", (line:gsub("\r?\n", "\n    "))) end
  local lines = { "MAIL FROM:<" .. sender .. ">", "RCPT TO:<" .. recipient .. ">", "DATA",
    "Subject: demo\r\n\r\nThe mail.\r\n.", "QUIT" }
  if options.authenticated then
    server:talk_authenticated(lines, options.from, options)
  else
    table.insert(lines, 1, "EHLO client.example")
    server:talk(lines, options)
  end
  decisions()
end

shown = #server.log
local outside = "198.51.100.9"
mail("1. From outside, a sender whose domain says that it takes no mail (null MX):",
  "news@nullmx.example", "me@filter.example", { from = outside })
mail("2. From outside, a sender whose domain does not exist:",
  "win@nothing.example", "me@filter.example", { from = outside })
mail("3. From outside, a sender whose domain is in order:",
  "friend@filter.example", "me@filter.example", { from = outside })
mail(authenticated and "4. An authenticated user writes to a domain that takes no mail:"
  or "4. A local user writes to a domain that takes no mail:",
  "me@filter.example", "info@nullmx.example",
  authenticated and { authenticated = true, from = "198.51.100.7" } or {})

server:wait(function() return server:mail():find "friend@filter.example" end)
say("\nDelivered:")
for line in server:mail():gmatch "[^\r\n]+" do
  if line:find "^Return%-Path" or line:find "^X%-Spam" then say("  %s", line) end
end
server:stop()

-- Sends a mail to a host with DANE whose STARTTLS somebody has removed, and shows what became of it.
local function send(rules, done)
  local host = relaying.host("hides", "plain")
  local sender = smtpd.start { root = root, resolv_conf = relaying.resolv_conf, rules = rules,
    config = 'return { resolver = resolver, deadline = 5, outgoing = "log" }',
    table = "return { resolver = resolver, deadline = 5 }" }
  sender:deliver("me@mx.test", "you@hides.relay.example")
  sender:wait(function() return sender.log:find(done) end)
  for line in sender.log:gmatch "[^\n]+" do
    if line:find " mta " or line:find "event=outgoing " then
      say("  %s", (line:gsub("^nexthop: ", "filter: ")))
    end
  end
  say("  The host got %d messages.", host:count "message")
  sender:stop()
end

if relaying.has_network then
  relaying.start()
  say("\n5. A user writes to a domain with DANE. Somebody on the way has removed STARTTLS.\n"
    .. 'smtpd sends in clear. The filter, in `relay filter nexthop` and with outgoing = "log", tells it:')
  send([[
action "out" relay filter "nexthop"
match from any for domain "mx.test" action "keep"
match from local for any action "out"
]], "event=outgoing [^\n]*\n")
  if suite ~= "bookworm" then
    say "\n6. The same with table-nexthop: the domain is owed TLS, and smtpd sends it over TLS or not at all."
    send(([[
table owes-tls %s:/etc/nexthop-test/table.lua
action "out" relay filter "nexthop"
action "out-tls" relay tls no-verify filter "nexthop"
match from any for domain "mx.test" action "keep"
match from local for domain <owes-tls> action "out-tls"
match from local for any action "out"
]]):format(relaying.backend), "TLS required but not supported")
  end
  relaying.stop()
end

say("\nHow to have this: examples/opensmtpd/smtpd.conf and filter.lua, man -l man/filter-nexthop.8")
say("and examples/opensmtpd/smtpd-table.conf and table.lua, man -l man/table-nexthop.8")
