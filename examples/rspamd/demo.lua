-- make demo-rspamd: real rspamd with the plugin on the signed lab; messages and their symbols.
-- rspamd runs out of a Debian root of its own, nothing is installed.
local lab = require("tests.lab.lab").shared()
local rspamd = require "tests.integration.rspamd"

local suite = arg[1] or "trixie"

local function read(path)
  local file = assert(io.open(path, "r"))
  local text = file:read "*a"
  file:close()
  return text
end

-- The lab's addresses are for documentation: one domain that the whole Internet could reach.
lab:add_zones { { name = "good.example", text = [[
@       MX 10 mx
mx      A 192.31.196.1
_25._tcp.mx TLSA 3 1 1 ${server.spki.sha256}
]] } }

local stubs = {}
for zone, address in pairs(lab:options().stub) do
  stubs[#stubs + 1] = ('"%s" = "%s";'):format(zone, address)
end
local conf = ('resolver { stub { %s } trust_anchor_file = "@DIR@/anchor"; } from = true;')
  :format(table.concat(stubs, " "))

print(("An rspamd out of Debian's %s, in a folder of its own; nothing is installed on this machine.\n"
  .. "The first time the folder is made, which takes a minute or two."):format(suite))
io.stdout:flush()
local root, why = rspamd.root(suite)
if not root then
  io.stderr:write("demo-rspamd: ", why, "\n")
  os.exit(1)
end
local server = rspamd.start(root, { conf = conf, files = { anchor = read(lab.anchor_file) } })

local messages = {
  { "from outside, of a domain that takes no mail",
    { from = "sales@nullmx.example", ip = "192.0.2.99", rcpt = { "you@good.example" } } },
  { "from outside, of a domain that does not exist",
    { from = "news@gone.example", ip = "192.0.2.99", rcpt = { "you@good.example" } } },
  { "from outside, of a domain with forged signatures",
    { from = "boss@broken.example", ip = "192.0.2.99", rcpt = { "you@good.example" } } },
  { "from outside, with a From and a Reply-To that nobody can answer",
    { from = "bounces@good.example", ip = "192.0.2.99", rcpt = { "you@good.example" },
      mime_from = "shop@gone.example", headers = "Reply-To: noreply@nullmx.example\r\n" } },
  { "from here, to a domain with DANE and to one that takes no mail",
    { from = "you@good.example", user = "you", ip = "192.0.2.99",
      rcpt = { "friend@good.example", "noreply@nullmx.example" } } },
}
for _, message in ipairs(messages) do
  local envelope = message[2]
  envelope.mime_from = envelope.mime_from or "someone@good.example"
  local answer = server:scan(envelope)
  print(("\n%s\n  %s -> %s"):format(message[1], envelope.from, table.concat(envelope.rcpt, " ")))
  if envelope.headers then
    print(("  From: %s  %s"):format(envelope.mime_from, (envelope.headers:gsub("\r\n", ""))))
  end
  local found = rspamd.symbols(answer)
  local names = {}
  for name in pairs(found) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    print(("  %-30s %4.1f  %s"):format(name, answer.symbols[name].score, found[name]))
  end
end
server:stop()
lab:stop()
