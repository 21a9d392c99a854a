---@meta nexthop
-- The public API, for editors (LuaLS) and for people. This file is never run. Each public module has a file of
-- annotations: beside this one policy.lua, opensmtpd.lua, server.lua and client.lua.
--
-- Names in results are lower-case A-labels without the final dot; IP addresses are canonical text.
-- Input names may be U-labels, in any case, with a final dot; wherever a host or domain is taken, so
-- are the address literals 192.0.2.1, [192.0.2.1], 2001:db8::1 and [IPv6:2001:db8::1].
-- A label that is ASCII does not go through IDNA: it has letters, digits, `_`, and hyphens anywhere but at
-- its ends ("r3---sn-abc.example" is a name, and so is "xn--0.example", which decodes to nothing). A name whose
-- last label consists of digits alone ("mx.25") is refused: `invalid_name`.
-- Misuse (a wrong type, an unknown option) raises; what happens at run time is `nil, err`.

---@class nexthop
---@field _VERSION string
local nexthop = {}

-- ---- errors ------------------------------------------------------------------------------------

---@alias nexthop.Code
---| "no_mail"      # null MX (RFC 7505): the domain takes no mail. Permanent
---| "nxdomain"     # the domain does not exist (plan only; RFC 5321 5.1). Permanent
---| "invalid_name" # the input, or what an alias leads to, is no host name. Permanent
---| "invalid_mx"   # no MX names anything that could be a host. Permanent
---| "cname_loop"   # aliases in a circle
---| "cname_limit"  # more than 15 (domain), 11 (host) or 10 (TLSA) aliases in a row
---| "not_found"    # the host has no address
---| "no_dane"      # no usable TLSA record, with require_dane
---| "bogus"        # DNSSEC validation failed, also when asked again; message holds the validator's reason
---| "servfail"     # SERVFAIL, REFUSED, unreachable servers, DNSSEC keys that cannot be fetched and the like
---| "timeout"      # no answer within the lookup's timeout or the call's deadline
---| "config"       # an option of nexthop.new that does not work out
---| "closed"       # the resolver was closed
---| "forked"       # the resolver was made before a fork
---| "no_memory"

--- tostring(err) is err.message. Beside these fields an error has every field of the result that was
--- known when it came.
---@class nexthop.Error
---@field code nexthop.Code
---@field message string one line; names the domain and the DNS name that failed
---@field permanent boolean trying again later will not help
---@field expired? true the deadline of the call caused it
---@field domain? string plan
---@field have_mx? boolean
---@field mx_authentic? boolean plan
---@field orig_next_hop_authentic? boolean
---@field expanded_next_hop_authentic? boolean
---@field expanded_next_hop? string
---@field nxdomain? true
---@field trace? nexthop.TraceEntry[] plan, with its option
---@field authentic? boolean
---@field expanded_authentic? boolean
---@field host_authentic? boolean
---@field expanded_host? string
---@field ips? string[] gather_ips: empty
---@field dualstack? false
---@field failed? { ip4?: nexthop.Error, ip6?: nexthop.Error }
---@field dane_required? boolean gather_tlsa: always true, what failed may have required it
---@field records? nexthop.Record[] gather_tlsa: empty, as unusable
---@field unusable? nexthop.Record[]
---@field tlsa_base_domain? string the base domain whose lookup failed
---@field ttl? integer

-- ---- the resolver ----------------------------------------------------------------------------------

