-- The verdict of verify is that of `openssl s_client` with the same records, in every case that s_client can
-- express. Where the two differ, `differences` names the section of an RFC that decides.
local ca = require "tests.support.ca"
local chains = require "tests.support.chains"
local mail_server = require "tests.support.mail_server"
local s_client = require "tests.support.s_client"
local support = require "tests.support"
local verifying = require "tests.support.verifying"

local zone = chains.zone
local world = verifying.world(zone, 40)
local steps = mail_server.steps
local DAY = 86400

-- Further certificates, of which each is wrong in another way.
local function leaf(name, options)
  options.name, options.names = name, options.names or { "*." .. zone }
  return ca.leaf(options)
end
local expired_issuer = ca.authority { name = "expired-issuer", issuer = chains.root, from = -20, to = -10 }
local expired_root = ca.authority { name = "expired-root", from = -20, to = -10 }
local twin = ca.authority { name = "twin", cn = "issuer", issuer = chains.root }
local no_authority = ca.leaf { name = "no-authority", issuer = chains.root }
local deep = ca.authority { name = "deep", issuer = chains.issuer }

local certificates = {
  chains.ec, chains.rsa, chains.ed25519, chains["with-root"], chains.alone, chains.expired, chains.future,
  chains.foreign, chains.nameless, chains["self-signed"], chains.strange,
  leaf("below-expired", { issuer = expired_issuer }),
  leaf("between-expired", { issuer = expired_issuer, send_root = true }),
  leaf("below-expired-root", { issuer = expired_root, send_root = true }),
  leaf("below-twin", { issuer = chains.issuer, alone = true, extra = { twin } }),
  leaf("below-leaf", { issuer = no_authority }),
  leaf("unrelated", { issuer = chains.issuer, alone = true, extra = { chains.stranger } }),
  leaf("below-deep", { issuer = deep }),
  leaf("p384", { issuer = chains.issuer, key = "p384" }),
}
local anchors = { chains.root, chains.issuer, chains.stranger, expired_issuer, expired_root, twin,
  no_authority,
  deep }

