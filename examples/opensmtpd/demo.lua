-- `make demo-opensmtpd`: a real smtpd with filter-nexthop, on the signed lab that the tests use. Four
-- mails; what client and server say, and what the filter decides. SUITE=bookworm for smtpd 6.8.
package.path = "./?.lua;" .. package.path
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
say("\nHow to have this: examples/opensmtpd/smtpd.conf and filter.lua, man -l man/filter-nexthop.8")
