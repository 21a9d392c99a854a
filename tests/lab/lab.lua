-- The lab's client: starts the signed test DNS, or joins one that runs, and talks to it.
--
--   local lab = require("tests.lab.lab").shared()   -- or .start(options)
--   before_each(function() lab:clear(); lab:reset() end)
--   local resolver = nexthop.new(lab:options())
--   lab:rule { name = "_25._tcp.mx1.dane.example", type = "TLSA", action = "servfail" }
--   assert.equal(1, lab:count("dane.example", "MX"))
--
-- Fields: port, address ("127.0.0.1@PORT", authoritative for every zone),
-- forward_port, forward_address (the same as a forwarder), nsd_port, nsd_address (NSD itself, neither
-- counted nor scripted), anchor (the root's DS), anchor_file, certificate_file, key_file, ca_file (the
-- certificate behind the usable TLSA records), folder, socket, pid, demo (six domains), zones (all names),
-- parents (those with zones below them).
--
-- All calls block and use nothing but files and pipes of plain Lua, no event loop: they may be made
-- from inside a callback of any loop, and disturb no SIGPIPE or SIGCHLD handling.
-- The lab ends with the process that started it, however that one ends. It runs on luajit or lua5.4,
-- whichever has luv; $NEXTHOP_LAB_LUA names another.
local json = require "cjson"

local lab = {}
lab.__index = lab

local here = (debug.getinfo(1, "S").source:match("^@(.*)/tests/lab/[^/]*$")) or "."

local quote = require("tests.support.shell").quote

-- The shell makes the folder with a FIFO for our commands, starts the program behind it, and removes
-- the folder when the program has ended. We read the folder's name, then the program's answers; when
-- the last of it is gone we read the end. What a sanitizer or a test put into the environment is not
-- for the lab.
local starter = [[
unset LD_PRELOAD ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS LUA_INIT LUA_INIT_5_4
for lua in ${NEXTHOP_LAB_LUA:-luajit lua5.4}; do
    "$lua" -e 'require "luv"; require "cjson"' 2>/dev/null && break
    lua=
done
[ -n "$lua" ] || { echo "! no Lua with luv and cjson (Debian: lua-luv, lua-cjson)"; exit 1; }
folder=$(mktemp -d "${TMPDIR:-/tmp}/nexthop-lab.XXXXXX") && mkfifo "$folder/commands" &&
echo "$folder" || { echo "! cannot make a folder in ${TMPDIR:-/tmp}"; exit 1; }
(
    trap '' INT
    "$lua" %s <"$folder/commands"
    rm -rf "$folder"
) &]]

local function launch(program)
  local answers = assert(io.popen(starter:format(program), "r"))
  local folder = answers:read("*l") or "! the shell did not start"
  if folder:sub(1, 1) == "!" then
    answers:close()
    error("lab: " .. folder:sub(3), 0)
  end
  -- Open for reading too: then the server's death shows as the end of `answers`, not as a SIGPIPE.
  local requests = assert(io.open(folder .. "/commands", "r+"))
  return setmetatable({ requests = requests, answers = answers }, lab)
end

-- JSON's numbers are floats in Lua 5.3 and later: whole ones become integers again.
local function integers(value)
  if type(value) == "table" then
    for key, each in pairs(value) do
      value[key] = integers(each)
    end
  elseif type(value) == "number" then
    return math.floor(value)
  end
  return value
end

local function receive(self)
  local line = self.answers:read("*l")
  if not line then
    error("lab: the lab has ended", 3)
  end
  local answer = json.decode(line)
  if not answer.ok then
    error("lab: " .. answer.error, 3)
  end
  return integers(answer.result)
end

local function ask(self, request)
  if not self.requests then
    error("lab: stopped", 3)
  end
  assert(self.requests:write(json.encode(request), "\n"))
  assert(self.requests:flush())
  return receive(self)
end

local function describe(self, description)
  for key, value in pairs(description) do
    self[key] = value
  end
  return self
end

-- Starts a lab of our own. Options:
--   zones      list of further zones, see add_zones; "." adds to the root's fields
--   behind     the description of another lab: there is only the scriptable server, and it asks that
--              lab's NSD
--   detached   it goes on when this process ends (until stop)
function lab.start(options)
  local self = launch(quote(here .. "/tests/lab/server.lua") .. " \"$folder\" \"$PPID\"")
  self.requests:write(json.encode(options or { detached = false }), "\n")
  self.requests:flush()
  return describe(self, receive(self))
end

-- The fields that describe a lab, for `behind`.
function lab:describe()
  local description = {}
  for key, value in pairs(self) do
    if type(value) ~= "userdata" then
      description[key] = value
    end
  end
  return description
end

