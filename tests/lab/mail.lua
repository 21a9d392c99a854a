-- The mail domains, hosts and alias chains of `example`, and their counterparts in the unsigned zones.
--
-- For every host of the lists below there is a mail domain mx-<host>.example with MX 10 <host>.
local mail = {}

local domains = [[
; Two hosts, both with DANE. Ports 465 and 587 have records of their own.
dane            MX 10 mx1.dane
dane            MX 20 mx2.dane
mx1.dane        DANE 1
mx2.dane        DANE 2
_465._tcp.mx1.dane  TLSA 3 1 2 ${server.spki.sha512}
_587._tcp.mx1.dane  TLSA 3 0 1 ${server.cert.sha256}
nodane          MX 10 mx.nodane
mx.nodane       HOST 3

; Null MX: alone, at another preference, beside others.
nullmx          MX 0 .
nullmx          HOST 4
nullmx10        MX 10 .
nullmxtwo       MX 0 .
nullmxtwo       MX 10 .
nullmxmixed     MX 0 .
nullmxmixed     MX 10 mx1.dane
nullmxlast      MX 10 mx1.dane
nullmxlast      MX 50 .
nullmxalias     CNAME nullmx

; No MX. implicitalias has a secure alias in front.
implicitalias   CNAME implicit
onlytxt         TXT "no mail here"

; MX across zones: into unsigned zones, into every kind at once, to hosts that are not there.
mxinsecure      MX 10 mx.insecure
mxplain         MX 10 mx.plain.
mxeverywhere    MX 10 mx1.dane
mxeverywhere    MX 20 mx.nodane
mxeverywhere    MX 30 mx.child
mxeverywhere    MX 40 mx.insecure
mxeverywhere    MX 50 mx.broken
mxeverywhere    MX 60 nothing
mxnothing       MX 10 nothing
mxnodata        MX 10 nodata

; Targets that are no host names, alone and beside a good one.
mxip            MX 10 192.0.2.1.
mxip6           MX 10 2001:db8::1.
mxspace         MX 10 two\032words
mxhyphen        MX 10 -mx
mxhyphenend     MX 10 mx-.dane
mxbytes         MX 10 \195\164\000\255.dane
mxslash         MX 10 a/b.dane
mxunderscore    MX 10 _mx.dane
_mx.dane        DANE 5
mxallbad        MX 10 192.0.2.1.
mxallbad        MX 20 two\032words
mxallbad        MX 30 -mx
mxsomebad       MX 10 192.0.2.1.
mxsomebad       MX 20 two\032words
mxsomebad       MX 30 mx1.dane
mxbadandnull    MX 0  .
mxbadandnull    MX 10 192.0.2.1.
mxduplicate     MX 10 mx1.dane
mxduplicate     MX 20 mx1.dane
mxduplicate     MX 20 mx2.dane
mxcase          MX 10 MX1.Dane
mxequal         MX 10 mx1.dane
mxequal         MX 10 mx2.dane
xn--mnchen-3ya  MX 10 mx1.dane
wildcard        MX 10 mx.wildcard
*.wildcard      HOST 6
*.wildcard      TLSA 3 1 1 ${server.spki.sha256}
*.wild          MX 10 mx1.dane

; TTLs told apart.
ttl             600 MX 10 mx.ttl
alias.ttl       120 CNAME ttl
mx.ttl          60 A 192.0.2.7
mx.ttl          240 AAAA 2001:db8::7
_25._tcp.mx.ttl 30 TLSA 3 1 1 ${server.spki.sha256}
_25._tcp.tttl   120 CNAME _25._tcp.mx.ttl

; Subtrees moved: x.dname is x.child, x.dnameinsecure is x.insecure, x.dnamegone does not exist.
dname           DNAME child
dnameinsecure   DNAME insecure
dnamegone       DNAME gone
mxdname         MX 10 mx.dname
mxdnameinsecure MX 10 mx.dnameinsecure

; RFC 7672 section 3.2.2, its example.org as org.example, .com as com.example, .net as net.example,
; and mx25: a host that is a secure alias into an unsigned zone.
exchange.org    CNAME mail.org
mail.org        CNAME com
com             MX 10 mx10.com
com             MX 15 mx15.com
com             MX 20 mx20.com
com             MX 25 mx25.com
mx10.com        A 192.0.2.10
_25._tcp.mx10.com      TLSA 2 0 1 ${ca.cert.sha256}
mx15.com        CNAME mxbackup.com
mxbackup.com    A 192.0.2.15
_25._tcp.mx15.com      TLSA 2 0 1 ${ca.cert.sha256}
mx20.com        CNAME mxbackup.net
mxbackup.net    A 198.51.100.20
_25._tcp.mxbackup.net  TLSA 2 0 1 ${ca.cert.sha256}
mx25.com        CNAME mx.insecure
_25._tcp.mx25.com      TLSA 2 0 1 ${ca.cert.sha256}
]]

