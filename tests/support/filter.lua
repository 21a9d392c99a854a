-- Talks to a filter program as smtpd does.
--
--   local filter = require "tests.support.filter"
--   local f = filter.start { config = { deadline = 2 } }  -- on the lab; `config` may be text
--   f:connect("a1", "192.0.2.9:1234")
--   local token = f:ask("a1", "mail-from", "user@nullmx.example")
--   assert.matches("^reject|550 5.7.27 ", f:answer("a1", token))
--   assert.equal(0, f:finish())                  -- closes its input; f.answers, f.log (text)
local files = require "tests.support.files"
local uv = require "luv"
local lab = require("tests.lab.lab").shared()

local filter = {}
filter.__index = filter

-- A filter that has ended reads no more: that is not to end the spec.
local sigpipe = uv.new_signal()
sigpipe:start("sigpipe", function() end)
sigpipe:unref()

local slow = tonumber(os.getenv("NEXTHOP_SLOW") or 1) -- a tool slows everything down (tests/under)
local here = debug.getinfo(1, "S").source:match("^@(.*)/tests/support/[^/]*$") or "."
local lua = os.getenv("NEXTHOP_LUA") or arg[-1] or "lua5.4"

-- Addresses that the whole Internet could reach (RFC 7535): all of the lab's own are documentation.
filter.zone = { name = "filter.example", text = [[
@       MX 10 mx
mx      A 192.31.196.1
mx      AAAA 2001:4:112::1
_25._tcp.mx TLSA 3 1 1 ${server.spki.sha256}
nodane  MX 10 mx.nodane
mx.nodane A 192.31.196.2
shared  MX 10 plain.shared
shared  MX 20 mx
plain.shared A 192.31.196.1
]] }
filter.unsigned = { name = "filter-unsigned.example", signed = false, text = [[
@       MX 10 mx
mx      A 192.31.196.3
]] }

-- A zone whose servers may be slow, see lab:listen.
filter.slow = { name = "slow-null.example", text = "@ MX 0 ." }

--- For setup: no rules, and these zones. The lab may be shared with other specs that have them.
function filter.prepare()
  lab:clear()
  local mark = lab.folder .. "/has-filter-zones"
  local file = io.open(mark)
  if file then
    file:close()
    return
  end
  lab:add_zones { filter.zone, filter.unsigned, filter.slow }
  assert(io.open(mark, "w")):close()
end

