-- One nameserver line of a resolv.conf that holds no address failed the whole configuration; and the hints
-- of the program nexthop named options of the Lua module.
local nexthop = require "nexthop"
local filter = require "tests.support.filter"
local files = require "tests.support.files"
local servers = require "tests.support.server"
local support = require "tests.support"

local lab = support.lab

setup(filter.prepare)
after_each(filter.reset)

local text = "nameserver 300.0.0.1\nnameserver 127.0.0.1\nnameserver x\27y\n"
local warnings = {
  "resolv_conf: %s: nameserver '300.0.0.1' is no address, and is left out",
  "resolv_conf: %s: nameserver 'x\\027y' is no address, and is left out",
}

local function said(output, path)
  for _, warning in ipairs(warnings) do support.contains(output, (warning:format(path))) end
end

describe("a nameserver line without an address", function()
  it("is left out, and the resolver says so", function()
    local path = files.new(text)
    local resolver = assert(nexthop.new { resolv_conf = path, trust_anchor = lab.anchor })
    assert.same({ warnings[1]:format(path), warnings[2]:format(path) }, nexthop.warnings(resolver))
    resolver:close()
    resolver = assert(nexthop.new(lab:options()))
    assert.same({}, nexthop.warnings(resolver))
    resolver:close()
  end)

  it("is an error where there is no other", function()
    local path = files.new "nameserver x\n"
    local resolver, err = nexthop.new { resolv_conf = path, trust_anchor = lab.anchor }
    assert.is_nil(resolver)
    assert.equal("config", err.code)
    assert.equal("resolv_conf: " .. path .. ": nameserver 'x' is no address, and there is no other "
      .. "(resolv_conf = false resolves from the root)", err.message)
  end)

  it("is told by the filter, in its log and with -n", function()
    local path = files.new(text)
    local config = ("resolver.resolv_conf = %q return { resolver = resolver }"):format(path)
    local f = filter.start { config = config }
    f:logged "event=warning message=.*300.0.0.1.*\n"
    assert.equal(0, f:finish())
    local file = filter.config(config)
    local code, out, log = filter.run("-n", "-c", file)
    os.remove(file)
    assert.same({ 0, file .. ": configuration OK" }, { code, out })
    said(log, path)
  end)

  it("is told by the server, at its start and with -n", function()
    local path = files.new(text)
    local config = ("resolver.resolv_conf = %q return { resolver = resolver }"):format(path)
    local server = servers.start(config)
    said(server.said, path)
    assert.equal(0, server:finish())
    local file = filter.config(config)
    local output, status = servers.run("-n -c " .. file)
    os.remove(file)
    assert.equal(0, status)
    said(output, path)
  end)
end)

describe("the program's hints name its own options:", function()
  local options = require "nexthop.programs.nexthop.options"

  for _, case in ipairs {
    { { resolv_conf = "FILE" }, "nameserver x\n",
      "^/%S+: nameserver 'x' is no address, and there is no other %(%-%-recursive resolves from the root%)" },
    { { resolv_conf = "FILE" }, "options edns0\n",
      "^/%S+ names no nameserver %(%-%-recursive resolves from the root%)$" },
    { { unbound_conf = "FILE" }, "server:\n",
      "^%-%-unbound%-conf: /%S+ holds no trust anchor: name one with %-%-anchor$" },
    { { unbound_conf = "FILE" }, 'server: auto-trust-anchor-file: "/x"\n',
      "name the file with %-%-anchor instead$" },
    { { forward = "127.0.0.1", tls = true, trust_anchor_file = false }, "",
      "^%-%-tls: %-%-resolver '127.0.0.1' has no name to check" },
  } do
    it(case[3], function()
      local path, given = files.new(case[2]), {}
      for key, value in pairs(case[1]) do given[key] = value == "FILE" and path or value end
      if given.resolv_conf then given.trust_anchor = lab.anchor end
      local resolver, err = nexthop.new(given)
      assert.is_nil(resolver)
      assert.matches(case[3], options.complaint(err.message))
    end)
  end

  it("where no trust anchor is found", function()
    local config = require "nexthop.config"
    local places = config.anchor_places
    config.anchor_places = { "/nonexistent/anchor" }
    local resolver, err = nexthop.new { forward = "127.0.0.1" }
    config.anchor_places = places
    assert.is_nil(resolver)
    assert.equal("no trust anchor found: install one (Debian: dns-root-data) or name it with --anchor; "
      .. "looked at /nonexistent/anchor", options.complaint(err.message))
  end)
end)
