-- Real rspamd for tests and the demo: out of a Debian root (see ./root), with this tree's module built
-- and installed there by the steps of examples/rspamd/README.md. Each instance has a copy of /etc/rspamd,
-- as the distribution and these steps left it, and starts from its rspamd.conf; in local.d there are
-- only its ports, and what would need a network or Redis is off.
--
--   local rspamd = require "tests.integration.rspamd"
--   local root, why = rspamd.root "bookworm"           -- nil: it cannot be had here
--   local server = rspamd.start(root, { conf = "local.d/nexthop.conf's text", files = { name = text } })
--   local answer = server:scan { from = "a@dane.example", ip = "192.0.2.1" }
--   answer.symbols.NEXTHOP_FROM_NULL_MX ...
--   server:stop()
--
-- Blocks, on luv. In texts and files, @DIR@ is the instance's folder as rspamd sees it.
local cjson = require "cjson"
local ports = require "tests.support.ports"
local uv = require "luv"

local M = {}

local Server = {}
Server.__index = Server

local here = debug.getinfo(1, "S").source:match "^@(.*)/tests/integration/[^/]*$" or "."

M.packages = "rspamd gcc libc6-dev make pkgconf libluajit-5.1-dev luajit libunbound-dev libuv1-dev "
  .. "libidn2-dev libssl-dev lua-luv lua-cjson ca-certificates"

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- What a shell command prints, and whether it succeeded.
local function shell(command)
  local pipe = assert(io.popen("exec 2>&1; unset LD_PRELOAD ASAN_OPTIONS LUA_PATH LUA_CPATH MAKEFLAGS; "
    .. command .. "\necho \" $?\""))
  local text, status = pipe:read("*a"):match "^(.-)\n? (%d+)\n$"
  pipe:close()
  return text, tonumber(status)
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  file:close()
end

-- The indented lines below a line of examples/rspamd/README.md: commands.
local function steps(heading)
  local file = assert(io.open(here .. "/examples/rspamd/README.md", "r"))
  local text = file:read "*a"
  file:close()
  local start = select(2, text:find(heading .. "\n\n", 1, true))
  return (assert(start and text:sub(start + 1):match "^(    .-\n)\n", heading):gsub("    ", ""))
end

