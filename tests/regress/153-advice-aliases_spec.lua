-- `nexthop --check` said "publish one at _25._tcp..." of a name that is an alias, where no record can stand:
-- an alias to nothing, to the host itself, into a zone that is not signed, to records of which none is
-- usable.
local advice = require "tests.support.advice"
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

describe("--check of an alias at the name of the TLSA records", function()
  setup(function()
    program.lab = lab
    lab:add_zones { { name = "aliases.example", text = [[
gone        MX 10 mx.gone
mx.gone     HOST 88
_25._tcp.mx.gone CNAME nothing
self        MX 10 mx.self
mx.self     HOST 89
_25._tcp.mx.self CNAME mx.self
wild        MX 10 mx.wild
mx.wild     HOST 90
*.mx.wild   CNAME mx.wild
text        MX 10 mx.text
mx.text     HOST 91
_25._tcp.mx.text CNAME words
words       TXT "no TLSA record"
outside     MX 10 mx.outside
mx.outside  HOST 92
_25._tcp.mx.outside CNAME gone.insecure.example.
dname       MX 10 mx.dname
mx.dname    HOST 93
_tcp.mx.dname DNAME moved
unusable    MX 10 mx.unusable
mx.unusable HOST 94
_25._tcp.mx.unusable CNAME tlsa.unusable
tlsa.unusable TLSA 0 0 1 ${ca.cert.sha256}
hostalias   MX 10 mx.hostalias
mx.hostalias CNAME real
real        HOST 95
_25._tcp.mx.hostalias CNAME _25._tcp.real
]] } }
  end)
  before_each(support.reset)
  after_each(files.remove)

  local expected = {
    gone = "_25._tcp.mx.gone.aliases.example is an alias of nothing.aliases.example, which does not "
      .. "exist: publish a TLSA record such as 3 1 1 there, or in the place of the alias",
    self = "_25._tcp.mx.self.aliases.example is an alias of mx.self.aliases.example, the host itself, "
      .. "which has no TLSA record: put one such as 3 1 1 in the place of the alias",
    wild = "_25._tcp.mx.wild.aliases.example is an alias of mx.wild.aliases.example, the host itself, "
      .. "which has no TLSA record: put one such as 3 1 1 in the place of the alias",
    text = "_25._tcp.mx.text.aliases.example is an alias of words.aliases.example, which has no TLSA "
      .. "record: publish a TLSA record such as 3 1 1 there, or in the place of the alias",
    outside = "_25._tcp.mx.outside.aliases.example is an alias of gone.insecure.example, which does "
      .. "not exist and is not in a secure zone either: put a TLSA record such as 3 1 1 in the place "
      .. "of the alias",
    dname = "_25._tcp.mx.dname.aliases.example is an alias of _25.moved.aliases.example (by the DNAME at "
      .. "_tcp.mx.dname.aliases.example), which does not exist: publish a TLSA record such as 3 1 1 "
      .. "there",
    unusable = "none of its TLSA records is usable (usage PKIX-TA(0) is not for SMTP (RFC 7672 "
      .. "3.1.3)): publish one such as 3 1 1 at tlsa.unusable.aliases.example, of which "
      .. "_25._tcp.mx.unusable.aliases.example is an alias",
    hostalias = "_25._tcp.mx.hostalias.aliases.example is an alias of _25._tcp.real.aliases.example, "
      .. "which does not exist: publish a TLSA record such as 3 1 1 there, or in the place of the "
      .. "alias",
  }
  for name, text in pairs(expected) do
    it("tells where it leads: " .. name, function()
      advice.is(text, name .. ".aliases.example")
    end)
  end

  it("looks at the port that is asked for", function()
    advice.is("it is signed, but has no TLSA record: publish one such as 3 1 1 at "
      .. "_465._tcp.mx.self.aliases.example", "self.aliases.example", { "--port", "465" })
    assert.matches("_465%._tcp%.mx%.wild%.aliases%.example is an alias of ",
      advice.of("wild.aliases.example", { "--port", "465" }))
  end)
end)
