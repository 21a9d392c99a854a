---@meta nexthop
-- The public API: the module nexthop, and the modules nexthop.policy, nexthop.opensmtpd, nexthop.server and
-- nexthop.client for programs that handle mail.
--
-- Names in results are lower-case A-labels without the final dot. IP addresses are canonical text.
-- Input names may be U-labels, may be in any case, and may have a final dot. A function that accepts a host or a
-- domain also accepts the address literals 192.0.2.1, [192.0.2.1], 2001:db8::1 and [IPv6:2001:db8::1].
-- A label that is ASCII does not go through IDNA. It may have letters, digits, `_`, and hyphens anywhere but at
-- its ends ("r3---sn-abc.example" is a name, and so is "xn--0.example", which decodes to nothing). A name whose
-- last label has only digits ("mx.25") is refused: `invalid_name`.
-- Misuse (a wrong type, an unknown option) raises an error. A failure at run time returns `nil, err`.

---@class nexthop
---@field _VERSION string
local nexthop = {}

-- ---- errors ------------------------------------------------------------------------------------

---@alias nexthop.Code
---| "no_mail"      # null MX (RFC 7505): the domain accepts no mail. Permanent
---| "nxdomain"     # the domain does not exist (plan only; RFC 5321 5.1). Permanent
---| "invalid_name" # the input, or the name that an alias leads to, is not a host name. Permanent
---| "invalid_mx"   # no MX record has a name that could be a host. Permanent
---| "cname_loop"   # the aliases form a loop
---| "cname_limit"  # more than 15 (domain), 11 (host) or 10 (TLSA) aliases in a row
---| "not_found"    # the host has no address
---| "no_dane"      # with require_dane: the host has no usable TLSA record
---| "sts_mismatch" # with sts: the MTA-STS policy of the domain is enforced and does not name the host
---| "bogus"        # DNSSEC validation failed, also when it was tried again. message has the validator's reason
---| "servfail"     # SERVFAIL, REFUSED, unreachable servers, DNSSEC keys that cannot be fetched, and others
---| "timeout"      # no answer came within the timeout of the lookup or the deadline of the call
---| "config"       # an option of nexthop.new is wrong or does not work; sts, and there is no libcurl
---| "closed"       # the resolver was closed
---| "forked"       # the resolver was created before a fork
---| "no_memory"    # there is not enough memory
---| "bad_request"  # nexthop.client: the server does not accept the request. message says why. Permanent

--- tostring(err) is err.message. Besides these fields, an error has every field of the result that was
--- known when the failure came.
---@class nexthop.Error
---@field code nexthop.Code
---@field message string one line, which names the domain and the DNS name that failed
---@field permanent boolean it does not help to try again later
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
---@field dane_required? boolean gather_tlsa: always true, because the records that could not be looked up may require DANE
---@field records? nexthop.Record[] gather_tlsa: empty; so is unusable
---@field unusable? nexthop.Record[]
---@field tlsa_base_domain? string the base domain whose lookup failed
---@field ttl? integer

-- ---- the resolver ----------------------------------------------------------------------------------

---@class nexthop.Options
---@field forward? string|string[] forwarders: "127.0.0.1", "127.0.0.1@5353", "::1@53"; with `tls` "9.9.9.9@853#dns.quad9.net"
---@field resolv_conf? string|false use the nameservers in this file (a line without an address is left out, see nexthop.warnings). The default is /etc/resolv.conf, unless forward, stub or unbound_conf is given. false without these: resolve from the root
---@field stub? table<string, string|string[]> { ["zone."] = "127.0.0.1@5300" or a list }: the authoritative servers of a zone
---@field trust_anchor_file? string|false a file of DS/DNSKEY records, or of BIND's key clauses. The default is the first file of nexthop.config's anchor_places that exists. false without trust_anchor: there is no anchor, and nothing is ever secure
---@field trust_anchor? string|string[] DS/DNSKEY records as text
---@field unbound_conf? string an unbound.conf to read. Its trust anchors are used
---@field options? table<string, string|string[]> options of libunbound, passed on unchanged
---@field timeout? number seconds for one DNS lookup (10)
---@field max_pending? integer how many lookups may be under way before others wait in a queue (1000, and fewer if the process may open fewer than about 8,200 descriptors). A lookup that has waited for half a second no longer counts
---@field budget? number seconds for which one process() may work (0.005)
---@field tls? boolean use DNS over TLS to `forward`, and verify the name after '#' (false)
---@field tls_cert_bundle? string PEM file of the CAs for tls (that of the system)
---@field cache? integer|string memory for the caches together: bytes, or text such as "32m" (from "1m" to "64g"). It is divided among libunbound's caches and that of nexthop, and `options` may still change each of libunbound's. 8m holds some 2,100 domains. Default: libunbound's own sizes for a library, which hold some 600 domains
---@field sts_cache? string a file for MTA-STS policies. Several processes may share it. It is created with the mode 0640. A damaged file is set aside as PATH.damaged, see nexthop.warnings. Default: policies are kept in memory alone