-- Copies the tree in, removes what an earlier one has installed, builds and installs it.
local build = [[
set -e
cd %s
root=%s
in=$root/opt/nexthop
mkdir -p "$in/src"
for part in * .ci; do
    case $part in build|src|tests) continue ;; esac
    rm -rf "${in:?}/$part"
    cp -a "$part" "$in/"
done
# what has changed is new for make, whatever its date
for file in "$in"/src/*; do [ -e "src/${file##*/}" ] || rm -f "$file"; done
touch "$in"/bin/*
for file in src/*; do cmp -s "$file" "$in/$file" || cp "$file" "$in/$file"; done
rm -rf "$root"/usr/share/lua/5.1/nexthop "$root"/usr/lib/*/lua/5.1/nexthop
rm -f "$root"/etc/rspamd/*.d/nexthop.conf "$root"/etc/rspamd/plugins.d/nexthop.lua
[ -e "$root/etc/hosts" ] || echo "127.0.0.1 localhost" >"$root/etc/hosts" # as any machine has it
chroot "$root" install -d -o _rspamd "/opt/nexthop/hs"
chroot "$root" sh -c %s >"$in/log" 2>&1 || { tail -n 20 "$in/log"; exit 1; }
]]

-- Holds a root's lock until this process ends: others build and install in it, too.
local locks = {}
local function lock(root)
  if locks[root] then return end
  local marker = os.tmpname()
  os.remove(marker)
  locks[root] = assert(io.popen(("flock %s sh -c 'touch %s; cat >/dev/null'")
    :format(quote(root .. ".lock"), marker), "w"))
  while not os.remove(marker) do os.execute "sleep 0.05" end
end

--- The path of a root of that release with the module in it; or nil and why it cannot be had.
function M.root(suite)
  local text, status = shell(("%s/tests/integration/root %s %s"):format(quote(here), suite, M.packages))
  local root = text:match "([^\n]*)$"
  if status ~= 0 then return nil, root end
  lock(root)
  local commands = "set -e; cd /opt/nexthop\n" .. steps "As root, in the source tree:"
  text, status = shell(("sh -c %s"):format(quote(build:format(quote(here), quote(root), quote(commands)))))
  assert(status == 0, text)
  return root
end

-- What each instance has in local.d.
local local_d = {
  ["options.inc"] = [[
control_socket = "@DIR@/control mode=0600";
dns { nameserver = ["127.0.0.1:@DNS@"]; timeout = 1s; retransmits = 1; }
max_cores_size = 0;
hs_cache_dir = "/opt/nexthop/hs"; # compiled once, and not by each instance
@OPTIONS@
]],
  ["logging.inc"] = 'level = "info"; debug_modules = ["nexthop"];',
  ["actions.conf"] = "reject = 100; add_header = 50; greylist = 40;",
  ["worker-normal.inc"] = 'bind_socket = "127.0.0.1:@PORT@"; count = 1;',
  ["worker-controller.inc"] = 'bind_socket = "127.0.0.1:@CONTROL@"; password = "q";',
  ["worker-proxy.inc"] = "count = -1;",
  ["worker-hs_helper.inc"] = 'cache_dir = "/opt/nexthop/hs";',
  ["fuzzy_check.conf"] = "enabled = false;", -- looks for its servers when it is configured
}

-- rspamd's own name server: no name exists. It answers while this process runs its loop.
local name_server
local function name_server_port()
  if not name_server then
    name_server = uv.new_udp()
    assert(name_server:bind("127.0.0.1", 0))
    name_server:recv_start(function(err, query, from)
      if err or not query or not from then return end
      name_server:try_send(query:sub(1, 2) .. "\129\131" .. query:sub(5), from.ip, from.port)
    end)
  end
  return name_server:getsockname().port
end

-- These ask the DNS or other servers several times for each message. configtest has them.
local quiet = {}
for _, module in ipairs {
  "arc", "asn", "dkim", "dkim_signing", "dmarc", "hfilter", "mid", "once_received", "phishing",
  "rbl", "spf", "whitelist",
} do
  quiet[module .. ".conf"] = "enabled = false;"
end

local made = 0 -- folders: each has a name of its own

--- Makes an instance's folder.
-- @param options conf: local.d/nexthop.conf; options: more of local.d/options.inc; more: rspamd.conf.local;
-- plugin: text of a further plugin; files: { name = text }; all: leave no module out
function M.new(root, options)
  made = made + 1
  local name = ("/tmp/nexthop-%d-%d"):format(uv.os_getpid(), made)
  local self = setmetatable({ root = root, dir = name, folder = root .. name }, Server)
  self.port, self.control = ports.free(), ports.free()
  shell(("mkdir -p %s/run && cp -a %s/etc/rspamd %s/etc"):format(quote(self.folder), quote(root),
    quote(self.folder)))
  local words = {
    DIR = name, PORT = tostring(self.port), CONTROL = tostring(self.control),
    DNS = tostring(name_server_port()), OPTIONS = options.options or "",
  }
  local function put(file, text)
    write(self.folder .. "/" .. file, (text:gsub("@(%u+)@", words)))
  end
  local more = options.more or ""
  if options.plugin then
    put("etc/plugins.d/other.lua", options.plugin)
    more = more .. "other { enabled = true; }" -- a module without a section is not loaded
  end
  put("etc/rspamd.conf.local", more)
  for file, text in pairs(local_d) do put("etc/local.d/" .. file, text) end
  for file, text in pairs(options.all and {} or quiet) do put("etc/local.d/" .. file, text) end
  if options.conf then put("etc/local.d/nexthop.conf", options.conf) end
  for file, text in pairs(options.files or {}) do put(file, text) end
  shell(("chroot %s chown -R _rspamd: %s"):format(quote(root), name))
  return self
end

local function command(self, program)
  return ("chroot %s /usr/bin/env -i PATH=/usr/bin:/bin TMPDIR=%s /usr/bin/%s")
    :format(quote(self.root), self.dir, program)
end

local function variables(self)
  return (("--var=CONFDIR=@/etc --var=LOCAL_CONFDIR=@/etc --var=DBDIR=@/run --var=RUNDIR=@/run "
    .. "--var=LOGDIR=@"):gsub("@", self.dir))
end

--- A command of rspamadm: what it says, and its status.
function Server:admin(words)
  return shell(command(self, ("rspamadm %s %s -c %s/etc/rspamd.conf")
    :format(variables(self), words, self.dir)))
end

--- `rspamadm configtest -s`: what it says, and its status.
function Server:configtest()
  return self:admin "configtest -s"
end

function Server:log()
  local file = io.open(self.folder .. "/rspamd.log", "r")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end

-- Runs the loop until that is true; raises after so many seconds.
local function wait_for(what, seconds, condition)
  local start = uv.hrtime()
  local timer = uv.new_timer()
  timer:start(0, 20, function() end)
  while not condition() do
    if (uv.hrtime() - start) / 1e9 > seconds then
      timer:close()
      error("waited too long for " .. what, 2)
    end
    uv.run "once"
  end
  timer:close()
end
M.wait_for = wait_for

--- Starts one; returns when it answers.
function M.start(root, options)
  local self = M.new(root, options)
  local args = ("-f -u _rspamd -g _rspamd %s -c %s/etc/rspamd.conf >%s/output 2>&1")
    :format(variables(self), self.dir, self.folder)
  local handle, pid = uv.spawn("/bin/sh", { args = { "-c", "exec " .. command(self, "rspamd " .. args) } },
    function(code, signal) self.ended = ("status %d, signal %d"):format(code, signal) end)
  self.handle, self.pid = assert(handle, pid), pid
  wait_for("rspamd", 60, function()
    if self.ended then
      error("rspamd ended (" .. self.ended .. "):\n" .. shell("cat " .. self.folder .. "/output "
        .. self.folder .. "/rspamd.log"), 2)
    end
    local ok, answer = pcall(self.request, self, { path = "/ping" })
    return ok and answer:find "pong" ~= nil
  end)
  return self
end

-- ---- a lookup server -----------------------------------------------------------

local Lookups = {}
Lookups.__index = Lookups

--- Starts nexthop-server of this root on nexthop.sock in an instance's folder, with that resolver.
function M.lookup_server(root, dir, config, resolver)
  local self = setmetatable({ socket = root .. dir .. "/nexthop.sock" }, Lookups)
  local whole = {
    resolver = { trust_anchor_file = dir .. "/anchor", stub = resolver.stub, forward = resolver.forward },
  }
  for key, value in pairs(config) do whole[key] = value end
  write(root .. dir .. "/server.lua", "return " .. require("tests.support.filter").source(whole))
  local program = ("chroot %s /usr/sbin/nexthop-server -l %s/nexthop.sock -c %s/server.lua")
    :format(quote(root), dir, dir)
  local handle, pid = uv.spawn("/bin/sh", {
    args = { "-c", ("unset LUA_PATH LUA_CPATH; exec %s 2>>%s%s/server.log"):format(program, root, dir) },
  }, function() self.ended = true end)
  self.handle = assert(handle, pid)
  wait_for("nexthop-server", 20, function()
    if self.ended then error(shell("cat " .. root .. dir .. "/server.log"), 2) end
    local probe, connected = uv.new_pipe(false), nil
    probe:connect(self.socket, function(err) connected = not err end)
    while connected == nil do uv.run "once" end
    probe:close()
    return connected
  end)
  shell(("chroot %s chown _rspamd %s/nexthop.sock"):format(quote(root), dir))
  return self
end

function Lookups:signal(name)
  self.handle:kill(name)
end

--- kill -9: its socket stays.
function Lookups:stop()
  if self.handle:is_closing() then return end
  self.handle:kill "sigkill"
  wait_for("the end of nexthop-server", 20, function() return self.ended end)
  self.handle:close()
  uv.run "nowait"
end

--- A server that is none: answers each line on nexthop.sock in an instance's folder with what
-- answer(line) gives, at once; nil ends the connection.
-- @return object with close(), and `connections`, how many there were
function M.fake_lookup_server(server, answer)
  local self = { connections = 0 }
  local path = server.folder .. "/nexthop.sock"
  local listener, pipes = uv.new_pipe(false), {}
  os.remove(path)
  assert(listener:bind(path))
  shell(("chroot %s chown _rspamd %s/nexthop.sock"):format(quote(server.root), server.dir))
  listener:listen(128, function()
    local pipe, input = uv.new_pipe(false), ""
    listener:accept(pipe)
    pipes[#pipes + 1] = pipe
    self.connections = self.connections + 1
    pipe:read_start(function(_, chunk)
      if pipe:is_closing() then return end
      if not chunk then return pipe:close() end
      input = input .. chunk
      for line in input:gmatch "([^\n]*)\n" do
        local text = answer(line)
        if not text then return pipe:close() end
        pipe:write(text)
      end
      input = input:match "[^\n]*$"
    end)
  end)
  function self.close()
    listener:close()
    for _, pipe in ipairs(pipes) do
      if not pipe:is_closing() then pipe:close() end
    end
    uv.run "nowait"
    os.remove(path)
  end
  return self
end

-- ---- messages ----------------------------------------------------------------------

local message = table.concat({
  "From: <header@nexthop.test>", "To: <someone@nexthop.test>", "Subject: a message",
  "Message-ID: <1@nexthop.test>", "Date: Mon, 01 Jan 2024 00:00:00 +0000", "", "Some words.", "",
}, "\r\n")

-- Sends a request; `callback` gets the body, or nil and why not.
local function send(self, request, callback)
  local headers, tcp, parts = {}, uv.new_tcp(), {}
  local function header(name, value) headers[#headers + 1] = name .. ": " .. value .. "\r\n" end
  if request.from then header("From", "<" .. request.from .. ">") end
  for _, rcpt in ipairs(request.rcpt or {}) do header("Rcpt", "<" .. rcpt .. ">") end
  if request.ip then header("IP", request.ip) end
  if request.user then header("User", request.user) end
  local body = request.path and "" or (request.headers or "")
    .. message:gsub("header@nexthop%.test", request.mime_from or "%0")
  header("Content-Length", #body)
  local function over(text, err)
    if tcp:is_closing() then return end
    tcp:close()
    callback(text, err)
  end
  tcp:connect("127.0.0.1", self.port, function(err)
    if err then return over(nil, err) end
    tcp:write(("%s %s HTTP/1.0\r\n%s\r\n%s"):format(request.path and "GET" or "POST",
      request.path or "/checkv2", table.concat(headers), body))
    tcp:read_start(function(failed, chunk)
      if failed then return over(nil, failed) end
      if chunk then
        parts[#parts + 1] = chunk
      else
        local text = table.concat(parts)
        local answer = text:match "\r\n\r\n(.*)$"
        over(answer, not answer and "no whole answer" or nil)
      end
    end)
  end)
end

--- The body of an answer.
function Server:request(request)
  local text, err, done
  send(self, request, function(t, e) text, err, done = t, e, true end)
  while not done do uv.run "once" end
  if not text then error(err, 2) end
  return text
end

--- Scans one message: { from, rcpt = list, ip, user, mime_from, headers = more of the message's, each with
-- its CRLF }.
-- The answer, decoded.
function Server:scan(envelope)
  return cjson.decode(self:request(envelope))
end

--- Scans many: the envelopes that next(i) gives for 1 to n, so many of them at a time.
-- each(answer, i) gets the decoded answers; raises when one does not come.
function Server:scan_many(n, at_once, next_envelope, each)
  local i, open, failed = 0, 0, nil
  local function more()
    while open < at_once and i < n do
      i, open = i + 1, open + 1
      local number = i
      send(self, next_envelope(number), function(text, err)
        open = open - 1
        -- luv ends the process over an error in a callback: it is raised at the end
        local ok, wrong = pcall(function()
          if not text then error(err, 0) end
          each(cjson.decode(text), number)
        end)
        if not ok then failed = failed or wrong end
        more()
      end)
    end
  end
  more()
  while open > 0 do uv.run "once" end
  if failed then error(failed, 0) end
end

-- The symbols of this module in an answer: { NAME = "domain,domain" }.
function M.symbols(answer)
  local found = {}
  for name, symbol in pairs(answer.symbols or {}) do
    if name:find "^NEXTHOP_" then found[name] = table.concat(symbol.options or {}, ",") end
  end
  return found
end

--- SIGHUP: new workers, and the end of the old ones when their tasks are done.
function Server:reload()
  self.handle:kill "sighup"
end

-- ---- its processes ------------------------------------------------------------------

--- Pids of the normal workers.
function Server:workers()
  local pids = {}
  for pid in shell("pgrep -P " .. self.pid):gmatch "%d+" do
    local file = io.open("/proc/" .. pid .. "/cmdline", "r")
    local title = file and file:read "*a" or ""
    if file then file:close() end
    if title:find("normal", 1, true) then pids[#pids + 1] = tonumber(pid) end
  end
  return pids
end

--- Open descriptors, and KiB of private memory, of a process.
function M.usage(pid)
  local fds = tonumber((shell("ls /proc/" .. pid .. "/fd | wc -l")))
  local file = assert(io.open("/proc/" .. pid .. "/smaps_rollup", "r"))
  local kib = 0
  for n in file:read("*a"):gmatch "Private_Dirty:%s*(%d+)" do kib = kib + tonumber(n) end
  file:close()
  return fds, kib
end

--- What the plugin left in its directories: names of the private ones.
function Server:directories()
  local list = {}
  local text, status = shell("ls " .. self.folder .. "/run")
  assert(status == 0, text)
  for name in text:gmatch "nexthop%-%S+" do list[#list + 1] = name end
  return list
end

--- Ends it, and removes its folder.
function Server:stop(keep)
  if self.handle and not self.ended then
    self.handle:kill "sigterm"
    wait_for("the end of rspamd", 60, function() return self.ended end)
  end
  if self.handle and not self.handle:is_closing() then
    self.handle:close()
    uv.run "nowait" -- luv must not be left with handles that are half closed
    uv.run "nowait"
  end
  if not keep then shell("rm -rf " .. quote(self.folder)) end
end

return M
