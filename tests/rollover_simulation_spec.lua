-- Rollovers that are made from a seed: what a zone had when, how far its secondary lagged, how its signer
-- sets inceptions. `nexthop --rollover` is asked at some moment. The reference below knows the whole history,
-- and what every sender could have in its cache. It is written from RFC 7671 8.1 and 8.4 and RFC 7672 2.2,
-- and shares no code with lua/nexthop/doctor/.
local chance = require "tests.lab.chance"
local rollover = require "nexthop.doctor.rollover"

local HOUR, DAY, WEEK = 3600, 86400, 604800
local SCHEDULES = 6000

local random_to -- random_to(n): a whole number from 1 to n, the same under every Lua

local function one_of(list) return list[random_to(#list)] end

-- ---- the history of a name ------------------------------------------------------------

-- A record says which chain it is of: "old", "new" or "other".
local function record(usage, selector, match_type, data)
  return { usage = usage, selector = selector, match_type = match_type, data = data }
end

local function random_set()
  local sets = {
    {}, { record(3, 1, 1, "old") }, { record(3, 1, 1, "new") },
    { record(3, 1, 1, "old"), record(3, 1, 1, "new") },
    { record(3, 1, 1, "old"), record(2, 1, 1, "new") },
    { record(3, 1, 2, "old"), record(3, 1, 1, "new") }, -- the weaker digest alone is of the new chain
    { record(3, 1, 1, "old"), record(3, 1, 2, "new") },
    { record(3, 1, 2, "old"), record(3, 1, 2, "new"), record(3, 1, 1, "new") },
    { record(2, 1, 1, "other") }, { record(3, 0, 0, "new") },
  }
  return one_of(sets)
end

-- What there was at the primary, and since when; the newest last. The first was there for ever.
local function random_versions(now)
  local versions, at = { { at = 0, set = random_set() } }, now - random_to(40) * HOUR
  for _ = 1, random_to(3) - 1 do
    at = at + one_of { 60, 1800, 2 * HOUR, 10 * HOUR }
    if at > now then break end
    versions[#versions + 1] = { at = at, set = random_set() }
  end
  return versions
end

-- A secondary has each version later, by at most the refresh of the SOA.
local function lagging(versions, refresh)
  local late = {}
  for i, version in ipairs(versions) do
    local at = version.at == 0 and 0 or version.at + random_to(refresh)
    if at > 0 and late[i - 1] then at = math.max(at, late[i - 1].at) end
    late[i] = { at = at, set = version.set }
  end
  return late
end

local function version_at(versions, time)
  local found
  for i, version in ipairs(versions) do
    if version.at <= time then found = i end
  end
  return versions[found], found
end

-- When the signature of a version was made, as the signer says it. It may have been made anew since.
local function inception(world, number, version, now)
  local signed = version.at == 0 and world.first_signed or world.primary[number].at
  if world.resign then signed = math.max(signed, now - now % world.resign) end
  if world.weekly then return signed - signed % WEEK - WEEK end
  return signed - world.backdate
end

local function random_world(now)
  local refresh = one_of { 600, HOUR, 4 * HOUR }
  local world = {
    ttl = one_of { 0, 300, HOUR, 8 * HOUR, DAY }, minimum = one_of { 60, HOUR, 3 * HOUR },
    refresh = refresh, primary = random_versions(now), backdate = one_of { 0, 0, HOUR, 5400 },
    weekly = random_to(8) == 1, resign = one_of { false, false, DAY },
    first_signed = now - one_of { 2 * DAY, 10 * DAY }, serial = random_to(3),
  }
  world.servers = { world.primary }
  if random_to(3) > 1 then world.servers[2] = lagging(world.primary, refresh) end
  return world
end

-- What the servers say now.
local function observed(name, world, now)
  local set = { name = name, servers = {} }
  for i, versions in ipairs(world.servers) do
    local version, number = version_at(versions, now)
    set.servers[i] = {
      server = "ns" .. i, records = version.set, count = #version.set, minimum = world.minimum,
      ttl = #version.set > 0 and world.ttl or world.minimum, refresh = world.refresh,
      serial = (4294967290 + world.serial + number) % 4294967296, -- it wraps on the way
      inception = inception(world, number, version, now),
    }
  end
  return set
end

-- ---- the reference ------------------------------------------------------------

local function matches(one, chain) return one.data == chain end

-- Does this sender deliver to a server with the new chain? RFC 7672 2.2: without a usable record it does not
-- verify. RFC 7671 9: of the digests that it knows it may take the strongest alone.
local function delivers(sender, set)
  local usable, matched = 0, false
  for _, one in ipairs(set) do
    local counts = one.match_type == 0 or sender.digests[one.match_type]
    for _, other in ipairs(set) do
      if sender.is_agile and one.match_type == 1 and other.match_type == 2 and sender.digests[2]
        and other.usage == one.usage and other.selector == one.selector then
        counts = false
      end
    end
    if counts then
      usable = usable + 1
      matched = matched or matches(one, "new")
    end
  end
  return usable == 0 or matched
end

local senders = {
  { digests = { true, true }, is_agile = true }, { digests = { true, true } },
  { digests = { true }, is_agile = true }, { digests = { true } },
}

local function all_deliver(set)
  for _, sender in ipairs(senders) do
    if not delivers(sender, set) then return false end
  end
  return true
end

-- All sets that some sender can have at `now` or later: fetched from a server at a time from which on the TTL
-- has not passed. Nothing is changed any more but what is still on its way to the secondary.
local function in_use(world, now)
  local list = {}
  for _, versions in ipairs(world.servers) do
    for i, version in ipairs(versions) do
      local ends = versions[i + 1] and versions[i + 1].at or math.huge -- it is fetched before that
      local ttl = #version.set > 0 and world.ttl or world.minimum
      if ends > version.at and ends + ttl > now then list[#list + 1] = version.set end
    end
  end
  return list
end

-- Can a delivery be refused when the new chain goes live now?
local function can_be_refused(worlds, now)
  for _, set in ipairs(in_use(worlds[1], now)) do
    if #set > 0 and not all_deliver(set) then return true end
    if #set == 0 and worlds[2] and can_be_refused({ worlds[2] }, now) then return true end
  end
  return false
end

-- The latest moment at which what one server says can have begun, by what can be seen of it alone.
local function latest_change(world, server, now)
  if server.inception % WEEK == 0 then return now end
  return math.min(now, server.inception + 5400 + (#world.servers > 1 and world.refresh or 0))
end

-- No sender can have anything else than what is there now from this moment on, for certain.
local function proven(world, set, now)
  local bound = 0
  for _, server in ipairs(set.servers) do
    -- the TTL of what is no longer there is not known where nothing is left
    local ttl = #server.records > 0 and world.ttl or DAY
    bound = math.max(bound, latest_change(world, server, now) + ttl)
  end
  return bound
end

local function say(set)
  local words = {}
  for i, one in ipairs(set) do
    words[i] = ("%d%d%d %s"):format(one.usage, one.selector, one.match_type, one.data)
  end
  return "{" .. table.concat(words, ", ") .. "}"
end

-- A schedule in words, for the message of a failure.
local function told(seed, worlds, now, verdict)
  local lines = { ("seed %d, now %d: %s until %s"):format(seed, now, verdict.verdict, tostring(verdict.at)) }
  for _, world in ipairs(worlds) do
    lines[#lines + 1] = ("ttl %d minimum %d refresh %d backdate %d weekly %s resign %s"):format(world.ttl,
      world.minimum, world.refresh, world.backdate, tostring(world.weekly), tostring(world.resign))
    for i, versions in ipairs(world.servers) do
      for _, version in ipairs(versions) do
        lines[#lines + 1] = ("  ns%d from %d s: %s"):format(i, version.at - now, say(version.set))
      end
    end
  end
  return table.concat(lines, "\n")
end

local function accepts(records)
  for _, one in ipairs(records) do
    if one.data == "new" then return true end
  end
  return false
end

-- The host as `nexthop --rollover` sees it at a moment.
local function seen(worlds, now)
  local host = { sets = {} }
  for i, world in ipairs(worlds) do host.sets[i] = observed("_25._tcp.name" .. i, world, now) end
  return host
end

-- A schedule: its worlds (of one name, or of two that senders ask one after the other), and what is said.
local function schedule(seed)
  random_to = chance.generator(seed * 7919 + 12345)
  for _ = 1, 5 do random_to(2) end
  local now = 1900000000 + random_to(3 * DAY)
  local worlds = { random_world(now) }
  if random_to(4) == 1 then worlds[2] = random_world(now) end
  if worlds[2] and random_to(2) == 1 then -- the first name has got its first records a while ago
    local first = worlds[1]
    local begun = now - random_to(3 * HOUR)
    first.primary = { { at = 0, set = {} }, { at = begun, set = { record(3, 1, 1, "new") } } }
    first.servers = { first.primary }
    first.ttl, first.backdate, first.weekly, first.resign = 300, 5400, false, false
  end
  return worlds, seen(worlds, now), now
end

local function have_the_newest(worlds, now)
  for _, world in ipairs(worlds) do
    for _, versions in ipairs(world.servers) do
      if versions[#versions].at > now then return false end
    end
  end
  return true
end

local function judge(host, now, more)
  local input = { accepts = accepts, now = now }
  for key, value in pairs(more or {}) do input[key] = value end
  return rollover.judge(host, input)
end

describe("in thousands of rollovers", function()
  local counts = { GO = 0, WAIT = 0, NO = 0, careless = 0, since = 0 }

  -- Runs body(worlds, host, now, verdict, why) for each of them.
  local function each(body)
    for seed = 1, SCHEDULES do
      local worlds, host, now = schedule(seed)
      local verdict = judge(host, now)
      body(worlds, host, now, verdict, told(seed, worlds, now, verdict))
    end
  end

  it("no GO leads to a refused delivery", function()
    each(function(worlds, host, now, verdict, why)
      counts[verdict.verdict] = counts[verdict.verdict] + 1
      local refused = can_be_refused(worlds, now)
      if verdict.verdict == "GO" then assert(not refused, why) end
      -- who looks at the records of now alone is refused in many of them
      local careless = #host.sets == 1 and all_deliver(host.sets[1].servers[1].records)
      if careless and refused then counts.careless = counts.careless + 1 end
    end)
    assert(counts.GO > 500 and counts.WAIT > 500 and counts.NO > 500,
      ("%d GO, %d WAIT, %d NO"):format(counts.GO, counts.WAIT, counts.NO))
    assert(counts.careless > 150, counts.careless)
  end)

  it("no WAIT is longer than the bound that can be proven, and what is proven is GO", function()
    each(function(worlds, host, now, verdict, why)
      if #worlds == 2 then return end
      local set, world, any_refuses, empty = host.sets[1], worlds[1], false, 0
      for _, server in ipairs(set.servers) do
        any_refuses = any_refuses or not all_deliver(server.records)
        if #server.records == 0 then empty = empty + 1 end
      end
      local same = empty == 0 or empty == #set.servers
      if any_refuses then
        assert(verdict.verdict ~= "GO", why)
        if verdict.at then assert(verdict.at <= now + math.max(world.ttl, 1), why) end
      elseif not same then
        assert.equal("WAIT", verdict.verdict, why)
        assert(verdict.at <= now + math.max(world.ttl, 1), why)
      else
        local bound = proven(world, set, now)
        assert.equal(bound <= now and "GO" or "WAIT", verdict.verdict, why)
        if verdict.at then assert(verdict.at <= bound and verdict.at > now, why) end
      end
    end)
  end)

  it("NO means that the newest records refuse the new chain, and nothing cures that but a record", function()
    each(function(worlds, host, now, verdict, why)
      if verdict.verdict ~= "NO" then return end
      local refused = false
      for _, world in ipairs(worlds) do
        refused = refused or not all_deliver(version_at(world.primary, now).set)
      end
      assert(refused, why)
      assert.equal("NO", judge(host, now + 30 * DAY).verdict, why)
    end)
  end)

  it("who waits is let go at last, where nothing changes any more", function()
    each(function(worlds, _, now, verdict, why)
      local steady = verdict.verdict == "WAIT"
      for _, world in ipairs(worlds) do steady = steady and not (world.weekly or world.resign) end
      if not steady then return end
      local rounds = 0
      while verdict.verdict == "WAIT" do
        rounds, now = rounds + 1, verdict.at
        verdict = judge(seen(worlds, now), now)
        assert(rounds < 20000, why)
      end
      if #worlds == 1 then assert(have_the_newest(worlds, now), why) end
    end)
  end)

  it("with --since it is GO as soon as caches have forgotten what was there before", function()
    each(function(worlds, host, now, _, why)
      if #worlds == 2 or not have_the_newest(worlds, now) then return end
      local world, since = worlds[1], 0
      for _, versions in ipairs(world.servers) do since = math.max(since, versions[#versions].at) end
      local verdict = judge(host, now, { since = since })
      if verdict.verdict == "GO" then assert(not can_be_refused(worlds, now), why) end
      local newest = world.primary[#world.primary].set
      if #newest > 0 and all_deliver(newest) then
        counts.since = counts.since + 1
        assert.equal(since + world.ttl <= now, verdict.verdict == "GO", why)
      end
    end)
    assert(counts.since > 150, counts.since)
  end)
end)