-- A value as Lua source.
local function source(value)
  if type(value) ~= "table" then
    return type(value) == "string" and ("%q"):format(value) or tostring(value)
  end
  local parts = {}
  for key, each in pairs(value) do
    parts[#parts + 1] = ("[%s]=%s"):format(source(key), source(each))
  end
  return "{" .. table.concat(parts, ",") .. "}"
end
filter.source = source

--- A configuration file; the lab is the DNS unless it says otherwise. Text is taken as it is, after
-- `local resolver` (the lab's options).
function filter.config(config)
  if type(config) == "string" then
    return files.new(("local resolver = %s\n%s\n"):format(source(lab:options()), config))
  end
  local whole = { resolver = lab:options() }
  for key, value in pairs(config or {}) do
    whole[key] = value
  end
  return files.new("return " .. source(whole) .. "\n")
end

local function split(pending, chunk, take)
  pending = pending .. chunk
  local from = 1
  while true do
    local stop = pending:find("\n", from, true)
    if not stop then
      return pending:sub(from)
    end
    take(pending:sub(from, stop - 1))
    from = stop + 1
  end
end

-- token|session in 0.4, session|token later
local function take_line(self, line)
  local first, second, rest = line:match("^filter%-result|([^|]*)|([^|]*)|(.*)$")
  if not first then
    self.other[#self.other + 1] = line
    return
  end
  local key = self.token_first and second .. "|" .. first or first .. "|" .. second
  self.count = self.count + 1
  self.answers[key] = self.answers[key] or {}
  table.insert(self.answers[key], rest)
end

local running = {}

--- Starts a filter. Options: config (see filter.config), args (in place of -c and the
-- configuration), program (bin/filter-nexthop), version ("0.7"), stdio: "pipes" (default) or
-- "socket", one for both directions as under smtpd; handshake = false: send none; verbose: -v;
-- unread: its answers are not read before :read(), log_unread: its log not before the end.
function filter.start(options)
  options = options or {}
  local self = setmetatable({
    version = options.version or "0.7", token_first = options.version == "0.4",
    answers = {}, other = {}, log = "", count = 0, tokens = 0,
  }, filter)
  local path = not options.args and filter.config(options.config)
  local program = options.program or "bin/filter-nexthop"
  local words = { program:find("^/") and program or here .. "/" .. program }
  for _, word in ipairs(options.args or { "-c", path }) do
    words[#words + 1] = word
  end
  if options.verbose then
    words[#words + 1] = "-v"
  end
  local err = uv.new_pipe(false)
  local stdio
  if options.stdio == "socket" then
    local pair = assert(uv.socketpair("stream", nil, { nonblock = true }, { nonblock = false }))
    self.input = uv.new_pipe(false)
    self.input:open(pair[1])
    self.output = self.input
    stdio = { pair[2], pair[2], err }
    self.theirs = pair[2]
  else
    self.input, self.output = uv.new_pipe(false), uv.new_pipe(false)
    stdio = { self.input, self.output, err }
  end
  self.process = assert(uv.spawn(lua, { args = words, stdio = stdio }, function(code, signal)
    self.code, self.signal = code, signal
    self.process:close()
  end))
  if self.theirs then
    uv.fs_close(self.theirs)
  end
  if not options.unread then
    self:read()
  end
  local function read_log() err:read_start(function(_, chunk)
    if chunk then
      self.log = self.log .. chunk
    else
      self.log_closed = true
      err:close()
    end
  end) end
  if options.log_unread then
    self.read_log = read_log
  else
    read_log()
  end
  self.path = path
  running[self] = true
  if options.handshake ~= false then
    self:send("config|smtpd-version|7.6.0", "config|smtp-session-timeout|300", "config|ready")
    self:wait(function() return self.other[#self.other] == "register|ready" end)
  end
  return self
end

--- Begins to read its answers (with `unread`; else they are from the start).
function filter:read()
  local pending = ""
  self.output:read_start(function(_, chunk)
    if chunk then
      pending = split(pending, chunk, function(line) take_line(self, line) end)
    else
      self.closed = true
    end
  end)
end

--- Runs the loop until `done` says true; raises after `seconds` (20), with what the filter logged.
function filter:wait(done, seconds)
  local late = false
  local timer = uv.new_timer()
  timer:start((seconds or 20) * slow * 1000, 0, function() late = true end)
  while not done() and not late do
    uv.run("once")
  end
  timer:close()
  uv.run("nowait")
  if not done() then
    error("the filter did not do it in time; it logged:\n" .. self.log, 2)
  end
end

--- Sends lines.
function filter:send(...)
  self.input:write(table.concat({ ... }, "\n") .. "\n")
end

function filter:report(event, session, ...)
  self:send(("report|%s|1576146008.006099|smtp-in|%s|%s"):format(self.version,
    event, table.concat({ session, ... }, "|")))
end

--- A client comes; `source` "192.0.2.9:1234" by default.
function filter:connect(session, peer)
  self:report("link-connect", session, "mail.example.org", "pass", peer or "192.0.2.9:1234",
    "192.0.2.1:25")
end

--- A request; returns its token.
function filter:ask(session, phase, parameter)
  self.tokens = self.tokens + 1
  local token = ("%016x"):format(self.tokens)
  -- Lua 5.1's %s ends at a NUL
  self:send(("filter|%s|1576146008.006099|smtp-in|%s|%s|%s|"):format(self.version, phase,
    session, token) .. parameter)
  return token
end

--- The answer to a request, waited for; raises when there are two.
function filter:answer(session, token)
  local key = session .. "|" .. token
  self:wait(function() return self.answers[key] end)
  if #self.answers[key] ~= 1 then
    error(("%d answers to %s"):format(#self.answers[key], key), 2)
  end
  return self.answers[key][1]
end

--- Asks and waits, in a session of its own that comes from `peer`.
function filter:decide(phase, address, peer)
  self.sessions = (self.sessions or 0) + 1
  local session = ("%016x"):format(0xabc000 + self.sessions)
  self:connect(session, peer)
  local answer = self:answer(session, self:ask(session, phase, address))
  self:report("link-disconnect", session)
  return answer
end

--- Waits until the log has this text (a Lua pattern).
function filter:logged(pattern)
  self:wait(function() return self.log:find(pattern) end)
end

--- Ends its input and waits for its end; returns its status.
function filter:finish()
  if self.input == self.output then
    self.input:shutdown()
  elseif not self.input:is_closing() then
    self.input:close()
  end
  if self.read_log then
    self:wait(function() return self.code end)
    self.read_log()
  end
  self:wait(function() return self.code and self.log_closed end)
  self:clean()
  return self.signal ~= 0 and "signal " .. self.signal or self.code
end

function filter:clean()
  running[self] = nil
  if self.path then
    os.remove(self.path)
  end
  for _, handle in ipairs { self.input, self.output } do
    if not handle:is_closing() then
      handle:close()
    end
  end
end

--- For after_each: ends what a failed test left.
function filter.stop_all()
  for self in pairs(running) do
    if not self.code then
      self.process:kill("sigkill")
    end
    self:clean()
  end
  uv.run("nowait")
end

--- For after_each: the same, and no rules and no files are left.
function filter.reset()
  filter.stop_all()
  files.remove()
  lab:clear()
end

--- Runs the program to its end without input; returns its status, output and error output.
function filter.run(...)
  local self = filter.start { args = { ... }, handshake = false }
  self.input:close()
  self:wait(function() return self.code and self.log_closed and self.closed end)
  self:clean()
  return self.code, table.concat(self.other, "\n"), self.log
end

return filter
