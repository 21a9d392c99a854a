-- The program nexthop(1): what a person sees, and what a script gets.
local cjson = require "cjson"
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab
local run = program.run
local contains, lacks = support.contains, support.lacks

-- No byte that a terminal acts on, but line ends.
local function harmless(text)
  assert.is_nil(text:find("[%z\1-\9\11-\31\127]"), "a control character in: " .. ("%q"):format(text))
  assert.is_nil(text:find("\194[\128-\159]"), "a C1 control character")
end

local function json(arguments, options)
  local words, objects = { "--json" }, {}
  for _, word in ipairs(arguments) do
    words[#words + 1] = word
  end
  local r = run(words, options)
  for line in r.out:gmatch("[^\n]+") do
    objects[#objects + 1] = cjson.decode(line)
  end
  return objects, r
end

describe("nexthop", function()
  before_each(function()
    lab:clear()
    lab:reset()
  end)
  after_each(files.remove)

  describe("prints a tree", function()
    it("with preference, host, addresses, security, TLS owed, TLSA in words and names", function()
      local r = run { "dane.example" }
      assert.equal(0, r.status)
      assert.equal("", r.err)
      contains(r.out, "dane.example  MX (secure)\n", "|- 10 mx1.dane.example\n",
        "`- 20 mx2.dane.example\n",
        "addresses  2001:db8::1 192.0.2.1 (secure)\n", "TLS owed   dane: TLS, verified",
        "the host's own public key, by its SHA2-256: names and dates do not count (DANE-EE)",
        "names      mx1.dane.example, dane.example", "SNI        mx1.dane.example")
      assert.is_truthy(r.out:find("TLSA       3 1 1 " .. ("%x"):rep(64) .. "\n"))
    end)

    it("with the reason when there is no DANE", function()
      contains(run({ "insecure.example" }).out, "MX (insecure)", "TLS owed   may",
        "why        the MX records are not secure", "(insecure)\n")
      contains(run({ "nodane.example" }).out, "why        it has no TLSA record")
      contains(run({ "mxinsecure.example" }).out, "why        its addresses are not secure")
    end)

    it("with every record that does not count and why", function()
      local r = run { "mx-t-allbad.example", "mx-t-agility.example", "mx-t-mixed.example" }
      contains(r.out, "encrypt: TLS, not verified", "not usable: usage PKIX-TA(0)",
        "not usable: SHA2-256(1) has 31 bytes, not 32", "left out: there is a stronger digest",
        "the certificate must come from it and bear one of the names (DANE-TA)")
    end)

    it("with the reason for every skip", function()
      local r = run { "mxeverywhere.example", "mx-bogustlsa.example", "mx-bogus6.example" }
      contains(r.out, "skip: leave this host alone",
        "bogus: A of mx.broken.example failed DNSSEC validation",
        "not_found: nothing.example has no address",
        "TLSA of _25._tcp.bogustlsa.example failed DNSSEC",
        "no IPv6    bogus: AAAA of bogus6.example")
    end)

    it("with aliases, implicit hosts, literals and bracketed hosts", function()
      local r = run { "alias.example", "implicitalias.example", "192.0.2.1", "[mx1.dane.example]",
        "mx-hs2insecure.example" }
      assert.equal(0, r.status)
      contains(r.out, "alias.example  an alias of dane.example (secure)  MX (secure)",
        "no MX: the name itself is the host (secure)", "192.0.2.1  an address, no DNS asked",
        "mx1.dane.example  no MX: the name itself is the host (secure)",
        "alias of   mx.insecure.example (the alias: secure)")
      assert.equal(0, lab:count("mx1.dane.example", "MX"))
    end)

    it("for names that fail, with code, reason and whether for good", function()
      local r = run { "nullmx.example", "nothing.example", "broken.example", "no name" }
      contains(r.out, "nullmx.example\n`- no_mail: accepts no mail", "(permanent)",
        "nothing.example\n`- nxdomain: ", "`- bogus: MX of broken.example failed", "(temporary)",
        "no name\n`- invalid_name: ")
    end)

    it("in lines where the locale is UTF-8", function()
      contains(run({ "dane.example" }, { env = "LC_ALL=C.UTF-8" }).out, "├─ 10 mx1", "└─ 20 mx2")
    end)

    it("in the order of the arguments", function()
      lab:rule { name = "dane.example", type = "MX", delay = 300 }
      local r = run { "dane.example", "implicit.example" }
      assert.is_true(r.out:find("dane.example  MX") < r.out:find("implicit.example  no MX"))
    end)
  end)

  describe("keeps what could harm a terminal away from it", function()
    it("when it comes from DNS", function()
      local r = run { "mxbytes.example", "cnamebytes.example", "mxspace.example",
        "cnamespace.example" }
      harmless(r.out)
      harmless(run({ "--explain", "mxbytes.example", "cnamebytes.example" }).out)
    end)

    it("when it is typed or read", function()
      local names = "a\27[31mb.example\nc\194\155d.example\ne\226\128\174f.example\n"
        .. "\255.example\ng\127h\n"
      for _, mode in ipairs { "--json", "--check", "--explain", "--ips" } do
        local r = run({ mode, "-f", "-" }, { stdin = names })
        assert.equal(1, r.status)
        harmless(r.out)
        lacks(r.out, "\226\128\174", "\255")
      end
      harmless(run({ "--jobs", "a\27[31mb", "x" }).err)
      harmless(run({ "--anchor", "/a\27[31mb", "x" }).err)
    end)
  end)

  describe("colours", function()
    it("on a terminal, and only there", function()
      lacks(run({ "dane.example" }).out, "\27")
      contains(program.on_terminal { "dane.example" }, "\27[32mdane: TLS", "\27[32msecure")
    end)

    it("not with NO_COLOR, nor on a dumb terminal; an empty NO_COLOR is none", function()
      lacks(program.on_terminal({ "dane.example" }, { env = "NO_COLOR=1" }), "\27")
      lacks(program.on_terminal({ "dane.example" }, { env = "TERM=dumb" }), "\27")
      contains(program.on_terminal({ "dane.example" }, { env = "NO_COLOR=" }), "\27[32m")
    end)
  end)

  describe("--json", function()
    it("has the API's fields, TLSA data in hex and empty lists", function()
      local objects, r = json { "mx-t-mixed.example", "nodane.example" }
      assert.equal(0, r.status)
      local plan = objects[1]
      assert.equal("mx-t-mixed.example", plan.domain)
      assert.same({ true, true, true, true, "mx-t-mixed.example" }, { plan.have_mx, plan.mx_authentic,
        plan.orig_next_hop_authentic, plan.expanded_next_hop_authentic, plan.expanded_next_hop })
      assert.is_number(plan.ttl)
      local host = plan.hosts[1]
      assert.same({ "t-mixed.example", 10, "dane", "t-mixed.example", true, true },
        { host.host, host.pref, host.tls, host.sni, host.dualstack, host.dane_required })
      assert.same({ "2001:db8::3c", "192.0.2.60" }, host.ips)
      assert.same({ "t-mixed.example", "mx-t-mixed.example" }, host.names)
      assert.equal(2, #host.records)
      assert.equal(2, #host.unusable)
      assert.is_truthy(host.records[1].data:find("^" .. ("%x"):rep(64) .. "$"))
      contains(r.out, '"records":[],"weaker":[],"unusable":[]', '"weaker":[]', '"pref":10,')
    end)

    it("has one line a name, a failed one with code, message and permanent alone", function()
      local objects, r = json { "nullmx.example", "broken.example", "dane.example" }
      assert.equal(75, r.status)
      assert.equal(3, #objects)
      assert.same({ domain = "nullmx.example", error = { code = "no_mail", permanent = true,
        message = "nullmx.example: accepts no mail (null MX at nullmx.example)" } }, objects[1])
      assert.same({ "bogus", false }, { objects[2].error.code, objects[2].error.permanent })
    end)

    it("tells why a host is skip", function()
      local host = json({ "mxnothing.example" })[1].hosts[1]
      assert.same({ code = "not_found", permanent = false,
        message = "nothing.example: nothing.example has no address" }, host.err)
      assert.same({}, host.ips)
    end)

    it("names what was asked for where the domain is written otherwise", function()
      local objects = json { "MX1.Dane.example.", "münchen.example", "dane.example" }
      assert.same({ "mx1.dane.example", "MX1.Dane.example." }, { objects[1].domain,
        objects[1].input })
      assert.same({ "xn--mnchen-3ya.example", "münchen.example" }, { objects[2].domain,
        objects[2].input })
      assert.is_nil(objects[3].input)
    end)

    it("is valid whatever is typed", function()
      local objects = json { 'a"b\\c', "\255\27[0m" }
      assert.equal('a"b\\c', objects[1].domain)
      assert.equal("\239\191\189\27[0m", objects[2].domain)
    end)

    it("keeps the order of fields", function()
      local first, second = run { "--json", "dane.example" }, run { "--json", "alias.example" }
      local function keys(text)
        local list = {}
        for key in text:gmatch('"([%w_]+)":') do
          list[#list + 1] = key
        end
        return list
      end
      assert.same(keys(first.out), keys(second.out))
      assert.is_truthy(first.out:find('^{"domain":"dane.example","have_mx":true,'))
    end)
  end)

  describe("single steps:", function()
    it("--destinations", function()
      contains(run({ "--destinations", "alias.example", "implicit.example" }).out,
        "alias.example  an alias of dane.example (secure)  MX (secure)\n"
          .. "|- 10 mx1.dane.example\n`- 20 mx2",
        "implicit.example  no MX: the name itself is the host (secure)\n`- implicit.example\n")
      assert.equal(0, lab:count("mx1.dane.example", "A"))
      local object = json({ "--destinations", "dane.example" })[1]
      assert.same({ { host = "mx1.dane.example", pref = 10 }, { host = "mx2.dane.example",
        pref = 20 } },
        object.hosts)
      assert.equal(1, run({ "--destinations", "nullmx.example" }).status)
    end)

    it("--ips", function()
      contains(run({ "--ips", "mx1.dane.example", "bogus6.example" }).out,
        "mx1.dane.example\n`- addresses  2001:db8::1 192.0.2.1 (secure)\n", "no IPv6    bogus: ")
      local object = json({ "--ips", "hs2insecure.example" })[1]
      assert.same({ "hs2insecure.example", false, true, "mx.insecure.example" },
        { object.host, object.authentic, object.host_authentic, object.expanded_host })
      assert.equal(75, run({ "--ips", "noaddress.example" }).status)
    end)

    it("--tlsa, which asks only behind secure addresses", function()
      contains(run({ "--tlsa", "mx1.dane.example" }).out, "base       mx1.dane.example",
        "TLSA       3 1 1 ")
      contains(run({ "--tlsa", "t-allbad.example" }).out, "not usable: ",
        "encrypt: TLS, not verified")
      contains(run({ "--tlsa", "mx.nodane.example" }).out, "secure addresses, but no TLSA record")
      contains(run({ "--tlsa", "mx.insecure.example" }).out, "its addresses are not secure")
      assert.equal(0, lab:count("_25._tcp.mx.insecure.example", "TLSA"))
      local object = json({ "--tlsa", "hs2insecure.example" })[1]
      assert.same({ true, "hs2insecure.example", 1 },
        { object.dane_required, object.tlsa_base_domain, #object.records })
      local r = run { "--tlsa", "bogustlsa.example" }
      assert.equal(75, r.status)
      contains(r.out, "bogus: TLSA of _25._tcp.bogustlsa.example")
    end)
  end)

  describe("options:", function()
    it("-4 and -6", function()
      assert.same({ "192.0.2.1" }, json({ "-4", "dane.example" })[1].hosts[1].ips)
      assert.same({ "2001:db8::1" }, json({ "--ipv6", "--ips", "mx1.dane.example" })[1].ips)
    end)

    it("--port", function()
      assert.equal(2, json({ "--port", "465", "dane.example" })[1].hosts[1].records[1].match_type)
      assert.equal(0, json({ "--port", "587", "--tlsa", "mx1.dane.example" })[1].records[1].selector)
    end)

    it("--stub, --resolver and --anchor", function()
      local arguments = { "--anchor", lab.anchor_file }
      for zone, address in pairs(lab:stub()) do
        arguments[#arguments + 1] = "--stub"
        arguments[#arguments + 1] = zone .. "=" .. address
      end
      arguments[#arguments + 1] = "dane.example"
      contains(run(arguments, { bare = true }).out, "dane: TLS, verified")
      local r = run({ "--resolver", lab.forward_address, "--anchor", "/nonexistent", "x" },
        { bare = true })
      assert.equal(64, r.status)
      contains(r.err, "nexthop: --anchor: cannot read it: /nonexistent")
    end)

    it("--unbound-conf", function()
      local conf = files.new(('server:\n  do-not-query-localhost: no\n  trust-anchor-file: "%s"\n'
        .. 'forward-zone:\n  name: "."\n  forward-addr: %s\n'):format(lab.anchor_file,
          lab.forward_address))
      contains(run({ "--unbound-conf", conf, "dane.example" }, { bare = true }).out,
        "dane: TLS, verified")
    end)

    it("--timeout and --deadline", function()
      lab:rule { name = "dane.example", type = "MX", action = "silent" }
      local object, r = json { "--timeout", "0.5", "dane.example" }
      assert.same({ 75, "timeout" }, { r.status, object[1].error.code })
      lab:rule { name = "mx1.dane.example", action = "silent" }
      lab:unrule(1)
      object = json { "--deadline", "0.5", "mxequal.example" }
      local tls = {}
      for _, host in ipairs(object[1].hosts) do
        tls[host.host] = host.tls .. (host.err and " " .. host.err.code or "")
      end
      assert.same({ ["mx1.dane.example"] = "skip timeout", ["mx2.dane.example"] = "dane" }, tls)
    end)

    it("--version, with what it runs on", function()
      local r = run({ "--version" }, { bare = true })
      assert.equal(0, r.status)
      for _, name in ipairs { "nexthop ", "libunbound %d", "OpenSSL %d", "libuv %d", "libidn2 %d",
        "Lua" } do
        assert.is_truthy(r.out:find(name), name .. " is not in " .. r.out)
      end
    end)

    it("--help", function()
      local r = run({ "--help" }, { bare = true })
      assert.equal(0, r.status)
      contains(r.out, "--explain", "Exit status: 0")
    end)
  end)

  it("ends with 64 on wrong usage, and says what is wrong", function()
    for wrong, why in pairs {
      ["--nonsense x"] = "--nonsense", [""] = "missing argument", ["--jobs 0 x"] = "--jobs: '0'",
      ["--jobs many x"] = "'many'", ["--port 65536 x"] = "--port: '65536'", ["--timeout -1 x"] = "-1",
      ["--timeout nan x"] = "--timeout: 'nan'", ["-4 -6 x"] = "-4 and -6",
      ["--check --ips x"] = "--ips and --check",
      ["--recursive --resolver 127.0.0.1 x"] = "--recursive and --resolver",
      ["-f - x"] = "either names or --file",
      ["--stub x x"] = "--stub: 'x' is not of the form ZONE=ADDRESS",
      ["-f /nonexistent"] = "/nonexistent",
      ["-f /"] = "directory", ["--resolver foo x"] = "--resolver: 'foo'", ["--tls x"] = "--resolver",
      ["--stub example=foo x"] = "--stub: 'foo'", ["--anchor"] = "--anchor",
    } do
      local words = { "--anchor", lab.anchor_file }
      if wrong == "--anchor" then
        words = {}
      end
      for word in wrong:gmatch("%S+") do
        words[#words + 1] = word
      end
      local r = run(words, { bare = true })
      assert.same({ wrong, 64, "" }, { wrong, r.status, r.out })
      contains(r.err, why)
    end
  end)

  it("ends with 0, 1 or 75 as its names fared", function()
    for names, status in pairs {
      ["dane.example insecure.example"] = 0, ["dane.example nullmx.example"] = 1,
      ["nothing.example"] = 1,
      ["mxallbad.example"] = 1, ["broken.example"] = 75, ["mxnothing.example"] = 75,
      ["mx-bogustlsa.example"] = 75, ["mxeverywhere.example"] = 0,
      ["nullmx.example broken.example"] = 75,
      ["nullmx.example mxnothing.example dane.example"] = 75,
    } do
      local words = {}
      for word in names:gmatch("%S+") do
        words[#words + 1] = word
      end
      assert.same({ names, status }, { names, run(words).status })
    end
  end)

  describe("--check", function()
    it("is content if every host is dane", function()
      local r = run { "--check", "dane.example", "implicit.example", "exchange.org.example" }
      assert.equal(0, r.status)
      contains(r.out, "ok    dane.example 10 mx1.dane.example: dane, 1 usable TLSA record\n",
        "ok    implicit.example: dane, 1 usable TLSA record\n")
      assert.equal(7, select(2, r.out:gsub("\n", "")))
    end)

    it("says what to mend otherwise, one line a host", function()
      local r = run { "--check", "mxeverywhere.example" }
      assert.equal(1, r.status)
      assert.equal(6, select(2, r.out:gsub("\n", "")))
      contains(r.out, "ok    mxeverywhere.example 10 mx1.dane.example: dane",
        "mend  mxeverywhere.example 20 mx.nodane.example: it is signed, but has no TLSA record: "
          .. "publish one such as 3 1 1 at _25._tcp.mx.nodane.example",
        "40 mx.insecure.example: its addresses are not signed: sign the zone of mx.insecure.example",
        "50 mx.broken.example: A of mx.broken.example failed DNSSEC validation",
        "repair the signatures or the DS", "60 nothing.example: it has no address")
    end)

    it("tells which link is broken", function()
      for domain, text in pairs {
        ["insecure.example"] = "the MX records behind insecure.example are not signed: sign "
          .. "the zone of insecure.example",
        ["s2insecure.example"] = "sign the zone of insecure.example",
        ["mx-t-allbad.example"] = "none of its TLSA records is usable (",
        ["mx-bogustlsa.example"] = "repair the signatures",
        ["nullmx.example"] = "it takes no mail", ["nothing.example"] = "it does not exist",
        ["mxallbad.example"] = "no MX names a host that could exist",
        ["192.0.2.1"] = "there is no DANE",
      } do
        local r = run { "--check", domain }
        assert.same({ domain, 1 }, { domain, r.status })
        contains(r.out, "mend  " .. domain, text)
      end
      local rule = lab:rule { name = "_25._tcp.mx1.dane.example", type = "TLSA", action = "servfail" }
      contains(run({ "--check", "dane.example" }).out,
        "see that all name servers of that zone answer")
      lab:unrule(rule)
    end)

    it("names the TLSA record of another port, and looks at every host", function()
      contains(run({ "--check", "--port", "465", "dane.example" }).out, "ok    dane.example 10",
        "_465._tcp.mx2.dane.example")
      assert.equal(100, select(2, run({ "--check", "hundred.example" }).out:gsub("\n", "")))
    end)

    it("has JSON too", function()
      local objects, r = json { "--check", "nodane.example" }
      assert.same({ 1, "may" }, { r.status, objects[1].hosts[1].tls })
    end)
  end)

  describe("--explain tells", function()
    it("what was asked, what came back, how secure it was and what decided", function()
      local r = run { "--explain", "mxeverywhere.example" }
      assert.equal(0, r.status)
      contains(r.out, "1. MX of mxeverywhere.example: 10 mx1.dane.example, 20 mx.nodane.example, ",
        "(secure)   [RFC 7672 2.2.1]",
        "A of mx1.dane.example: 192.0.2.1 (secure)   [RFC 7672 2.2.2]",
        "TLSA of _25._tcp.mx1.dane.example: 1 record (secure)   [RFC 7672 2.2.3]",
        "-> dane: TLS, and the certificate must match a record [RFC 7672 2.2]",
        "TLSA of _25._tcp.mx.nodane.example: no such name (secure)", "-> may: no DANE",
        "AAAA of mx.insecure.example: 2001:db8::28 (insecure)",
        "-> its addresses are not secure: TLSA is not asked for [RFC 7672 2.2.2]",
        "A of mx.broken.example: bogus: it fails DNSSEC validation", "[RFC 7672 2.1.1]",
        "A of nothing.example: no such name (secure)", "-> skip: nothing.example has no address")
    end)

    it("of aliases, base domains, names and SNI", function()
      local r = run { "--explain", "exchange.org.example" }
      contains(r.out, "-> exchange.org.example is an alias (secure) of com.example [RFC 5321 5.1]",
        "TLSA of _25._tcp.mxbackup.com.example: no such name (secure)",
        "TLSA of _25._tcp.mx15.com.example: 1 record (secure)",
        "CNAME of mx25.com.example: an alias that leads to mx.insecure.example (secure)",
        "-> a secure alias into an insecure zone: TLSA is asked for at the alias alone",
        "must also bear one of: mxbackup.net.example, exchange.org.example, com.example "
          .. "[RFC 7672 3.2.2]",
        "-> the name sent in TLS (SNI): mxbackup.net.example [RFC 7672 8.1]")
    end)

    it("of records that do not count", function()
      contains(run({ "--explain", "mx-t-allbad.example" }).out, "4 records (secure)",
        "-> not usable: 3 0 0 ",
        "-> encrypt: there are records, none usable")
      contains(run({ "--explain", "mx-t-agility.example" }).out,
        "1 record left out: a stronger digest")
    end)

    it("of failures", function()
      contains(run({ "--explain", "nullmx.example" }).out,
        '1. MX of nullmx.example: a null MX, "." (secure)',
        "-> no_mail: ", "[RFC 7505 3]")
      contains(run({ "--explain", "nothing.example" }).out, "no such name (secure)", "-> nxdomain: ")
      contains(run({ "--explain", "broken.example" }).out, "bogus: it fails DNSSEC validation",
        "-> bogus: ")
      lab:rule { name = "dane.example", type = "MX", action = "silent" }
      contains(run({ "--explain", "--timeout", "0.5", "dane.example" }).out, "no answer in time",
        "-> timeout: ")
      contains(run({ "--explain", "192.0.2.1" }).out, "an address is its own host")
    end)

    it("in JSON as the trace", function()
      local trace = json({ "--explain", "nodane.example" })[1].trace
      assert.same({ name = "nodane.example", type = "MX", rcode = "NOERROR", security = "secure",
        section = "RFC 7672 2.2.1" }, trace[1])
      assert.same({ "TLSA", "NXDOMAIN", 1 }, { trace[4].type, trace[4].rcode, trace[4].host })
    end)
  end)

  describe("is described", function()
    local options = {}
    setup(function()
      for option in run({ "--help" }, { bare = true }).out:gmatch("%-%-[%w-]+") do
        options[option] = true
      end
      assert.is_true(options["--unbound-conf"])
    end)

    it("in its man page, option by option", function()
      local page = files.read("man/nexthop.1"):gsub("\\%-", "-")
      for option in pairs(options) do
        assert.is_truthy(page:find("[%s]%-?%-?" .. option:sub(2):gsub("%-", "%%-") .. "[%s]"),
          option)
      end
    end)

    it("in its man page, without a complaint of the formatter", function()
      local pipe = io.popen("command -v groff >/dev/null || exit 0; "
        .. "groff -mdoc -ww -Tutf8 man/nexthop.1 2>&1 >/dev/null")
      assert.equal("", pipe:read("*a"))
      pipe:close()
    end)

    it("in the documents, where it is the doctor's", function()
      local page = files.read "docs/program.md"
      local names = "check verify authoritative warning critical quiet json port assume since rollover "
        .. "make-tlsa"
      for option in names:gmatch "%S+" do
        assert.is_true(options["--" .. option], option)
        assert.is_truthy(page:find(("`[^`\n]*%%-%%-%s[ `][^`]*"):format(option:gsub("%-", "%%-")))
          or page:find("%$ nexthop [^\n]*%-%-" .. option:gsub("%-", "%%-") .. "%f[^%w-]"), option)
      end
    end)

    it("in the completions", function()
      local bash = files.read("share/completions/nexthop.bash")
      local zsh = files.read("share/completions/_nexthop")
      for option in pairs(options) do
        local pattern = option:gsub("%-", "%%-")
        assert.is_truthy(bash:find(pattern .. "[%s']"), option .. " for bash")
        assert.is_truthy(zsh:find(pattern .. "[%[}]"), option .. " for zsh")
      end
      local pipe = io.popen([[bash -c '. share/completions/nexthop.bash; COMP_WORDS=(nexthop --ex)
                COMP_CWORD=1; _nexthop; echo "${COMPREPLY[@]}"; complete -p nexthop']])
      assert.equal("--explain\ncomplete -F _nexthop nexthop\n", pipe:read("*a"))
      pipe:close()
    end)
  end)
end)
