-- The interpreter as a person uses it: results and errors as they print.
local child = require "tests.support.child"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(files.remove)

-- What the interpreter says to these lines; r is a resolver on the lab.
local function repl(lines, arguments)
  local output, status = child.run(nil, {
    args = (arguments or "-e 'nexthop = require [[nexthop]]'") .. " -i",
    stdin = ([[
r = assert(nexthop.new(require "tests.lab.lab".connect(%q):options()))
%s
r:close()
]]):format(lab.socket, lines),
  })
  assert.equal(0, status)
  return (output:gsub("^[^\n]*\n", "", 1):gsub("%f[^\n%z]> ", ""))
end

it("lua5.4 -lnexthop makes it a global", function()
  if not _VERSION:find "5.[45]" then return pending "this Lua's -l makes no global" end
  support.contains(repl("print(nexthop._VERSION)", "-lnexthop"), "nexthop")
end)

it("destinations are a line on the domain and one on each host", function()
  support.contains(repl 'print(r:gather_destinations "dane.example")',
    "dane.example: MX (secure)\n     10 mx1.dane.example\n     20 mx2.dane.example\n")
  support.contains(repl 'print(r:gather_destinations "insecure.example")',
    "insecure.example: MX (insecure)\n")
end)

it("addresses, TLSA and a plan are a few lines each", function()
  support.contains(repl 'print(r:gather_ips "mx1.dane.example")',
    "mx1.dane.example (secure)\n  2001:db8::1\n  192.0.2.1\n")
  support.contains(repl 'print(r:gather_tlsa("mx1.dane.example", { expanded_authentic = true }))',
    "mx1.dane.example: DANE\n  TLSA 3 1 1 ")
  local plan = repl 'print(r:plan "dane.example")'
  support.contains(plan, "dane.example: MX (secure)\n", "  10 mx1.dane.example (secure): DANE: verify\n",
    "names: mx1.dane.example dane.example\n")
end)

it("an error is one line that says what failed and why", function()
  local said = repl [[
print(r:plan "nullmx.example")
print(r:plan "broken.example")
print(r:plan "a..b")
]]
  support.contains(said, "nil\tnullmx.example: accepts no mail (null MX", "nil\tbroken.example: ",
    "signature", 'nil\t"a..b" is no domain name')
  assert.equal(3, select(2, said:gsub("nil\t[^\n]+\n", "")))
end)

it("assert() and error() print it too", function()
  if _VERSION == "Lua 5.2" or _VERSION == "Lua 5.1" and not rawget(_G, "jit") then
    return pending "this Lua's assert() takes strings only (5.1 and 5.2)"
  end
  local said = repl [[
assert(r:plan "nullmx.example")
error(select(2, r:plan "nothing.example"))
]]
  support.contains(said, "nullmx.example: accepts no mail", "nothing.example")
end)

it("what nexthop.new refuses is told in one line", function()
  support.contains(repl 'print(nexthop.new { forward = "x" })', "nil\tforward: 'x' is no address")
end)

it("resolvers and handles print what they are", function()
  local said = repl [[
print(r)
handle = r:plan("a..b", print) print(handle, r)
r:process() print(handle)
r:close() print(r)
]]
  support.contains(said, "nexthop resolver (0 pending)\n",
    "nexthop request (plan, pending)\tnexthop resolver (1 pending)\n",
    "nexthop request (plan, over)\n", "nexthop resolver (closed)\n")
end)

it("without a configuration that works the default resolver says so in one line", function()
  local said = repl [[
require "nexthop.config".anchor_places = { "/nonexistent/root.key" }
print(nexthop.plan "example.org")
]]
  local line = said:match "nil\t([^\n]+)\n"
  assert.truthy(line:find("no trust anchor found", 1, true) or line:find("resolv_conf", 1, true), line)
end)

it("answers from the default resolver need no DNS for an address", function()
  local resolver, err = require("nexthop").default()
  if not resolver then return pending("no system's configuration: " .. err.message) end
  support.contains(repl 'print(nexthop.gather_ips "[192.0.2.1]")',
    "an address, no DNS asked (insecure)\n  192.0.2.1\n")
end)

it("misuse says where", function()
  support.contains(repl "r:plan()", "stdin:1:", "domain name expected, got n")
end)
