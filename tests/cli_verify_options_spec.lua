-- nexthop --verify: what is wrong usage, and which times --at takes. No connection is made here.
local cjson = require "cjson"
local program = require "tests.support.program"
local support = require "tests.support"
local contains, lacks = support.contains, support.lacks

it("nexthop --verify ends with 64 on wrong usage, and says what is wrong", function()
  for wrong, why in pairs {
    ["--keys rsa"] = "--keys needs --verify", ["--down"] = "--down needs --verify",
    ["--global-only"] = "--global-only needs --verify",
    ["--verify --keys dsa"] = "--keys: 'dsa' is no key kind",
    ["--verify --keys rsa,"] = "--keys: '' is no key kind", ["--verify --check"] = "--check and --verify",
    ["--verify --down --json"] = "--down and --json",
    ["--verify --at tomorrow"] = "--at: 'tomorrow' is no time",
    ["--verify --at 2027-02-29"] = "--at: '2027-02-29'", ["--verify --step 0"] = "--step: '0'",
    ["--verify --connect-port 0"] = "--connect-port: '0'",
    ["--verify --source mx"] = "--source: 'mx' is no IP",
    ["--verify --source ::1 --source ::2"] = "--source: two IPv6",
    ["--verify --helo a\\ b"] = "--helo: 'a b'",
    ["--verify --ca-file /nonexistent"] = "--ca-file: /nonexistent: ",
  } do
    local words = {}
    for word in wrong:gsub("\\ ", "\1"):gmatch "%S+" do words[#words + 1] = (word:gsub("\1", " ")) end
    words[#words + 1] = "x.example"
    local r = program.run(words)
    assert.same({ 64, "" }, { r.status, r.out }, wrong)
    contains(r.err, "nexthop: " .. why)
  end
  lacks(program.run({ "--verify", "--help" }).err, "nexthop:")
end)

it("nexthop-server has no verify: it connects to nothing, whatever it is asked", function()
  local session = assert(require("nexthop.server").new { resolver = support.lab:options() }):session()
  session:feed '{"id":1,"op":"verify","domain":"mx-good.vprogram.example"}\n'
  local answer = cjson.decode(session:take())
  assert.same({ 1, "bad_request" }, { answer.id, answer.error.code })
end)

describe("--at", function()
  local time = require("nexthop.programs.nexthop.verify_options").time
  it("takes times from now, dates and seconds, and nothing else", function()
    local now = 1798761600
    for text, expected in pairs {
      ["+30d"] = now + 30 * 86400, ["-1w"] = now - 604800, ["+90s"] = now + 90, ["+5m"] = now + 300,
      ["-2h"] = now - 7200, ["2027-01-01"] = now, ["1970-01-01"] = 0, ["2024-02-29"] = 1709164800,
      ["2100-03-01"] = 4107542400, ["12"] = 12, ["9999-12-31"] = 253402214400,
    } do assert.equal(expected, time(text, now), text) end
    for _, text in ipairs { "", "30d", "+d", "+1y", "2027-13-01", "2027-00-10", "2023-02-29", "2100-02-29",
      "1e9",
      "-30000w", "253402300800", "2027-1-1", "now" } do
      assert.is_nil(time(text, now), text)
    end
  end)
end)
