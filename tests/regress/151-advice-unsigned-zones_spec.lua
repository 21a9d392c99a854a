-- `nexthop --check` said "sign the zone" of zones that are signed: with an algorithm or a digest that the
-- validator does not support, without a DS in the zone above, or left unvalidated by the configuration. And
-- it named the end of a chain of aliases, whichever link was not secure.
local advice = require "tests.support.advice"
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

local text = [[
@        MX 10 mx
mx       DANE 81
implicit DANE 82
]]

describe("--check of a zone that is not secure", function()
  setup(function()
    program.lab = lab
    lab:add_zones {
      { name = "algorithm.example", text = text, algorithm = 200 },
      { name = "digest.example", text = text, digest = 99 },
      { name = "nods.example", text = text, ds = "none" },
      { name = "tozones.example", text = [[
algorithm   CNAME algorithm.example.
mx          MX 10 mx.algorithm.example.
tlsa        MX 10 host
host        HOST 83
_25._tcp.host CNAME _25._tcp.mx.algorithm.example.
middle      CNAME i2s.insecure.example.
]] },
    }
  end)
  before_each(support.reset)
  after_each(files.remove)

  local algorithm = "the zone algorithm.example is signed, but with no algorithm that the validator here "
    .. "supports (its DS have 200), and so counts as unsigned: sign it with one that all support, such "
    .. "as 13 (RFC 8624)"

  it("tells an algorithm that is not supported", function()
    advice.is("the MX records behind algorithm.example are not secure: " .. algorithm,
      "algorithm.example")
    advice.is("implicit.algorithm.example is not secure: " .. algorithm, "implicit.algorithm.example")
  end)

  it("tells it of what leads there: an alias, an MX, an alias of TLSA records", function()
    advice.is("the MX records behind algorithm.tozones.example are not secure: " .. algorithm,
      "algorithm.tozones.example")
    advice.is("its addresses are not secure: " .. algorithm, "mx.tozones.example")
    advice.is("what there is at _25._tcp.host.tozones.example is not secure, and does not count: "
      .. algorithm, "tlsa.tozones.example")
  end)

  it("tells a digest that is not supported", function()
    advice.is("the MX records behind digest.example are not secure: the zone digest.example is signed, "
      .. "but its DS have no digest type that the validator here supports (99), and so it counts as "
      .. "unsigned: have a DS of type 2 published in the zone above (RFC 8624)", "digest.example")
  end)

  it("tells that there is no DS", function()
    advice.is("the MX records behind nods.example are not secure: the zone nods.example has keys, but "
      .. "the zone above has no DS for it: have it published there", "nods.example")
  end)

  it("gives no advice about a zone that is not validated here", function()
    local conf = files.new(([[
server:
    do-not-query-localhost: no
    trust-anchor-file: "%s"
    domain-insecure: "child.example"
forward-zone:
    name: "."
    forward-addr: %s
]]):format(lab.anchor_file, lab.forward_address))
    advice.is("the MX records behind child.example are not secure: the zone child.example has a DS "
      .. "that can be used, yet its answers do not count as secure here", "child.example",
      { "--unbound-conf", conf }, { bare = true })
  end)

  it("gives none where no trust anchor is above", function()
    local file = assert(io.open(lab.folder .. "/example.key")):read "*l"
    local ds = files.read(lab.folder .. "/" .. file .. ".ds")
    advice.is("the MX records behind plain are not secure: here it is neither secure that plain has a "
      .. "DS nor that it has none", "plain",
      { "--anchor", files.new(ds), "--resolver", lab.forward_address }, { bare = true })
  end)

  it("tells an unsigned one as before, and which name it holds", function()
    local sign = "sign the zone of %s with DNSSEC and have its DS published in the zone above"
    advice.is("the MX records behind insecure.example are not signed: " .. sign:format "insecure.example",
      "insecure.example")
    advice.is("the MX records behind unsigned.optout.example are not signed: "
      .. sign:format "unsigned.optout.example", "unsigned.optout.example")
    advice.is("its addresses are not signed: " .. sign:format "mx.insecure.example (insecure.example)",
      "mxinsecure.example")
    -- from secure to insecure and back
    assert.matches("sign the zone of i2s%.insecure%.example %(insecure%.example%)",
      program.run({ "--check", "middle.tozones.example" }).out)
  end)

  it("ends at a signal while it asks for the cause", function()
    lab:rule { name = "insecure.example", type = "DNSKEY", action = "silent" }
    local p = program.start({ "--check", "insecure.example" }, { patient = true })
    lab:wait("insecure.example", "DNSKEY")
    p:signal "INT"
    local r = p:finish()
    assert.same({ 130, {} }, { r.status, r.lines })
  end)

  it("says what could not be looked up", function()
    for type, rule in pairs { SOA = "insecure.example", DS = "nods.example" } do
      rule = lab:rule { name = rule, type = type, action = "servfail" }
      if type == "SOA" then
        advice.is("the MX records behind insecure.example are not secure: why is not known: SOA of "
          .. "insecure.example could not be looked up", "insecure.example")
      else
        -- without the DS nothing of the zone is known, not that it is not secure
        assert.is_nil(advice.of("nods.example"):find("sign the zone", 1, true))
      end
      lab:unrule(rule)
    end
  end)
end)
