-- What `plan` must say, a second time: slow, hop by hop, straight from RFC 7672, in the order of its
-- sections. It shares nothing with src/ and knows no resolver: `ask(name, type)` answers for one name,
-- following nothing, with
--   { status = "secure" | "insecure", kind = "records", records = { ... } }
--   { status = ...,                   kind = "alias", target = name }
--   { status = ...,                   kind = "nodata" | "nxdomain" }
--   { failed = "bogus" | "servfail" | "timeout" }
-- Records of MX are { pref, host }, "." for a null MX; those of TLSA are { usable = boolean }.
--
--   reference.plan(ask, "example.org", { insecure_mx =, require_dane = })
-- answers { code = ... } when the plan fails, else { hosts = { { host, pref, tls, code, base, names } } }.
local reference = {}

-- Section 2.1.3: follows the aliases of a name, keeping track of whether all of it is secure: one
-- insecure alias, and it and all that follows is insecure.
local function follow(ask, name, type)
    local walk = { name = name, secure = true, aliases = 0 }
    local answer = ask(name, type)
    while not answer.failed do
        walk.secure = walk.secure and answer.status == "secure"
        if answer.kind ~= "alias" then
            break
        end
        walk.aliases = walk.aliases + 1
        walk.name = answer.target
        answer = ask(walk.name, type)
    end
    walk.answer = answer
    walk.failed = answer.failed
    walk.found = answer.kind == "records" and answer.records
    return walk
end

-- Section 2.1.3: the status of the zone in which the initial alias is published takes a question of
-- type CNAME, that returns only this.
local function initial_alias(ask, name)
    local answer = ask(name, "CNAME")
    return answer.status == "secure", answer.failed
end

-- Section 2.2.3: one candidate. Answers the records; or nil; or nil and why it could not be looked up.
-- "If any insecure records are encountered or the TLSA records don't exist, the next candidate":
-- nothing behind an insecure alias can change that.
local function tlsa_records(ask, base, port)
    local name = ("_%d._tcp.%s"):format(port, base)
    while true do
        local answer = ask(name, "TLSA")
        if answer.failed then
            return nil, answer.failed
        elseif answer.status ~= "secure" or answer.kind == "nodata" or answer.kind == "nxdomain" then
            return nil
        elseif answer.kind == "records" then
            return answer.records
        end
        name = answer.target
    end
end

-- Section 2.2.3 and 2.1.2: the candidates in turn; an error makes the server unreachable.
local function search(ask, bases, port)
    for _, base in ipairs(bases) do
        local records, failed = tlsa_records(ask, base, port)
        if failed then
            return { tls = "skip", code = failed }
        elseif records then
            for _, record in ipairs(records) do
                if record.usable then
                    return { tls = "dane", base = base }
                end
            end
            return { tls = "encrypt", base = base } -- section 2.2: TLS, unauthenticated
        end
    end
    return { tls = "may" }
end

-- The addresses of a name: { ipv4 walk, ipv6 walk }, or nil and the code of an unreachable host. A
-- family that could not be looked up proves nothing, but the other's addresses are addresses.
local function addresses(ask, name)
    local failed
    local found = {}
    for _, type in ipairs { "AAAA", "A" } do
        local walk = follow(ask, name, type)
        if failed ~= "bogus" then -- says most of the codes
            failed = walk.failed or failed
        end
        if walk.found then
            found[#found + 1] = walk
        end
    end
    if #found == 0 then
        return nil, failed or "not_found"
    end
    return found
end

-- Section 2.2.2 for an input domain: where to look for TLSA records. `prefix` is what was followed to
-- come from the input to the name that has addresses (an implicit MX behind aliases).
local function non_mx_destination(ask, input, port, prefix)
    local found, failed = addresses(ask, prefix and prefix.name or input)
    if not found then
        return { tls = "skip", code = failed }
    end
    local secure, aliases = false, prefix and prefix.aliases or 0
    for _, walk in ipairs(found) do
        secure = secure or walk.secure and (not prefix or prefix.secure)
    end
    aliases = aliases + found[1].aliases
    local expanded = found[1].name
    if aliases == 0 then
        return secure and search(ask, { input }, port) or { tls = "may" }      -- "Non-CNAME"
    elseif secure then
        return search(ask, { expanded, input }, port)                           -- "Secure CNAME"
    end
    local initial_secure, why = initial_alias(ask, input)                       -- "Insecure CNAME"
    if why then
        return { tls = "skip", code = why } -- 2.1.2: an error is not "insecure"
    end
    return initial_secure and search(ask, { input }, port) or { tls = "may" }
end

-- Section 3.2.2: the reference identifiers, each once.
local function identifiers(...)
    local names, seen = {}, {}
    for _, name in ipairs { ... } do
        if not seen[name] then
            seen[name] = true
            names[#names + 1] = name
        end
    end
    return names
end

local function finish(host, options)
    if options.require_dane and (host.tls == "may" or host.tls == "encrypt") then
        host.tls, host.code, host.base = "skip", "no_dane", nil
    end
    if host.tls ~= "dane" then
        host.names = nil
    end
    return host
end

local function is_null(records)
    for _, record in ipairs(records) do
        if record.host ~= "." then
            return false
        end
    end
    return true
end

function reference.plan(ask, domain, options)
    options = options or {}
    local port = options.port or 25
    local mx = follow(ask, domain, "MX")
    if mx.failed then
        return { code = mx.failed } -- 2.1.2: delivery is delayed
    elseif mx.answer.kind == "nxdomain" then
        return { code = "nxdomain" } -- RFC 5321 section 5.1
    elseif not mx.found then
        -- No MX: the domain is its own only host; the denial of MX is no MX RRset, its status no matter.
        local chain = { name = mx.name, aliases = mx.aliases, secure = true }
        local name = domain
        for _ = 1, mx.aliases do
            local answer = ask(name, "MX")
            chain.secure = chain.secure and answer.status == "secure"
            name = answer.target
        end
        local host = non_mx_destination(ask, domain, port, chain)
        host.host, host.pref = mx.name, -1
        -- The base domain is the original next-hop, alone; or its expansion.
        host.names = host.base and (host.base == domain and { domain } or identifiers(host.base, domain))
        return { hosts = { finish(host, options) } }
    elseif is_null(mx.found) then
        return { code = "no_mail" } -- RFC 7505
    end
    local hosts = {}
    for _, record in ipairs(mx.found) do
        if record.host ~= "." then
            local host
            if mx.secure or options.insecure_mx == "dane" then -- 2.2.1
                host = non_mx_destination(ask, record.host, port)
            else
                local found, failed = addresses(ask, record.host)
                host = found and { tls = "may" } or { tls = "skip", code = failed }
            end
            if mx.secure then
                host.names = host.base and identifiers(host.base, domain, mx.name)
            else
                host.names = host.base and { host.base }
            end
            host.host, host.pref = record.host, record.pref
            hosts[#hosts + 1] = finish(host, options)
        end
    end
    table.sort(hosts, function(a, b) return a.pref < b.pref end)
    return { hosts = hosts }
end

return reference
