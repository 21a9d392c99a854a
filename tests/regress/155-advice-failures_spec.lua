-- `nexthop --check` said "see that all name servers of that zone answer" where nothing at all is answered,
-- or the deadline was too short, and "repair the signatures or the DS" behind a forwarder that strips DNSSEC,
-- or with a trust anchor of another root.
local advice = require "tests.support.advice"
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

local function has_no_advice(line)
  for _, text in ipairs { "see that", "repair", "sign the zone", "publish" } do
    assert.is_nil(line:find(text, 1, true), line)
  end
end

describe("--check of what could not be looked up", function()
  setup(function()
    program.lab = lab
  end)
  before_each(support.reset)
  after_each(files.remove)

  it("blames no zone where nothing is answered", function()
    lab:rule { action = "servfail" }
    for _, domain in ipairs { "dane.example", "[mx1.dane.example]" } do
      local line = advice.of(domain)
      has_no_advice(line)
      support.contains(line, "; nothing else is answered here (SOA of arpa is not), so this says "
        .. "nothing about that zone")
    end
  end)

  it("blames none for a deadline that came", function()
    lab:rule { name = "dane.example", type = "MX", action = "silent" }
    local line = advice.of("dane.example", { "--deadline", "0.3" })
    has_no_advice(line)
    support.contains(line, "the deadline came")
  end)

  it("blames none for a forwarder without DNSSEC", function()
    lab:rule { action = "strip" }
    local line = advice.of("dane.example")
    has_no_advice(line)
    support.contains(line, "returns no DNSSEC records", "; nothing else is answered here")
  end)

  it("blames none where the trust anchor is wrong", function()
    local ds = files.new(". IN DS 1 13 2 " .. ("ab"):rep(32) .. "\n")
    local line = advice.of("dane.example", { "--resolver", lab.forward_address, "--anchor", ds },
      { bare = true })
    has_no_advice(line)
    support.contains(line, "; nothing else is answered here")
  end)

  it("names the zone that does not answer, and one that does not validate, as before", function()
    lab:rule { name = "dane.example", type = "MX", action = "servfail" }
    support.contains(advice.of("dane.example"), "MX of dane.example",
      "; see that all name servers of that zone answer, until then senders that do DANE hold mail back")
    support.contains(advice.of("broken.example"),
      "; repair the signatures or the DS of that zone, until then senders that do DANE hold mail back")
  end)
end)