-- Hosts by what addresses they have; each also as the MX of mx-<host>.
local hosts = { "only4", "only6", "noaddress", "many", "pair", "pair4", "bogus4", "bogus6", "bogusboth",
  "bogustlsa", "hostalias", "danglinghost", "underscorehost", "tlsanodata" }
local host_text = [[
only4           A 192.0.2.20
_25._tcp.only4  TLSA 3 1 1 ${server.spki.sha256}
only6           AAAA 2001:db8::20
_25._tcp.only6  TLSA 3 1 1 ${server.spki.sha256}
noaddress       TXT "no address"
pair            HOST 26
pair            HOST 27
pair4           A 192.0.2.28
pair4           A 192.0.2.29
; One signature broken: that of the A, the AAAA, both, the TLSA records.
bogus4          DANE 21
bogus6          DANE 22
bogusboth       DANE 23
bogustlsa       DANE 24
hostalias       CNAME mx1.dane
danglinghost    CNAME gone
underscorehost  CNAME _mx.dane
; The TLSA name exists, without TLSA records.
tlsanodata      HOST 25
_25._tcp.tlsanodata    TXT "no TLSA record"
]]
mail.corrupt = {
  ["bogus4.example. A"] = true, ["bogus6.example. AAAA"] = true,
  ["bogusboth.example. A"] = true, ["bogusboth.example. AAAA"] = true,
  ["_25._tcp.bogustlsa.example. TLSA"] = true,
}

-- Alias loops of one, two and three names, of domains and hosts, and of TLSA names (tloop1 ...);
-- aliases to nothing and to what is no host name (behind which there is mail).
local loops = [[
loop1           CNAME loop1
loop2           CNAME loop2b
loop2b          CNAME loop2
loop3           CNAME loop3b
loop3b          CNAME loop3c
loop3c          CNAME loop3
looptail        CNAME loop2
tloop1          HOST 30
_25._tcp.tloop1 CNAME _25._tcp.tloop1
tloop2          HOST 31
_25._tcp.tloop2 CNAME tloop2b
tloop2b         CNAME _25._tcp.tloop2
tloop3          HOST 32
_25._tcp.tloop3 CNAME tloop3b
tloop3b         CNAME tloop3c
tloop3c         CNAME _25._tcp.tloop3
dangling        CNAME gone
danglinginsecure CNAME gone.insecure
tdangling       HOST 33
_25._tcp.tdangling CNAME gone
cnameunderscore CNAME _under.score
_under.score    MX 10 mx1.dane
cnamespace      CNAME has\032space
has\032space    MX 10 mx1.dane
cnamebytes      CNAME \195\164\000\255
\195\164\000\255 MX 10 mx1.dane
]]

-- Chains of exactly n links: d<n>-0 ends at d<n>-<n> with MX, h<n>-0 at h<n>-<n> with addresses and
-- TLSA, t<n> is a host whose TLSA name ends at t<n>-<n>.
mail.links = { 1, 2, 9, 10, 11, 12, 14, 15, 16, 17 }

