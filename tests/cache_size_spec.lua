-- The option `cache`: memory for all caches of a resolver. (`make bench` measures what the sizes hold.)
local caches = require "nexthop.config.cache"
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

-- One domain, answered by nexthop's own cache when it is asked again. Returns how many answers are kept.
local function kept(options)
  local resolver = support.resolver(options)
  assert(resolver:plan("dane.example"))
  assert(resolver:plan("dane.example"))
  return resolver:stats().kept
end

describe("cache", function()
  before_each(support.reset)
  after_each(support.close)

  it("is bytes, or text with a unit", function()
    for value, bytes in pairs {
      ["1m"] = 1048576, ["8M"] = 8388608, ["2048k"] = 2097152, ["1g"] = 1073741824, ["33554432"] = 33554432,
      [1048576] = 1048576,
    } do
      assert.equal(bytes, caches.bytes(value))
    end
  end)

  it("is divided among the caches of libunbound and that of nexthop, and no more than that", function()
    local set, sum = {}, caches.ours(32 * 1048576)
    for _, step in ipairs(caches.steps(32 * 1048576)) do
      set[step[2]] = tonumber(step[3])
      if step[2]:find "%-size:$" then sum = sum + tonumber(step[3]) end
    end
    assert.same({
      ["msg-cache-size:"] = 4194304, ["rrset-cache-size:"] = 10485760, ["key-cache-size:"] = 2097152,
      ["neg-cache-size:"] = 2097152, ["infra-cache-numhosts:"] = 10000,
    }, set)
    assert.equal(14680064, caches.ours(32 * 1048576))
    assert.equal(32 * 1048576, sum)
  end)

  it("grows what is known of servers and policies only when there is room", function()
    local function servers(bytes)
      local steps = caches.steps(bytes)
      return steps[#steps][3]
    end
    assert.equal("10000", servers(1048576))
    assert.equal("32768", servers(128 * 1048576))
    assert.equal(16 * 1048576, caches.policies(1048576))
    assert.equal(32 * 1048576, caches.policies(128 * 1048576))
  end)

  it("of another form is an error that says what is expected", function()
    for value, got in pairs {
      ["8x"] = "'8x'", ["512k"] = "'512k'", ["65g"] = "'65g'", [""] = "''", [12] = "12",
    } do
      local ok, message = pcall(nexthop.new, { cache = value })
      assert.is_false(ok)
      assert.equal("bad option 'cache' to 'new' (bytes, or text like \"32m\" with k, m or g, from 1m to 64g "
        .. "expected, got " .. got .. ")", (message:gsub("^.-:%d+: ", "")))
    end
    local ok, message = pcall(nexthop.new, { cache = true })
    assert.is_false(ok)
    assert.matches("bad option 'cache' to 'new' %(number or string expected, got boolean%)$", message)
  end)

  it("holds what it is large enough for, and is off with rrset-roundrobin", function()
    assert.equal(7, kept { cache = "1m" })
    assert.equal(0, kept { cache = "1m", options = { ["rrset-roundrobin"] = "yes" } })
  end)

  it("is an option of nexthop, too", function()
    local shell = require "tests.support.shell"
    local lua = shell.quote(os.getenv "NEXTHOP_LUA" or arg[-1])
    local program = lua .. " bin/nexthop "
    local said, status = shell.run(("%s --resolver %s --anchor %s --cache 8m dane.example"):format(
      program, lab.forward_address, lab.anchor_file))
    assert.equal(0, status, said)
    said, status = shell.run(program .. "--cache 8x dane.example")
    assert.equal(64, status)
    assert.equal("nexthop: --cache: bytes, or text like \"32m\" with k, m or g, from 1m to 64g expected, "
      .. "got '8x'", said:match "[^\n]*")
  end)
end)
