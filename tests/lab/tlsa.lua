-- One host of `example` for each kind of TLSA record: t-<kind>.example has addresses and these records
-- at _25._tcp, and mx-t-<kind>.example is a mail domain with it as its MX.
--
-- The certificate is the lab's: `server` signed by `ca`, made at start. A kind's number is
-- usage, selector, matching type.
local tlsa = {}

-- { kind, records ... }, each record as in a zone file, without the word TLSA.
tlsa.usable = {
  { "311", "3 1 1 ${server.spki.sha256}" },
  { "312", "3 1 2 ${server.spki.sha512}" },
  { "301", "3 0 1 ${server.cert.sha256}" },
  { "302", "3 0 2 ${server.cert.sha512}" },
  { "300", "3 0 0 ${server.cert}" },
  { "310", "3 1 0 ${server.spki}" },
  { "201", "2 0 1 ${ca.cert.sha256}" },
  { "202", "2 0 2 ${ca.cert.sha512}" },
  { "200", "2 0 0 ${ca.cert}" },
  { "211", "2 1 1 ${ca.spki.sha256}" },
  { "212", "2 1 2 ${ca.spki.sha512}" },
  { "210", "2 1 0 ${ca.spki}" },
}

local ab = ("ab"):rep(100)

tlsa.unusable = {
  { "001", "0 0 1 ${ca.cert.sha256}" },
  { "101", "1 0 1 ${server.cert.sha256}" },
  { "111", "1 1 1 ${server.spki.sha256}" },
  { "usage4", "4 1 1 ${server.spki.sha256}" },
  { "usage255", "255 1 1 ${server.spki.sha256}" },
  { "selector2", "3 2 1 ${server.spki.sha256}" },
  { "selector255", "3 255 1 ${server.spki.sha256}" },
  { "match3", "3 1 3 ${server.spki.sha256}" },
  { "match255", "3 1 255 ${server.spki.sha256}" },
  { "sha256-31", "3 1 1 " .. ab:sub(1, 62) },
  { "sha256-33", "3 1 1 " .. ab:sub(1, 66) },
  { "sha512-63", "3 1 2 " .. ab:sub(1, 126) },
  { "sha512-65", "3 1 2 " .. ab:sub(1, 130) },
  { "cert-trailing", "3 0 0 ${server.cert}00" },
  { "cert-truncated", "3 0 0 ${server.cert.truncated}" },
  { "spki-trailing", "3 1 0 ${server.spki}00" },
  { "spki-truncated", "3 1 0 ${server.spki.truncated}" },
  { "cert-as-spki", "3 1 0 ${server.cert}" },
  { "spki-as-cert", "3 0 0 ${server.spki}" },
  { "junk", "3 0 0 deadbeef" },
  { "empty-300", "3 0 0" },
  { "empty-310", "3 1 0" },
  { "empty-311", "3 1 1" },
  { "allbad", "0 0 1 ${ca.cert.sha256}", "3 1 1 " .. ab:sub(1, 62), "3 0 0 deadbeef",
    "3 2 1 ${server.spki.sha256}" },
}

tlsa.mixed = {
  { "mixed", "1 0 1 ${server.cert.sha256}", "3 1 1 ${server.spki.sha256}", "3 1 1 " .. ab:sub(1, 62),
    "2 0 1 ${ca.cert.sha256}" },
  { "agility", "3 1 1 ${server.spki.sha256}", "3 1 2 ${server.spki.sha512}" },
  { "agility-full", "3 1 1 ${server.spki.sha256}", "3 1 2 ${server.spki.sha512}",
    "3 1 0 ${server.spki}" },
  { "agility-perusage", "3 1 1 ${server.spki.sha256}", "3 1 2 ${server.spki.sha512}",
    "3 0 1 ${server.cert.sha256}", "2 0 1 ${ca.cert.sha256}" },
  { "agility-badstrong", "3 1 1 ${server.spki.sha256}", "3 1 2 " .. ab:sub(1, 126) },
}

-- Sets by size, as t-20, t-120, t-900: 20 records are over 512 bytes, 120 over 4 KB, 900 are about
-- 42 KB. (A validator writes each record's owner out to check the signature, and libunbound has 64 KB
-- for that: with a name five letters longer, 900 records would be bogus.)
tlsa.sizes = { 20, 120, 900 }

-- An empty record has no text form that all tools read: the generic one of RFC 3597.
local function record(name, text)
  if text:match("^%d+ %d+ %d+$") then
    return ("%s TYPE52 \\# 3 %02x%02x%02x"):format(name, text:match("(%d+) (%d+) (%d+)"))
  end
  return name .. " TLSA " .. text
end

function tlsa.text()
  local lines = {}
  local function add(kind, records)
    lines[#lines + 1] = ("t-%s HOST 60"):format(kind)
    lines[#lines + 1] = ("mx-t-%s MX 10 t-%s"):format(kind, kind)
    for _, text in ipairs(records) do
      lines[#lines + 1] = record("_25._tcp.t-" .. kind, text)
    end
  end
  for _, list in ipairs { tlsa.usable, tlsa.unusable, tlsa.mixed } do
    for _, entry in ipairs(list) do
      local records = {}
      for index = 2, #entry do
        records[index - 1] = entry[index]
      end
      add(entry[1], records)
    end
  end
  for _, size in ipairs(tlsa.sizes) do
    local records = {}
    for number = 1, size do
      records[number] = ("3 1 1 %064x"):format(number)
    end
    add(tostring(size), records)
  end
  return table.concat(lines, "\n") .. "\n"
end

return tlsa
