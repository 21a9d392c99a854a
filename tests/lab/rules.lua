-- The rules of the scriptable DNS server: which queries they catch and what they do to the answer.
--
-- A rule is a table; the newest that fits decides, all others are as if they were not there:
--   name     lower-case name, "*.example.org" for everything below it, "*" for everything (default)
--   names    instead of it, a list of lower-case names; may be thousands
--   type     "MX", or "*" (default)
--   proto    "udp" or "tcp"; default: both
--   address  "127.0.0.2", the address that was asked, "127.0.0.*" for all that begin so; default: all
--   times    applies that often, then it is gone
--   share    of the names and types that fit only so many are caught, 0 to 1; which, `seed` says: always the
--            same ones (chance.lua). types: { [type] = true }, only these
--   first    each name and type only so often, 1 to `first` times, which by the seed; then it is answered
--   delay    milliseconds before the answer;  hold = true: the answer waits for lab:release(id)
--   first    milliseconds before the answer to the first question for a name and type; the same
--            question asked meanwhile is answered with it, and later at once
--   action   what is answered, one of:
--     pass         what NSD says (default; for delay and hold)
--     servfail, refused, notimp, formerr, nxdomain, nodata    just that, unsigned
--     silent       nothing
--     lossy        NSD's answer, where neither question nor answer gets lost: each does with the
--                  probability `loss` (0.2), decided by `seed` (a number)
--     truncate     the TC bit over UDP; then over TCP, tcp = "serve" (default), "refuse" (nobody
--                  listens on TCP while the rule stands), "reset", "half" (an answer that stops in
--                  the middle), "close", "silent"
--     wrong_id, wrong_question    NSD's answer, to another query
--     garbage      bytes = hex sent as they are; default: the right id and 40 bytes of 0xff
--     loop         an answer whose name is a compression pointer to itself
--     denied       NSD's answer with the rcode NXDOMAIN in its header, as servers have it that know no empty
--                  non-terminals
--     strip        a server that knows no DNSSEC: no signatures, DNSKEY and DS are empty
--     corrupt      NSD's answer, its signatures broken; covered = "AAAA": only those over AAAA
--     damage       of NSD's answers the part `damaged` (0 to 1) is damaged: bytes changed, or cut short; each
--                  answer anew, by the seed
--     answer       packet = hex, sent with the query's id and question put in (raw = true: just the
--                  id), or records = { { name, type, ttl, rdata = hex }, ... }, rcode = number
local wire = require "tests.lab.wire"
local chance = require "tests.lab.chance"

local rules = {}
rules.__index = rules

function rules.new()
  return setmetatable({ list = {}, last_id = 0 }, rules)
end

local actions = {}
rules.actions = actions

-- Checks and adds a rule; the newest is looked at first. Returns its id, or nil and why not.
function rules:add(rule)
  rule.action = rule.action or "pass"
  if not actions[rule.action] then
    return nil, "unknown action " .. tostring(rule.action)
  end
  rule.name = (rule.name or "*"):lower()
  if #rule.name > 1 then
    rule.name = rule.name:gsub("%.$", "")
  end
  rule.type = rule.type or "*"
  if rule.names then
    rule.set = {}
    for _, name in ipairs(rule.names) do
      rule.set[name] = true
    end
  end
  if rule.damaged then
    rule.random = chance.generator(rule.seed or 1)
  end
  self.last_id = self.last_id + 1
  rule.id = self.last_id
  table.insert(self.list, 1, rule)
  return rule.id
end

function rules:remove(id)
  for index, rule in ipairs(self.list) do
    if rule.id == id then
      table.remove(self.list, index)
      return true
    end
  end
  return false
end

function rules:clear()
  self.list = {}
end

-- True while some rule wants nobody to listen on TCP.
function rules:refuses_tcp()
  for _, rule in ipairs(self.list) do
    if rule.action == "truncate" and rule.tcp == "refuse" then
      return true
    end
  end
  return false
end

