--- May a new certificate go live now? The judgement of `nexthop --rollover`, from what each authoritative
-- server says. There is no DNS, no file and no clock in it.
--
-- A certificate may go live when no sender can have TLSA records that refuse it. A sender has what a server
-- says now, or what it said before and a cache still has (RFC 7671 8.1, 8.4). What a server said before is
-- not known, so it counts as a refusal. It is in caches until its TTL has passed since the server changed; it
-- is taken to have the TTL of what is there now. The server changed not later than now, and not much later
-- than the signature of what it says now was made. That time is bounded by the inception of the signature:
--   BACKDATE   signers set the inception so far into the past
--   refresh    a secondary may get a change so late, when the NOTIFY is lost (RFC 1034 4.3.5)
-- A signer that sets all inceptions to the beginning of a week (PowerDNS) says nothing of that time.
-- A server that says that there is no record lets senders go on without DANE. That refuses nothing.
--
-- STATE is what one server says of a name:
--   server      its name, for the sentences
--   failed      why it says nothing; the other fields are then nil
--   records     its usable TLSA records: list of { usage, selector, match_type, data }
--   count       how many TLSA records there are, with those that are not usable
--   alias       in place of records: the target of the alias
--   ttl         in seconds; of a denial, how long caches remember it (RFC 2308 5)
--   inception   of the oldest signature of the records, of the newest of a denial; nil: it says nothing
--   serial, refresh, minimum   of the zone's SOA
local M = {}

--- Seconds by which signers put the inception into the past: BIND 3,600, Knot DNS 5,400.
M.BACKDATE = 5400

--- Seconds for which caches may have records that are no longer there, as their TTL is not known.
M.UNKNOWN_TTL = 86400

local WEEK = 604800

