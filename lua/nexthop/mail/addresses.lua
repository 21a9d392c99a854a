--- Which IP addresses can be reached from the whole Internet: IANA's IPv4 and IPv6 Special-Purpose
-- Address Registries (RFC 6890, RFC 8190) as a table, and what stands around them.
local core = require "nexthop.core"

local M = {}

-- Prefix, globally reachable, what it is, RFC. The longest prefix decides; `embeds`: the IPv4
-- address begins at that byte, and is what decides.
M.special = {
  -- iana-ipv4-special-registry
  { "0.0.0.0/0", true, "unicast", "RFC 791" },
  { "0.0.0.0/8", false, "this network", "RFC 791" },
  { "10.0.0.0/8", false, "private", "RFC 1918" },
  { "100.64.0.0/10", false, "shared address space", "RFC 6598" },
  { "127.0.0.0/8", false, "loopback", "RFC 1122" },
  { "169.254.0.0/16", false, "link-local", "RFC 3927" },
  { "172.16.0.0/12", false, "private", "RFC 1918" },
  { "192.0.0.0/24", false, "IETF protocol assignments", "RFC 6890" },
  { "192.0.0.9/32", true, "Port Control Protocol anycast", "RFC 7723" },
  { "192.0.0.10/32", true, "TURN anycast", "RFC 8155" },
  { "192.0.2.0/24", false, "documentation", "RFC 5737" },
  { "192.31.196.0/24", true, "AS112", "RFC 7535" },
  { "192.52.193.0/24", true, "AMT", "RFC 7450" },
  { "192.88.99.0/24", false, "6to4 relay anycast, withdrawn", "RFC 7526" },
  { "192.168.0.0/16", false, "private", "RFC 1918" },
  { "192.175.48.0/24", true, "AS112", "RFC 7534" },
  { "198.18.0.0/15", false, "benchmarking", "RFC 2544" },
  { "198.51.100.0/24", false, "documentation", "RFC 5737" },
  { "203.0.113.0/24", false, "documentation", "RFC 5737" },
  { "224.0.0.0/4", false, "multicast", "RFC 5771" },
  { "240.0.0.0/4", false, "reserved", "RFC 1112" },
  { "255.255.255.255/32", false, "limited broadcast", "RFC 919" },
  -- iana-ipv6-special-registry; only 2000::/3 is given out as global unicast
  { "::/0", false, "reserved", "RFC 4291" },
  { "2000::/3", true, "unicast", "RFC 4291" },
  { "::/128", false, "unspecified", "RFC 4291" },
  { "::1/128", false, "loopback", "RFC 4291" },
  { "::ffff:0:0/96", false, "IPv4-mapped", "RFC 4291" },
  { "64:ff9b::/96", true, "IPv4-IPv6 translation", "RFC 6052", embeds = 13 },
  { "64:ff9b:1::/48", false, "local IPv4-IPv6 translation", "RFC 8215" },
  { "100::/64", false, "discard-only", "RFC 6666" },
  { "100:0:0:1::/64", false, "dummy prefix", "RFC 9780" },
  { "2001::/23", false, "IETF protocol assignments", "RFC 2928" },
  { "2001::/32", true, "Teredo", "RFC 4380" },
  { "2001:1::1/128", true, "Port Control Protocol anycast", "RFC 7723" },
  { "2001:1::2/128", true, "TURN anycast", "RFC 8155" },
  { "2001:1::3/128", true, "DNS-SD SRP anycast", "RFC 9665" },
  { "2001:2::/48", false, "benchmarking", "RFC 5180" },
  { "2001:3::/32", true, "AMT", "RFC 7450" },
  { "2001:4:112::/48", true, "AS112", "RFC 7535" },
  { "2001:10::/28", false, "ORCHID, withdrawn", "RFC 4843" },
  { "2001:20::/28", true, "ORCHIDv2", "RFC 7343" },
  { "2001:30::/28", true, "drone remote ID", "RFC 9374" },
  { "2001:db8::/32", false, "documentation", "RFC 3849" },
  { "2002::/16", true, "6to4", "RFC 3056", embeds = 3 },
  { "2620:4f:8000::/48", true, "AS112", "RFC 7534" },
  { "3fff::/20", false, "documentation", "RFC 9637" },
  { "5f00::/16", false, "segment routing SIDs", "RFC 9602" },
  { "fc00::/7", false, "unique local", "RFC 4193" },
  { "fe80::/10", false, "link-local", "RFC 4291" },
  { "fec0::/10", false, "site-local, withdrawn", "RFC 3879" },
  { "ff00::/8", false, "multicast", "RFC 4291" },
}

-- By length of the address in bytes; the longest prefix first.
local blocks = { [4] = {}, [16] = {} }
for _, row in ipairs(M.special) do
  local address, bits = row[1]:match "^(.*)/(%d+)$"
  local bytes = core.address(address)
  bits = tonumber(bits)
  table.insert(blocks[#bytes], {
    whole = bytes:sub(1, math.floor(bits / 8)),
    next = bits % 8 > 0 and bytes:byte(math.floor(bits / 8) + 1),
    divisor = 2 ^ (8 - bits % 8),
    bits = bits, row = row, embeds = row.embeds,
  })
end
for _, list in pairs(blocks) do table.sort(list, function(a, b) return a.bits > b.bits end) end

local function within(bytes, block)
  local n = #block.whole
  if bytes:sub(1, n) ~= block.whole then return false end
  return not block.next
    or math.floor(bytes:byte(n + 1) / block.divisor) == math.floor(block.next / block.divisor)
end

local function classify(bytes)
  for _, block in ipairs(blocks[#bytes]) do
    if within(bytes, block) then
      if block.embeds then
        local inner = classify(bytes:sub(block.embeds, block.embeds + 3))
        if not inner[2] then return inner end
      end
      return block.row
    end
  end
end

--- Can an address be reached from the whole Internet, what is its block, and its RFC? nil: it is no address.
function M.is_global(ip)
  local bytes = core.address(ip)
  if not bytes then return nil end
  local row = classify(bytes)
  return row[2], row[3], row[4]
end

--- Is this an address of the machine itself (127.0.0.0/8, ::1, also IPv4-mapped)?
function M.is_loopback(ip)
  local bytes = core.address(ip)
  if not bytes then return false end
  if #bytes == 16 and bytes:sub(1, 12) == ("\0"):rep(10) .. "\255\255" then
    bytes = bytes:sub(13)
  end
  if #bytes == 4 then return bytes:byte(1) == 127 end
  return bytes == ("\0"):rep(15) .. "\1"
end

-- With or without brackets, and other kinds than IP addresses in brackets (RFC 5321 4.1.3).
local function is_literal(domain)
  if domain:find "^%[.*%]$" then return true end
  if domain:lower():find "^ipv6:" then return true end
  return core.address(domain) ~= nil
end

--- The domain of a mail address, as a lower-case A-label. One that cannot exist is returned as it
-- is, in lower case: plan() refuses it with `invalid_name`, and the finding is `no_host`.
function M.domain(address)
  if address == "" or address == "<>" then return nil, "null sender" end
  local domain = address:match "^.*@(.*)$"
  if not domain or domain == "" then return nil, "no domain" end
  if is_literal(domain) then return nil, "address literal" end
  return core.name(domain) or domain:lower()
end

return M