---@class nexthop.Options
---@field forward? string|string[] forwarders: "127.0.0.1", "127.0.0.1@5353", "::1@53"; with `tls` "9.9.9.9@853#dns.quad9.net"
---@field resolv_conf? string|false nameservers from this file (a line without an address is left out, see nexthop.warnings); default /etc/resolv.conf unless forward, stub or unbound_conf is given; false alone: resolve from the root
---@field stub? table<string, string|string[]> { ["zone."] = "127.0.0.1@5300" or a list }: authoritative servers of a zone
---@field trust_anchor_file? string|false DS/DNSKEY records, or BIND's clauses of keys; default: the first that exists of nexthop.config's anchor_places; false without trust_anchor: no anchor, nothing is ever secure
---@field trust_anchor? string|string[] DS/DNSKEY records as text
---@field unbound_conf? string an unbound.conf to read; its trust anchors count
---@field options? table<string, string|string[]> options of libunbound, passed through
---@field timeout? number seconds for one DNS lookup (10)
---@field max_pending? integer lookups under way before further ones queue (1000; where the process may open fewer than some 8,200 descriptors, fewer). One that has waited for half a second does not count
---@field budget? number seconds that one process() may work (0.005)
---@field tls? boolean DNS over TLS to `forward`, with the name after '#' verified (false)
---@field tls_cert_bundle? string PEM file of CAs for that (the system's)

--- Makes a resolver: a libunbound context of its own, for one thread.
---@param options? nexthop.Options
---@return nexthop.Resolver? resolver
---@return nexthop.Error? err code `config`
function nexthop.new(options) end

--- What was left out of the configuration of a resolver: nameserver lines of a resolv.conf that hold no address.
---@param resolver nexthop.Resolver
---@return string[] messages of one line each
function nexthop.warnings(resolver) end

--- The resolver behind the functions of this module, one for the process: made at first use from
--- /etc/resolv.conf and the system's trust anchor, and made again after a fork or a close.
---@return nexthop.Resolver? resolver
---@return nexthop.Error? err
function nexthop.default() end

--- Versions of libunbound, openssl, libuv, libidn2 and lua, by these names.
---@return table<string, string>
function nexthop.versions() end

---@class nexthop.Resolver
local resolver = {}

--- A call under way, returned when a callback was given.
---@class nexthop.Request
local request = {}

--- The callback will not run.
---@return boolean cancelled false: it had run, or had been cancelled, already
function request:cancel() end

--- The descriptor to poll for reading: there is something for process() to do. The same as getfd().
---@return integer fd
function resolver:pollfd() end

---@return integer fd
function resolver:getfd() end

---@return "r"
function resolver:events() end

--- Call process() after so long even if the descriptor is not readable.
---@return number? seconds 0: now; nil: nothing is pending
function resolver:timeout() end

--- Does what is ready, for about `budget` seconds, and runs callbacks; never blocks. When callbacks
--- raise, the batch is finished and the first error is raised, with its traceback.
---@return integer? callbacks how many ran
---@return nexthop.Error? err
function resolver:process() end

--- Processes until no callback is pending, or the time is up.
---@param seconds? number default: no bound
---@return boolean? idle false: the time was up
---@return nexthop.Error? err
function resolver:wait(seconds) end

--- Calls whose callback has still to run.
---@return integer?
---@return nexthop.Error? err
function resolver:pending() end

---@class nexthop.Stats
---@field calls integer gather_*/plan calls made
---@field delivered integer callbacks run
---@field pending integer callbacks to come
---@field lookups integer DNS lookups started
---@field kept integer lookups answered from what the resolver itself had kept, without libunbound
---@field running integer lookups under way in libunbound
---@field queued integer lookups waiting for a place (max_pending)
---@field secure integer lookups answered, validated
---@field insecure integer lookups answered, not signed (or no anchor)
---@field bogus integer lookups that failed validation
---@field servfail integer lookups that failed otherwise
---@field timeouts integer lookups without an answer in time
---@field cancelled integer lookups given up by their caller
---@field longest_process number seconds of the longest process() so far, callbacks included

---@return nexthop.Stats?
---@return nexthop.Error? err
function resolver:stats() end

--- Frees everything. Pending callbacks run with the error `closed`, from in here. Idempotent; also
--- __close, and __gc (which runs no callbacks). Every other method then returns nil and `closed`.
function resolver:close() end

-- ---- gather_destinations -------------------------------------------------------------------------------

---@class nexthop.CallOptions
---@field deadline? number seconds for the whole call; default: only the lookups' own timeouts

---@class nexthop.Destinations
---@field have_mx boolean
---@field orig_next_hop_authentic boolean the domain's own CNAME or MX answer was secure
---@field expanded_next_hop_authentic boolean every answer on the way was
---@field expanded_next_hop? string the domain after following CNAMEs; nil for an address
---@field nxdomain? true that name does not exist
---@field hosts { host: string, pref: integer }[] by preference, equal ones in an order of chance; pref -1: no MX
---@field permanent false
---@field ttl? integer seconds; nil for an address

--- Where mail for a domain goes. mox smtpclient.GatherDestinations; RFC 5321 5.1, RFC 7505.
--- Errors: no_mail, invalid_mx, cname_loop, cname_limit, bogus, servfail, timeout, invalid_name.
---@param domain string
---@param options? nexthop.CallOptions
---@param callback? fun(result?: nexthop.Destinations, err?: nexthop.Error)
---@return (nexthop.Destinations|nexthop.Request)? result
---@return nexthop.Error? err
function resolver:gather_destinations(domain, options, callback) end

-- ---- gather_ips ------------------------------------------------------------------------------------------

---@class nexthop.IpsOptions: nexthop.CallOptions
---@field dialed_ips? table<string, string[]> earlier attempts by host, oldest first
---@field network? "ip"|"ip4"|"ip6"

---@class nexthop.Ips
---@field authentic boolean the first name's own CNAME and the addresses were secure (mox)
---@field expanded_authentic boolean every answer on the way was
---@field host_authentic boolean the first name's own CNAME (or, without one, address) answer was: a secure alias into an insecure zone, RFC 7672 2.2.2
---@field ip4_authentic? boolean the IPv4 answer as a whole was; set when there are IPv4 addresses
---@field ip6_authentic? boolean likewise IPv6
---@field expanded_host? string the host after following CNAMEs; nil for an address
---@field ips string[] in the order to try
---@field dualstack boolean both families have addresses
---@field failed? { ip4?: nexthop.Error, ip6?: nexthop.Error } one family could not be looked up
---@field ttl? integer seconds

--- The addresses of a host. mox smtpclient.GatherIPs; RFC 7672 2.2.2.
--- Errors: not_found, cname_loop, cname_limit, bogus, servfail, timeout, invalid_name.
---@param host string
---@param options? nexthop.IpsOptions
---@param callback? fun(result?: nexthop.Ips, err?: nexthop.Error)
---@return (nexthop.Ips|nexthop.Request)? result
---@return nexthop.Error? err
function resolver:gather_ips(host, options, callback) end

-- ---- gather_tlsa ---------------------------------------------------------------------------------------------

---@class nexthop.TlsaOptions: nexthop.CallOptions, nexthop.Ips
---@field expanded_authentic? boolean
---@field expanded_host? string
---@field port? integer 25
---@field protocol? string "tcp"

--- tostring(record) is "3 1 1 <hex>".
---@class nexthop.Record
---@field usage integer 2 DANE-TA, 3 DANE-EE
---@field selector integer 0 Cert, 1 SPKI
---@field match_type integer 0 Full, 1 SHA2-256, 2 SHA2-512
---@field data string raw bytes
---@field reason? string why it is not usable

---@class nexthop.Tlsa
---@field dane_required boolean there are TLSA records: TLS is required even if none is usable
---@field records nexthop.Record[] the usable ones
---@field unusable nexthop.Record[] the others, each with its reason
---@field tlsa_base_domain string where the records are; without records the host
---@field ttl? integer seconds

--- The TLSA records of a host. Call it only if the addresses are authentic or host_authentic. The
--- result of gather_ips may be passed as options. mox smtpclient.GatherTLSA; RFC 7672 2.2.3. A lookup
--- that fails is an error with dane_required = true: never take it for "no DANE".
--- Errors: bogus, servfail, timeout, cname_loop, cname_limit, invalid_name.
---@param host string
---@param options? nexthop.TlsaOptions
---@param callback? fun(result?: nexthop.Tlsa, err?: nexthop.Error)
---@return (nexthop.Tlsa|nexthop.Request)? result
---@return nexthop.Error? err
function resolver:gather_tlsa(host, options, callback) end

-- ---- gather_tlsa_names ------------------------------------------------------------------------------------------

---@class nexthop.TlsaNames
---@field have_mx? boolean
---@field expanded_next_hop_authentic? boolean
---@field expanded_tlsa_base_domain_authentic? boolean
---@field orig_next_hop? string
---@field expanded_next_hop? string
---@field orig_tlsa_base_domain? string
---@field expanded_tlsa_base_domain? string

--- The names a certificate may bear for usage DANE-TA, the first one for SNI. Exactly mox
--- smtpclient.GatherTLSANames (RFC 7672 3.2.2); no DNS. plan() has names of its own, see there.
---@param names nexthop.TlsaNames
---@return string[]
function nexthop.gather_tlsa_names(names) end

-- ---- plan ----------------------------------------------------------------------------------------------------------

---@class nexthop.PlanOptions: nexthop.CallOptions
---@field dialed_ips? table<string, string[]>
---@field network? "ip"|"ip4"|"ip6"
---@field port? integer 25
---@field max_hosts? integer 20
---@field insecure_mx? "may"|"dane" DANE behind an insecure MX (RFC 7672 2.2.1 allows it); default "may"
---@field require_dane? boolean hosts without usable records become `skip` with no_dane
---@field digests? integer[] matching types accepted, strongest first; { 2, 1 }
---@field trace? boolean

---@class nexthop.PlanHost: nexthop.Ips
---@field host string
---@field pref integer -1: no MX
---@field tls "dane"|"encrypt"|"may"|"skip" dane: verify by records; encrypt: TLS, no verification (records, none usable); may: no DANE; skip: could not be looked up safely, see err; never downgrade
---@field dane_required boolean
---@field records nexthop.Record[] usable, after digest agility (RFC 7671 9)
---@field weaker nexthop.Record[] dropped by digest agility
---@field unusable nexthop.Record[]
---@field tlsa_base_domain? string nil when TLSA was not asked for
---@field names? string[] for `dane`: what a certificate may bear for usage 2 (RFC 7672 3.2.2); not to be applied to usage 3
---@field sni? string for `dane` and `encrypt`: the TLSA base domain
---@field err? nexthop.Error for `skip`
---@field ttl? integer seconds

---@class nexthop.TraceEntry
---@field name string
---@field type string
---@field rcode string "NOERROR", "NXDOMAIN", "SERVFAIL" (and other failures), "TIMEOUT"
---@field security "secure"|"insecure"|"bogus"|"failed"
---@field section string the RFC section the question stands under
---@field host? integer which of the plan's hosts it was asked for; nil: where the mail goes

---@class nexthop.Plan
---@field domain string
---@field have_mx boolean
---@field mx_authentic boolean the MX answer (or its denial) and all before it was secure
---@field orig_next_hop_authentic boolean
---@field expanded_next_hop_authentic boolean
---@field expanded_next_hop? string
---@field hosts nexthop.PlanHost[] in the order to try
---@field truncated? integer hosts left out by max_hosts; nil: none
---@field expired? true the deadline came before all of it was known
---@field trace? nexthop.TraceEntry[]
---@field ttl? integer seconds; 0 when a host failed temporarily

--- The whole way, by RFC 7672: destinations, then every host's addresses and TLSA side by side. A
--- domain in brackets, [mail.example.org], is that host itself. A host that fails never fails the
--- plan. At the deadline the hosts that are not done are `skip`; a host of which one address family is still
--- missing has the other's addresses, and `failed`.
--- Errors: those of gather_destinations, and nxdomain.
---@param domain string
---@param options? nexthop.PlanOptions
---@param callback? fun(result?: nexthop.Plan, err?: nexthop.Error)
---@return (nexthop.Plan|nexthop.Request)? result
---@return nexthop.Error? err
function resolver:plan(domain, options, callback) end

-- ---- the same on the default resolver ------------------------------------------------------------------------------------

---@type fun(domain: string, options?: nexthop.CallOptions, callback?: fun(result?: nexthop.Destinations, err?: nexthop.Error)): (nexthop.Destinations|nexthop.Request)?, nexthop.Error?
nexthop.gather_destinations = nil

---@type fun(host: string, options?: nexthop.IpsOptions, callback?: fun(result?: nexthop.Ips, err?: nexthop.Error)): (nexthop.Ips|nexthop.Request)?, nexthop.Error?
nexthop.gather_ips = nil

---@type fun(host: string, options?: nexthop.TlsaOptions, callback?: fun(result?: nexthop.Tlsa, err?: nexthop.Error)): (nexthop.Tlsa|nexthop.Request)?, nexthop.Error?
nexthop.gather_tlsa = nil

---@type fun(domain: string, options?: nexthop.PlanOptions, callback?: fun(result?: nexthop.Plan, err?: nexthop.Error)): (nexthop.Plan|nexthop.Request)?, nexthop.Error?
nexthop.plan = nil

return nexthop