local function utc(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%SZ", seconds)
end
M.utc = utc

-- ---- what a sender makes of records ------------------------------------------------------------

-- The records that a sender looks at. One that knows SHA2-512 leaves SHA2-256 out beside it (RFC 7671 9); to
-- one that does not know it, such records are not usable.
local function seen_by(records, knows_sha512)
  local strongest, seen = {}, {}
  for _, record in ipairs(records) do
    local key = record.usage * 256 + record.selector
    if record.match_type == 2 then strongest[key] = true end
  end
  for _, record in ipairs(records) do
    local key, match_type = record.usage * 256 + record.selector, record.match_type
    if match_type == 0 or knows_sha512 and (match_type == 2 or not strongest[key])
      or not knows_sha512 and match_type ~= 2 then
      seen[#seen + 1] = record
    end
  end
  return seen
end

--- Does every sender take a chain with these records? Without a usable record a sender does not verify.
-- @param accepts function(records): does the chain match one of them?
function M.is_taken(records, accepts)
  for _, knows_sha512 in ipairs { true, false } do
    local seen = seen_by(records, knows_sha512)
    if #seen > 0 and not accepts(seen) then return false end
  end
  return true
end

--- The parameters of the records to publish for a new chain beside those that are there: the same as theirs
-- (RFC 7671 8.1), and all of usage 3 that there are, because a sender looks at the strongest digest alone.
-- @param has_issuer can a record of usage 2 be made for the chain?
-- @return list of { usage, selector, match_type }
function M.parameters(records, has_issuer)
  for _, usage in ipairs { 3, 2 } do
    local list, seen = {}, {}
    for _, record in ipairs(records) do
      local key = record.selector * 256 + record.match_type
      if record.usage == usage and not seen[key] and (usage == 3 or has_issuer) then
        seen[key] = true
        list[#list + 1] = { usage = usage, selector = record.selector, match_type = record.match_type }
      end
    end
    if #list > 0 then return list end
  end
  return { { usage = 3, selector = 1, match_type = 1 } }
end

-- ---- verdicts ------------------------------------------------------------

local ranks = { GO = 1, WAIT = 2, NO = 3 }

local function go()
  return { verdict = "GO", reasons = {} }
end

-- GO where the time has come.
local function wait(at, now, text)
  if at <= now then return go() end
  return { verdict = "WAIT", at = at, agreed = true, reasons = { text } }
end

-- WAIT until the caches have forgotten what the servers say now; then the question is asked again.
local function ask_again(now, ttl, text)
  return { verdict = "WAIT", at = now + math.max(ttl, 1), reasons = { text } }
end

--- The worst of verdicts, with the reasons of all.
function M.worst(list)
  local worst = go()
  for _, one in ipairs(list) do
    if ranks[one.verdict] > ranks[worst.verdict] then
      worst = { verdict = one.verdict, at = one.at, agreed = one.agreed, reasons = worst.reasons }
    elseif one.verdict == "WAIT" and worst.verdict == "WAIT" then
      worst.at, worst.agreed = math.max(worst.at, one.at), worst.agreed and one.agreed
    end
    for _, reason in ipairs(one.reasons) do worst.reasons[#worst.reasons + 1] = reason end
  end
  return worst
end

-- ---- one name ------------------------------------------------------------

-- Since when does the server say what it says now, at the latest?
local function said_since(state, servers, input)
  local since = input.now
  if state.inception and state.inception % WEEK ~= 0 then
    local lag = #servers > 1 and state.refresh or 0
    since = math.min(since, state.inception + (input.backdate or M.BACKDATE) + lag)
  end
  return input.since and math.min(since, input.since) or since
end

-- When the caches have forgotten what the servers said before.
local function forgotten(servers, ttl, input)
  local at = 0
  for _, state in ipairs(servers) do
    if not state.failed then at = math.max(at, said_since(state, servers, input) + ttl) end
  end
  return at
end

-- Is serial a newer than b? (RFC 1982 3.2)
local function is_newer(a, b)
  local distance = (a - b) % 4294967296
  return distance > 0 and distance < 2147483648
end

-- Sorts the servers by what a sender makes of their records.
local function sort(set, input)
  local groups = { accepting = {}, refusing = {}, empty = {}, failed = {} }
  for _, state in ipairs(set.servers) do
    local group = "failed"
    if not state.failed then
      group = state.count == 0 and "empty" or M.is_taken(state.records, input.accepts) and "accepting"
        or "refusing"
      if state.count > 0 then groups.ttl = math.max(groups.ttl or 0, state.ttl) end
      if state.serial and (not groups.serial or is_newer(state.serial, groups.serial)) then
        groups.serial = state.serial
      end
    end
    groups[group][#groups[group] + 1] = state
  end
  groups.ttl = groups.ttl or M.UNKNOWN_TTL
  return groups
end

local function has_newest(group, serial)
  for _, state in ipairs(group) do
    if state.serial == serial then return true end
  end
  return false
end

local function names(group)
  local list = {}
  for i, state in ipairs(group) do list[i] = state.server end
  return table.concat(list, ", ")
end

local function unasked(set, groups, input)
  if #groups.failed == 0 then return go() end
  return ask_again(input.now, groups.ttl, ("what %s says of %s is not known: %s"):format(
    names(groups.failed), set.name, groups.failed[1].failed))
end

-- Some servers have records that refuse the chain.
local function refused(set, groups, input)
  local is_new = has_newest(groups.refusing, groups.serial)
    and not has_newest(groups.accepting, groups.serial) and not has_newest(groups.empty, groups.serial)
  if is_new or #groups.accepting + #groups.empty == 0 then
    return { verdict = "NO", reasons = { ("no TLSA record at %s matches the new chain (%s)"):format(set.name,
      names(groups.refusing)) } }
  end
  return ask_again(input.now, groups.ttl,
    ("%s lags behind: it has no TLSA record at %s that matches the new chain"):format(names(groups.refusing),
      set.name))
end

local function agreed(set, groups, input)
  if #groups.empty > 0 and #groups.accepting > 0 then
    return ask_again(input.now, groups.ttl,
      ("%s lags behind or contradicts the others: it has no TLSA record at %s")
        :format(names(groups.empty), set.name))
  end
  local at = forgotten(set.servers, groups.ttl, input)
  if #groups.accepting > 0 then
    return wait(at, input.now, ("until %s senders may have in their caches what was at %s before the TLSA "
      .. "records of now (TTL %d s)"):format(utc(at), set.name, groups.ttl))
  end
  return wait(at, input.now, ("there is no TLSA record at %s, but until %s senders may have in their caches "
    .. "one that was there"):format(set.name, utc(at)))
end

-- The servers of one name.
local function judge_set(set, input)
  local groups = sort(set, input)
  local answered = #set.servers - #groups.failed
  if set.assumed and answered > 0 and #groups.refusing == 0 then return go(), groups end
  if answered == 0 then return unasked(set, groups, input), groups end
  local result = #groups.refusing > 0 and refused(set, groups, input) or agreed(set, groups, input)
  return M.worst { result, unasked(set, groups, input) }, groups
end

-- An alias at the name of the TLSA records: where it led to before is not known.
local function judge_link(link, input)
  local targets, ttl, failed, different = {}, 0, {}, false
  for _, state in ipairs(link.servers) do
    if state.failed then
      failed[#failed + 1] = state
    else
      ttl = math.max(ttl, state.ttl)
      different = different or targets[1] and targets[1] ~= (state.alias or "")
      targets[1] = state.alias or ""
    end
  end
  if #failed > 0 or different then
    if ttl == 0 then ttl = M.UNKNOWN_TTL end
    return ask_again(input.now, ttl, #failed > 0
      and ("what %s says of %s is not known: %s"):format(names(failed), link.name, failed[1].failed)
      or ("the servers contradict each other: the alias %s leads to different names"):format(link.name))
  end
  local at = forgotten(link.servers, ttl, input)
  return wait(at, input.now, ("until %s senders may have another target of the alias %s in their caches")
    :format(utc(at), link.name))
end

-- ---- a host ------------------------------------------------------------

-- How long can senders still take the next name's records, as a cache denies those of this one?
local function denied_until(set, input)
  local minimum = 0
  for _, state in ipairs(set.servers) do minimum = math.max(minimum, state.minimum or 0) end
  return forgotten(set.servers, minimum, input)
end

--- Judges a host.
-- @param host { sets = list of { name, servers = list of STATE, assumed = is there an assumed record? },
-- links = the same for aliases on the way }. The sets are in the order of asking (RFC 7672 2.2.3).
-- @param input { accepts = function(records): does the new chain match one of them?, now, since = time since
-- which all servers are known to say what they say now, backdate }
-- @return { verdict = "GO", "WAIT" or "NO", at = until when to wait, agreed = is it only caches that have to
-- forget?, reasons = list of sentences }, and of a NO the set that needs the record
function M.judge(host, input)
  local results, previous, needs = {}, nil, nil
  for _, set in ipairs(host.sets) do
    local result, groups = judge_set(set, input)
    if previous and result.verdict ~= "GO" then
      local at = denied_until(previous, input)
      if result.at then at = math.min(at, result.at) end
      result = wait(at, input.now, ("until %s senders may have in their caches that there is no TLSA record "
        .. "at %s"):format(utc(at), previous.name))
    end
    results[#results + 1] = result
    if result.verdict == "NO" then needs = needs or set end
    if #groups.empty < #set.servers then
      if previous or #groups.accepting + #groups.refusing == 0 then break end
      previous = set
    end
  end
  for _, link in ipairs(host.links or {}) do results[#results + 1] = judge_link(link, input) end
  local worst = M.worst(results)
  if worst.verdict == "GO" then
    worst.reasons = { "no sender can have TLSA records that refuse the new chain" }
  end
  return worst, needs
end

return M