--- Creates a resolver. It has its own libunbound context, and belongs to one thread.
---@param options? nexthop.Options
---@return nexthop.Resolver? resolver
---@return nexthop.Error? err code `config`
function nexthop.new(options) end

--- Returns what was left out of the configuration of a resolver (nameserver lines of a resolv.conf that hold no
--- address), and what is wrong with its file of policies (`sts_cache`).
---@param resolver nexthop.Resolver
---@return string[] messages of one line each
function nexthop.warnings(resolver) end

--- Returns the resolver that the functions of this module use. There is one in the process. It is created at its
--- first use, from /etc/resolv.conf and the trust anchor of the system, and again after a fork or a close.
---@return nexthop.Resolver? resolver
---@return nexthop.Error? err
function nexthop.default() end

--- Returns the versions of libunbound, openssl, libuv, libidn2 and lua, under these names.
---@return table<string, string>
function nexthop.versions() end

---@class nexthop.Resolver
local resolver = {}

--- The handle of a call that is under way. A call with a callback returns it.
---@class nexthop.Request
local request = {}

--- Cancels the call: its callback will not run.
---@return boolean cancelled false: the callback had run already, or the call had been cancelled already
function request:cancel() end

--- Returns the descriptor to poll for reading. When it is readable, call process(). The same as getfd().
---@return integer fd
function resolver:pollfd() end

---@return integer fd
function resolver:getfd() end

---@return "r"
function resolver:events() end

--- Returns the time after which to call process() even if the descriptor is not readable.
---@return number? seconds 0: now; nil: nothing is pending. After a `verify` it may be a number for up to a second more: the server has not closed yet
function resolver:timeout() end

--- Does the work that is ready, for about `budget` seconds, and runs callbacks. It never blocks. When a callback
--- raises an error, the other callbacks of the batch still run. Then the first error is raised, with its traceback.
---@return integer? callbacks how many have run
---@return nexthop.Error? err
function resolver:process() end

--- Works until no callback is pending, or until the time is up.
---@param seconds? number default: no limit
---@return boolean? idle false: the time was up
---@return nexthop.Error? err
function resolver:wait(seconds) end

--- Returns the number of calls whose callback has not run yet.
---@return integer?
---@return nexthop.Error? err
function resolver:pending() end

---@class nexthop.Stats
---@field calls integer gather_*, plan and verify calls that were made
---@field delivered integer callbacks that have run
---@field pending integer callbacks that have not run yet
---@field lookups integer DNS lookups that were started
---@field kept integer lookups that the resolver's own cache has answered, without libunbound
---@field running integer lookups that are under way in libunbound
---@field queued integer lookups that wait because of max_pending
---@field secure integer lookups with an answer that was validated
---@field insecure integer lookups with an answer that is not signed (or there is no anchor)
---@field bogus integer lookups whose answer failed validation
---@field servfail integer lookups that failed for another reason
---@field timeouts integer lookups that got no answer in time
---@field cancelled integer lookups that were stopped because their call had ended
---@field longest_process number seconds of the longest process() so far, with its callbacks

--- Returns the counters of the resolver.
---@return nexthop.Stats?
---@return nexthop.Error? err
function resolver:stats() end

