-- What the lab serves. Every name a test or a demo uses is told here, in mail.lua (domains, hosts,
-- chains) or in tlsa.lua (one host for each kind of TLSA record).
--
-- The zones; each kind is a child of `example`, delegated as the real world would:
--   .                     the signed root; its DS is the trust anchor
--   example               signed, NSEC; the main zone
--   child.example         signed, DS
--   insecure.example      unsigned, no DS
--   wrongds.example       signed, the DS is that of another key: bogus
--   expired.example       signed, the signatures expired three days ago: bogus
--   nsec3.example         signed, NSEC3 with few iterations: secure
--   optout.example        signed, NSEC3 opt-out: denials of names are insecure
--   unsigned.optout.example   unsigned, below an opt-out span
--   nsec3iter.example     signed, NSEC3 with 2,000 iterations: denials are insecure (or fail)
--   broken.example        signed, every signature but the keys' changed afterwards: bogus
--   deadds.example        signed, DS, but its keys are not served: bogus
--   plain                 unsigned, delegated from the root without DS; related to nothing
--
-- Each of these (not the root) has:
--   @         MX 10 mx.<zone>           mx        A, AAAA, TLSA 3 1 1
--   implicit  A, AAAA, TLSA; no MX      alias     CNAME to @ (in example: to dane)
--   nullmx    MX 0 .                    nodata    just a TXT record
--   tlsa      a TLSA record, for aliases of TLSA names
--   four      A, no AAAA                nothing   does not exist
--
-- The six of the demo: dane.example (secure with DANE), insecure.example, nullmx.example,
-- broken.example (bogus), alias.example, implicit.example.
--
-- How the text is written: zone file syntax with two more record types and some words to replace:
--   name HOST n       A 192.0.2.n and AAAA 2001:db8::n
--   name DANE n       HOST n and a TLSA record 3 1 1 for port 25
--   ${server.spki}    hex of the lab's certificate: server or ca; cert or spki; then nothing (all of
--                     it), .sha256 or .sha512
local mail = require "tests.lab.mail"
local tlsa = require "tests.lab.tlsa"

local zones = {}

zones.demo = {
  "dane.example", "insecure.example", "nullmx.example",
  "broken.example", "alias.example", "implicit.example",
}

local ordinary = [[
@           MX 10 mx
mx          DANE 40
implicit    DANE 41
alias       CNAME @
nullmx      MX 0 .
nodata      TXT "neither mail nor address"
four        A 192.0.2.42
tlsa        TLSA 3 1 1 ${server.spki.sha256}
]]

-- A zone: name; text; signed (default true); ds = "other", "none" or "unknown" (default its own when signed);
-- nsec3 = { iterations =, optout = }; expired; corrupt = { ["owner TYPE"] = true, ["*"] = true };
-- algorithm = n: its DS, keys and signatures say that they are of this one; digest = n: its DS does;
-- drop = { [type] = true }: left out after signing. Delegations, SOA and NS are made from the names.
-- server = "127.255.0.N": the zone's name server has this address, and an NSD of its own that serves
-- the zones of this address and no other, so that it refers to those below. Who asks through a view
-- ("127.X.Y", lab:listen) finds it at 127.X.Y.N.
function zones.all()
  return {
    { name = ".", text = "" },
    {
      name = "example", corrupt = mail.corrupt,
      text = ordinary:gsub("CNAME @", "CNAME dane") .. mail.text() .. tlsa.text(),
    },
    { name = "child.example", text = ordinary },
    { name = "insecure.example", text = ordinary .. mail.insecure, signed = false },
    { name = "wrongds.example", text = ordinary, ds = "other" },
    { name = "expired.example", text = ordinary, expired = true },
    { name = "nsec3.example", text = ordinary, nsec3 = { iterations = 1 } },
    { name = "optout.example", text = ordinary, nsec3 = { iterations = 1, optout = true } },
    { name = "unsigned.optout.example", text = ordinary, signed = false },
    { name = "nsec3iter.example", text = ordinary, nsec3 = { iterations = 2000 } },
    { name = "broken.example", text = ordinary, corrupt = { ["*"] = true } },
    { name = "deadds.example", text = ordinary, drop = { DNSKEY = true } },
    { name = "plain", text = ordinary .. mail.plain, signed = false },
  }
end

-- Zone text of the two additional record types and the ${words}, for zones.all and for a test's own.
function zones.expand(text, words)
  text = text:gsub("([^\n%s]+)[ \t]+(%u%u%u%u)[ \t]+(%d+)", function(name, kind, number)
    if kind ~= "HOST" and kind ~= "DANE" then
      return nil
    end
    local below = name == "@" and "" or "." .. name
    return ("%s A 192.0.2.%d\n%s AAAA 2001:db8::%x"):format(name, number, name, number)
      .. (kind == "DANE"
        and ("\n_25._tcp%s TLSA 3 1 1 ${server.spki.sha256}"):format(below) or "")
  end)
  return (text:gsub("%${([%w.]+)}", function(word)
    return words[word] or error("zones: no such word: " .. word)
  end))
end

return zones
