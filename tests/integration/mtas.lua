-- Real mail servers for verify: Postfix, Exim and OpenSMTPD of Debian 13, each out of a root (./root and
-- ./exim), with a certificate of each kind.
--
--   local mtas = require "tests.integration.mtas"
--   local root, why = mtas.root "postfix"                 -- nil: it cannot be had here
--   local server = mtas.start("postfix", root, { address = "127.42.0.1", port = 2525, tls_port = 4650,
--     certificates = { rsa = leaf, ec = leaf },           -- leaves of tests/support/ca.lua
--     listeners = { ["127.42.0.9"] = { "other" } } })     -- names of certificates at further addresses
--   server:replace { ec = leaf }                          -- Postfix alone
--   server:stop()
--
-- Exim's TLS is GnuTLS, that of the other two is OpenSSL. All of them run in the foreground, one at a
-- time in each root. Blocks, on luv.
local socket = require "socket"
local uv = require "luv"
local files = require "tests.support.files"
local shell = require "tests.support.shell"
local smtpd = require "tests.integration.smtpd"

local M = {}

local Server = {}
Server.__index = Server

local here = debug.getinfo(1, "S").source:match "^@(.*)/tests/integration/[^/]*$" or "."
local settings = "/etc/nexthop-verify"

local mtas = {
  postfix = {
    packages = "postfix unbound openssl",
    command = "/usr/lib/postfix/sbin/master -c " .. settings .. " -d",
    -- It makes the folders of its queue that are not there.
    prepare = "rm -f var/log/nexthop-verify && chroot . /usr/sbin/postfix -c " .. settings .. " check",
    log = "/var/log/nexthop-verify",
    files = {
      ["main.cf"] = [[
compatibility_level = 3.6
myhostname = mx.verify.example
inet_protocols = ipv4
mydestination =
maillog_file = /var/log/nexthop-verify
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
max_use = 1
alias_maps =
smtpd_tls_chain_files = @SETTINGS@/rsa.both, @SETTINGS@/ec.both
]],
      ["master.cf"] = [[
@ADDRESS@:@PORT@ inet n - n - - smtpd
@ADDRESS@:@TLSPORT@ inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
@LISTENERS@
]],
    },
    listener = function(address, names)
      local paths = {}
      for i, name in ipairs(names) do paths[i] = ("%s/%s.both"):format(settings, name) end
      return ("%s:@PORT@ inet n - n - - smtpd -o smtpd_tls_chain_files=%s"):format(address,
        table.concat(paths, ","))
    end,
  },
  exim = {
    maker = "exim",
    command = "/usr/sbin/exim4 -bdf -v -C " .. settings .. "/exim.conf",
    prepare = "rm -f var/log/exim4/* && chroot . chown -R :Debian-exim " .. settings .. " && chmod 640 ."
      .. settings .. "/*.key",
    files = {
      ["exim.conf"] = [[
primary_hostname = mx.verify.example
local_interfaces = <; @ADDRESS@
daemon_smtp_ports = @PORT@ : @TLSPORT@
tls_on_connect_ports = @TLSPORT@
tls_advertise_hosts = *
tls_certificate = @SETTINGS@/rsa.chain : @SETTINGS@/ec.chain
tls_privatekey = @SETTINGS@/rsa.key : @SETTINGS@/ec.key
log_selector = +tls_cipher +smtp_no_mail +smtp_connection
log_file_path = /var/log/exim4/%slog
]],
    },
    log = "/var/log/exim4/mainlog",
  },
  -- A listener of smtpd has one certificate for all names: with STARTTLS it is ECDSA, with TLS from the first
  -- byte RSA.
  opensmtpd = {
    packages = table.concat(smtpd.packages, " "),
    command = "/usr/sbin/smtpd -d -v -f " .. settings .. "/smtpd.conf",
    prepare = "rm -f var/run/smtpd.sock; mkdir -p etc/ssl/certs && cp ." .. settings
      .. "/rsa.chain etc/ssl/certs/ca-certificates.crt",
    files = {
      ["smtpd.conf"] = [[
pki "ec" cert "@SETTINGS@/ec.chain"
pki "ec" key "@SETTINGS@/ec.key"
pki "rsa" cert "@SETTINGS@/rsa.chain"
pki "rsa" key "@SETTINGS@/rsa.key"
listen on @ADDRESS@ port @PORT@ hostname mx.verify.example tls pki "ec"
listen on @ADDRESS@ port @TLSPORT@ hostname mx.verify.example smtps pki "rsa"
@LISTENERS@
match from any for any reject
]],
    },
    listener = function(address, names)
      return (([[
pki "@NAME@" cert "@SETTINGS@/@NAME@.chain"
pki "@NAME@" key "@SETTINGS@/@NAME@.key"
listen on @AT@ port @PORT@ hostname mx.verify.example tls pki "@NAME@"]]):gsub("@NAME@", names[1])
        :gsub("@AT@", address))
    end,
  },
}