--- Forgets the MTA-STS policy of a domain, also in the file `sts_cache`, and that its fetch has failed.
---@param domain string
---@return boolean? forgotten false: no policy of it was known
---@return nexthop.Error? err
function resolver:sts_forget(domain) end

--- Frees everything. Pending callbacks run inside this function, with the error `closed`. It may be called twice.
--- __close does the same, and so does __gc, which runs no callbacks. Afterwards every other method returns nil and
--- the error `closed`.
function resolver:close() end

-- ---- gather_destinations -------------------------------------------------------------------------------

---@class nexthop.CallOptions
---@field deadline? number seconds for the whole call. Default: only the timeouts of the lookups

---@class nexthop.Destinations
---@field have_mx boolean
---@field orig_next_hop_authentic boolean the answer for the domain's own CNAME or MX was secure
---@field expanded_next_hop_authentic boolean every answer that was used was secure
---@field expanded_next_hop? string the name at the end of the domain's CNAMEs; nil for an address
---@field nxdomain? true that name (expanded_next_hop) does not exist
---@field hosts { host: string, pref: integer }[] sorted by preference; hosts with equal preference are in a random order; pref -1: no MX
---@field permanent false
---@field ttl? integer seconds; nil for an address

--- Finds the hosts that mail for a domain goes to. mox smtpclient.GatherDestinations; RFC 5321 5.1, RFC 7505.
--- Errors: no_mail, invalid_mx, cname_loop, cname_limit, bogus, servfail, timeout, invalid_name.
---@param domain string
---@param options? nexthop.CallOptions
---@param callback? fun(result?: nexthop.Destinations, err?: nexthop.Error)
---@return (nexthop.Destinations|nexthop.Request)? result
---@return nexthop.Error? err
function resolver:gather_destinations(domain, options, callback) end

-- ---- gather_ips ------------------------------------------------------------------------------------------

---@class nexthop.IpsOptions: nexthop.CallOptions
---@field dialed_ips? table<string, string[]> for each host the addresses of earlier attempts, the oldest first
---@field network? "ip"|"ip4"|"ip6"

---@class nexthop.Ips
---@field authentic boolean the host's own CNAME and the addresses were secure (mox)
---@field expanded_authentic boolean every answer that was used was secure
---@field host_authentic boolean the answer for the host's own CNAME was secure, or without a CNAME that for its addresses. It matters for a secure alias into an insecure zone, RFC 7672 2.2.2
---@field ip4_authentic? boolean the whole IPv4 answer was secure; set when there are IPv4 addresses
---@field ip6_authentic? boolean the same for IPv6
---@field expanded_host? string the name at the end of the host's CNAMEs; nil for an address
---@field ips string[] in the order to try
---@field dualstack boolean both families have addresses
---@field failed? { ip4?: nexthop.Error, ip6?: nexthop.Error } the lookup of one family failed
---@field ttl? integer seconds

--- Looks up the addresses of a host. mox smtpclient.GatherIPs; RFC 7672 2.2.2.
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
---@field assume? nexthop.AssumedRecord[]

--- tostring(record) is "3 1 1 <hex>".
---@class nexthop.Record
---@field usage integer 2 DANE-TA, 3 DANE-EE
---@field selector integer 0 Cert, 1 SPKI
---@field match_type integer 0 Full, 1 SHA2-256, 2 SHA2-512
---@field data string raw bytes
---@field reason? string why it is not usable

--- A record that counts as if it were in the answer for its name. It asks what would be, before the record is
--- published. Where the zone does not answer, or is not signed, it changes nothing.
---@class nexthop.AssumedRecord: nexthop.Record
---@field name string its owner, as "_25._tcp.mx.example"

---@class nexthop.Tlsa
---@field dane_required boolean there are TLSA records, so TLS is required even if none of them is usable
---@field records nexthop.Record[] the usable ones
---@field unusable nexthop.Record[] the others, each with its reason
---@field tlsa_base_domain string the base domain of the records; without records it is the host
---@field ttl? integer seconds

--- Looks up the TLSA records of a host. Call it only if the addresses are authentic or host_authentic. The
--- result of gather_ips may be passed as options. mox smtpclient.GatherTLSA; RFC 7672 2.2.3. A lookup
--- that fails is an error with dane_required = true. It never means "no DANE".
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