local function chains(lines)
  for _, links in ipairs(mail.links) do
    for link = 1, links do
      lines[#lines + 1] = ("d%d-%d CNAME d%d-%d"):format(links, link - 1, links, link)
      lines[#lines + 1] = ("h%d-%d CNAME h%d-%d"):format(links, link - 1, links, link)
      local from = link == 1 and ("_25._tcp.t%d"):format(links)
        or ("t%d-%d"):format(links, link - 1)
      lines[#lines + 1] = ("%s CNAME t%d-%d"):format(from, links, link)
    end
    lines[#lines + 1] = ("d%d-%d MX 10 mx1.dane"):format(links, links)
    lines[#lines + 1] = ("h%d-%d DANE 34"):format(links, links)
    lines[#lines + 1] = ("t%d HOST 35"):format(links)
    lines[#lines + 1] = ("t%d-%d TLSA 3 1 1 ${server.spki.sha256}"):format(links, links)
    lines[#lines + 1] = ("mx-h%d MX 10 h%d-0"):format(links, links)
    lines[#lines + 1] = ("mx-t%d MX 10 t%d"):format(links, links)
  end
end

-- Aliases from the secure zone into every other: s2<kind> is a domain, hs2<kind> a host with a TLSA
-- record of its own name, ts2<kind> a host with secure addresses whose TLSA name is an alias;
-- mx-hs2<kind> and mx-ts2<kind> their mail domains. s2i2s, hs2i2s and ts2i2s come back.
mail.kinds = { "child", "insecure", "wrongds", "expired", "nsec3", "optout", "nsec3iter", "broken",
  "deadds" }

local function crossings(lines)
  for _, kind in ipairs(mail.kinds) do
    lines[#lines + 1] = (([[
s2K CNAME K
is2K CNAME implicit.K
hs2K CNAME mx.K
_25._tcp.hs2K TLSA 3 1 1 ${server.spki.sha256}
_25._tcp.is2K TLSA 3 1 1 ${server.spki.sha256}
ts2K HOST 36
_25._tcp.ts2K CNAME tlsa.K
mx-hs2K MX 10 hs2K
mx-ts2K MX 10 ts2K
]]):gsub("K", kind))
  end
  lines[#lines + 1] = [[
s2plain     CNAME plain.
hs2plain    CNAME mx.plain.
mx-hs2plain MX 10 hs2plain
s2i2s       CNAME i2s.insecure
is2i2s      CNAME ii2s.insecure
_25._tcp.is2i2s TLSA 3 1 1 ${server.spki.sha256}
hs2i2s      CNAME hi2s.insecure
_25._tcp.hs2i2s TLSA 3 1 1 ${server.spki.sha256}
mx-hs2i2s   MX 10 hs2i2s
ts2i2s      HOST 37
_25._tcp.ts2i2s CNAME ti2s.insecure
mx-ts2i2s   MX 10 ts2i2s
]]
end

-- In insecure.example: aliases back into the secure zone, of a domain, a domain without MX, a host,
-- a TLSA name; a null MX beside another; mail for hosts of the secure zone; TLSA names that are aliases
-- in a circle, or too many.
mail.insecure = [[
i2s         CNAME dane.example.
ii2s        CNAME implicit.example.
hi2s        CNAME mx1.dane.example.
ti2s        CNAME tlsa.example.
_25._tcp.host   CNAME tlsa.example.
host        HOST 50
i2broken    CNAME broken.example.
loop2       CNAME loop2b
loop2b      CNAME loop2
dangling    CNAME gone
tosecure    MX 10 mx1.dane.example.
mixed       MX 10 mx
mixed       MX 20 mx1.dane.example.
mx-hi2s     MX 10 hi2s
nullmxmixed MX 0 .
nullmxmixed MX 10 mx
nullmxalias CNAME nullmx.example.
mxip        MX 10 192.0.2.1.
_25._tcp.tloop1 CNAME _25._tcp.tloop1
_25._tcp.tloop2 CNAME tloop2b
tloop2b     CNAME _25._tcp.tloop2
_25._tcp.tlong  CNAME tlong1
]]
for link = 1, 11 do
  mail.insecure = mail.insecure .. ("tlong%d CNAME tlong%d\n"):format(link, link + 1)
end
mail.insecure = mail.insecure .. "tlong12 TLSA 3 1 1 ${server.spki.sha256}\n"

mail.plain = [[
i2s         CNAME dane.example.
tosecure    MX 10 mx1.dane.example.
]]

-- A hundred targets: at a hundred preferences, at five, at one.
local function hundreds(lines)
  for number = 1, 100 do
    local target = ("mx%d.hundred"):format(number)
    lines[#lines + 1] = ("%s HOST %d"):format(target, number)
    lines[#lines + 1] = ("hundred MX %d %s"):format(number, target)
    lines[#lines + 1] = ("hundredmixed MX %d %s"):format(number % 5 * 10, target)
    lines[#lines + 1] = ("hundredequal MX 10 %s"):format(target)
  end
  for number = 1, 20 do
    lines[#lines + 1] = ("many HOST %d"):format(100 + number)
  end
  -- The longest name that the DNS can carry (253 characters), as a target.
  local label = ("a"):rep(63)
  lines[#lines + 1] = ("mxlongest MX 10 %s.%s.%s.%s"):format(label, label, label, ("a"):rep(53))
end

-- The text of `example`.
function mail.text()
  local lines = { domains, host_text, loops }
  for _, host in ipairs(hosts) do
    lines[#lines + 1] = ("mx-%s MX 10 %s"):format(host, host)
  end
  chains(lines)
  crossings(lines)
  hundreds(lines)
  return table.concat(lines, "\n") .. "\n"
end

return mail