-- Joins the lab whose socket this is.
function lab.connect(socket)
  local self = launch(quote(here .. "/tests/lab/run.lua") .. " relay " .. quote(socket))
  return describe(self, ask(self, { command = "describe" }))
end

-- Where the shared lab is kept: busted loads every module anew for each spec file.
local registry, SHARED = debug.getregistry(), "nexthop.tests.lab"

-- Starts a lab of our own and makes it the shared one of this process, before anybody has asked for that.
function lab.start_shared(options)
  assert(not registry[SHARED], "there is a shared lab already")
  registry[SHARED] = lab.start(options)
  return registry[SHARED]
end

-- The lab of this test run: that of $NEXTHOP_LAB, else one that ends with this process.
function lab.shared()
  if not registry[SHARED] then
    local socket = os.getenv("NEXTHOP_LAB")
    if socket and socket ~= "" then
      registry[SHARED] = lab.connect(socket)
    else
      registry[SHARED] = lab.start()
    end
  end
  return registry[SHARED]
end

--- Makes a lab of this process the one that shared() returns.
function lab:share()
  registry[SHARED] = self
  return self
end

local function merged(options, extra)
  for key, value in pairs(extra or {}) do
    options[key] = value
  end
  return options
end

-- The stub option for an address or list of addresses (the proxy's). A stub for "." alone does not do,
-- each zone with zones below it has its own: libunbound takes a denial of a DS that comes from below
-- the stub it asked for one from the wrong side of the cut, and goes looking for name servers.
function lab:stub(address)
  local stub = {}
  for _, zone in ipairs(self.parents) do
    stub[zone == "." and "." or zone .. "."] = address or self.address
  end
  return stub
end

-- Options for nexthop.new: this lab is the whole DNS. `extra` wins.
function lab:options(extra)
  return merged({ stub = self:stub(), trust_anchor_file = self.anchor_file }, extra)
end

-- The same with the lab as a forwarder.
function lab:forward_options(extra)
  return merged({ forward = self.forward_address, trust_anchor_file = self.anchor_file }, extra)
end

-- Adds a rule (see rules.lua); returns its id.
function lab:rule(rule)
  return ask(self, { command = "rule", rule = rule }).id
end

-- Takes one rule back.
function lab:unrule(id)
  return ask(self, { command = "unrule", id = id }).found
end

-- No rules, nothing held back, NSD running.
function lab:clear()
  ask(self, { command = "clear" })
end

-- Queries so far: { ["name TYPE"] = number }, of "udp" or "tcp" or both.
function lab:counts(proto)
  return ask(self, { command = "counts", proto = proto }).counts
end

-- Queries for a name and type, either may be "*" (the default).
function lab:count(name, type, proto)
  return ask(self, { command = "count", name = name, type = type, proto = proto }).count
end

function lab:total(proto)
  return self:count("*", "*", proto)
end

-- Every query in its order: { name, type, proto, address, ["do"], cd }.
function lab:queries()
  return ask(self, { command = "queries" }).queries
end

-- Counts start at zero.
function lab:reset()
  ask(self, { command = "reset" })
end

-- Sends the answers held back by a rule's id (all, without); returns how many there were.
function lab:release(id)
  return ask(self, { command = "release", id = id }).released
end

-- Blocks until `count` (1) such queries have come since the last reset; raises after `seconds` (10).
-- For queries of other processes: a resolver of this one sends nothing meanwhile.
function lab:wait(name, type, count, seconds)
  return ask(self, { command = "wait", name = name, type = type, count = count, seconds = seconds }).count
end

-- Listens on a further address too (the same port), e.g. "127.0.0.2"; returns "127.0.0.2@PORT".
-- options: port; forward = true: as a forwarder; view = "127.X.Y": see zones.lua, `server`.
function lab:listen(address, options)
  options = options or {}
  return address .. "@" .. ask(self, {
    command = "listen", address = address, port = options.port, forward = options.forward,
    view = options.view,
  }).port
end

-- NSD goes away (UDP is silent then, TCP closed) and comes back on the same port.
function lab:stop_nsd()
  ask(self, { command = "stop_nsd" })
end

function lab:start_nsd()
  ask(self, { command = "start_nsd" })
end

-- Adds zones, each { name =, text = (records; see zones.lua), signed = true, ... }, delegated from the
-- zone above. That one is signed anew and NSD started again.
function lab:add_zones(zones)
  describe(self, ask(self, { command = "add_zones", zones = zones }))
end

-- Ends the lab; returns when its processes and its folder are gone.
function lab:stop()
  if not self.requests then
    return
  end
  ask(self, { command = "stop" })
  self.requests:close()
  self.requests = nil
  self.answers:read("*a")
  self.answers:close()
  if registry[SHARED] == self then
    registry[SHARED] = nil
  end
end

return lab
