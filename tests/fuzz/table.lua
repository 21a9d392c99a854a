-- luacheck: max line length 140
-- Fuzzes table-nexthop with what smtpd might say and what it never would. Whatever comes: no error but in the log, the log
-- is printable lines, and every request is answered once, in a line that smtpd takes.
package.path = "./?.lua;" .. package.path
local fuzz = require "tests.fuzz.mutate"
local uv = require "luv"

-- A resolver that answers anything, at any time, or never.
local random, hangs -- of this round
local errors = {
  "no_mail", "nxdomain", "invalid_mx", "bogus", "servfail", "timeout", "invalid_name", "closed", "no_memory", "not_found",
  "sts_mismatch",
}

local function some_error()
  return { code = random:pick(errors), message = "it " .. random:bytes(random:number(20)),
    permanent = random:chance(2), expired = random:chance(5) or nil }
end

local function some_plan()
  local plan = { domain = "x", have_mx = random:chance(2), mx_authentic = random:chance(2), hosts = {},
    expired = random:chance(5) or nil }
  for i = 1, random:number(4) - 1 do
    plan.hosts[i] = { host = "mx.example", pref = i, tls = random:pick { "may", "dane", "encrypt", "sts", "skip" },
      ips = random:chance(3) and {} or { "192.31.196.1" }, err = random:chance(2) and some_error() or nil,
      records = {} }
  end
  return plan
end

package.preload["nexthop.luv.supervisor"] = function()
  local pump = {}
  pump.__index = pump

  function pump.get() end

  function pump:plan(_, _, callback)
    if random:chance(20) then return nil end
    if random:chance(30) then error "the resolver is broken" end
    if hangs and random:chance(3) then return {} end -- for ever
    self.waiting[#self.waiting + 1] = callback
    self.idle:start(function() self:deliver() end)
    return {}
  end

  function pump:deliver()
    local first = table.remove(self.waiting, 1)
    if not first then return self.idle:stop() end
    if random:chance(2) then first(some_plan()) else first(nil, some_error()) end
  end

  function pump:stop()
    if not self.idle:is_closing() then self.idle:close() end
  end

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

local lookups = require "nexthop.programs.table.lookups"
local settings_of = require "nexthop.programs.table.settings"

-- An update reads something else each time, or nothing.
local rules = {
  function() return nil end, function() return true end, function() return false end,
  function() error "the rule fails" end, function() error {} end, function() return "found" end,
  function() os.exit(7) end, function(event) event.domain, event.result, event.err = nil, nil, nil end,
}

local function some_settings()
  return assert(settings_of.check {
    deadline = 0.02, rule = random:chance(2) and random:pick(rules) or nil, exclude = { "example.org" },
    verdicts = random:pick { { "dane" }, { "dane", "encrypt" }, { "encrypt" } },
  })
end

settings_of.load = function()
  if random:chance(3) then return nil, "no " .. random:bytes(random:number(10)) end
  if random:chance(9) then error "the configuration is broken" end
  return some_settings()
end

local words = {
  "|", "||", "\r", "\n", "\0", "table", "config|ready", "config|tablename|t", "0.1", "1e9", "-1", "check", "lookup", "fetch",
  "update", "domain", "alias", "owes-tls", "@", "[192.0.2.1]", "<>", "%s", "%00", "\195\188", "example.org", "xn--", ".", "*",
  "found", "error", "register|ready",
}
local operations = { "check", "check", "check", "lookup", "fetch", "update", "frob" }
local services = { "domain", "domain", "domain", "domain", "alias", "auth", "", "nonsense" }
local domains = { "nullmx.example", "dane.example", "b\195\188cher.example", "[192.0.2.1]", "example.org", "x", "", "a|b", "a@b" }

local ids

local function line()
  ids = ids + 1
  local operation = random:pick(operations)
  local head = ("table|0.1|1713795082.354255|owes-tls|%s"):format(operation)
  if operation == "update" then return ("%s|%08x"):format(head, ids) end
  if operation == "fetch" then return ("%s|%s|%08x"):format(head, random:pick(services), ids) end
  return ("%s|%s|%08x|%s"):format(head, random:pick(services), ids, random:pick(domains))
end

-- What must be answered, told apart independently of the table: fields by their bars. The name of the table may hold bars.
local function expected_of(input)
  local expected, ready, name = {}, false, "owes-tls"
  for text in input:gmatch "([^\n]*)\n" do
    local fields = {}
    for field in (text .. "|"):gmatch "([^|]*)|" do fields[#fields + 1] = field end
    if fields[1] == "config" and fields[2] == "ready" then ready = true end
    if text:sub(1, 17) == "config|tablename|" then name = text:sub(18) end
    local _, bars = name:gsub("|", "")
    local starts = table.concat({ (table.unpack or unpack)(fields, 4, 4 + bars) }, "|") == name -- luacheck: ignore
    local at = starts and 5 + bars or 5
    local id = fields[fields[at] == "update" and at + 1 or at + 2]
    if fields[1] == "table" and fields[at] and fields[at] ~= "" and id and id ~= "" then
      local key = fields[at] .. "|" .. id
      expected[key] = (expected[key] or 0) + 1
    end
  end
  return expected, ready
end

-- Is this an answer that smtpd takes?
local function is_valid(operation, text)
  if text:find "^error|[ -~]+$" then return #text < 1000 end
  if operation == "update" then return text == "ok" end
  if text == "not-found" then return true end
  if operation == "check" then return text == "found" end
  return operation == "lookup" and text:find "^found|[^\r\n%z]+$" ~= nil
end

local function check(input, output)
  local expected, ready = expected_of(input)
  if output ~= "" and output:sub(-1) ~= "\n" then error "output ends in the middle of a line" end
  local registered = {}
  for text in output:gmatch "([^\n]*)\n" do
    local operation, id, answer = text:match "^([^|]*)%-result|([^|]*)|(.*)$"
    if operation then
      local key = operation .. "|" .. id
      if (expected[key] or 0) == 0 then error("an answer that nobody waits for: " .. text) end
      expected[key] = expected[key] - 1
      if not is_valid(operation, answer) then error("an answer that would end smtpd: " .. text) end
    else
      registered[#registered + 1] = text
    end
  end
  if table.concat(registered, " ") ~= (ready and "register|domain register|ready" or "") then
    error("registered: " .. table.concat(registered, " "))
  end
  for key, count in pairs(expected) do
    if count > 0 then error(("not answered: %q"):format(key)) end
  end
  for _, text in ipairs(logged) do
    if text:find "[^\n -~]" or text:find "\n." or text:sub(-1) ~= "\n" then error(("in the log: %q"):format(text)) end
  end
end

local function lines_of()
  local lines = { "config|smtpd-version|7.6.0", "config|tablename|owes-tls", "config|ready" }
  for _ = 1, random:number(60) do
    local text = line()
    if random:chance(4) then text = random:mutate(text, words) end
    lines[#lines + 1] = text
  end
  return table.concat(lines, "\n") .. (random:chance(4) and "" or "\n")
end

fuzz.run("table", function(generator)
  random, logged, ids = generator, {}, 0
  hangs = random:chance(10)
  local input, output = lines_of(), {}
  fuzz.note(input)
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
  lookups.run(some_settings(), { input = to.read, output = from.write, path = "x" })
  while not answered:is_closing() do uv.run "once" end
  uv.run "nowait"
  local ok, err = pcall(check, input, table.concat(output))
  if not ok then error(("%s\nlog:\n%s"):format(tostring(err), table.concat(logged)), 0) end
end)