--- Returns the names that a certificate may have for usage DANE-TA. The first one is for SNI. It does exactly the
--- same as mox smtpclient.GatherTLSANames (RFC 7672 3.2.2), and does no lookups. A plan has other names, see there.
---@param names nexthop.TlsaNames
---@return string[]
function nexthop.gather_tlsa_names(names) end

-- ---- plan ----------------------------------------------------------------------------------------------------------

---@class nexthop.PlanOptions: nexthop.CallOptions
---@field dialed_ips? table<string, string[]>
---@field network? "ip"|"ip4"|"ip6"
---@field port? integer 25
---@field max_hosts? integer 20
---@field insecure_mx? "may"|"dane" "dane" uses DANE behind an insecure MX (RFC 7672 2.2.1 allows it); default "may"
---@field require_dane? boolean a host without usable records is `skip`, with the error no_dane
---@field digests? integer[] the matching types that are accepted, the strongest first; default { 2, 1 }
---@field trace? boolean
---@field assume? nexthop.AssumedRecord[]
---@field sts? boolean also look up the domain's MTA-STS policy (RFC 8461), and let it decide about hosts without DANE
---@field sts_port? integer the port of the host that serves the policy (443)
---@field ca_file? string PEM file of the CAs for that host, in place of those of the system
---@field tlsrpt? boolean also look up where the domain wants reports about TLS (RFC 8460)

---@class nexthop.PlanHost: nexthop.Ips
---@field host string
---@field pref integer -1: no MX
---@field tls "dane"|"sts"|"encrypt"|"may"|"skip" dane: use TLS and verify it with records; sts (with the option): use TLS, and verify the certificate by PKIX for the host's own name; encrypt: there are records but none is usable: use TLS without verification; may: there is no DANE; skip: a lookup was not safe, see err: do not use this host
---@field dane_required boolean
---@field records nexthop.Record[] the usable records, after digest agility (RFC 7671 9)
---@field weaker nexthop.Record[] the records that digest agility has dropped
---@field unusable nexthop.Record[]
---@field tlsa_base_domain? string nil when TLSA was not looked up
---@field sts? "match"|"mismatch" with sts, and a policy whose mode is not `none`: does the policy name the host? It changes `tls` only in the mode `enforce`, and only for hosts that would be `may`
---@field names? string[] for `sts`: the host's own name. For `dane`: the names that a certificate may have for usage 2 (RFC 7672 3.2.2). Do not check names for usage 3
---@field sni? string for `dane` and `encrypt`: the TLSA base domain; for `sts`: the host's own name
---@field err? nexthop.Error for `skip`
---@field ttl? integer seconds

---@class nexthop.TraceEntry
---@field name string
---@field type string
---@field rcode string "NOERROR", "NXDOMAIN", "SERVFAIL" (and other failures), "TIMEOUT"
---@field security "secure"|"insecure"|"bogus"|"failed"
---@field section string the section of the RFC that requires the question
---@field host? integer the number of the host in the plan that it was asked for; nil: it was asked for the destinations

--- The MTA-STS policy of a domain.
---@class nexthop.Sts
---@field mode "enforce"|"testing"|"none"
---@field id string of the domain's TXT record when the policy was fetched
---@field max_age integer seconds, at most a year
---@field expires integer seconds since 1970
---@field mx string[] names of hosts, and `*.` with a domain
---@field source "fetch"|"cache" fetch: it was fetched by this call; cache: it was known

--- Why the policy of a domain could not be looked up or fetched. It may be set beside a policy that is known.
---@class nexthop.StsError
---@field code "sts-policy-fetch-error"|"sts-policy-invalid"|"sts-webpki-invalid" a result type of RFC 8460 4.3
---@field message string
---@field permanent false
---@field expired? true the deadline of the call caused it