local function address_fits(rule, address)
  local wanted = rule.address
  if not wanted or wanted == address then
    return true
  end
  local start = wanted:match("^(.*)%*$")
  return start ~= nil and address:sub(1, #start) == start
end

local function name_fits(rule, name)
  local pattern = rule.name
  if rule.set then
    return rule.set[name] == true
  elseif pattern == "*" or pattern == name then
    return true
  end
  local suffix = pattern:match("^%*(%..+)$")
  return suffix ~= nil and #name > #suffix and name:sub(-#suffix) == suffix
end

-- Is this one of the share of all questions that a rule catches?
local function chosen(rule, query)
  local key, seed = query.name .. " " .. query.type, rule.seed or 1
  if rule.types and not rule.types[query.type] or rule.share and chance.of(seed, key) >= rule.share then
    return false
  elseif rule.first then
    rule.counts = rule.counts or {}
    rule.counts[key] = (rule.counts[key] or 0) + 1
    return rule.counts[key] <= 1 + math.floor(chance.of(seed + 1, key) * rule.first)
  end
  return true
end

-- The rule for a query, or nil; one of its `times` is used up.
function rules:match(query, client)
  for index, rule in ipairs(self.list) do
    if (rule.type == "*" or rule.type == query.type)
      and name_fits(rule, query.name)
      and (not rule.proto or rule.proto == client.proto)
      and address_fits(rule, client.address)
      and chosen(rule, query) then
      if rule.times then
        rule.times = rule.times - 1
        if rule.times <= 0 then
          table.remove(self.list, index)
        end
      end
      return rule
    end
  end
  return nil
end

-- Each action: query, rule, client (send, close, reset, proto, ra), forward(packet, done).

for name, code in pairs(wire.rcodes) do
  if name ~= "noerror" then
    actions[name] = function(query, _, client)
      -- Servers that answer FORMERR or NOTIMP know nothing of EDNS.
      local edns = name ~= "formerr" and name ~= "notimp"
      client:send(wire.response(query, { rcode = code, aa = false, ra = client.ra, edns = edns }))
    end
  end
end

function actions.pass(query, _, client, forward)
  forward(query.packet, function(packet)
    client:send(packet)
  end)
end

function actions.nodata(query, _, client)
  client:send(wire.response(query, { ra = client.ra }))
end

function actions.silent() end

local truncated_tcp = {
  serve = actions.pass,
  refuse = function(_, _, client)
    client:reset()
  end,
  reset = function(_, _, client)
    client:reset()
  end,
  close = function(_, _, client)
    client:close()
  end,
  silent = actions.silent,
  half = function(query, _, client, forward)
    forward(query.packet, function(packet)
      client:send_half(packet)
    end)
  end,
}

-- The generator of Park and Miller, so that a seed means the same under every Lua.
local function is_lost(rule)
  rule.seed = (rule.seed or 1) * 16807 % 2147483647
  return rule.seed / 2147483647 < (rule.loss or 0.2)
end

function actions.lossy(query, rule, client, forward)
  if is_lost(rule) then
    return
  end
  forward(query.packet, function(packet)
    if not is_lost(rule) then
      client:send(packet)
    end
  end)
end

function actions.truncate(query, rule, client, forward)
  if client.proto == "udp" then
    client:send(wire.response(query, { tc = true, ra = client.ra }))
  else
    truncated_tcp[rule.tcp or "serve"](query, rule, client, forward)
  end
end

function actions.wrong_id(query, _, client, forward)
  forward(query.packet, function(packet)
    local first, second = packet:byte(1, 2)
    client:send(wire.with_id(packet, string.char(255 - first, second)))
  end)
end

function actions.wrong_question(query, _, client, forward)
  forward(query.packet, function(packet)
    -- The first letter of the name (the root's type, when there is none) becomes an "x" or "y".
    local letter = packet:sub(14, 14) == "x" and "y" or "x"
    client:send(packet:sub(1, 13) .. letter .. packet:sub(15))
  end)
end

function actions.garbage(query, rule, client)
  client:send(rule.bytes and wire.from_hex(rule.bytes) or query.id .. ("\255"):rep(40))
end

function actions.loop(query, _, client)
  local pointer = 192 * 256 + 12 + #query.question
  client:send(wire.response(query, {
    ra = client.ra, edns = false,
    answers = { wire.put16(pointer) .. wire.record({ name = ".", rdata = "c0000201" }, query):sub(2) },
  }))
end

local dnssec_only = { DNSKEY = true, DS = true, RRSIG = true, NSEC = true, NSEC3 = true, NSEC3PARAM = true }

function actions.strip(query, rule, client, forward)
  if dnssec_only[query.type] then
    return actions.nodata(query, rule, client)
  end
  forward(wire.without_do(query), function(packet)
    client:send(packet)
  end)
end

function actions.denied(query, _, client, forward)
  forward(query.packet, function(packet)
    local flags = packet:byte(4)
    client:send(packet:sub(1, 3) .. string.char(flags - flags % 16 + 3) .. packet:sub(5))
  end)
end

function actions.corrupt(query, rule, client, forward)
  forward(query.packet, function(packet)
    client:send(wire.corrupt(packet, rule.covered))
  end)
end

-- One to four bytes behind the id and the question are others, or the end is missing.
local function damage(packet, first, random)
  if #packet <= first then
    return packet
  elseif random(4) == 1 then
    return packet:sub(1, 1 + random(#packet - 2))
  end
  for _ = 1, random(4) do
    -- The flags and counts are short and stand in front: each third hit is one of them.
    local at = random(3) == 1 and 2 + random(10) or first + random(#packet - first)
    packet = packet:sub(1, at - 1) .. string.char(random(256) - 1) .. packet:sub(at + 1)
  end
  return packet
end

function actions.damage(query, rule, client, forward)
  forward(query.packet, function(packet)
    if rule.random(1000) <= 1000 * rule.damaged then
      packet = damage(packet, 12 + #query.question, rule.random)
    end
    client:send(packet)
  end)
end

function actions.answer(query, rule, client)
  if rule.packet then
    local packet = wire.from_hex(rule.packet)
    if not rule.raw then
      local old = wire.query(packet:sub(1, 2) .. "\0" .. packet:sub(4))
      packet = packet:sub(1, 12) .. query.question .. packet:sub(13 + (old and #old.question or 0))
    end
    return client:send(wire.with_id(packet, query.id))
  end
  local answers = {}
  for index, record in ipairs(rule.records or {}) do
    answers[index] = wire.record(record, query)
  end
  client:send(wire.response(query, { ra = client.ra, rcode = rule.rcode, answers = answers }))
end

return rules
