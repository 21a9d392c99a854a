-- With the two tables of table-nexthop(8), EXAMPLES, the mail of a domain with one host that is owed `dane`
-- and another that is owed `sts` went by the last rule, in clear if need be.
local owed = require "nexthop.mail.owed"
local table_settings = require "nexthop.programs.table.settings"

-- The verdicts of the tables in the manual, in the order of their rules. The first has the defaults.
local function tables_of_manual()
  local file = assert(io.open "man/table-nexthop.8")
  local text = file:read("*a"):match "\n%.Sh EXAMPLES\n(.-)\n%.Sh "
  file:close()
  local list = { table_settings.defaults.verdicts }
  for names in text:gmatch "return { verdicts = {(.-)}" do
    local verdicts = {}
    for name in names:gmatch "\\%(dq(%l+)\\%(dq" do verdicts[#verdicts + 1] = name end
    list[#list + 1] = verdicts
  end
  return list
end

-- The number of the first table that has a domain with hosts of these verdicts; nil: none has it.
local function table_of(...)
  local plan = { domain = "x.example", hosts = {} }
  for i, verdict in ipairs { ... } do plan.hosts[i] = { ips = { "192.0.2.1" }, tls = verdict } end
  for number, verdicts in ipairs(tables_of_manual()) do
    local set = {}
    for _, verdict in ipairs(verdicts) do set[verdict] = true end
    if owed.is_owed(set, plan) then return number end
  end
end

describe("the tables of table-nexthop(8), EXAMPLES", function()
  it("have every domain whose hosts are all owed TLS", function()
    assert.equal(1, table_of("dane", "encrypt"))
    assert.equal(2, table_of("sts", "sts"))
    assert.equal(3, table_of("dane", "sts"))
    assert.equal(3, table_of("sts", "encrypt"))
    assert.is_nil(table_of("dane", "may"))
  end)
end)