-- The sets of records that are tried with each certificate.
local function record_sets(certificate)
  local sets = {}
  for selector = 0, 1 do
    for match_type = 0, 2 do
      sets[#sets + 1] = { ca.tlsa(certificate, 3, selector, match_type) }
      sets[#sets + 1] = { ca.tlsa(certificate, 2, selector, match_type) }
      if certificate.issuer then sets[#sets + 1] = { ca.tlsa(certificate.issuer, 2, selector,
        match_type) } end
    end
  end
  for index, anchor in ipairs(anchors) do
    sets[#sets + 1] = { ca.tlsa(anchor, 2, index % 2, 1) }
    sets[#sets + 1] = { ca.tlsa(anchor, 2, index % 2, 0) }
  end
  local own = ca.tlsa(certificate, 3, 1, 1)
  for _, set in ipairs {
    { ca.stale(3, 1, 1) }, { ca.stale(3, 1, 1), own }, { ca.stale(3, 1, 2), own },
    { ca.stale(3, 1, 2), ca.tlsa(certificate, 3, 1, 0) }, { ca.stale(3, 0, 2), own },
    { ca.stale(2, 1, 1), own }, { ca.stale(3, 1, 1), ca.tlsa(chains.issuer, 2, 0, 1) },
    { ca.stale(2, 0, 2), ca.tlsa(chains.issuer, 2, 0, 1) },
    { ca.stale(2, 1, 2), ca.tlsa(chains.issuer, 2, 0, 1) },
  } do sets[#sets + 1] = set end
  return sets
end

local cases = {}

-- A host with records in front of a server that there is.
local function case(title, address, records, label)
  label = label or "case" .. #cases + 1
  world:records(("%s A %s"):format(label, address))
  for _, record in ipairs(records) do world:records(("_25._tcp.%s TLSA %s"):format(label, record)) end
  cases[#cases + 1] = { title = title, name = label .. "." .. zone, address = address, records = records }
end

local first_case = {} -- the number of the first case of each certificate, and of what follows
for position, certificate in ipairs(certificates) do
  first_case[position] = #cases + 1
  world:host("on-" .. certificate.name, { server = { certificates = { certificate } } })
  for _, records in ipairs(record_sets(certificate)) do
    local short = {}
    for index, record in ipairs(records) do short[index] = record:sub(1, 14) end
    case(certificate.name .. " with " .. table.concat(short, ", "),
      world.hosts["on-" .. certificate.name].addresses[1], records)
  end
end
first_case[#certificates + 1] = #cases + 1

-- Names in certificates, each with two hosts: @ is the first host's label, # the zone. The second is a.@.#.
local names = {
  { "@.#" }, { "N@.#" }, { "*.#" }, { "*.@.#" }, { "a.@.#" }, { "na*me.#" }, { "*.*.#" },
  { "a.*.#" }, { "*" }, { "*.example" }, { "#" }, { "other.#", "@.#" }, { "other.#", cn = "@.#" },
  { cn = "@.#" },
  { cn = "*.#" }, { cn = "other.#" }, { cn = false }, { "A.@.#", "b.#" }, { "*.#", "*.@.#" },
}
for index, set in ipairs(names) do
  local label, given = "name" .. index, {}
  local function whole(name) return (name:gsub("N@", label:upper()):gsub("@", label):gsub("#", zone)) end
  for number, name in ipairs(set) do given[number] = whole(name) end
  local certificate = ca.leaf { name = "compared" .. index, issuer = chains.issuer, names = given,
    cn = set.cn and whole(set.cn) or set.cn }
  world:host("on-" .. label, { server = { certificates = { certificate } } })
  for _, host in ipairs { label, "a." .. label } do
    case(("%s, certificate of %s, CN %s"):format(host, table.concat(given, " "), tostring(set.cn)),
      world.hosts["on-" .. label].addresses[1], { ca.tlsa(chains.issuer, 2, 1, 1) }, host)
  end
end

-- Both kinds of key, of which one has no record.
for index, records in ipairs {
  { ca.tlsa(chains.rsa, 3, 1, 1) }, { ca.tlsa(chains.ec, 3, 1, 1) }, { ca.tlsa(chains.issuer, 2, 0, 1) },
  { ca.tlsa(chains.rsa, 3, 1, 1), ca.tlsa(chains.ec, 3, 1, 1) }, { ca.stale(3, 1, 1) },
} do
  world:host("kinds" .. index, { tlsa = records, server = { certificates = { chains.rsa, chains.ec } } })
end

-- What s_client does another way, and the section that verify follows. Each has the result of verify (nil:
-- ok).
local differences = {}

-- @param more records, client (arguments of s_client), domain (verify this mail domain), theirs (s_client's
-- verdict, true by default)
local function difference(section, title, label, server, result, more)
  more = more or {}
  server.certificates = server.certificates or { chains.ec }
  local records = more.records or { ca.tlsa(server.certificates[1], 3, 1, 1) }
  world:host(label, { tlsa = records, server = server })
  differences[#differences + 1] = { section = section, title = title, label = label, result = result,
    theirs = more.theirs ~= false, records = records, domain = more.domain or label,
    client = more.client, tls = more.tls or "dane" }
end

-- The wildcard is the whole left-most label of a name, or it is none.
for index, name in ipairs { "*ld1." .. zone, "wild*." .. zone } do
  difference("RFC 7672 section 3.2.3", "a wildcard within a label, " .. name, "wild" .. index,
    { certificates = { ca.leaf { name = "partial" .. index, issuer = chains.issuer, names = { name } } } },
    "certificate-host-mismatch", { records = { ca.tlsa(chains.issuer, 2, 1, 1) } })
end
-- The next-hop domain is a reference identifier beside the TLSA base domain; s_client knows one name.
difference("RFC 7672 section 3.2.2", "a certificate for the mail domain alone", "hop",
  { certificates = { ca.leaf { name = "hop", issuer = chains.issuer, names = { "mx-hop." .. zone } } } }, nil,
  { records = { ca.tlsa(chains.issuer, 2, 1, 1) }, domain = "mx-hop", theirs = false })
-- Records of usage 0 and 1 are unusable, and TLS without verification is owed; s_client uses them.
difference("RFC 7672 section 3.1.3", "a record of usage 1", "usage1", {}, nil,
  { records = { ca.tlsa(chains.ec, 1, 1, 1) }, theirs = false, tls = "encrypt" })
-- s_client sends STARTTLS whatever the server has said before, and a handshake whatever it says to it.
difference("RFC 3207 section 4", "a server that takes STARTTLS and does not offer it", "hidden",
  { ehlo = "250-mail.test\n250 PIPELINING" }, "starttls-not-supported")
difference("RFC 3207 section 4", "a server that refuses STARTTLS and then talks TLS", "refuses",
  { starttls = { steps.reply "454 4.7.0 TLS not available" } }, "starttls-not-supported")
difference("RFC 5321 section 3.1", "a server that greets with 554 and goes on", "greets",
  { greeting = { steps.reply "554 5.7.1 no" } }, "greeting-refused")
difference("RFC 5321 section 4.1.1.1", "a server that refuses EHLO and goes on", "ehlo",
  { ehlo = "502-5.5.1 no\n502 STARTTLS" }, "protocol-error")
-- What came before TLS must be forgotten; s_client drops it and says nothing.
difference("RFC 3207 section 4.2", "a reply that is injected behind that to STARTTLS", "injected",
  { starttls = { steps.send "220 ready\r\n250 injected\r\n" } }, "plaintext-injected")
-- Usage 3 binds no names. s_client has an option for it, which all other comparisons use.
difference("RFC 7672 section 3.1.1", "usage 3, another name, s_client checks it", "checked",
  { certificates = { chains.foreign } }, nil, { client = "", theirs = false })

describe("verify and openssl s_client:", function()
  local resolver

  setup(function()
    world:start()
    resolver = support.resolver()
  end)
  teardown(function()
    support.close()
    world:stop()
  end)

  local function verdict(name, options)
    local report = assert(resolver:verify(name, world:options(options)))
    assert.equal(1, #report.hosts[1].connections)
    assert.equal("dane", report.hosts[1].tls)
    return report.hosts[1].connections[1]
  end

  -- Compares the cases from one number to another; returns how many are verified.
  local function compare(from, to, options, extra)
    local different, verified = {}, 0
    for index = from, to do
      local each = cases[index]
      local ours = verdict(each.name, options)
      local theirs, said = s_client(each.address, world.servers.port, each.name, each.records, extra)
      verified = verified + (theirs and 1 or 0)
      if ours.ok ~= theirs then
        different[#different + 1] = ("%s: %s, and s_client: %s"):format(each.title,
          ours.result or "verified", said)
      end
    end
    assert.same({}, different)
    return verified
  end

  for position, certificate in ipairs(certificates) do
    -- Each Lua of a run has some of them.
    local part, parts = support.part()
    local run = position % parts == part - 1 and it or function() end
    run("the certificate " .. certificate.name .. ", with each set of records", function()
      local from, to = first_case[position], first_case[position + 1] - 1
      local verified = compare(from, to)
      assert(verified > 0 and verified < to - from + 1, verified)
    end)
  end

  it("names of certificates", function()
    local verified = compare(first_case[#certificates + 1], #cases)
    assert.equal(11, verified)
  end)

  it("certificates at another time", function()
    local at = os.time() + 40 * DAY
    compare(first_case[1], first_case[2] - 1, { at = at }, "-attime " .. at)
    at = os.time() - 15 * DAY
    for position, certificate in ipairs(certificates) do
      if certificate == chains.expired then
        compare(first_case[position], first_case[position + 1] - 1, { at = at }, "-attime " .. at)
      end
    end
  end)

  it("each key kind of a server", function()
    local offered = { rsa = "-sigalgs rsa_pss_rsae_sha256:RSA+SHA256", ecdsa = "-sigalgs ECDSA+SHA256" }
    local results = {}
    for index = 1, 5 do
      local host = world.hosts["kinds" .. index]
      for kind, extra in pairs(offered) do
        local ours = verdict(host.name, { keys = { kind } })
        local theirs = s_client(host.addresses[1], world.servers.port, host.name, host.tlsa, extra)
        assert.equal(ours.ok, theirs, host.name .. kind)
        results[#results + 1] = ours.ok or nil
      end
    end
    assert.equal(6, #results)
  end)

  for _, each in ipairs(differences) do
    it(("differ, %s: %s"):format(each.section, each.title), function()
      local host = world.hosts[each.label]
      local entry = assert(resolver:verify(each.domain .. "." .. zone, world:options())).hosts[1]
      assert.same({ each.tls, each.result == nil, each.result },
        { entry.tls, entry.connections[1].ok, entry.connections[1].result })
      local theirs, said = s_client(host.addresses[1], world.servers.port, host.name, each.records, nil,
        each.client)
      assert.equal(each.theirs, theirs, said)
    end)
  end
end)
