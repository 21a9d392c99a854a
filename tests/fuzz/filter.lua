-- luacheck: max line length 140
-- Fuzzes filter-nexthop with what smtpd might say and what it never would. Whatever comes: no error
-- but in the log, the log is printable lines, and every request is answered once, in a valid line.
package.path = "./?.lua;" .. package.path
local fuzz = require "tests.fuzz.mutate"
local uv = require "luv"

-- A resolver that answers anything, at any time, or never.
local random, hangs -- of this round
local errors = {
  "no_mail", "nxdomain", "invalid_mx", "bogus", "servfail", "timeout", "invalid_name", "closed", "no_memory",
}

local function some_error()
  return { code = random:pick(errors), message = "it " .. random:bytes(random:number(20)),
    permanent = random:chance(2) }
end

local function some_plan()
  local plan = { have_mx = random:chance(2), mx_authentic = random:chance(2), hosts = {} }
  for i = 1, random:number(3) - 1 do
    plan.hosts[i] = { host = "mx.example", pref = i, tls = random:pick { "may", "dane", "encrypt", "skip" },
      ips = random:chance(2) and { "192.31.196.1" } or {}, err = random:chance(2) and some_error() or nil,
      records = {} }
  end
  return plan
end

package.preload["nexthop.luv.supervisor"] = function()
  local pump = { waiting = {} }
  pump.__index = pump

  function pump.get() end

  function pump:plan(_, _, callback)
    if random:chance(20) then return nil end
    if random:chance(30) then error "the resolver is broken" end
    local handle = {}
    function handle.cancel() handle.cancelled = true end
    if hangs and random:chance(5) then return handle end -- until the deadline
    self.waiting[#self.waiting + 1] = { handle, callback }
    self.idle:start(function() self:deliver() end)
    return handle
  end

  function pump:deliver()
    local first = table.remove(self.waiting, 1)
    if not first then return self.idle:stop() end
    if first[1].cancelled then return end
    if random:chance(2) then first[2](some_plan()) else first[2](nil, some_error()) end
  end

  function pump:stop() self.idle:close() end

  return { new = function() return setmetatable({ waiting = {}, idle = uv.new_idle() }, pump) end }
end

-- Its log, looked at in place of written.
local logging = require "nexthop.opensmtpd.log"
local logged -- of this round
local new_log = logging.new
logging.new = function()
  local log = new_log(2)
  log.writer = {
    write = function(_, text) logged[#logged + 1] = text end,
    queued = function() return 0 end,
    close = function(_, done) done() end,
  }
  return log
end

local filter = require "nexthop.programs.filter.lookups"
local settings_of = require "nexthop.programs.filter.settings"

local words = {
  "|", "||", "\r", "\n", "\0", "filter", "report", "config|ready", "0.4", "0.5", "0.10", "1e9", "-1",
  "9999999999999999999999", "smtp-in", "smtp-out", "link-connect", "link-disconnect", "link-auth", "pass",
  "mail-from", "rcpt-to", "data-line", "commit", "@", "@@", "[192.0.2.1]", "<>", "%s", "%00", "\195\188",
  "unix:/run/x", "local", "[::1]:25", "127.0.0.1:25", "example.org", "xn--", ".", "*", "(", "%",
}
local phases = {
  "mail-from", "rcpt-to", "mail-from", "rcpt-to", "connect", "helo", "ehlo", "starttls", "auth", "data",
  "rset", "quit", "noop", "help", "wiz", "commit", "data-line",
}
local domains = { "nullmx.example", "dane.example", "b\195\188cher.example", "[192.0.2.1]", "example.org", "x" }
local peers = { "192.0.2.9:1234", "127.0.0.1:5", "[2001:db8::1]:5", "unix:/var/run/smtpd.sock", "local" }

local tokens

local function line()
  local version, session = random:pick { "0.4", "0.5", "0.6", "0.7" }, "s" .. random:number(5)
  tokens = tokens + 1
  local kind = random:number(8)
  if kind <= 4 then
    return ("filter|%s|1576146008.006099|smtp-in|%s|%s|%06x|u@%s"):format(version, random:pick(phases), session,
      tokens, random:pick(domains))
  elseif kind == 5 then
    return ("report|%s|1.0|smtp-in|link-connect|%s|host|pass|%s|192.0.2.1:25"):format(version, session,
      random:pick(peers))
  elseif kind == 6 then
    return ("report|%s|1.0|smtp-in|link-auth|%s|pass|pass"):format(version, session)
  elseif kind == 7 then
    return ("report|%s|1.0|smtp-in|link-disconnect|%s"):format(version, session)
  end
  return ("report|%s|1.0|smtp-in|tx-mail|%s|0a|ok|u@example.org"):format(version, session)
end

-- What a policy function may say, sense or not.
local answers = {
  "proceed", "junk", "reject", "tempfail", "log", "nonsense", true, 7,
  { "reject", "550 5.7.1 No" }, { "reject", "no" }, { "reject" }, { "reject", ("550 x"):rep(999) },
  { "reject", "550 a\nfilter-result|x|y|proceed" }, {},
}

local function policy()
  local answer = random:number(#answers + 3)
  if answer > #answers + 1 then error(answer == #answers + 2 and {} or "the policy fails") end
  return answers[answer]
end

-- The decision of an answer, or why it is none that smtpd takes.
local function invalid(decision)
  if decision == "proceed" or decision == "junk" then return nil end
  local text = decision:match "^reject|(.*)$"
  if not text then return "unknown decision" end
  if #text > 1990 then return "over-long" end
  if not text:find "^[45]%d%d [ -~]+$" then return "bad reply" end
end

-- What must be answered, told apart independently of the filter: fields by their bars.
local function expected_of(input)
  local expected, ready = {}, false
  for text in input:gmatch "([^\n]*)\n" do
    local fields = {}
    for field in (text .. "|"):gmatch "([^|]*)|" do fields[#fields + 1] = field end
    if fields[1] == "config" and fields[2] == "ready" then ready = true end
    if fields[1] == "filter" and #fields >= 7 and fields[6] ~= "" and fields[7] ~= "" then
      local major, minor = fields[2]:match "^(%d+)%.(%d+)"
      local old = major and tonumber(major) * 1000 + tonumber(minor) < 5
      local key = old and fields[7] .. "|" .. fields[6] or fields[6] .. "|" .. fields[7]
      local entry = expected[key] or { count = 0, given = 0 }
      expected[key] = entry
      entry.count, entry.phase = entry.count + 1, fields[5]
      entry.stream = entry.stream or fields[5] == "data-line"
      entry.slot = fields[6] .. "|" .. fields[5]
    end
  end
  return expected, ready
end

local function check(input, output)
  local expected, ready = expected_of(input)
  if output ~= "" and output:sub(-1) ~= "\n" then error "output ends in the middle of a line" end
  local registered = 0
  for text in output:gmatch "([^\n]*)\n" do
    local key, decision = text:match "^filter%-result|([^|]*|[^|]*)|(.*)$"
    if key then
      local entry = expected[key] or error("an answer that nobody asked for: " .. text)
      entry.given = entry.given + 1
      if entry.given > entry.count then error("answered twice: " .. text) end
      local wrong = invalid(decision) or (decision == "junk" and entry.phase == "commit" and "junk at commit")
      if wrong then error(wrong .. ": " .. text) end
    elseif text:find "^filter%-dataline|" then
      key = text:match "^filter%-dataline|([^|]*|[^|]*)|"
      local entry = expected[key] or error("a line that nobody sent: " .. text)
      entry.given = entry.given + 1
    elseif text == "register|ready" then
      registered = registered + 1
    elseif not text:find "^register|[a-z]+|smtp%-in|[a-z-]+$" then
      error("no line of the protocol: " .. text)
    end
  end
  if registered ~= (ready and 1 or 0) then error(("%d times registered"):format(registered)) end
  -- one open request for each session and phase: only the last one is sure of its answer
  local last = {}
  for _, entry in pairs(expected) do last[entry.slot] = (last[entry.slot] or 0) + entry.count end
  for key, entry in pairs(expected) do
    if entry.given < entry.count and (entry.stream or last[entry.slot] == entry.count and entry.count == 1) then
      error(("%d of %d answered: %q"):format(entry.given, entry.count, key))
    end
  end
  for _, text in ipairs(logged) do
    if text:find "[^\n -~]" or text:find "\n." or text:sub(-1) ~= "\n" then
      error(("in the log: %q"):format(text))
    end
  end
end

-- Many requests of one session and phase leave only the last to be asserted: most rounds keep to
-- sessions of their own.
local function lines_of()
  local lines, apart = { "config|smtpd-version|7.6.0", "config|ready" }, random:chance(2)
  for _ = 1, random:number(60) do
    local text = line()
    if apart then text = text:gsub("|s%d|", "|s" .. tokens .. "|") end
    if random:chance(4) then text = random:mutate(text, words) end
    lines[#lines + 1] = text
  end
  return table.concat(lines, "\n") .. (random:chance(4) and "" or "\n")
end

fuzz.run("filter", function(generator)
  random, logged, tokens = generator, {}, 0
  hangs = random:chance(10)
  local input, output = lines_of(), {}
  fuzz.note(input)
  local settings = assert(settings_of.check {
    deadline = 1, policy = random:chance(2) and policy or nil, exclude = { "example.org" },
  })
  if hangs then settings.deadline = -0.98 end -- the filter's own is a second more
  local to, from = assert(uv.pipe()), assert(uv.pipe())
  local smtpd, answered, at = uv.new_pipe(false), uv.new_pipe(false), 1
  smtpd:open(to.write)
  answered:open(from.read)
  answered:read_start(function(_, chunk)
    if chunk then output[#output + 1] = chunk else answered:close() end
  end)
  local function send()
    if at > #input then return smtpd:close() end
    local stop = random:chance(3) and at + random:number(40) or #input
    local part = input:sub(at, stop)
    at = stop + 1
    smtpd:write(part, send)
  end
  send()
  filter.run(settings, { input = to.read, output = from.write, verbose = random:chance(2) })
  while not answered:is_closing() do uv.run "once" end
  uv.run "nowait"
  local ok, err = pcall(check, input, table.concat(output))
  if not ok then error(("%s\nlog:\n%s"):format(tostring(err), table.concat(logged)), 0) end
end)
