-- nexthop.new: every option, what raises and what is an error of code `config`.
local nexthop = require "nexthop"
local config = require "nexthop.config"
local lab = require("tests.lab.lab").shared()
local files = require "tests.support.files"

local function raises(text, options)
  local ok, message = pcall(nexthop.new, options)
  assert.is_false(ok)
  assert.is_string(message)
  assert.truthy(message:find(text, 1, true), message)
end

local function refuses(text, options)
  local resolver, err = nexthop.new(options)
  assert.is_nil(resolver)
  assert.equal("config", err.code)
  assert.is_false(err.permanent)
  assert.equal(err.message, tostring(err))
  assert.is_nil(err.message:find "\n")
  assert.truthy(err.message:find(text, 1, true), err.message)
  return err.message
end

local open = {}
local function new(options)
  local resolver = assert(nexthop.new(options))
  open[#open + 1] = resolver
  return resolver
end

-- What dane.example's MX are to a resolver: "secure", "insecure", or the error's code.
local function sees(resolver, domain)
  local result, err = resolver:gather_destinations(domain or "dane.example")
  if not result then return err.code end
  return result.expanded_next_hop_authentic and "secure" or "insecure"
end

before_each(function()
  lab:clear()
  lab:reset()
end)

after_each(function()
  for _, resolver in ipairs(open) do resolver:close() end
  open = {}
  files.remove()
end)

describe("misuse of nexthop.new raises:", function()
  it("an unknown key", function()
    raises("unknown option 'forwards' to 'new'", { forwards = "127.0.0.1" })
    raises("unknown option '1' to 'new'", { "127.0.0.1" })
  end)

  it("something that is no table", function()
    raises("table expected, got string", "127.0.0.1")
  end)

  local wrong = {
    forward = { 1, true }, resolv_conf = { 1, true, {} }, stub = { "x", 1, true },
    trust_anchor_file = { 1, true, {} }, trust_anchor = { 1, false }, unbound_conf = { 1, false, {} },
    options = { "x", 1, false }, timeout = { "1", true, {} }, max_pending = { "1", true, {} },
    budget = { "1", true, {} }, tls = { 1, "yes", {} }, tls_cert_bundle = { 1, true, {} },
  }
  for key, values in pairs(wrong) do
    it("a wrong type of " .. key, function()
      for _, value in ipairs(values) do
        raises(("bad option '%s' to 'new'"):format(key), { [key] = value })
      end
    end)
  end

  it("entries of lists that are no strings", function()
    raises("bad option 'forward'", { forward = { "127.0.0.1", 53 } })
    raises("bad option 'stub'", { stub = { ["example."] = 5300 } })
    raises("bad option 'stub'", { stub = { "127.0.0.1@5300" } })
    raises("bad option 'trust_anchor'", { trust_anchor = { true }, forward = "127.0.0.1" })
    raises("bad option 'options'", { options = { "verbosity" }, forward = "127.0.0.1" })
    raises("bad option 'options.verbosity'", { options = { verbosity = 1 }, forward = "127.0.0.1" })
  end)

  it("numbers out of range", function()
    for key, values in pairs {
      timeout = { 0, -1, 1e9, 0 / 0, math.huge }, max_pending = { 0, -1, 1.5, 0 / 0, math.huge },
      budget = { -1, 0 / 0, math.huge },
    } do
      for _, value in ipairs(values) do
        raises(("bad option '%s'"):format(key), lab:options { [key] = value })
      end
    end
  end)

  it("and names the line that called it", function()
    local _, message = pcall(function() nexthop.new { nonsense = 1 } end)
    assert.truthy(message:find "resolver_spec.lua:%d+:", message)
  end)
end)

describe("servers:", function()
  it("a stub is asked as an authoritative server", function()
    assert.equal("secure", sees(new(lab:options())))
    assert.equal(1, lab:count("dane.example", "MX"))
  end)

  it("stubs of zones may be lists, with and without final dot, in any case", function()
    local r = new { stub = { ["."] = lab.address, ["Plain"] = { lab.nsd_address } },
      trust_anchor_file = lab.anchor_file }
    assert.equal("insecure", sees(r, "plain"))
    assert.equal(0, lab:count("plain", "MX"))
    assert.equal("secure", sees(r))
    assert.equal(1, lab:count("dane.example", "MX"))
  end)

  it("the next server of a list is asked when the first is dead", function()
    local dead = lab:listen "127.0.0.9"
    lab:rule { address = "127.0.0.9", action = "refused" }
    local r = new { stub = { ["."] = { dead, lab.address } }, trust_anchor_file = lab.anchor_file }
    assert.equal("secure", sees(r))
  end)

  it("a forwarder, and a list of them", function()
    assert.equal("secure", sees(new(lab:forward_options())))
    assert.equal("secure", sees(new(lab:forward_options { forward = { lab.forward_address } })))
  end)

  it("bad addresses name themselves", function()
    for _, address in ipairs { "", "localhost", "127.0.0.1:53", "127.0.0.1@", "127.0.0.1@0",
      "127.0.0.1@65536", "127.0.0.1@x", "127.0.0.256", "::1@53@54", "[::1]", "127.0.0.1#",
      "127.0.0.1 ", "127.0.0.1@53#a b", "@53", "127.0.0.1\0" } do
      local shown = address:gsub("%z", "\\000")
      refuses("forward: '" .. shown .. "' is no address", { forward = { "127.0.0.1", address } })
      refuses(shown, { stub = { ["example."] = address } })
    end
  end)

  it("an empty list is no server", function()
    refuses("forward", { forward = {} })
    refuses("stub", { stub = { ["example."] = {} } })
  end)

  it("a stub's zone must be a name", function()
    refuses("stub: 'a..b' is no zone name", { stub = { ["a..b"] = "127.0.0.1" } })
    refuses("is no zone name", { stub = { [("a"):rep(64) .. "."] = "127.0.0.1" } })
  end)

  it("resolv_conf: its nameservers are forwarders", function()
    -- libunbound asks them at port 53, where nobody is
    local path = files.new "# lab\nsearch example\nnameserver 127.0.0.77\noptions ndots:1\n"
    local r = new { resolv_conf = path, trust_anchor_file = lab.anchor_file, timeout = 0.2 }
    local _, err = r:gather_destinations "dane.example"
    assert.equal("timeout", err.code)
  end)

  it("resolv_conf missing, a directory, without nameserver", function()
    local path = files.new "search example\n; nameserver 127.0.0.1\n"
    refuses("resolv_conf: cannot read it: /nonexistent/resolv.conf",
      { resolv_conf = "/nonexistent/resolv.conf" })
    refuses("resolv_conf: cannot read it: /: ", { resolv_conf = "/" })
    refuses(path .. " names no nameserver", { resolv_conf = path })
  end)

  it("resolv_conf = false alone resolves from the root, and says nothing is wrong", function()
    local r = new { resolv_conf = false, trust_anchor_file = lab.anchor_file }
    assert.equal(0, r:pending())
  end)

  it("unbound_conf: servers and anchors come from it, in whatever layout", function()
    for _, text in ipairs {
      'server:\n  trust-anchor-file: "%s"\nstub-zone:\n  name: "."\n  stub-addr: %s\n',
      "server: trust-anchor-file: %s\nstub-zone: name: .\n\tstub-addr:   '%s' # the lab\n",
    } do
      local path = files.new(text:format(lab.anchor_file, lab.address))
      assert.equal("secure", sees(new { unbound_conf = path }))
    end
  end)

  it("unbound_conf: an included file counts", function()
    local inner = files.new(('server:\n trust-anchor: "%s"\n'):format(lab.anchor))
    local outer = files.new(('include: "%s"\nforward-zone:\n name: "."\n forward-addr: %s\n')
      :format(inner, lab.forward_address))
    assert.equal("secure", sees(new { unbound_conf = outer }))
  end)

  it("unbound_conf without anchors is refused, unless there is one beside it or none is wanted", function()
    local path = files.new(('stub-zone:\n name: "."\n stub-addr: %s\n'):format(lab.address))
    refuses(path .. " holds no trust anchor", { unbound_conf = path })
    assert.equal("secure", sees(new { unbound_conf = path, trust_anchor_file = lab.anchor_file }))
    assert.equal("secure", sees(new { unbound_conf = path, trust_anchor = { lab.anchor } }))
    assert.equal("insecure", sees(new { unbound_conf = path, trust_anchor_file = false }))
  end)

  it("unbound_conf with an auto-trust-anchor-file is refused, wherever it stands", function()
    for _, text in ipairs { "server:\n auto-trust-anchor-file: x\n", "server: auto-trust-anchor-file: 'x'\n",
      "server:\n\tauto-trust-anchor-file:   \"x\"\n" } do
      local path = files.new(text)
      local message = refuses(path .. " has an auto-trust-anchor-file", { unbound_conf = path })
      assert.truthy(message:find("trust_anchor_file instead", 1, true))
      local outer = files.new(("include: %s\n"):format(path))
      refuses("auto-trust-anchor-file", { unbound_conf = outer })
    end
  end)

  it("unbound_conf with anchors that cannot be used is refused", function()
    local empty = files.new ""
    refuses("holds no usable trust anchor",
      { unbound_conf = files.new(("server:\n trust-anchor-file: %s\n"):format(empty)) })
    refuses("/nonexistent/key",
      { unbound_conf = files.new "server:\n trust-anchor-file: /nonexistent/key\n" })
    refuses("trust-anchor 'junk'", { unbound_conf = files.new 'server:\n trust-anchor: "junk"\n' })
  end)

  it("unbound_conf missing or unparsable", function()
    refuses("unbound_conf: cannot read it: /nonexistent/unbound.conf",
      { unbound_conf = "/nonexistent/unbound.conf" })
    local path = files.new "server:\n nonsense: yes\n"
    refuses(path .. ":2: ", { unbound_conf = path, trust_anchor_file = lab.anchor_file })
  end)
end)

describe("trust anchors:", function()
  it("a file with several records, comments and parentheses will do", function()
    local path = files.new("; the lab's\n$TTL 3600\n" .. lab.anchor:gsub("^(%S+)%s.-DS%s+(.*)$",
      "%1 IN DS ( %2 ) ; its root") .. "\n")
    assert.equal("secure", sees(new(lab:options { trust_anchor_file = path })))
  end)

  it("records given as a list, or as one string", function()
    local stub = { ["."] = lab.address }
    assert.equal("secure", sees(new { stub = stub, trust_anchor = { lab.anchor } }))
    assert.equal("secure", sees(new { stub = stub, trust_anchor = lab.anchor }))
  end)

  it("the anchor decides: a foreign one makes everything bogus", function()
    local foreign = (". DS 20326 8 2 %s"):format(("e06d44b80b8f1d39a95c0b0d7c65d084"):rep(2))
    assert.equal("bogus", sees(new { stub = { ["."] = lab.address }, trust_anchor = { foreign } }))
  end)

  it("false: nothing is secure, and what is bogus goes through", function()
    local r = new(lab:options { trust_anchor_file = false })
    assert.equal("insecure", sees(r))
    assert.equal("insecure", sees(r, "broken.example"))
  end)

  it("the first that exists of the usual places is taken", function()
    local places = config.anchor_places
    finally(function() config.anchor_places = places end)
    config.anchor_places = { "/nonexistent/root.key", lab.anchor_file, "/nonexistent/other.key" }
    assert.equal("secure", sees(new { stub = { ["."] = lab.address } }))
  end)

  it("none to be found is an error that says where it looked", function()
    local places = config.anchor_places
    finally(function() config.anchor_places = places end)
    config.anchor_places = { "/nonexistent/a.key", "/nonexistent/b.key" }
    local message = refuses("no trust anchor found", { stub = { ["."] = lab.address } })
    assert.truthy(message:find("/nonexistent/a.key, /nonexistent/b.key", 1, true))
  end)

  local digest = ("ab"):rep(32)
  local unusable = {
    ["empty"] = "",
    ["only comments"] = "; nothing here\n\n",
    ["junk"] = "this is not a trust anchor\n",
    ["binary junk"] = ("\0\1\2\255\n"):rep(100),
    ["of an unsupported algorithm"] = ". IN DS 12345 1 2 " .. digest .. "\n",
    ["of a private algorithm"] = ". IN DS 12345 253 2 " .. digest .. "\n",
    ["of an unsupported digest"] = ". IN DS 12345 8 3 " .. digest .. "\n",
    ["with a short digest"] = ". IN DS 12345 8 2 abcd\n",
    ["with a digest that is not hex"] = ". IN DS 12345 8 2 " .. ("xy"):rep(32) .. "\n",
    ["cut short"] = ". IN DS 12345\n",
    ["of another type"] = ". IN A 192.0.2.1\n",
    ["with a key of an unsupported algorithm"] = ". IN DNSKEY 257 3 3 " .. ("AwEAAQ"):rep(20) .. "\n",
    ["with a revoked key"] = ". IN DNSKEY 385 3 8 " .. ("AwEAAQ"):rep(20) .. "\n",
    ["with a key of no zone"] = ". IN DNSKEY 1 3 8 " .. ("AwEAAQ"):rep(20) .. "\n",
    ["with an empty key"] = ". IN DNSKEY 257 3 8 A\n",
  }
  for what, text in pairs(unusable) do
    it("a file that is " .. what .. " is refused", function()
      local path = files.new(text)
      refuses("trust_anchor_file: " .. path .. " holds no usable trust anchor",
        lab:options { trust_anchor_file = path })
    end)
  end

  it("a file that is missing or cannot be read is refused", function()
    refuses("trust_anchor_file: cannot read it: /nonexistent/root.key",
      lab:options { trust_anchor_file = "/nonexistent/root.key" })
    refuses("trust_anchor_file: cannot read it: /", lab:options { trust_anchor_file = "/" })
  end)

  it("a record that cannot be one is refused, and named", function()
    local stub = { ["."] = lab.address }
    refuses("trust_anchor: 'junk' is no DS or DNSKEY record", { stub = stub, trust_anchor = { "junk" } })
    refuses("trust_anchor: '. DS 1 1 2 " .. digest .. "' is of an algorithm",
      { stub = stub, trust_anchor = { lab.anchor, ". DS 1 1 2 " .. digest } })
    refuses("trust_anchor: the list is empty", { stub = stub, trust_anchor = {} })
  end)
end)

describe("options of libunbound:", function()
  it("are passed through", function()
    -- the lab's signatures are not valid in 2045
    local r = new(lab:options { options = { ["val-override-date"] = "20450101000000" } })
    assert.equal("bogus", sees(r))
  end)

  it("may have a colon, and several values", function()
    local r = new(lab:options { options = {
      ["local-data:"] = { "local.example. A 192.0.2.99", "local.example. AAAA 2001:db8::99" },
    } })
    assert.same({ "2001:db8::99", "192.0.2.99" }, r:gather_ips("local.example").ips)
  end)

  it("that it does not know are refused by name", function()
    refuses("options: 'nonsense' = 'yes'", lab:options { options = { nonsense = "yes" } })
    refuses("options: 'outgoing-range' = 'many'", lab:options { options = { ["outgoing-range"] = "many" } })
  end)

  it("whose value only the start finds bad are named, with the cause", function()
    local message = refuses("Cannot parse target fetch policy: \"x\"",
      lab:options { options = { ["target-fetch-policy"] = "x" } })
    assert.truthy(message:find("'target-fetch-policy'", 1, true), message)
    refuses("junk", lab:options { options = { ["do-not-query-address"] = "junk" } })
    refuses("no modules", lab:options { options = { ["module-config"] = "" } })
  end)

  it("that leave the trust anchor unused are refused, unless none is wanted", function()
    for _, value in ipairs { "iterator", "iterator validator" } do
      local conf = files.new(("server:\n trust-anchor: %q\n module-config: %q\n"):format(lab.anchor, value))
      refuses("has no validator before the iterator", lab:options { options = { ["module-config"] = value } })
      refuses("has no validator before the iterator", { unbound_conf = conf })
      assert.equal("insecure", sees(new(lab:options {
        trust_anchor_file = false, options = { ["module-config"] = value } })))
    end
  end)

  it("over which libunbound would end the process are refused", function()
    refuses("'nosuchmodule'",
      lab:options { options = { ["module-config"] = "validator nosuchmodule iterator" } })
    refuses("'junk' is no address", lab:options { options = { ["outgoing-interface"] = "junk" } })
    refuses("'eth0' is no address",
      lab:options { unbound_conf = files.new "server:\n outgoing-interface: eth0\n" })
    refuses("subnetcache", lab:options {
      unbound_conf = files.new 'server:\n module-config: "subnetcache validator iterator"\n' })
    refuses("'validator' is not taken twice",
      lab:options { options = { ["module-config"] = "validator validator iterator" } })
    for _, text in ipairs { 'server:\n identity: "x', "server:\n local-zone: 'x", 'server: "' } do
      refuses("ends inside a quoted text", lab:options { unbound_conf = files.new(text) })
    end
    for _, key in ipairs { "auto-trust-anchor-file", "trust-anchor-file", "trust-anchor",
      "trusted-keys-file", "unwanted-reply-threshold", "trust-anchor-file:" } do
      refuses(("options: '%s' is not taken"):format(key), lab:options { options = { [key] = "1" } })
    end
  end)

  it("the next resolver after one that failed is sound", function()
    refuses("nonsense", lab:options { options = { nonsense = "yes" } })
    refuses("policy", lab:options { options = { ["target-fetch-policy"] = "x" } })
    assert.equal("secure", sees(new(lab:options())))
  end)
end)

describe("zones that libunbound answers itself:", function()
  local records = { { name = "mail.test", type = "A", ttl = 60, rdata = "c0000207" } }

  it("are its own by default", function()
    local r = new(lab:options())
    local _, err = r:gather_ips "mail.test"
    assert.equal("not_found", err.code)
    assert.equal(0, lab:count("mail.test", "*"))
  end)

  it("a stub of the user's for one of them wins", function()
    lab:rule { name = "mail.test", type = "A", action = "answer", records = records }
    lab:rule { name = "mail.test", type = "AAAA", action = "nodata" }
    local r = new(lab:options { stub = { ["."] = lab.address, ["test."] = lab.address },
      trust_anchor_file = false })
    assert.same({ "192.0.2.7" }, r:gather_ips("mail.test").ips)
    assert.equal(1, lab:count("mail.test", "A"))
  end)

  it("so does one below it, and one for a private reverse zone", function()
    lab:rule { name = "mail.test", type = "A", action = "answer", records = records }
    lab:rule { name = "mail.test", type = "AAAA", action = "nodata" }
    lab:rule { name = "1.0.0.10.in-addr.arpa", type = "MX", action = "answer",
      records = { { name = "1.0.0.10.in-addr.arpa", type = "MX", ttl = 60,
        rdata = "000a046d61696c047465737400" } } }
    local r = new(lab:options { trust_anchor_file = false, stub = { ["."] = lab.address,
      ["mail.test"] = lab.address, ["10.in-addr.arpa"] = lab.address } })
    assert.same({ "192.0.2.7" }, r:gather_ips("mail.test").ips)
    assert.equal("mail.test", r:gather_destinations("1.0.0.10.in-addr.arpa").hosts[1].host)
    assert.equal(1, lab:count("1.0.0.10.in-addr.arpa", "MX"))
  end)
end)

describe("tls", function()
  local named = ("127.0.0.1@%d#localhost"):format(lab.forward_port)

  -- Is DNS over TLS possible with this libunbound at all?
  local function has_tls()
    local r = nexthop.new { forward = "127.0.0.1@853#localhost", tls = true,
      trust_anchor_file = lab.anchor_file }
    if r then r:close() end
    return r ~= nil
  end

  it("needs forwarders, with names", function()
    refuses("tls: needs forward addresses", { tls = true, trust_anchor_file = lab.anchor_file })
    refuses("tls: forward '127.0.0.1@853' has no name", lab:forward_options {
      forward = { "127.0.0.1@853#localhost", "127.0.0.1@853" }, tls = true })
  end)

  it("needs a bundle that holds certificates", function()
    local empty = files.new ""
    local forward = "127.0.0.1@853#localhost"
    refuses("tls_cert_bundle: " .. empty .. " holds no certificate",
      lab:forward_options { forward = forward, tls = true, tls_cert_bundle = empty })
    refuses("tls_cert_bundle: cannot read it: /nonexistent/ca.pem",
      lab:forward_options { forward = forward, tls = true, tls_cert_bundle = "/nonexistent/ca.pem" })
  end)

  it("is refused by a libunbound that cannot do it, never done without", function()
    if has_tls() then return pending "this libunbound has TLS" end
    for _, options in ipairs {
      lab:forward_options { forward = named, tls = true },
      lab:forward_options { forward = named, tls = true, tls_cert_bundle = lab.ca_file },
      lab:forward_options { forward = named, options = { ["tls-upstream"] = "yes" } },
      lab:forward_options { forward = named, options = { ["ssl-upstream"] = "yes" } },
    } do
      refuses("has no TLS", options)
    end
    assert.equal(0, lab:total())
  end)

  it("in an unbound.conf likewise: libunbound itself would go on in clear", function()
    if has_tls() then return pending "this libunbound has TLS" end
    for _, text in ipairs {
      "forward-zone:\n name: .\n forward-tls-upstream: yes\n forward-addr: %s\n",
      "forward-zone:\n name: .\n forward-ssl-upstream: yes\n forward-addr: %s\n",
      "server: tls-upstream: yes\nforward-zone:\n name: .\n forward-addr: %s\n",
    } do
      local path = files.new(text:format(named))
      refuses(path, { unbound_conf = path, trust_anchor_file = lab.anchor_file })
    end
    assert.equal(0, lab:total())
  end)

  it("where it works, a server that speaks no TLS gets no query", function()
    if not has_tls() then return pending "this libunbound has no TLS" end
    local r = new(lab:forward_options { forward = named, tls = true })
    local _, err = r:gather_destinations("dane.example", { deadline = 5 })
    assert.is_true(err.code == "servfail" or err.code == "timeout")
    assert.equal(0, lab:total())
  end)
end)

describe("the resolver", function()
  it("has the descriptors and events of the pollable protocol", function()
    local r = new(lab:options())
    assert.is_true(r:pollfd() >= 0)
    assert.equal(r:pollfd(), r:getfd())
    assert.equal("r", r:events())
    assert.is_nil(r:timeout())
    assert.equal(0, r:pending())
    assert.equal("nexthop resolver (0 pending)", tostring(r))
  end)

  it("asks no more of a name than needed by default (query-name minimisation)", function()
    local r = new(lab:options())
    assert.equal("secure", sees(r, "dane.example"))
    for _, query in ipairs(lab:queries()) do
      if query.name == "dane.example" then assert.is_true(query["do"]) end
    end
  end)

  it("keeps its own settings beside another", function()
    local strict, lax = new(lab:options()), new(lab:options { trust_anchor_file = false })
    assert.equal("bogus", sees(strict, "broken.example"))
    assert.equal("insecure", sees(lax, "broken.example"))
    assert.equal("bogus", sees(strict, "broken.example"))
    assert.equal("secure", sees(strict))
    assert.equal("insecure", sees(lax))
  end)

  it("says its versions", function()
    local versions = nexthop.versions()
    for _, name in ipairs { "libunbound", "openssl", "libuv", "libidn2", "lua" } do
      assert.is_string(versions[name])
      assert.truthy(versions[name]:find "%d+%.%d+", name)
    end
    assert.equal(versions.openssl, versions.OpenSSL)
    assert.is_string(nexthop._VERSION)
  end)
end)
