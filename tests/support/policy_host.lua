-- A web server for MTA-STS policies: nginx, on a loopback address, with certificates of tests/support/ca.lua.
--
--   local server = policy_host.new("127.60.0.1")
--   server:add("mta-sts.a.example", { certificate = leaf, text = "version: STSv1\n..." })
--   server:start()                       -- server.port
--   server:set("mta-sts.a.example", "version: ...")     -- another text, at once
--   server:count("mta-sts.a.example")    -- requests so far
--   server:stop()
--
-- Fields of a host: certificate; text (of the policy); type ("text/plain"); status (a number: no policy);
-- redirect (a URL); rate (bytes a second).
local files = require "tests.support.files"
local ports = require "tests.support.ports"
local shell = require "tests.support.shell"
local socket = require "socket"

local M = {}

local Server = {}
Server.__index = Server

--- A server that is not started yet.
function M.new(address)
  return setmetatable({ address = address, hosts = {}, names = {} }, Server)
end

--- Adds a host; call this before start().
function Server:add(name, host)
  self.hosts[name] = host
  self.names[#self.names + 1] = name
end

local function location(self, name, host)
  if host.status then return ("return %d;"):format(host.status) end
  if host.redirect then return ("return 302 %s;"):format(host.redirect) end
  files.write(self.folder .. "/" .. name, host.text or "")
  return ("alias %s/%s; default_type %s; %s"):format(self.folder, name, host.type or "text/plain",
    host.rate and ("limit_rate %d;"):format(host.rate) or "")
end

local frame = [[
daemon off;
master_process off;
error_log %s/error.log;
pid %s/pid;
events { worker_connections 2000; }
http {
  log_format hosts "$host $status $request_uri";
  access_log %s/access.log hosts;
  client_body_temp_path %s/body; proxy_temp_path %s/proxy; fastcgi_temp_path %s/fastcgi;
  uwsgi_temp_path %s/uwsgi; scgi_temp_path %s/scgi;
  types { }
  server_names_hash_bucket_size 256;
  server_names_hash_max_size 4096;
%s
}
]]

local block = [[
  server {
    listen %s:%d ssl;
    server_name %s;
    ssl_certificate %s;
    ssl_certificate_key %s;
    location = /.well-known/mta-sts.txt { %s }
  }
]]

local starter = [[
unset LD_PRELOAD ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS
daemon=$(tests/lab/daemon-path nginx) || exit 1
"$daemon" -p %s -c %s/nginx.conf >%s/said 2>&1 </dev/null &
echo $! ]]

--- Starts nginx. It listens when this returns.
function Server:start(port)
  local folder = self.folder or files.folder()
  self.folder = folder
  self.port = port or self.port or ports.free(self.address)
  local servers = {}
  for _, name in ipairs(self.names) do
    local host = self.hosts[name]
    servers[#servers + 1] = block:format(self.address, self.port, name, host.certificate.chain,
      host.certificate.key, location(self, name, host))
  end
  files.write(folder .. "/nginx.conf", (frame:gsub("%%s", function() return "\0" end)
    :gsub("%z", function() return folder end, 8):gsub("%z", function() return table.concat(servers) end)))
  local out = assert(io.popen(starter:format(shell.quote(folder), shell.quote(folder), shell.quote(folder))))
  self.pid = tonumber(out:read "*l")
  out:close()
  for _ = 1, 1000 do
    local client = socket.connect(self.address, self.port)
    if client then
      client:close()
      return self
    end
    socket.sleep(0.01)
  end
  error("nginx does not start: " .. files.read(folder .. "/said"), 0)
end

--- Serves another text from now on.
function Server:set(name, text)
  local path = self.folder .. "/" .. name
  files.write(path .. ".new", text)
  assert(os.rename(path .. ".new", path))
end

function Server:stop()
  if self.pid then shell.run(("kill %d; while kill -0 %d 2>/dev/null; do sleep 0.01; done"):format(self.pid,
    self.pid)) end
  self.pid = nil
end

--- Requests for the policy of that host so far. nginx writes its log when it has answered: this waits, for a
-- moment, until there are as many as `expected`.
function Server:count(name, expected)
  local n
  for _ = 1, 300 do
    n = 0
    for line in io.lines(self.folder .. "/access.log") do
      local host, path = line:match "^(%S+) %d+ (%S+)"
      if host == name and path == "/.well-known/mta-sts.txt" then n = n + 1 end
    end
    if n >= (expected or 0) then break end
    socket.sleep(0.01)
  end
  return n
end

return M
