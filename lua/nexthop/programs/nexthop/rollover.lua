--- `nexthop --rollover NEW.pem HOST...`: may the new certificate go live now? Asks every name server, and
-- prints what nexthop.doctor.rollover says.
local core = require "nexthop.core"
local json = require "nexthop.json.encode"
local make_tlsa = require "nexthop.programs.nexthop.make_tlsa"
local rollover = require "nexthop.doctor.rollover"
local tlsa_record = require "nexthop.doctor.tlsa_record"
local used = require "nexthop.programs.nexthop.assumed"

local M = {}

local MOMENT = 1100 -- ms: inceptions are whole seconds

-- ---- the chain ------------------------------------------------------------

-- Reads the file of what goes live: the certificate of the server first, then its issuers.
local function read_chain(path)
  local list, reason = make_tlsa.read(path)
  if not list then return nil, reason end
  local certificates = make_tlsa.certificates(list)
  if #certificates == 0 then return nil, path .. ": there is no certificate in it" end
  local chain = { certificates = certificates, der = {} }
  for i, certificate in ipairs(certificates) do chain.der[i] = certificate.der end
  return chain
end

-- Does the chain match one of the records? With usage 3 its names and dates do not count.
local function acceptor(chain, names, now)
  return function(records)
    local verdict = core.judge { chain = chain.der, records = records, names = names, at = now }
    return verdict.dane == "verified"
  end
end

-- Does OpenSSL take the record? The name does not matter for that.
local function is_usable(chain)
  return function(record)
    return record.usage >= 2 and record.usage <= 3 and record.selector <= 1 and record.match_type <= 2
      and pcall(core.judge, { chain = chain.der, records = { record }, names = { "name.invalid" } })
  end
end

-- ---- a host ------------------------------------------------------------

local Run = {}
Run.__index = Run

local function base_domains(ips, host)
  if ips.authentic and ips.expanded_host ~= host then return { ips.expanded_host, host } end
  return (ips.authentic or ips.host_authentic) and { host } or {}
end

