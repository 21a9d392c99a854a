-- The doctor: which zones names are in and where their name servers are, and serial numbers. No DNS is asked.
local judge = require "nexthop.doctor.judge"
local keys = require "nexthop.doctor.keys"
local new_zones = require("nexthop.doctor.zones").new

local function all(list)
  for _, body in ipairs(list) do body() end
end

-- Zones over answers: { ["name TYPE"] = list of records }; what is not there has none.
local function zones(answers, options, open)
  local function asker(from)
    return function(name, type)
      local records = from[name .. " " .. type]
      if records == false then return nil, { code = "bogus" } end
      return { chain = { name }, records = records or {}, secure = true }
    end
  end
  return new_zones(asker(answers), asker(open or answers), all, options or {})
end

local answers = {
  ["example NS"] = { "ns.example" }, ["dane.example NS"] = { "ns1.dane.example", "ns2.other.example" },
  ["dane.example DS"] = { "\0\1\13\2" .. ("x"):rep(32) }, ["ns1.dane.example A"] = { "\192\0\2\1" },
  ["ns1.dane.example AAAA"] = { "\32\1\13\184" .. ("\0"):rep(11) .. "\1" },
}

describe("a zone", function()
  it("is that of the next name above which has NS records", function()
    local found = zones(answers)
    assert.equal("dane.example", found:of("_25._tcp.mx.dane.example").name)
    assert.equal(found:of "dane.example", found:of "_25._tcp.mx.DANE.example.")
    assert.equal("example", found:of("other.example").name)
    assert.is_nil(found:of "elsewhere.test")
  end)

  it("has the addresses of the names in its NS records, and the names that have none", function()
    local zone = zones(answers):of "mx.dane.example"
    assert.same({ { name = "ns1.dane.example", address = "192.0.2.1" },
      { name = "ns1.dane.example", address = "2001:db8:0:0:0:0:0:1" } }, zone.servers)
    assert.same({ "ns2.other.example" }, zone.unknown)
    assert.is_true(zone.secure)
    assert.same({ { name = "ns1.dane.example", address = "192.0.2.1" } },
      zones(answers, { network = "ip4" }):of("dane.example").servers)
  end)

  it("has 32 addresses at most, one of each name server first, and says what is left over", function()
    local names, many = {}, { ["wide.example A"] = {} }
    for i = 1, 40 do many["wide.example A"][i] = "\192\0\2" .. string.char(i) end
    many["two.example A"] = { "\192\0\3\1", "\192\0\3\2" }
    many["dane.example NS"] = { "wide.example", "two.example" }
    local zone = zones(many):of "dane.example"
    local last = zone.servers[32]
    assert.same({ 32, "192.0.2.30", "two.example", "192.0.3.2" },
      { #zone.servers, zone.servers[30].address, last.name, last.address })
    assert.equal("only 32 addresses of the name servers of dane.example are asked, and it has "
      .. "10 more addresses", zone.left_over)
    for i = 1, 33 do
      names[i] = ("ns%d.example"):format(i)
      many[names[i] .. " A"] = { "\192\0\2\1" }
    end
    many["dane.example NS"] = names
    zone = zones(many):of "dane.example"
    assert.same({ 32, 0 }, { #zone.servers, #zone.unknown })
    assert.matches("and it has 1 more name server$", zone.left_over)
    names[33] = nil
    assert.is_nil(zones(many):of("dane.example").left_over)
  end)

  it("has those of its stub in their place", function()
    local zone = zones(answers, { stub = { ["dane.example"] = { "127.0.0.1@53", "127.0.0.2@53" } } })
      :of "dane.example"
    assert.same({ "127.0.0.1@53", "127.0.0.2@53" }, { zone.servers[1].address, zone.servers[2].address })
    assert.equal(2, #zone.servers)
  end)

  it("is found without validation where that fails", function()
    local zone = zones({ ["sick.example NS"] = false, ["ns.sick.example A"] = false }, nil,
      { ["sick.example NS"] = { "ns.sick.example" }, ["ns.sick.example A"] = { "\192\0\2\9" } })
      :of "mx.sick.example"
    assert.same({ "sick.example", true, "192.0.2.9" }, { zone.name, zone.failed, zone.servers[1].address })
  end)
end)

describe("serial numbers", function()
  it("go round (RFC 1982)", function()
    for _, case in ipairs { { 2, 1, true }, { 1, 2, false }, { 1, 1, false }, { 0, 4294967295, true },
      { 4294967295, 0, false }, { 2147483647, 0, true }, { 2147483648, 0, false } } do
      assert.equal(case[3], judge.is_newer(case[1], case[2]), case[1] .. " " .. case[2])
    end
  end)
end)

describe("key tags", function()
  it("are those of RFC 4034 5.4", function()
    local base64 = "AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMm"
      .. "mAphXdvxegXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw=="
    local letters, bits, out = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", 0, {}
    local value = 0
    for letter in base64:gmatch "[^=]" do
      value, bits = value * 64 + letters:find(letter, 1, true) - 1, bits + 6
      if bits >= 8 then
        bits = bits - 8
        out[#out + 1] = string.char(math.floor(value / 2 ^ bits))
        value = value % 2 ^ bits
      end
    end
    assert.equal(60485, keys.tag("\1\0\3\5" .. table.concat(out)))
  end)
end)
