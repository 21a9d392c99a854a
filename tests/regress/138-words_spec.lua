-- Messages that were beside the point: `deadline = "5"` "got 5"; a URL "is no IP address"; --json --check had
-- no verdict; the limit of --jobs was written nowhere; what -V, -h and -n could not write was no error.
local cjson = require "cjson"
local filter = require "tests.support.filter"
local policy = require "nexthop.policy"
local program = require "tests.support.program"
local files = require "tests.support.files"
local servers = require "tests.support.server"
local support = require "tests.support"

local lua = os.getenv "NEXTHOP_LUA" or arg[-1]

setup(filter.prepare)
before_each(support.reset)
after_each(function()
  support.close()
  files.remove()
end)

it("a deadline that is a string is called one", function()
  local range = "seconds expected, more than 0 and at most 86400, got "
  for given, got in pairs { ["5"] = "a string", [-5] = "-5", [true] = "a boolean" } do
    local value, reason = policy.options.deadline(given)
    assert.same({ nil, range .. got }, { value, reason })
  end
  local resolver = support.resolver()
  for got, port in pairs { ["got '25')"] = "25", ["got 70000)"] = 70000 } do
    local ok, reason = pcall(resolver.plan, resolver, "dane.example", { port = port })
    assert.is_false(ok)
    support.contains(reason, got)
  end
end)

it("what has a colon or brackets and is no address gets the reason", function()
  local resolver = support.resolver()
  for name, reason in pairs {
    ["http://dane.example/"] = "it is a URL: give the name of its host alone",
    ["dane.example:25"] = "it has a colon, and is no IPv6 address",
    ["[IPv6:x]"] = "what is in the brackets is no IP address",
  } do
    local plan, err = resolver:plan(name)
    assert.is_nil(plan)
    assert.equal(('"%s" is no domain name: %s'):format(name, reason), err.message)
  end
end)

it("--json --check tells the verdict of each host and of the domain", function()
  local r = program.run { "--json", "--check", "dane.example", "nodane.example", "nullmx.example" }
  assert.equal(1, r.status)
  local lines = {}
  for line in r.out:gmatch "[^\n]+" do lines[#lines + 1] = cjson.decode(line) end
  assert.same({ true, false, false }, { lines[1].ok, lines[2].ok, lines[3].ok })
  assert.same({ ok = true, host = "mx1.dane.example", text = "dane, 1 usable TLSA record" },
    lines[1].check[1])
  assert.equal(2, #lines[1].check)
  assert.equal("dane", lines[1].hosts[1].tls)
  assert.is_false(lines[2].check[1].ok)
  assert.matches("^it is signed, but has no TLSA record: publish one", lines[2].check[1].text)
  assert.same({ { ok = false, text = "it takes no mail (null MX), so there is no host to look at" } },
    lines[3].check)
  assert.is_nil(cjson.decode((program.run { "--json", "dane.example" }).out).check)
end)

it("the limit of --jobs is in the manual and in --help", function()
  assert.equal(64, program.run({ "--jobs", "10001", "dane.example" }).status)
  assert.matches("at most 10,000", files.read "man/nexthop.1")
  assert.matches("at most 10000", (program.run({ "--help" }, { bare = true }).out:gsub("%s+", " ")))
end)

describe("output that cannot be written is an error:", function()
  local config
  before_each(function() config = filter.config {} end)

  for _, arguments in ipairs {
    "filter-nexthop -V", "filter-nexthop -h", "filter-nexthop -n -c ",
    "nexthop-server -V", "nexthop-server -h", "nexthop-server -n -c ",
  } do
    it(arguments, function()
      local output = files.new()
      local pipe = assert(io.popen(("%s bin/%s%s 2>%s >/dev/full; echo $?"):format(lua, arguments,
        arguments:find "%-c" and config or "", output)))
      local status = tonumber(pipe:read "*a")
      pipe:close()
      assert.equal(74, status)
      assert.equal(arguments:match "^%S+" .. ": standard output: No space left on device\n",
        files.read(output))
    end)
  end
end)

it("versions, usage and the check are still written where they can be", function()
  for _, arguments in ipairs { "-V", "-h" } do
    local text, status = servers.run(arguments)
    assert.equal(0, status)
    assert.matches("nexthop", text)
  end
end)
