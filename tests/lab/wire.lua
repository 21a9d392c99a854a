-- DNS packets for the scriptable server: reading queries, walking records, building answers.
-- A packet is a Lua string; positions are 1-based, names are lower-case presentation text
-- without the final dot ("." is the root), odd bytes as \DDD.
local wire = {}

local byte, char, format = string.byte, string.char, string.format
local floor = math.floor

local types = {
  A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, MX = 15, TXT = 16, AAAA = 28, SRV = 33,
  DNAME = 39, OPT = 41, DS = 43, RRSIG = 46, NSEC = 47, DNSKEY = 48, NSEC3 = 50,
  NSEC3PARAM = 51, TLSA = 52, ANY = 255,
}
local type_names = {}
for name, number in pairs(types) do
  type_names[number] = name
end

wire.rcodes = { noerror = 0, formerr = 1, servfail = 2, nxdomain = 3, notimp = 4, refused = 5 }

local function u16(packet, position)
  local high, low = byte(packet, position, position + 1)
  return high * 256 + low
end

local function put16(number)
  return char(floor(number / 256) % 256, number % 256)
end
wire.put16 = put16

local function put32(number)
  return put16(floor(number / 65536)) .. put16(number % 65536)
end

-- The number of a type given as number, "MX" or "TYPE52".
function wire.type_number(name)
  return tonumber(name) or types[name] or tonumber((tostring(name):match("^TYPE(%d+)$")))
    or error("unknown DNS type " .. tostring(name), 2)
end

function wire.type_name(number)
  return type_names[number] or "TYPE" .. number
end

function wire.from_hex(hex)
  return (hex:gsub("%s+", ""):gsub("%x%x", function(pair)
    return char(tonumber(pair, 16))
  end))
end

function wire.to_hex(bytes)
  return (bytes:gsub(".", function(c)
    return format("%02x", byte(c))
  end))
end

