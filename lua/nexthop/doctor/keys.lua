--- DS and DNSKEY records: which belong together, and which are of algorithms that no longer count. No DNS.
local hex = require "nexthop.hex"

local M = {}

-- What rests on SHA-1: RSASHA1 and RSASHA1-NSEC3-SHA1 (RFC 8624 3.1, RFC 9905).
local sha1_algorithms = { [5] = true, [7] = true }

-- What can be a trust anchor (nexthop.config.anchors).
local algorithms = { [8] = true, [10] = true, [13] = true, [14] = true, [15] = true }
local digest_bytes = { [2] = 32, [4] = 48 }

--- Reads the rdata of a DS; nil: it is cut short.
function M.ds(rdata)
  if #rdata < 5 then return nil end
  local high, low, algorithm, digest_type = rdata:byte(1, 4)
  return { tag = high * 256 + low, algorithm = algorithm, digest_type = digest_type, digest = rdata:sub(5) }
end

--- The key tag of a DNSKEY (RFC 4034 appendix B).
function M.tag(rdata)
  local sum = 0
  for i = 1, #rdata do sum = sum + rdata:byte(i) * (i % 2 == 1 and 256 or 1) end
  return (sum + math.floor(sum / 65536) % 65536) % 65536
end

--- Reads the rdata of a DNSKEY; nil: it is cut short.
function M.key(rdata)
  if #rdata < 5 then return nil end
  local high, low, _, algorithm = rdata:byte(1, 4)
  return { tag = M.tag(rdata), algorithm = algorithm, flags = high * 256 + low, rdata = rdata }
end

--- The name in the form over which a DS is made (RFC 4034 6.2).
function M.wire_name(name)
  local parts = {}
  for label in name:lower():gmatch "[^.]+" do parts[#parts + 1] = string.char(#label) .. label end
  return table.concat(parts) .. "\0"
end

--- Does a DS name this key?
-- @param digest function(bytes, match_type), as nexthop.core has it
function M.belongs(zone, ds, key, digest)
  if ds.tag ~= key.tag or ds.algorithm ~= key.algorithm then return false end
  local match_type = ds.digest_type == 2 and 1 or nil -- SHA-1 and SHA-384 are not computed here
  return not match_type or digest(M.wire_name(zone) .. key.rdata, match_type) == ds.digest
end

--- The DS records of a zone as trust anchors that can be used.
-- @param list of rdata
function M.anchors(zone, list)
  local out = {}
  for _, rdata in ipairs(list) do
    local ds = M.ds(rdata)
    if ds and algorithms[ds.algorithm] and digest_bytes[ds.digest_type] == #ds.digest then
      out[#out + 1] = ("%s. IN DS %d %d %d %s"):format(zone, ds.tag, ds.algorithm, ds.digest_type,
        hex.encode(ds.digest))
    end
  end
  return out
end

--- What of a zone rests on SHA-1: lists of algorithms (of its keys) and of digest types (of its DS), and
-- whether it has others too.
-- @param ds, dnskey lists of rdata
function M.sha1(ds, dnskey)
  local found = { algorithms = {}, digests = {}, other_algorithm = false, other_digest = false }
  local seen = {}
  for _, rdata in ipairs(dnskey) do
    local key = M.key(rdata)
    if key and sha1_algorithms[key.algorithm] then
      if not seen[key.algorithm] then found.algorithms[#found.algorithms + 1] = key.algorithm end
      seen[key.algorithm] = true
    elseif key then
      found.other_algorithm = true
    end
  end
  for _, rdata in ipairs(ds) do
    local one = M.ds(rdata)
    if one and one.digest_type == 1 then
      found.digests[1] = 1
    elseif one then
      found.other_digest = true
    end
  end
  table.sort(found.algorithms)
  return found
end

return M
