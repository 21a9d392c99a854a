-- Real rspamd, as in rspamd_spec.lua: From and Reply-To, exclusions, and what other modules and rules see of
-- the plugin. The rules come from the page examples/rspamd/nexthop.md, so that they work as they stand there.
local cjson = require "cjson"
local rspamd = require "tests.integration.rspamd"
local settings = require "nexthop.rspamd.settings"
local symbol_table = require "nexthop.rspamd.symbols"
local lab = require("tests.lab.lab").shared()

local versions = { bookworm = "3.4", trixie = "3.12", sid = "of unstable" }
local usual = jit and "trixie" or _VERSION == "Lua 5.4" and "bookworm" or "" -- luacheck: ignore jit
if os.getenv "UNDER" then usual = "" end -- rspamd is under neither
local suites = os.getenv "NEXTHOP_RSPAMD" or usual

local outside, inside = "192.0.2.99", "127.0.0.1"

local function read(path)
  local file = assert(io.open(path, "r"))
  local text = file:read "*a"
  file:close()
  return text
end

local page = read "examples/rspamd/nexthop.md"

-- The blocks of code of the page that hold this text, one after the other.
local function blocks(language, text)
  local list = {}
  for block in page:gmatch("~~~" .. language .. "\n(.-)~~~") do
    if block:find(text, 1, true) then list[#list + 1] = block end
  end
  assert(list[1], "no block with " .. text)
  return table.concat(list)
end

describe("the page of the rspamd module", function()
  it("has every symbol with its score", function()
    local on_page, registered = {}, {}
    for name, score in page:gmatch "\n| `(NEXTHOP_[%u_]+)` | ([%d.]+) |" do
      on_page[name] = tonumber(score)
    end
    for _, symbols in pairs(symbol_table) do
      for _, symbol in pairs(symbols) do registered[symbol[1]] = symbol[2] end
    end
    assert.same(registered, on_page)
  end)

  it("has every option with its default", function()
    local on_page = {}
    local options = page:match "\n| option | default.-\n\n"
    for name, default in options:gmatch "\n| `([%l_]+)` | ([^|]*) |" do
      on_page[name] = default:match "^`?(.-)`?$"
    end
    local expected = {
      socket = "none", policy = "none", check_local = "false", check_authed = "false",
      exclude_domains = "none", exclude_hosts = "none", exclude_ips = "none",
      sts = "false", tlsrpt = "false", ca_file = "none", sts_port = "none",
    }
    for name, default in pairs(settings.defaults) do
      expected[name] = type(default) == "table" and "{}" or tostring(default)
    end
    expected.deadline = expected.deadline .. "s"
    assert.same(expected, on_page)
    local wrong = select(2, settings.check({ nothing = 1, socket = "/s" }, 8, function() end))
    local known = {}
    for name in wrong[1]:match("there are: (.*)"):gmatch "[%l_]+" do known[name] = expected[name] end
    assert.same(expected, known)
  end)
end)

local zone = { name = "rules.example", text = [[
@       MX 10 mx
mx      A 192.31.196.21
mx2     A 192.31.196.22
_25._tcp.mx TLSA 3 1 1 ${server.spki.sha256}
lan     MX 10 in
in      A 10.1.1.1
in      AAAA fd00::1
mixed   MX 10 in
mixed   MX 20 away
away    A 172.16.1.1
partial MX 10 mx
partial MX 20 mx2
null    MX 0 .
gone    MX 10 nowhere
]] }

local function resolver()
  local stubs = {}
  for name, address in pairs(lab:options().stub) do
    stubs[#stubs + 1] = ('"%s" = "%s";'):format(name, address)
  end
  return ('resolver { stub { %s } trust_anchor_file = "@DIR@/anchor"; }\n'):format(table.concat(stubs, " "))
end

local function files(more)
  local all = { anchor = read(lab.anchor_file) }
  for name, text in pairs(more or {}) do all[name] = text end
  return all
end

-- What a plugin of somebody else sees, as JSON in the option of its symbol.
local other = [[
rspamd_config:register_symbol {
  name = "SEEN", type = "normal", score = 0,
  callback = function(task)
    local ucl = require "ucl"
    local found = task:cache_get "nexthop"
    return true, found and ucl.to_format(found, "json-compact") or "nothing"
  end,
}
rspamd_config:register_dependency("SEEN", "NEXTHOP_CHECK")
]]

local function in_root(root)
  local function start(options)
    options.files = files(options.files)
    return rspamd.start(root, options)
  end
  local function with(options, run)
    local server = start(options)
    local ok, err = pcall(run, server)
    server:stop()
    if not ok then error(err, 0) end
  end

  describe("with from = true", function()
    local server
    setup(function()
      server = start { plugin = other,
        conf = resolver() .. 'from = true; exclude_domains = ["example.org"];' }
    end)
    teardown(function() server:stop() end)
    local function symbols(envelope)
      envelope.ip = envelope.ip or outside
      envelope.mime_from = envelope.mime_from or "x@example.org"
      local answer = server:scan(envelope)
      return rspamd.symbols(answer), answer
    end

    for domain, finding in pairs {
      ["null.rules.example"] = { "NULL_MX", 3 }, ["none.rules.example"] = { "NO_HOST", 2 },
      ["gone.rules.example"] = { "BROKEN", 0 }, ["lan.rules.example"] = { "UNROUTABLE", 0 },
      ["broken.example"] = { "BOGUS", 0 }, ["loop2.example"] = { "FAILURE", 0 },
    } do
      it("says what there is to say of " .. domain, function()
        local name = "NEXTHOP_MIME_FROM_" .. finding[1]
        local found, answer = symbols { from = "", mime_from = "a@" .. domain:upper() }
        assert.same({ [name] = domain }, found)
        assert.equal(finding[2], answer.symbols[name].score)
        name = "NEXTHOP_REPLY_TO_" .. finding[1]
        found, answer = symbols { from = "a@rules.example",
          headers = "Reply-To: Me <a@" .. domain .. ">\r\n" }
        assert.same({ [name] = domain }, found)
        assert.equal(finding[2], answer.symbols[name].score)
      end)
    end

    it("sets one symbol for a domain: the envelope's before that of Reply-To before that of From", function()
      local reply_to = "Reply-To: a@null.rules.example\r\n"
      assert.same({ NEXTHOP_FROM_NULL_MX = "null.rules.example" }, symbols {
        from = "a@null.rules.example", mime_from = "b@NULL.rules.example", headers = reply_to })
      assert.same({ NEXTHOP_REPLY_TO_NULL_MX = "null.rules.example" }, symbols {
        from = "a@rules.example", mime_from = "b@null.rules.example", headers = reply_to })
    end)

    it("looks at three domains of each header", function()
      local list = {}
      for i = 1, 9 do list[i] = ("a@r%d.rules.example"):format(i) end
      assert.same({ NEXTHOP_REPLY_TO_NO_HOST = "r1.rules.example,r2.rules.example,r3.rules.example" },
        symbols { from = "", headers = "Reply-To: " .. table.concat(list, ",\r\n ") .. "\r\n" })
    end)

    it("looks at nothing where there is nothing to look at", function()
      for _, reply_to in ipairs {
        "", "nobody", "<>", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "a@example.org", "@",
      } do
        assert.same({}, symbols { from = "", headers = "Reply-To: " .. reply_to .. "\r\n" })
      end
    end)

    it("leaves local and authenticated mail out", function()
      local message = { from = "a@null.rules.example", mime_from = "a@gone.rules.example", ip = inside }
      assert.same({}, symbols(message))
      message.ip, message.user = outside, "u"
      assert.same({}, symbols(message))
    end)

    it("tells other plugins the domain, the finding and the verdicts of each role", function()
      local function seen(envelope)
        local _, answer = symbols(envelope)
        local option = answer.symbols.SEEN.options[1]
        return option ~= "nothing" and cjson.decode(option) or option
      end
      assert.equal("nothing", seen { from = "", mime_from = "x@example.org" })
      local null = { domain = "null.rules.example", finding = "null_mx", hosts = {}, error = "no_mail" }
      assert.same({ sender = { null }, mime_from = { null } },
        seen { from = "a@null.rules.example", mime_from = "b@null.rules.example" })
      local partial = { domain = "partial.rules.example", finding = "ok", hosts = {
        { host = "mx.rules.example", verdict = "dane" }, { host = "mx2.rules.example", verdict = "may" } } }
      assert.same({ sender = { partial } }, seen { from = "a@partial.rules.example" })
      partial.finding = "dane_partial"
      assert.same({ recipient = { partial, null } }, seen { from = "", ip = inside,
        rcpt = { "a@partial.rules.example", "b@null.rules.example", "c@example.org" } })
    end)
  end)

  it("looks at From and Reply-To only with from = true", function()
    with({ conf = resolver() }, function(server)
      assert.same({}, rspamd.symbols(server:scan { from = "", ip = outside,
        mime_from = "a@null.rules.example", headers = "Reply-To: a@null.rules.example\r\n" }))
    end)
  end)

  it("has check_local and check_authed, here or in `options`", function()
    local null = { NEXTHOP_FROM_NULL_MX = "null.rules.example" }
    -- of local, of authenticated, and of local and authenticated mail
    local function check(expected, conf, options)
      with({ conf = resolver() .. conf, options = options }, function(server)
        for i, envelope in ipairs {
          { ip = inside }, { ip = outside, user = "u" }, { ip = inside, user = "u" },
        } do
          envelope.from = "a@null.rules.example"
          assert.same(expected[i] and null or {}, rspamd.symbols(server:scan(envelope)))
          envelope.from, envelope.rcpt = "", { "a@null.rules.example" }
          assert.same({ NEXTHOP_RCPT_NULL_MX = "null.rules.example" },
            rspamd.symbols(server:scan(envelope)))
        end
      end)
    end
    check({ true, false, false }, "check_local = true;")
    check({ false, true, false }, "check_authed = true;")
    check({ true, true, true }, "", "check_local = true; check_authed = true;")
    -- as for every module of rspamd, one key here hides both of `options`
    check({ true, false, false }, "check_local = true;", "check_authed = true;")
  end)

  describe("exclusions", function()
    local function excludes(conf, cases, more)
      with({ conf = resolver() .. conf, files = more }, function(server)
        for domain, expected in pairs(cases) do
          local answer = server:scan { from = "", ip = inside, rcpt = { "a@" .. domain } }
          assert.equal(expected, next(rspamd.symbols(answer)) == nil, domain)
        end
      end)
    end

    it("are mail hosts, of which one is enough", function()
      excludes('exclude_hosts = ["MX2.rules.example", "*.nodane.filter.example", "nowhere.rules.example"];', {
        ["partial.rules.example"] = true, ["gone.rules.example"] = true,
        ["rules.example"] = false, ["null.rules.example"] = false, ["mx2.rules.example"] = true,
      })
    end)

    it("are addresses, if a domain has no other", function()
      excludes('exclude_ips = ["fd00::/8", "10.0.0.0/8"];', {
        ["lan.rules.example"] = true, ["mixed.rules.example"] = false, ["rules.example"] = false,
        ["null.rules.example"] = false, ["gone.rules.example"] = false,
      })
      excludes('exclude_ips = "10.1.1.1";', { ["lan.rules.example"] = false })
      excludes('exclude_ips = "@DIR@/ips.map";', {
        ["lan.rules.example"] = true, ["mixed.rules.example"] = true, ["rules.example"] = false,
      }, { ["ips.map"] = "10.1.1.0/24 # ours\nfd00::1\n172.16.0.0/12\n" })
    end)

    it("are globs, expressions, several files, and a file for a URL that does not answer", function()
      local cases = {
        ["null.rules.example"] = true, ["gone.rules.example"] = true, ["lan.rules.example"] = false,
      }
      excludes('exclude_domains = "glob;@DIR@/x.map";', cases,
        { ["x.map"] = "nu*.rules.example\ngon?.rules.*\n" })
      excludes('exclude_domains = ["glob;nu*.rules.example", "glob;gon?.rules.*"];', cases)
      excludes('exclude_domains = "regexp;@DIR@/x.map";', cases,
        { ["x.map"] = "/^(null|gone)\\.rules\\./\n" })
      excludes('exclude_domains = ["@DIR@/x.map", "file://@DIR@/y.map"];', cases,
        { ["x.map"] = "null.rules.example\n", ["y.map"] = "GONE.rules.example\n" })
      excludes('exclude_domains { url = ["@DIR@/x.map"]; }', cases,
        { ["x.map"] = "null.rules.example\ngone.rules.example\n" })
      excludes('exclude_domains = ["http://127.0.0.1:9/x", "fallback+file://@DIR@/x.map"];', cases,
        { ["x.map"] = "null.rules.example\ngone.rules.example\n" })
    end)

    it("that are wrong are named by configtest", function()
      for conf, reason in pairs {
        ['exclude_ips = ["10.0.0.0/33"];'] =
          "exclude_ips: '10.0.0.0/33' is neither an address nor a network",
        ['exclude_ips = ["mx.example"];'] = "exclude_ips: 'mx.example' is neither an address nor a network",
        ['exclude_hosts = ["a b"];'] = "exclude_hosts: 'a b' is neither a domain nor",
        ["exclude_hosts = 7;"] =
          "exclude_hosts: a map (a path or URL) or a list of host names expected, got 7",
        ["check_local = maybe;"] = "check_local: true or false expected",
        ["from = yesterday;"] = "from: true or false expected",
      } do
        local instance = rspamd.new(root, { conf = resolver() .. conf, files = files(), all = true })
        local text, status = instance:configtest()
        text = text .. instance:log()
        instance:stop()
        assert.is_not_equal(0, status, conf)
        assert(text:find(reason, 1, true), text)
      end
    end)
  end)

  it("does what the page says: a refusal for a null MX, composites, a rule, the selector", function()
    with({
      conf = resolver() .. "from = true;", plugin = blocks("lua", "SENDER_HAS_DANE"),
      files = {
        ["etc/local.d/force_actions.conf"] = blocks("hcl", "NEXTHOP_SENDER_NULL_MX"),
        ["etc/local.d/composites.conf"] = blocks("hcl", "NEXTHOP_NO_REPLY"),
        ["etc/local.d/nexthop_group.conf"] = blocks("hcl", "max_score"),
        ["etc/local.d/multimap.conf"] = blocks("hcl", "FROM_NOWHERE"),
        ["etc/rspamd.local.lua"] = blocks("lua", "FROM_NOWHERE"),
      },
    }, function(server)
      local function scan(envelope)
        envelope.ip = envelope.ip or outside
        local answer = server:scan(envelope)
        return answer, answer.symbols, answer.messages and answer.messages.smtp_message
      end
      local symbols
      local answer, _, text = scan { from = "a@null.rules.example" }
      assert.equal("reject", answer.action)
      assert.equal("The domain of the sender accepts no mail (null MX, RFC 7505)", text)
      answer, symbols, text = scan { from = "", ip = inside,
        rcpt = { "b@rules.example", "a@null.rules.example" } }
      assert.equal("reject", answer.action)
      assert.equal("The domain of a recipient accepts no mail (null MX, RFC 7505)", text)
      assert(not symbols.FROM_NOWHERE)
      answer, symbols = scan { from = "", ip = inside, rcpt = { "a@gone.rules.example" } }
      assert.equal("no action", answer.action)
      assert(symbols.NEXTHOP_UNDELIVERABLE and not symbols.NEXTHOP_NO_REPLY)
      answer, symbols = scan { from = "a@none.rules.example", headers = "Reply-To: b@null.rules.example\r\n" }
      assert.equal("no action", answer.action)
      assert(symbols.FROM_NOWHERE and symbols.NEXTHOP_NO_REPLY and not symbols.SENDER_HAS_DANE)
      answer, symbols = scan { from = "a@partial.rules.example", mime_from = "b@rules.example" }
      assert.equal("no action", answer.action)
      assert.same({ "partial.rules.example", "mx.rules.example" }, symbols.SENDER_HAS_DANE.options)
      assert(not symbols.FROM_NOWHERE and not symbols.NEXTHOP_NO_REPLY)
      -- the groups of the page: a weight and a limit
      answer, symbols = scan { from = "a@broken.example" }
      assert.equal(3, symbols.NEXTHOP_FROM_BOGUS.score, answer.action)
    end)
  end)

  it("has symbols that count once, in the groups of their roles", function()
    local instance = rspamd.new(root, { conf = resolver(), files = files(), all = true })
    local text, status = instance:admin "configdump -d -j"
    instance:stop()
    assert.equal(0, status)
    local details = cjson.decode(text:match "{.*}").symbols
    for role, symbols in pairs(symbol_table) do
      for finding, symbol in pairs(symbols) do
        local detail = assert(details[symbol[1]], symbol[1])
        local groups = { "nexthop_" .. role }
        if finding:find "dane" then groups[2] = "nexthop_dane" end
        table.sort(detail.groups)
        table.sort(groups)
        assert.same({ true, "nexthop", groups, symbol[3], symbol[2] },
          { detail.one_shot, detail.group, detail.groups, detail.description, detail.score })
      end
    end
  end)
end

for suite in suites:gmatch "%w+" do
  local root, why = rspamd.root(suite)
  describe("rspamd " .. versions[suite], function()
    if not root then
      it("is there", function()
        if os.getenv "CI" == "true" and suite ~= "sid" then error(why) end
        pending(why)
      end)
      return
    end
    lab:clear()
    lab:add_zones { zone }
    in_root(root)
  end)
end