-- Presentation text to wire form, \DDD and \. understood. Labels are not checked for length:
-- a scripted answer may be as wrong as it likes.
function wire.encode_name(name)
  if name == "." or name == "" then
    return "\0"
  end
  local labels, label, position = {}, {}, 1
  while position <= #name do
    local c = name:sub(position, position)
    local decimal = name:match("^\\(%d%d%d)", position)
    if decimal then
      label[#label + 1], position = char(tonumber(decimal)), position + 4
    elseif c == "\\" then
      label[#label + 1], position = name:sub(position + 1, position + 1), position + 2
    elseif c == "." then
      labels[#labels + 1], label, position = table.concat(label), {}, position + 1
    else
      label[#label + 1], position = c, position + 1
    end
  end
  if #label > 0 then
    labels[#labels + 1] = table.concat(label)
  end
  for index, text in ipairs(labels) do
    labels[index] = char(#text) .. text
  end
  return table.concat(labels) .. "\0"
end

local function escape(label)
  return (label:lower():gsub("[^%w_*/-]", function(c)
    return c == "." and "\\." or format("\\%03d", byte(c))
  end))
end

-- The name at a position: its text and the position behind it, or nil for a broken one.
local function read_name(packet, position)
  local labels, behind, jumps = {}, nil, 0
  while true do
    local length = byte(packet, position)
    if not length then
      return nil
    elseif length == 0 then
      return #labels == 0 and "." or table.concat(labels, "."), behind or position + 1
    elseif length >= 192 then
      jumps = jumps + 1
      if jumps > 50 or position + 1 > #packet then
        return nil
      end
      behind = behind or position + 2
      position = u16(packet, position) - 192 * 256 + 1
    else
      labels[#labels + 1] = escape(packet:sub(position + 1, position + length))
      position = position + 1 + length
    end
  end
end

-- What a query asks: name, type (text), id (two bytes), the raw question, DO and CD, its UDP size;
-- nil when this is no query with one question.
function wire.query(packet)
  if #packet < 17 or byte(packet, 3) >= 128 or u16(packet, 5) ~= 1 then
    return nil
  end
  local name, behind = read_name(packet, 13)
  if not name or behind + 3 > #packet then
    return nil
  end
  local query = {
    packet = packet,
    id = packet:sub(1, 2),
    name = name,
    type = wire.type_name(u16(packet, behind)),
    question = packet:sub(13, behind + 3),
    cd = floor(byte(packet, 4) / 16) % 2 == 1,
    size = 512,
  }
  for _, record in ipairs(wire.records(packet)) do
    if record.type == types.OPT then
      query.edns = record.rdata_start - 11
      query.size = math.max(512, record.class)
      query["do"] = byte(packet, record.rdata_start - 4) >= 128
    end
  end
  return query
end

-- All records of a packet, in order: section ("answer", "authority", "additional"), name, type,
-- class, and where their data stands. Stops at the first broken one.
function wire.records(packet)
  local records, position = {}, 13
  for _ = 1, u16(packet, 5) do
    local _, behind = read_name(packet, position)
    if not behind then
      return records
    end
    position = behind + 4
  end
  for index, section in ipairs { "answer", "authority", "additional" } do
    for _ = 1, u16(packet, 5 + 2 * index) do
      local name, behind = read_name(packet, position)
      if not name or behind + 9 > #packet then
        return records
      end
      local length = u16(packet, behind + 8)
      records[#records + 1] = {
        section = section, name = name,
        type = u16(packet, behind), class = u16(packet, behind + 2),
        rdata_start = behind + 10, rdata_end = behind + 9 + length,
      }
      position = behind + 10 + length
    end
  end
  return records
end

-- The query without its DO bit, as a server that knows nothing of DNSSEC passes it on.
function wire.without_do(query)
  if not query["do"] then
    return query.packet
  end
  local flags = query.edns + 7
  return query.packet:sub(1, flags - 1) .. char(byte(query.packet, flags) % 128)
    .. query.packet:sub(flags + 1)
end

-- Flips the last byte of the RRSIGs in a packet (of those that cover a type, when one is given):
-- the answer of somebody who changed it after it was signed.
function wire.corrupt(packet, covered)
  for _, record in ipairs(wire.records(packet)) do
    if record.type == types.RRSIG
      and (not covered or u16(packet, record.rdata_start) == wire.type_number(covered)) then
      local last = record.rdata_end
      packet = packet:sub(1, last - 1) .. char(255 - byte(packet, last)) .. packet:sub(last + 1)
    end
  end
  return packet
end

-- One record in wire form from { name =, type =, ttl =, rdata = hex }; the question's name by default.
function wire.record(record, query)
  local rdata = wire.from_hex(record.rdata or "")
  return wire.encode_name(record.name or query.name)
    .. put16(wire.type_number(record.type or query.type))
    .. put16(record.class or 1) .. put32(record.ttl or 300) .. put16(#rdata) .. rdata
end

-- An answer to a query: options rcode, tc, aa, ra, answers (list of wire records), edns = false.
function wire.response(query, options)
  local answers = options.answers or {}
  local opt = query.edns and options.edns ~= false
  local third = 128 + byte(query.packet, 3) % 2 + (options.aa == false and 0 or 4)
    + (options.tc and 2 or 0)
  local fourth = (options.ra and 128 or 0) + (query.cd and 16 or 0) + (options.rcode or 0)
  local body = query.id .. char(third, fourth) .. put16(1) .. put16(#answers) .. put16(0)
    .. put16(opt and 1 or 0) .. query.question .. table.concat(answers)
  if opt then
    body = body .. "\0" .. put16(types.OPT) .. put16(1232) .. "\0\0"
      .. (query["do"] and "\128" or "\0") .. "\0" .. put16(0)
  end
  return body
end

-- NSD cannot serve a TLSA record without data. What has this for its data has none after it has come
-- through here. What follows the answer is left out, but for OPT: it may refer to what has moved.
wire.no_data = "ee"
function wire.without_data(packet)
  if not packet:find("\0\52\0\1", 13, true) then -- TLSA IN
    return packet
  end
  local cuts, opt, stop, answers = {}, "", nil, u16(packet, 7)
  for _, record in ipairs(wire.records(packet)) do
    if record.section == "answer" then
      stop = record.rdata_end
      if record.type == types.TLSA and record.rdata_end - record.rdata_start == 3
        and wire.to_hex(packet:sub(stop, stop)) == wire.no_data then
        table.insert(cuts, 1, record)
      end
    elseif record.type == types.OPT then
      opt = packet:sub(record.rdata_start - 11, record.rdata_end)
    end
  end
  if #cuts == 0 then
    return packet
  end
  packet = packet:sub(1, stop)
  for _, record in ipairs(cuts) do
    packet = packet:sub(1, record.rdata_start - 3) .. put16(3)
      .. packet:sub(record.rdata_start, record.rdata_end - 1) .. packet:sub(record.rdata_end + 1)
  end
  return packet:sub(1, 6) .. put16(answers) .. put16(0) .. put16(opt == "" and 0 or 1)
    .. packet:sub(13) .. opt
end

-- Name servers whose addresses are 127.255.0.N in the zones are at VIEW.N for who asks through a view
-- ("127.9.1"); those at 127.255.K.N are at 127.9.(250 + K).N, the same for all views of one lab. The
-- glue of a delegation is not signed.
local placeholder = "\127\255"
function wire.with_servers_at(packet, view)
  if not packet:find(placeholder, 13, true) then
    return packet
  end
  local second, third = view:match("^127%.(%d+)%.(%d+)$")
  for _, record in ipairs(wire.records(packet)) do
    local at = record.rdata_start
    if record.type == types.A and packet:sub(at, at + 1) == placeholder then
      local level = byte(packet, at + 2)
      packet = packet:sub(1, at) .. char(second, level == 0 and third or 250 + level)
        .. packet:sub(at + 3)
    end
  end
  return packet
end

-- A forwarder's view of an authoritative answer: recursion available, not authoritative.
function wire.as_forwarder(packet)
  local third, fourth = byte(packet, 3, 4)
  if floor(third / 4) % 2 == 1 then
    third = third - 4
  end
  return packet:sub(1, 2) .. char(third, fourth % 128 + 128) .. packet:sub(5)
end

function wire.with_id(packet, id)
  return id .. packet:sub(3)
end

return wire