function Run:assumed(...)
  local list = {}
  for _, name in ipairs { ... } do used.mark(self.args.assume, name) end
  for _, record in ipairs(self.args.assume or {}) do
    for _, name in ipairs { ... } do
      if record.name == name then
        list[#list + 1] = record
        break
      end
    end
  end
  return list
end

function Run:states(name, type, assumed)
  local zone = self.zones:of(name)
  if not zone then
    return { { server = "a name server", failed = "the zone of " .. name .. " was not found" } }
  elseif zone.ds_error then
    return { { server = "a name server",
      failed = ("the DS of %s cannot be looked up: %s"):format(zone.name, zone.ds_error.message) } }
  elseif not zone.secure then
    return nil
  end
  return self.states_of(self.task, zone, name, type, {
    assumed = assumed or {}, is_usable = self.is_usable, timeout = self.args.timeout, left = self.left,
  })
end

-- What the servers say at one base domain, and of the aliases there. What is not secure does not count.
function Run:look(host, base, port)
  local name = tlsa_record.name(base, port)
  local answer = self.ask(name, "TLSA")
  local chain = answer and answer.chain or { name }
  local final = chain[#chain]
  local assumed = self:assumed(name, final)
  for i = 1, #chain - 1 do
    local servers = self:states(chain[i], "CNAME")
    if not servers then return end
    host.links[#host.links + 1] = { name = chain[i], servers = servers }
  end
  local servers = self:states(final, "TLSA", assumed)
  if not servers then return end
  host.sets[#host.sets + 1] = { name = final, servers = servers, assumed = assumed[1] ~= nil }
end

-- Asks again after a moment, and tells whether a server signs each answer anew, or may do so.
function Run:signs_live(host)
  local found = false
  local uv = require "luv"
  self.task:await(function(done)
    local timer = uv.new_timer()
    timer:start(MOMENT, 0, function()
      timer:close()
      done()
    end)
    return { cancel = function() timer:close() end }
  end)
  for _, part in ipairs { { host.sets, "TLSA" }, { host.links, "CNAME" } } do
    for _, set in ipairs(part[1]) do
      local after = self:states(set.name, part[2]) or {}
      found = self.find_live_signers(set.servers, after) or found
    end
  end
  return found
end

-- The records to publish before the chain can go live.
function Run:publish(set, accepts)
  local there, list = {}, {}
  for _, state in ipairs(set.servers) do
    for _, record in ipairs(state.records or {}) do there[#there + 1] = record end
  end
  local certificates = self.chain.certificates
  local function add(parameters)
    list = {}
    for i, one in ipairs(parameters) do
      local of = certificates[one.usage == 2 and 2 or 1]
      list[i] = tlsa_record.of(of, one.usage, one.selector, one.match_type)
      there[#there + 1] = list[i]
    end
  end
  add(rollover.parameters(there, certificates[2] ~= nil))
  if not rollover.is_taken(there, accepts) then add(rollover.parameters({}, false)) end
  for i, record in ipairs(list) do list[i] = ("%s. IN TLSA %s"):format(set.name, tlsa_record.text(record)) end
  return list
end

-- { host, verdict, at, reasons, publish }
function Run:host(name, port)
  local ips, err = self.task:await(function(done)
    local options = { network = self.network, deadline = self.left() }
    local handle = self.resolver:gather_ips(name, options, done)
    self.driver:soon()
    return handle
  end)
  if not ips then
    if err.permanent or err.code == "not_found" then return { verdict = "NO", reasons = { err.message } } end
    return { verdict = "WAIT", at = self.now + 60, reasons = { err.message } }
  end
  local host = { sets = {}, links = {} }
  local bases = base_domains(ips, name)
  for _, base in ipairs(bases) do self:look(host, base, port) end
  if #host.sets == 0 then
    return { verdict = "GO", reasons = { "it has no DANE: its addresses or TLSA records are not secure" } }
  end
  local accepts = acceptor(self.chain, #bases > 0 and bases or { name }, self.now)
  local input = { accepts = accepts, now = self.now, since = self.args.since }
  local result, needs = rollover.judge(host, input)
  if result.verdict == "GO" and self:signs_live(host) then
    input.now = os.time()
    result, needs = rollover.judge(host, input)
    if result.verdict == "WAIT" then
      table.insert(result.reasons, "a name server signs each answer anew, or did not answer again, so "
        .. "its signatures do not tell since when the records have been there; --since says it")
    end
  end
  if needs then result.publish = self:publish(needs, accepts) end
  return result
end

-- ---- what is printed ------------------------------------------------------------

-- The verdict of all hosts, in the first line.
local function head(worst, hosts)
  if worst.verdict == "GO" then return "GO\n" end
  if worst.verdict == "WAIT" then return ("WAIT until %s\n"):format(rollover.utc(worst.at)) end
  local lines, seen = {}, {}
  for _, one in ipairs(hosts) do
    for _, record in ipairs(one.publish or {}) do
      if not seen[record] then lines[#lines + 1] = ("NO, publish %s first\n"):format(record) end
      seen[record] = true
    end
  end
  return #lines > 0 and table.concat(lines) or "NO\n"
end

local function as_text(worst, hosts, ports)
  local lines = { head(worst, hosts) }
  for _, one in ipairs(hosts) do
    local subject = #ports > 1 and ("%s port %d"):format(one.host, one.port) or one.host
    for _, reason in ipairs(one.reasons) do
      lines[#lines + 1] = ("  %s: %s: %s\n"):format(subject, one.verdict, reason)
    end
  end
  return table.concat(lines)
end

local function as_json(worst, hosts)
  local list = {}
  for i, one in ipairs(hosts) do
    list[i] = { host = one.host, port = one.port, verdict = one.verdict, ["until"] = one.at,
      reasons = one.reasons, publish = one.publish }
  end
  local result = { verdict = worst.verdict, ["until"] = worst.at, agreed = worst.agreed, hosts = list }
  return json.line(result, true)
end

-- ---- all of it ------------------------------------------------------------

local function judge_all(run, names)
  local hosts = {}
  for _, name in ipairs(names) do
    for _, port in ipairs(run.args.ports) do
      local one = run:host(name, port)
      one.host, one.port = name, port
      hosts[#hosts + 1] = one
    end
  end
  return hosts
end

--- Does all of it.
-- @param program of nexthop.programs.program
-- @param args of the command line
-- @param options of nexthop.new
-- @return the exit status
function M.run(program, args, options)
  local chain, reason = read_chain(args.rollover)
  local names = {}
  for i, given in ipairs(args.names) do
    local name, wrong = core.name(given)
    if not name and not reason then reason = ("%s: %s"):format(given, wrong) end
    names[i] = name
  end
  if reason then
    program:complain(reason)
    return program.USAGE
  end

  local servers, tasks = require "nexthop.doctor.servers", require "nexthop.doctor.tasks"
  local states, uv = require "nexthop.doctor.states", require "luv"
  local begun, hosts, failure = uv.hrtime(), nil, nil
  local run = setmetatable({
    args = args, chain = chain, network = args.ipv4 and "ip4" or args.ipv6 and "ip6" or nil,
    is_usable = is_usable(chain), now = os.time(), states_of = states.of,
    find_live_signers = states.find_live_signers,
    left = function() return args.deadline and args.deadline - (uv.hrtime() - begun) / 1e9 end,
  }, Run)
  tasks.run(function(task)
    run.task = task
    run.resolver, run.driver = servers.open(task, options)
    if not run.resolver then
      failure = run.driver
      return
    end
    for _, warning in ipairs(require("nexthop").warnings(run.resolver)) do program:complain(warning) end
    run.ask = servers.asker(task, run.resolver, run.driver, run.left)
    run.zones = require("nexthop.doctor.zones").new(run.ask, function() end,
      function(list) task:all(list) end, { stub = options.stub, network = run.network })
    hosts = judge_all(run, names)
  end)
  uv.run()
  if failure then return nil, failure end
  local worst = rollover.worst(hosts)
  used.complain(program, args.assume)
  program:say(args.json and as_json(worst, hosts) or as_text(worst, hosts, args.ports))
  return ({ GO = program.OK, WAIT = program.TEMPORARY, NO = program.FAILED })[worst.verdict]
end

return M
