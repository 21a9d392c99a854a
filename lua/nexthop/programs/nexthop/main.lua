--- The program nexthop(1).
local assumed = require "nexthop.programs.nexthop.assumed"
local core = require "nexthop.core"
local doctor = require "nexthop.programs.nexthop.doctor"
local formats = require "nexthop.programs.nexthop.formats"
local explain = require "nexthop.programs.nexthop.explain"
local json_line = require "nexthop.programs.nexthop.json"
local nexthop = require "nexthop"
local options = require "nexthop.programs.nexthop.options"
local program = require("nexthop.programs.program").new("nexthop", options.usage)
local tally = require "nexthop.programs.nexthop.tally"
local text = require "nexthop.programs.nexthop.text"
local verify = require "nexthop.programs.nexthop.verify"

local function is_set(name)
  local value = os.getenv(name)
  return value ~= nil and value ~= ""
end

local function is_utf8()
  for _, name in ipairs { "LC_ALL", "LC_CTYPE", "LANG" } do
    if is_set(name) then return os.getenv(name):lower():find "utf%-?8" ~= nil end
  end
  return false
end

-- ---- the lookups ------------------------------------------------------------

-- TLSA behind addresses: two calls that look like one, and have one deadline.
local function tlsa_lookup(resolver, name, call, port, callback)
  local hrtime = require "luv".hrtime
  local proxy, begun = {}, hrtime()
  function proxy.cancel(self) return self.handle:cancel() end
  proxy.handle = resolver:gather_ips(name, call, function(ips, err)
    if not ips then return callback(nil, err) end
    local result = {
      authentic = ips.authentic, expanded_authentic = ips.expanded_authentic,
      host_authentic = ips.host_authentic, expanded_host = ips.expanded_host,
      dane_required = false, records = {}, unusable = {}, tlsa_base_domain = core.name(name) or name,
      ttl = ips.ttl,
    }
    if not ips.authentic and not ips.host_authentic then return callback(result) end
    proxy.handle = resolver:gather_tlsa(name, {
      expanded_authentic = ips.expanded_authentic, expanded_host = ips.expanded_host, port = port,
      deadline = call.deadline and math.max(0, call.deadline - (hrtime() - begun) / 1e9),
    }, function(tlsa, failure)
      if not tlsa then return callback(nil, failure) end
      for key, value in pairs(tlsa) do result[key] = value end
      if ips.ttl and (not tlsa.ttl or ips.ttl < tlsa.ttl) then result.ttl = ips.ttl end
      callback(result)
    end)
  end)
  return proxy
end

-- @param wake function(): has the loop run the resolver
local function lookup(args, resolver, wake)
  local call = options.call(args)
  if args.mode == "tlsa" then
    return function(name, callback) return tlsa_lookup(resolver, name, call, args.port, callback) end
  elseif args.mode == "check" then
    return doctor.lookup(resolver, args, wake)
  elseif args.mode == "verify" then
    return verify.lookup(resolver, call)
  end
  local method = args.mode == "destinations" and "gather_destinations"
    or args.mode == "ips" and "gather_ips" or "plan"
  return function(name, callback) return resolver[method](resolver, name, call, callback) end
end

-- ---- what is printed ------------------------------------------------------------

-- The name in results: what was asked for, as a lower-case A-label if it is one.
local function canonical(name)
  local inner = name:match "^%[(.*)%]$" or name
  return core.name(inner) or name
end

-- What tally.lua counts.
local function counted(args)
  if args.mode == "verify" then return "verify" end
  return (args.mode == "plan" or args.mode == "check" or args.mode == "explain") and "plan" or nil
end

-- For gather_destinations a domain that does not exist is no error, and for the exit status it is one.
local nxdomain = { permanent = true }

-- Returns function(input, result, err, facts), which gives the text and an outcome of tally.lua. The facts
-- are what --check has found. A collection takes them for the end of the program.
local function renderer(args, tree, collection)
  local key = (args.mode == "ips" or args.mode == "tlsa") and "host" or "domain"
  local planned = counted(args) == "plan"
  if args.mode == "verify" or args.mode == "check" then
    local render = collection and collection:renderer(tree)
      or (args.mode == "check" and doctor or verify).renderer(args, tree)
    return function(input, ...) return render({ text = input, name = canonical(input) }, ...) end
  end
  return function(input, result, err)
    local name = canonical(input)
    local outcome = planned and tally.outcome_of_plan(result, err)
      or tally.outcome_of_step(err or result.nxdomain and nxdomain or nil)
    local answer, printed = result or err
    assumed.mark_plan(args.assume, answer)
    if args.mode ~= "explain" then answer.trace = nil end -- it was wanted for the assumed records alone
    if args.json then
      printed = json_line(key, { text = input, name = name }, result, err)
    elseif args.mode == "explain" then
      printed = explain.story(tree, name, result, err)
    else
      printed = err and tree:error(err, name) or tree[args.mode](tree, result, name)
    end
    return printed, outcome
  end
end

-- ---- all of it ------------------------------------------------------------

