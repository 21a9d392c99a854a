-- Memory that runs out: every allocation of the module's own fails once in turn (oom_script.lua), with
-- oom.so (oom.c) in front of malloc.
local lab = require("tests.lab.lab").shared()
local preload = require "tests.support.preload"

local function run_script(oom, script, ...)
  local lua = os.getenv "NEXTHOP_LUA" or arg[-1]
  -- The C library overwrites what is freed, so that its use is seen.
  local child = assert(io.popen(("MALLOC_PERTURB_=165 LD_PRELOAD=%s %s %s %s 2>&1; echo status $?")
    :format(oom, lua, script, table.concat({ ... }, " "))))
  local output = child:read "*a"
  child:close()
  assert.matches("\nstatus 0\n$", "\n" .. output)
  local count = output:match "^ok%s+(%d+)"
  assert.is_truthy(count, output)
  return tonumber(count), output
end

describe("when memory runs out", function()
  it("answers no_memory or a Lua error, crashes nowhere, leaks nothing and goes on", function()
    local oom = preload.library("oom", pending)
    lab:clear()
    local count, output = run_script(oom, "tests/oom_script.lua", lab.forward_address, lab.anchor_file)
    assert.is_true(count > 100, output)
  end)

  it("does so while a failure is looked into", function()
    local oom = preload.library("oom", pending)
    lab:clear()
    local good = lab:listen("127.0.0.3", { forward = true })
    local bad = lab:listen("127.0.0.4", { forward = true })
    lab:rule { address = "127.0.0.4", action = "strip" }
    local count, output = run_script(oom, "tests/oom_recheck_script.lua", good, bad, lab.anchor_file)
    lab:clear()
    assert.is_true(count > 30, output)
  end)

  it("does so while a host is verified, in OpenSSL too", function()
    local oom = preload.library("oom", pending)
    local ca = require "tests.support.ca"
    local verifying = require "tests.support.verifying"
    local issuer = ca.authority { name = "oom-issuer" }
    local leaf = ca.leaf {
      name = "oom", issuer = issuer, names = { "issuer.oom.example" }, extra = { issuer },
    }
    local world = verifying.world("oom.example", 62)
    for label, record in pairs {
      good = ca.tlsa(leaf, 3, 1, 1), changed = "3 1 1 " .. ("ab"):rep(32),
      issuer = ca.tlsa(issuer, 2, 0, 1), name = ca.tlsa(issuer, 2, 0, 1),
      certificate = ca.tlsa(leaf, 3, 0, 0), key = ca.tlsa(leaf, 3, 1, 0),
    } do
      world:host(label, { tlsa = { record }, server = { certificates = { leaf } } })
    end
    world:start()
    local own, output = run_script(oom, "tests/oom_verify_script.lua", lab.forward_address, lab.anchor_file,
      world.servers.port)
    local of_lua, said = run_script(oom, "tests/oom_lua_verify_script.lua", lab.forward_address,
      lab.anchor_file, world.servers.port)
    assert.is_true(of_lua > 50, said)
    world:stop()
    -- OpenSSL allocates less from one release to the next.
    local of_openssl = tonumber(output:match "^ok%s+%d+%s+(%d+)")
    assert.is_true(own > 100 and of_openssl > 100, output)
  end)

  it("does so while a policy of MTA-STS is fetched, kept and read", function()
    local oom = preload.library("oom", pending)
    local found, reason = require("nexthop.core").sts()
    if not found then pending(reason) end
    local path = require("tests.support.files").path ".sts"
    local world = require("tests.support.sts_world").new("stsoom.example", 70, false)
    world:domain("good", { web_alias = "web",
      records = '_smtp._tls.@. TXT "v=TLSRPTv1\\; rua=mailto:a\\064b.example"' })
    world:domain("other", {})
    world:start()
    local count, output = run_script(oom, "tests/oom_sts_script.lua", lab.forward_address, lab.anchor_file,
      world.server.port, world.root.file, path)
    world:stop()
    os.remove(path)
    assert.is_true(count > 50, output)
  end)
end)
