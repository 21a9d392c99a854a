-- A real smtpd with the filter, out of a root of tests/integration/root; the lab is its DNS.
--
--   local root = smtpd.root "trixie"             -- or nil and why there is none here
--   local server = smtpd.start { root = root, config = "return { resolver = resolver }" }
--   local replies = server:talk({ "EHLO x", "MAIL FROM:<a@b.example>" }, { from = "192.0.2.9" })
--   server:stop()
--
-- Clients of server:talk come from the loopback, or by the PROXY protocol from where `from` says.
local uv = require "luv"
local files = require "tests.support.files"
local filter = require "tests.support.filter"
local ports = require "tests.support.ports"
local shell = require "tests.support.shell"
local lab = require("tests.lab.lab").shared()
local links = require "tests.integration.link"

local smtpd = {}
smtpd.__index = smtpd

local here = debug.getinfo(1, "S").source:match("^@(.*)/tests/[^/]*/[^/]*$") or "."

-- One list for all, so that there is one root per release.
local packages = { "opensmtpd", "lua5.4", "luajit", "lua-luv", "lua-cjson", "liblua5.4-dev",
  "libluajit-5.1-dev", "gcc", "libc6-dev", "make", "pkgconf", "libunbound-dev", "libuv1-dev", "libidn2-dev",
  "libssl-dev", "openssl" }

smtpd.packages = packages

local read, write = files.read, files.write

-- Runs a command; returns its output, or nil and the last line it complained with.
local function run(command)
  local complaint = files.new()
  local output, status = shell.run(("{ %s\n} 2>%s"):format(command, complaint))
  local why = read(complaint):match("([^\n]*)\n*$")
  os.remove(complaint)
  if status ~= 0 then
    return nil, why
  end
  return (output:gsub("\n$", ""))
end

--- The root of a release, the filter built and installed in it.
-- @return path; or nil and why it cannot be had here
function smtpd.root(suite)
  local root, why = run(("%s/tests/integration/root %s %s"):format(here, suite,
    table.concat(packages, " ")))
  if not root then
    return nil, why
  end
  local built
  built, why = run(("flock %s.lock %s/tests/integration/build %s lua5.4 luajit"):format(root, here, root))
  assert(built, why)
  return root
end

--- Calls busted's pending() with why there is no root, and never in CI. For before_each.
function smtpd.need(root, why, pending)
  if root then
    return
  end
  if os.getenv("CI") == "true" then
    error(why, 2)
  end
  pending(why)
end

-- One smtpd at a time in a root: its spool and control socket have fixed names.
local function lock(root)
  local input, output = uv.new_pipe(false), uv.new_pipe(false)
  local process, locked
  process = assert(uv.spawn("flock", {
    args = { root .. ".lock", "sh", "-c", "echo; exec cat" }, stdio = { input, output, 2 },
  }, function() process:close() end))
  output:read_start(function(_, chunk)
    locked = true
    if not chunk then
      output:close()
    end
  end)
  while not locked do
    uv.run("once")
  end
  return function()
    input:close()
    while not process:is_closing() or not output:is_closing() do
      uv.run("once")
    end
  end
end

smtpd.lock = lock

local configuration = [[
table creds file:/etc/nexthop-test/creds
table all file:/etc/nexthop-test/all
%s
filter "nexthop" proc-exec "%s -v -c /etc/nexthop-test/filter.lua"
listen on socket filter "nexthop"
listen on 127.0.0.1 port %d hostname mx.test filter "nexthop"
listen on 127.0.0.1 port %d hostname mx.test proxy-v2 filter "nexthop"
%s
action "keep" mda "/usr/bin/tee -a /var/keep/mail" user keeper virtual <all>
%s
]]
local keep_all = 'match from any for any action "keep"'
local tls_configuration = [[
listen on 127.0.0.1 port %d hostname mx.test smtps pki "mx.test" auth <creds> proxy-v2 filter "nexthop"
]]