local function summary(count, bar, interrupted)
  local seconds = bar:seconds()
  io.stderr:write(("%s%s (%.1f s, %.0f/s)\n"):format(interrupted and "interrupted; " or "", count:summary(),
    seconds, seconds > 0 and count.total / seconds or 0))
end

-- Ends the program with UNKNOWN if it is a plugin of a monitoring system, which reads why on standard output.
local function end_plugin(format, reason)
  if format ~= "nagios" then return end
  local line, status = formats.unknown(reason)
  program:say(line)
  program.exit(status)
end

-- Prints what was collected for a monitoring system. Returns the exit status.
local function print_collected(collection, args, status, is_unusable)
  if status and args.format == "openmetrics" then return status end -- a page that lacks domains is none
  local page, result, complaints = collection:finish(status ~= nil)
  for _, complaint in ipairs(complaints) do program:complain(complaint) end
  program:say(page)
  return is_unusable and args.format == "openmetrics" and program.USAGE or result
end

local function run(args, resolver)
  local uv = require "luv"
  local progress = require "nexthop.programs.nexthop.progress"
  local runner = require "nexthop.programs.nexthop.run"
  local stream = require "nexthop.programs.nexthop.stream"

  local capable = os.getenv "TERM" ~= "dumb"
  local tree = text.new {
    colour = uv.guess_handle(1) == "tty" and capable and not is_set "NO_COLOR" and not args.format,
    utf8 = is_utf8(),
  }
  local count, state, bar = tally.new(counted(args)), {}, progress.new()
  local shows = args.file and capable and uv.guess_handle(2) == "tty"
  local collection = args.format and formats.new(args)
  local render = renderer(args, tree, collection)

  local source, reason
  if args.file then
    -- opened before anything is asked: a wrong name is wrong usage
    source, reason = stream.input(args.file, function() state.wake() end)
    if not source then
      end_plugin(args.format, reason)
      program:complain(reason)
      return program.USAGE
    end
  else
    source = stream.list(args.names)
  end
  program:confine("tty", args.sts_cache and { program.folder_of(args.sts_cache) } or {})

  local status, why = runner.run {
    resolver = resolver, lookup = lookup(args, resolver, function() state.wake() end),
    jobs = args.jobs or args.authoritative and 8 or 100,
    ordered = args.ordered or not args.file, retry = args.file and (args.retry or 1) or 0,
    output = stream.output,
    source = function(wake)
      state.wake = wake
      return source
    end,
    render = function(...)
      bar:hide()
      return render(...)
    end,
    printed = function(outcome)
      count:add(outcome)
      state.bad = state.bad or outcome.bad
    end,
    tick = shows and function(self) bar:show(self) end or nil,
  }
  bar:hide()
  if source.failed then
    program:complain(("%s: %s"):format(args.file, source.failed))
    status = status or program.IO
  end
  if why then program:complain("standard output: " .. why) end
  if not status then assumed.complain(program, args.assume) end
  local interrupted = status and status > 128 and status ~= 141
  if collection then return print_collected(collection, args, status, count.unusable) end
  if args.file and status ~= 141 then summary(count, bar, interrupted) end
  if status then return status end
  if args.mode == "check" and not count.unusable then return state.bad and program.FAILED or program.OK end
  return count:status()
end

-- What needs no resolver, or opens its own.
local own = {}

function own.make_tlsa(args)
  local lines, reason = require("nexthop.programs.nexthop.make_tlsa").lines(args)
  if not lines then program:fail(program.USAGE, "%s", reason) end
  program:say(lines)
  return program.OK
end

function own.rollover(args)
  local status, err = require("nexthop.programs.nexthop.rollover").run(program, args, options.resolver(args))
  if not status then program:fail(program.USAGE, "%s", options.complaint(err.message)) end
  return status
end

return function(words)
  local given, names = program:parse(words, true)
  program:need "luv"
  if given.version then program:print_versions() end
  local args, wrong = options.arguments(given, names)
  if not args then
    end_plugin(given.format and given.format[#given.format], wrong)
    program:misuse(wrong)
  end
  core.more_descriptors(8192)
  if own[args.mode] then return own[args.mode](args) end
  local resolver, err = nexthop.new(options.resolver(args))
  if not resolver then
    end_plugin(args.format, options.complaint(err.message))
    program:fail(program.USAGE, "%s", options.complaint(err.message))
  end
  for _, warning in ipairs(nexthop.warnings(resolver)) do
    program:complain(options.complaint(warning))
  end
  if args.sts_forget then
    local forgotten, failure = resolver:sts_forget(args.sts_forget)
    resolver:close()
    if failure then program:misuse(failure.message) end
    program:say(("%s: %s\n"):format(args.sts_forget, forgotten and "forgotten" or "there is no policy of it"))
    return forgotten and program.OK or program.FAILED
  end
  if args.sts then
    local ok, reason = core.sts()
    if not ok then
      end_plugin(args.format, reason)
      program:fail(program.USAGE, "%s", reason)
    end
  end
  local status = run(args, resolver)
  resolver:close()
  return status
end