--- The root of a mail server.
-- @return path; or nil and why it cannot be had here
function M.root(name)
  local log, mta = files.new(), mtas[name]
  local maker = mta.maker or "root trixie " .. mta.packages
  local said, status = shell.run(("%s/tests/integration/%s 2>%s"):format(shell.quote(here), maker, log))
  if status ~= 0 then return nil, files.read(log):match "([^\n]*)\n*$" end
  said, status = said:gsub("\n$", ""), select(2, shell.run "unshare --pid --fork true")
  if status ~= 0 then return nil, "unshare makes no process namespace here" end
  return said
end

local function run(command)
  local said, status = shell.run(command)
  assert(status == 0, said)
end

local function write_certificates(folder, certificates)
  for kind, leaf in pairs(certificates) do
    local chain, key = files.read(leaf.chain), files.read(leaf.key)
    for name, text in pairs { chain = chain, key = key, both = key .. chain } do
      local path = ("%s/%s.%s"):format(folder, kind, name)
      files.write(path .. ".new", text)
      run(("chmod %s %s.new && mv %s.new %s"):format(name == "chain" and "644" or "600", path, path, path))
    end
  end
end

local function write_settings(mta, root, options)
  local folder = root .. settings
  run(("rm -rf %s && mkdir -p %s"):format(folder, folder))
  write_certificates(folder, options.certificates)
  local words = { SETTINGS = settings, ADDRESS = options.address, PORT = tostring(options.port),
    TLSPORT = tostring(options.tls_port) }
  local listeners = {}
  for address, names in pairs(options.listeners or {}) do
    listeners[#listeners + 1] = mta.listener(address, names):gsub("@(%u+)@", words)
  end
  words.LISTENERS = table.concat(listeners, "\n")
  for name, text in pairs(mta.files) do
    files.write(folder .. "/" .. name, (text:gsub("@(%u+)@", words)))
  end
  run(("cd %s && %s"):format(root, mta.prepare))
end

--- Starts one; returns when it greets.
function M.start(name, root, options)
  local mta = mtas[name]
  local self = setmetatable({ root = root, mta = mta, log = "", unlock = smtpd.lock(root) }, Server)
  write_settings(mta, root, options)
  local out = uv.new_pipe(false)
  -- Postfix is many processes. In a process namespace of their own all of them end with the first one, which
  -- the kernel ends should this process be killed.
  self.process = assert(uv.spawn("setpriv", {
    args = { "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "chroot", root, "sh", "-c",
      mta.command .. " 2>&1; true" },
    env = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin" }, stdio = { nil, out, 2 },
  }, function(code, signal)
    self.ended = ("status %d, signal %d"):format(code, signal)
    self.process:close()
  end))
  out:read_start(function(_, chunk)
    if chunk then self.log = self.log .. chunk else out:close() end
  end)
  local greeted, complaint = pcall(self.wait, self, function()
    assert(not self.ended, self:text())
    local client = socket.tcp()
    client:settimeout(2)
    local line = client:connect(options.address, options.port) and client:receive "*l"
    if line then
      client:send "QUIT\r\n"
      client:receive "*a"
    end
    client:close()
    return line
  end)
  if not greeted then
    self:stop()
    error(complaint, 0)
  end
  return self
end

--- Gives it other certificates. Postfix has them from the next connection on, as each has a new process.
function Server:replace(certificates)
  write_certificates(self.root .. settings, certificates)
end

--- All that it has logged.
function Server:text()
  uv.run "nowait"
  local file = self.mta.log and io.open(self.root .. self.mta.log, "r")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return self.log .. text
end

--- Waits until a function says true; raises after half a minute.
function Server:wait(done)
  local started = socket.gettime()
  while not done() do
    assert(socket.gettime() - started < 30, "the mail server did not do it in time; its log: " .. self:text())
    uv.run "nowait"
    socket.sleep(0.02)
  end
end

--- Waits until a pattern is in the log.
function Server:logged(pattern)
  self:wait(function() return self:text():find(pattern) end)
end

function Server:stop()
  if not self.ended then
    self.process:kill "sigkill"
    self:wait(function() return self.ended end)
  end
  self.unlock()
end

return M
