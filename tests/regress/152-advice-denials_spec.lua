-- `nexthop --check` said "what there is at _25._tcp... is not signed" where nothing is, but the proof of that
-- does not count: a zone with NSEC3 opt-out, or with more NSEC3 iterations than validators take. Of answers
-- that a wildcard makes in such a zone it said "sign the zone".
local advice = require "tests.support.advice"
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

local text = [[
host    HOST 84
@       MX 10 host
*.wild  MX 10 host
wildhost MX 10 any.hosts
*.hosts HOST 86
]]

describe("--check of a denial that proves nothing", function()
  setup(function()
    program.lab = lab
    lab:add_zones {
      { name = "iterations.example", text = text, nsec3 = { iterations = 600 } },
      { name = "spans.example", text = text, nsec3 = { iterations = 1, optout = true } },
      { name = "denials.example", text = "cut MX 10 host.cut\nhost.cut HOST 87\n" },
      { name = "_tcp.host.cut.denials.example", text = "@ TXT x\n", signed = false },
    }
  end)
  before_each(support.reset)
  after_each(files.remove)

  it("tells too many iterations", function()
    advice.is("its addresses are secure, but it has no TLSA record (the proof of that does not count, "
      .. "with 600 NSEC3 iterations where validators take 150 at most and RFC 9276 wants 0): publish "
      .. "one such as 3 1 1 at _25._tcp.host.iterations.example", "iterations.example")
  end)

  it("tells opt-out", function()
    advice.is("its addresses are secure, but it has no TLSA record (the proof of that does not count, "
      .. "as its zone has NSEC3 opt-out): publish one such as 3 1 1 at _25._tcp.host.spans.example",
      "spans.example")
  end)

  it("tells both of what a wildcard makes", function()
    local many = "a wildcard makes the answer at %s, and the proof of that takes 600 NSEC3 iterations; "
      .. "with more than 150 it does not count: use 0 (RFC 9276)"
    advice.is("the MX records behind a.wild.iterations.example are not secure: "
      .. many:format "a.wild.iterations.example", "a.wild.iterations.example")
    advice.is("its addresses are not secure: " .. many:format "any.hosts.iterations.example",
      "wildhost.iterations.example")
    local optout = "a wildcard makes the answer at %s, which a zone with NSEC3 opt-out cannot prove: "
      .. "write the name into the zone, or sign it without opt-out"
    advice.is("the MX records behind a.wild.spans.example are not secure: "
      .. optout:format "a.wild.spans.example", "a.wild.spans.example")
  end)

  it("tells an unsigned zone below the host", function()
    advice.is("there is no TLSA record at _25._tcp.host.cut.denials.example, and that is not secure: "
      .. "sign the zone of _25._tcp.host.cut.denials.example (_tcp.host.cut.denials.example) with "
      .. "DNSSEC and have its DS published in the zone above", "cut.denials.example")
  end)

  it("tells one that does prove it as before", function()
    advice.is("it is signed, but has no TLSA record: publish one such as 3 1 1 at "
      .. "_25._tcp.mx.nodane.example", "nodane.example")
    advice.is("it is signed, but has no TLSA record: publish one such as 3 1 1 at "
      .. "_25._tcp.four.nsec3.example", "four.nsec3.example")
  end)
end)