--- Checks a configuration of smtpd, as smtpd -n does.
-- @return true; or nil and what it says
function smtpd.check(root, text)
  write(root .. "/etc/nexthop-test.conf", text)
  return run(("chroot %s /usr/sbin/smtpd -n -f /etc/nexthop-test.conf"):format(root))
end

--- Starts smtpd. Options: root; config: text of the filter's configuration, in which `resolver`
-- stands for the lab (default: nothing else); program: the filter (the installed one, under the Lua
-- that runs this); tls: also a listener for authenticated sessions (not with smtpd 6.8, which
-- cannot do TLS with OpenSSL 3); rules: text in place of the rule that all mail is kept; table: text of
-- /etc/nexthop-test/table.lua, in which `resolver` stands for the lab too; resolv_conf: what is in that file.
function smtpd.start(options)
  local self = setmetatable({ root = options.root, log = "", unlock = lock(options.root) }, smtpd)
  local root = self.root
  local settings = root .. "/etc/nexthop-test"
  local lua = type(rawget(_G, "jit")) == "table" and "luajit" or "lua5.4"
  local program = options.program
    or lua == "luajit" and "/usr/local/libexec/luajit/filter-nexthop"
    or "filter-nexthop" -- which smtpd knows where to find
  -- smtpd looks for tables in its own folder alone: `table x nexthop-luajit:...` is the one under LuaJIT
  assert(run(([[
        cd %s && mkdir -p etc/nexthop-test var/keep &&
        ln -sf /usr/local/libexec/luajit/table-nexthop usr/libexec/opensmtpd/table-nexthop-luajit &&
        rm -rf var/spool/smtpd/queue/* var/keep/* &&
        { grep -q '^keeper:' etc/passwd || chroot . useradd -M -s /bin/sh keeper; } &&
        : >var/keep/mail && chmod 666 var/keep/mail && rm -f var/run/smtpd.sock
    ]]):format(root)))
  -- the anchor lies on the outside: it goes in as text
  local resolver = lab:options()
  resolver.trust_anchor = {}
  for line in read(lab.anchor_file):gmatch("[^\n]+") do
    table.insert(resolver.trust_anchor, line)
  end
  resolver.trust_anchor_file = nil
  self.resolver = ("local resolver = %s\n"):format(filter.source(resolver))
  write(settings .. "/filter.lua", self.resolver ..
    (options.config or "return { resolver = resolver, deadline = 5 }"))
  self:configure_table(options.table or "return { resolver = resolver }")
  if options.resolv_conf then
    self.former_resolv_conf = read(root .. "/etc/resolv.conf")
    write(root .. "/etc/resolv.conf", options.resolv_conf)
  end
  write(settings .. "/all", "@ keeper\n")
  write(settings .. "/creds", "user@test " ..
    assert(run("chroot " .. root .. " openssl passwd -6 secret")) .. "\n")
  self.port, self.proxy_port, self.tls_port = ports.free(), ports.free(), ports.free()
  -- smtpd wants to see a bundle of CAs for TLS, and for a relay action
  assert(run(("mkdir -p %s/etc/ssl/certs"):format(root)))
  write(root .. "/etc/ssl/certs/ca-certificates.crt", read(lab.certificate_file))
  local pki, listener = "", ""
  if options.tls then
    write(settings .. "/mx.crt", read(lab.certificate_file))
    write(settings .. "/mx.key", read(lab.key_file))
    assert(run(("chmod 600 %s/mx.key"):format(settings)))
    pki = 'pki "mx.test" cert "/etc/nexthop-test/mx.crt"\npki "mx.test" key "/etc/nexthop-test/mx.key"'
    listener = tls_configuration:format(self.tls_port)
  end
  write(settings .. "/smtpd.conf", configuration:format(pki, program, self.port, self.proxy_port,
    listener, options.rules or keep_all))
  assert(run(("cd %s && chmod 644 smtpd.conf filter.lua table.lua && chmod 640 creds && "
    .. "chroot %s chown root:opensmtpd /etc/nexthop-test/creds"):format(settings, root)))

  local out = uv.new_pipe(false)
  self.process = assert(uv.spawn("sh", {
    -- should this process be killed, the kernel ends smtpd too
    args = { "-c", 'exec setpriv --pdeathsig TERM chroot "$0" /usr/sbin/smtpd -d -f "$1" 2>&1',
      root, "/etc/nexthop-test/smtpd.conf" },
    env = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin" }, stdio = { nil, out, nil },
  }, function(code)
    self.code = code
    self.process:close()
  end))
  out:read_start(function(_, chunk)
    if chunk then
      self.log = self.log .. chunk
    else
      out:close()
    end
  end)
  self.out = out
  -- it greets nobody before its filters are ready; until it listens it is asked now and then
  local link
  local next_try = 0
  local greeted, why = pcall(self.wait, self, function()
    if self.code then
      error("smtpd ended at its start:\n" .. self.log, 0)
    end
    if link and link.closed then
      link.close()
      link = nil
    end
    if not link and uv.now() >= next_try then
      next_try = uv.now() + 20
      link = links.connect(self.port)
    end
    return link and link.replies[1]
  end)
  if link then
    link.close()
  end
  if not greeted then
    self:stop()
    error(why, 0)
  end
  return self
end

--- Runs the loop until `done` says true.
function smtpd:wait(done, seconds)
  local late = false
  local timer = uv.new_timer()
  local waker = uv.new_timer() -- looks again now and then, whatever happens
  timer:start((seconds or 30) * 1000, 0, function() late = true end)
  waker:start(20, 20, function() end)
  while not done() and not late do
    uv.run("once")
  end
  timer:close()
  waker:close()
  if not done() then
    error("smtpd did not do it in time; its log:\n" .. self.log, 2)
  end
end

--- Speaks SMTP: waits for the banner, then sends each line and waits for its reply.
-- @param lines commands
-- @param options from: the address the client has; port; link: one of tests.integration.link; leave: a
-- last line after which the client goes without waiting; careful: quits when refused; show: called
-- with each line of the dialogue
-- @return the replies, the banner first; one less when the server hung up
function smtpd:talk(lines, options)
  options = options or {}
  local link = options.link or links.connect(options.port or (options.from and self.proxy_port)
    or self.port, options.from and links.proxy_header(options.from))
  local function reply(count)
    self:wait(function() return #link.replies >= count or link.closed end)
  end
  reply(1)
  local count = 1
  local refused = false
  for _, line in ipairs(lines) do
    if link.closed then
      break
    end
    if refused then
      line = "QUIT"
    end
    if options.show then
      options.show("> " .. line)
    end
    count = count + 1
    link.send(line .. "\r\n")
    reply(count)
    if options.show and link.replies[count] then
      options.show("< " .. link.replies[count])
    end
    if line == "QUIT" then
      break
    end
    refused = options.careful and (link.replies[count] or ""):find("^[45]")
  end
  if options.leave then
    link.send(options.leave .. "\r\n")
  end
  link.close()
  uv.run("nowait")
  return link.replies
end

--- The same over TLS, authenticated. `from`: by the PROXY protocol, which goes before TLS: a relay
-- of ours says it.
function smtpd:talk_authenticated(lines, from, options)
  local listener = uv.new_tcp()
  assert(listener:bind("127.0.0.1", 0))
  listener:listen(1, function()
    local near, far = uv.new_tcp(), uv.new_tcp()
    listener:accept(near)
    far:connect("127.0.0.1", self.tls_port, function()
      local function copy(a, b)
        a:read_start(function(_, chunk)
          if chunk then
            if not b:is_closing() then
              b:write(chunk)
            end
          else
            for _, each in ipairs { a, b } do
              if not each:is_closing() then
                each:close()
              end
            end
          end
        end)
      end
      -- smtpd loses what comes in one piece with the header: first let it have read that
      local known = #self.log + 1
      far:write(links.proxy_header(from))
      local timer = uv.new_timer()
      timer:start(5, 5, function()
        if self.log:find("smtp connected address=" .. from, known, true) then
          timer:close()
          copy(near, far)
          copy(far, near)
        end
      end)
    end)
  end)
  local input, output = uv.new_pipe(false), uv.new_pipe(false)
  local process
  process = assert(uv.spawn("openssl", {
    args = { "s_client", "-quiet", "-connect", "127.0.0.1:" .. listener:getsockname().port },
    stdio = { input, output, nil },
  }, function() process:close() end))
  local link = links.new()
  output:read_start(function(_, chunk)
    link.feed(chunk)
    if not chunk then
      output:close()
    end
  end)
  function link.send(text) input:write(text) end
  function link.close()
    if not input:is_closing() then
      input:close()
      listener:close()
    end
  end
  local all = { "EHLO client.test", "AUTH PLAIN AHVzZXJAdGVzdABzZWNyZXQ=" }
  for _, line in ipairs(lines) do
    all[#all + 1] = line
  end
  local replies = self:talk(all, {
    link = link, show = options and options.show, careful = options and options.careful,
  })
  self:wait(function() return process:is_closing() end)
  return replies
end

--- A message from start to end; returns the last reply.
function smtpd:deliver(sender, recipient, options)
  local replies = self:talk({
    "EHLO client.test", "MAIL FROM:<" .. sender .. ">", "RCPT TO:<" .. recipient .. ">", "DATA",
    "Subject: test\r\n\r\ntest\r\n.", "QUIT",
  }, options)
  return replies[6] or replies[#replies], replies
end

--- Hands a message to the sendmail of the root, as a local user does.
-- @return its status and what it said
function smtpd:sendmail(sender, recipient)
  local pipe = assert(io.popen(("printf 'Subject: local\\n\\nlocal\\n' | "
    .. "chroot %s sendmail -f %s %s 2>&1; echo \"status $?\""):format(self.root, sender, recipient)))
  -- smtpd's log must be read meanwhile: its pipe holds 64 KiB, which is enough for one message
  local text = pipe:read("*a")
  pipe:close()
  return tonumber(text:match("status (%d+)\n$")), text
end

--- What was delivered so far.
function smtpd:mail()
  return read(self.root .. "/var/keep/mail")
end

--- Writes the configuration of its table; smtpctl("update table NAME") makes the table read it.
function smtpd:configure_table(text)
  write(self.root .. "/etc/nexthop-test/table.lua", self.resolver .. text .. "\n")
end

--- Runs smtpctl; returns what it says, or nil and its last line when it fails.
function smtpd:smtpctl(words)
  return run(("chroot %s smtpctl %s"):format(self.root, words))
end

--- The ids of the processes of its filter, or of another program.
function smtpd:filters(program)
  local list = {}
  local pipe = assert(io.popen(([[
        for process in /proc/[0-9]*; do
            [ "$(readlink $process/root)" = "%s" ] && grep -qs %s $process/cmdline &&
                echo "${process#/proc/}"
        done 2>/dev/null
    ]]):format(self.root, program or "filter-nexthop")))
  for pid in pipe:lines() do
    list[#list + 1] = tonumber(pid)
  end
  pipe:close()
  return list
end

--- Ends it.
function smtpd:stop()
  if not self.code then
    self.process:kill("sigterm")
  end
  self:wait(function() return self.code and self.out:is_closing() end)
  if self.former_resolv_conf then write(self.root .. "/etc/resolv.conf", self.former_resolv_conf) end
  self.unlock()
  uv.run("nowait")
end

return smtpd