---@class nexthop.Plan
---@field domain string
---@field have_mx boolean
---@field mx_authentic boolean the MX answer (or its denial) and all answers before it were secure
---@field orig_next_hop_authentic boolean
---@field expanded_next_hop_authentic boolean
---@field expanded_next_hop? string
---@field hosts nexthop.PlanHost[] in the order to try
---@field truncated? integer how many hosts were left out because of max_hosts; nil: none
---@field expired? true the deadline came before everything was known
---@field trace? nexthop.TraceEntry[]
---@field sts? nexthop.Sts with the option: the policy that counts; nil: none is known. Plans with the same policy share this table: do not change it
---@field sts_err? nexthop.StsError
---@field tlsrpt? { rua: string[] } with the option: the addresses for reports (mailto: and https:)
---@field tlsrpt_err? nexthop.Error why it is not known where reports go; beside it `tlsrpt` is nil
---@field ttl? integer seconds; 0 when a host failed temporarily

--- Does all steps by RFC 7672: it finds the destinations, and then looks up the addresses and TLSA records of all
--- hosts at the same time. A domain in brackets, [mail.example.org], is that host itself. A host that fails never
--- makes the plan fail. At the deadline the hosts that are not done are `skip`. If only one address family of a host
--- is still missing, the host has the addresses of the other family, and `failed`.
--- With `sts`, a policy that cannot be had never makes the plan fail: see sts_err. A known policy counts until it
--- expires. It is fetched again when the id of the domain's record changes, every day, when half of its max_age is
--- over, and (once in five minutes) when it does not name a host. An id whose fetch has failed is tried again after
--- five minutes. DANE goes first: a host that is dane, encrypt or skip because of TLSA stays so.
--- Errors: those of gather_destinations, nxdomain, and config.
---@param domain string
---@param options? nexthop.PlanOptions
---@param callback? fun(result?: nexthop.Plan, err?: nexthop.Error)
---@return (nexthop.Plan|nexthop.Request)? result
---@return nexthop.Error? err
function resolver:plan(domain, options, callback) end

-- ---- verify --------------------------------------------------------------------------------------------------------------

--- Finds out what the mail hosts really present. It makes the plan, connects to every address of every host that is
--- not `skip`, and goes through greeting, EHLO, STARTTLS and the TLS handshake. Then it says QUIT: no other command is
--- ever sent. It judges the certificates by DANE and by PKIX. A host, an address or a port that several domains share
--- is contacted once, see `reuse`. A domain in brackets and an address literal are that host itself. At the deadline
--- the report has what is known. A plan that fails is `nil, err`, with the error of plan; so is a deadline that comes
--- before the mail hosts are known. Text of a server is printable ASCII: the rest is \xHH, a backslash is doubled.
--- Errors: those of plan, and config.
---@param domain string
---@param options? nexthop.VerifyOptions
---@param callback? fun(report?: nexthop.Report, err?: nexthop.Error)
---@return (nexthop.Report|nexthop.Request)? report
---@return nexthop.Error? err
function resolver:verify(domain, options, callback) end

-- ---- the same on the default resolver ------------------------------------------------------------------------------------

---@type fun(domain: string, options?: nexthop.CallOptions, callback?: fun(result?: nexthop.Destinations, err?: nexthop.Error)): (nexthop.Destinations|nexthop.Request)?, nexthop.Error?
nexthop.gather_destinations = nil

---@type fun(host: string, options?: nexthop.IpsOptions, callback?: fun(result?: nexthop.Ips, err?: nexthop.Error)): (nexthop.Ips|nexthop.Request)?, nexthop.Error?
nexthop.gather_ips = nil

---@type fun(host: string, options?: nexthop.TlsaOptions, callback?: fun(result?: nexthop.Tlsa, err?: nexthop.Error)): (nexthop.Tlsa|nexthop.Request)?, nexthop.Error?
nexthop.gather_tlsa = nil

---@type fun(domain: string, options?: nexthop.PlanOptions, callback?: fun(result?: nexthop.Plan, err?: nexthop.Error)): (nexthop.Plan|nexthop.Request)?, nexthop.Error?
nexthop.plan = nil

---@type fun(domain: string, options?: nexthop.VerifyOptions, callback?: fun(report?: nexthop.Report, err?: nexthop.Error)): (nexthop.Report|nexthop.Request)?, nexthop.Error?
nexthop.verify = nil

return nexthop
