---@meta nexthop
-- The public API: the module nexthop, and the modules nexthop.policy, nexthop.opensmtpd, nexthop.server and
-- nexthop.client for programs that have to do with mail.
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
---| "no_memory"    # memory could not be had
---| "bad_request"  # nexthop.client: the server does not take the request; message says why. Permanent

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
--- smtpclient.GatherTLSANames (RFC 7672 3.2.2), without DNS. The names of a plan are others, see there.
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

-- ---- nexthop.policy: what a plan means for mail ---------------------------------------------------------------------------

---@alias nexthop.Finding
---| "ok"           # senders: nothing to say against it
---| "null_mx"      # takes no mail
---| "no_host"      # does not exist, or has neither MX nor address, or cannot exist
---| "broken"       # has MX records, and no host of them an address
---| "unroutable"   # every address is private, loopback, link-local, documentation or otherwise not global
---| "bogus"        # DNSSEC validation failed
---| "failure"      # could not be looked up
---| "dane"         # recipients: every host with an address has DANE
---| "dane_partial" # recipients: some have, or have TLSA records of which none is usable
---| "dane_broken"  # recipients: the TLSA records of a host could not be looked up
---| "no_dane"      # recipients: none has

---@class nexthop.policy
---@field findings { sender: nexthop.Finding[], recipient: nexthop.Finding[] } the findings of each role, without `ok`
---@field options { resolver: function, deadline: function, exclude: function } functions for check()
local policy = {}

--- The finding for what resolver:plan() gave.
---@param role "sender"|"recipient"
---@param plan? nexthop.Plan
---@param err? nexthop.Error
---@return nexthop.Finding
function policy.find(role, plan, err) end

--- The error of the first host that the deadline kept from being looked up; nil when the plan is whole. The
--- finding of a plan that is not whole is `failure`.
---@param plan nexthop.Plan
---@return nexthop.Error? err
function policy.unfinished(plan) end

---@param role string
---@param name any
---@return boolean
function policy.is_finding(role, name) end

--- The domain of a mail address: what follows the last `@`, as a lower-case A-label where it is a
--- name, else as it is.
---@param address string without angle brackets
---@return string? domain nil: nothing to look up
---@return "null sender"|"no domain"|"address literal"|nil reason
function policy.domain(address) end

--- Compiles names (`example.org`) and wildcards (`*.example.net`: everything below).
---@param list string[]
---@return (fun(domain: string): boolean)? excluded
---@return string? reason names the entry
function policy.exclusions(list) end

--- Can this address be reached from the whole Internet (IANA's special-purpose registries)?
---@param ip string
---@return boolean? global nil: no address
---@return string? purpose
---@return string? rfc
function policy.is_global(ip) end

---@param ip string
---@return boolean
function policy.is_loopback(ip) end

--- Checks options against a table of functions, each value -> what stands for it, or nil and what is allowed.
---@param given table
---@param spec table<string, fun(value: any): any, string?>
---@param prefix? string for messages: "sender."
---@return table? checked
---@return string? message names the key and what is allowed
function policy.check(given, spec, prefix) end

-- ---- nexthop.opensmtpd: smtpd-filters(7) ------------------------------------------------------------------------------------

---@class nexthop.opensmtpd
---@field log { new: (fun(fd: integer): nexthop.opensmtpd.Log), quote: (fun(value: any): string) }
local opensmtpd = {}

--- Calls handler(...); an error in it is logged as error=what and goes no further.
---@param filter nexthop.opensmtpd.Filter
---@param what string
---@param session? nexthop.opensmtpd.Session
---@param handler function
---@return boolean ok
function opensmtpd.guarded(filter, what, session, handler, ...) end

--- Takes standard input and output for smtpd. Descriptors that no child process inherits stand for them from
--- then on, 0 is /dev/null and 1 is standard error, which smtpd logs. A filter's run() does so; a program that
--- prints or starts other programs before it calls this first. A second call gives the same descriptors.
---@return integer input
---@return integer output
function opensmtpd.reserve() end

---@class nexthop.opensmtpd.Log
local log = {}

--- Writes a line of key=value; values from the peer are quoted. Never blocks.
---@param fields table<string, any>
function log:line(fields) end

--- Runs `done` when all lines are written, or could not be written within a second.
---@param done fun()
function log:close(done) end

---@class nexthop.opensmtpd.Options
---@field deadline? number seconds after which a request without an answer proceeds (none)
---@field on_deadline? fun(filter: nexthop.opensmtpd.Filter, request: nexthop.opensmtpd.Request) called then; may answer otherwise
---@field log? nexthop.opensmtpd.Log (to stderr)
---@field input? integer descriptor (that of opensmtpd.reserve)
---@field output? integer descriptor (that of opensmtpd.reserve)
---@field max_line? integer bytes of the longest line that is looked at (131072); requests in longer ones proceed

---@class nexthop.opensmtpd.Session
---@field id string
---@field source? string "192.0.2.1:25", "[2001:db8::1]:25", "unix:/path"
---@field destination? string
---@field rdns? string
---@field fcrdns? string "pass", "fail", "error"
---@field helo? string
---@field username? string
---@field authenticated boolean
---@field is_local boolean a Unix socket or a loopback address

---@param options? nexthop.opensmtpd.Options
---@return nexthop.opensmtpd.Filter
function opensmtpd.new(options) end

---@class nexthop.opensmtpd.Filter
---@field config table<string, string> what smtpd said of itself
---@field sessions table<string, nexthop.opensmtpd.Session>
---@field log nexthop.opensmtpd.Log
local filter = {}

--- Sets the handler of a phase (`mail-from` ...), called with a request, or of a report (`tx-mail` ...),
--- called with an event: name, session and the fields of smtpd-filters(7) by name. Raises for a name
--- that smtpd does not know; one that it knows no more (wiz, since 7.9) is not asked for.
---@param name string
---@param handler function
---@return nexthop.opensmtpd.Filter self
function filter:on(name, handler) end

--- Serves until the end of input, and until everything that was open then has its answer; or until smtpd has
--- gone. What is printed meanwhile, and what programs print that a handler starts, goes to standard error: see
--- opensmtpd.reserve. os.exit raises meanwhile, because smtpd ends when a filter does.
---@return boolean? ok
---@return string? reason why input or output failed
function filter:run() end

--- One answer each, and none at data-line: a second one is nil and a reason. What would end smtpd raises.
---@class nexthop.opensmtpd.Request
---@field phase string
---@field parameter string all after the token
---@field address? string for mail-from and rcpt-to, as the client said it
---@field session nexthop.opensmtpd.Session
---@field answered? string
---@field on_gone? fun(request: nexthop.opensmtpd.Request) may be set: nobody waits for the answer any more
local filter_request = {}

function filter_request:proceed() end

function filter_request:junk() end

---@param text string "550 5.7.1 text"
function filter_request:reject(text) end

---@param text string
function filter_request:disconnect(text) end

---@param parameter string
function filter_request:rewrite(parameter) end

--- For data-line: a line of the message that goes on.
---@param line string
function filter_request:write(line) end

-- ---- nexthop.server: lookups for other processes ----------------------------------------------------------------------------

--- The JSON lines of nexthop-server(8), and a Unix socket on luv's loop (lua-luv, lua-cjson).
---@class nexthop.server
---@field limits { in_flight: integer, output: integer, connections: integer } of a connection: requests under way before no more are read, bytes of answers not fetched; and of the server
local server_module = {}

---@class nexthop.server.Options
---@field resolver? nexthop.Options
---@field exclude? string[] domains that `sender` and `recipient` do not look up: "example.org", "*.example.net"
---@field deadline? number seconds that a request may take, and the most it may ask for (10)

--- Reads a configuration file; checks nothing but that it returns a table.
---@param path? string nil: the defaults
---@return nexthop.server.Options? options
---@return string? reason
function server_module.load(path) end

--- Checks a configuration; the resolver is made and closed again.
---@param options nexthop.server.Options
---@return table? checked
---@return nexthop.Error? err `config`
function server_module.check(options) end

--- Makes a server and its resolver.
---@param options? nexthop.server.Options
---@return nexthop.server.Server? server
---@return nexthop.Error? err `config`
function server_module.new(options) end

---@class nexthop.server.Server
---@field resolver nexthop.Resolver
local server = {}

--- Takes connections at a Unix socket, whenever luv's loop runs. Call it outside of luv's callbacks.
---@param path string at most 103 bytes
---@param options? { mode?: integer, log?: fun(text: string), uv?: table } mode: 432 (0660)
---@return boolean? ok
---@return nexthop.Error? err `config`: the path is in use, or no socket
function server:listen(path, options) end

--- No more connections and requests; those that are there are answered, then the callback runs.
---@param callback fun()
function server:drain(callback) end

function server:close() end

---@class nexthop.server.Stats
---@field connections integer so far
---@field open integer connections now
---@field requests integer
---@field answered integer by the resolver or at once, errors included
---@field bad_requests integer
---@field deadline number seconds
---@field resolver nexthop.Stats

---@return nexthop.server.Stats
function server:stats() end

--- A connection without a socket: whoever has one feeds it with what comes, and sends what it takes.
---@return nexthop.server.Session
function server:session() end

---@class nexthop.server.Session
---@field wake fun() may be set: called when the resolver has delivered, there is something to take or to advance
---@field blocked? boolean to be set while the client does not fetch what was taken
local session = {}

---@param bytes string
function session:feed(bytes) end

--- The client sends no more.
function session:finish() end

--- Reads on in what was fed before it was full.
function session:advance() end

---@return string? bytes to send; nil: nothing
function session:take() end

---@return boolean full no more is to be fed for now
function session:is_full() end

---@return boolean done all is answered, and nothing is to come
function session:is_done() end

--- The connection is gone: its lookups are given up.
function session:close() end

--- What the ops `sender` and `recipient` answer.
---@class nexthop.server.Finding
---@field finding? string nil: it was not looked up, see skipped
---@field skipped? "excluded"|"address literal"|"no domain"
---@field domain? string lower-case A-label
---@field plan? nexthop.Plan
---@field error? nexthop.Error

-- ---- nexthop.client: lookups in another process ---------------------------------------------------------------------------

--- The calls of a resolver, answered by a nexthop-server. Without a callback a call runs luv's loop until the
--- answer is there, so it must not be made inside a callback; with a callback it returns true. After a lost
--- connection calls end with `closed`; the next call connects again.
---@class nexthop.client
local client_module = {}

---@param path string the socket of the server
---@param options? { uv?: table }
---@return nexthop.client.Client
function client_module.new(path, options) end

---@class nexthop.client.Client
local client = {}

---@type fun(self: nexthop.client.Client, domain: string, options?: nexthop.CallOptions, callback?: fun(result?: nexthop.Destinations, err?: nexthop.Error)): (nexthop.Destinations|true)?, nexthop.Error?
client.gather_destinations = nil

---@type fun(self: nexthop.client.Client, host: string, options?: nexthop.IpsOptions, callback?: fun(result?: nexthop.Ips, err?: nexthop.Error)): (nexthop.Ips|true)?, nexthop.Error?
client.gather_ips = nil

---@type fun(self: nexthop.client.Client, host: string, options?: nexthop.TlsaOptions, callback?: fun(result?: nexthop.Tlsa, err?: nexthop.Error)): (nexthop.Tlsa|true)?, nexthop.Error?
client.gather_tlsa = nil

---@type fun(self: nexthop.client.Client, domain: string, options?: nexthop.PlanOptions, callback?: fun(result?: nexthop.Plan, err?: nexthop.Error)): (nexthop.Plan|true)?, nexthop.Error?
client.plan = nil

--- Looks up a sender's domain: the plan, and what it means.
---@param domain string
---@param options? nexthop.PlanOptions
---@param callback? fun(answer?: nexthop.server.Finding, err?: nexthop.Error)
---@return (nexthop.server.Finding|true)? answer
---@return nexthop.Error? err
function client:sender(domain, options, callback) end

--- The same for a recipient's domain.
---@param domain string
---@param options? nexthop.PlanOptions
---@param callback? fun(answer?: nexthop.server.Finding, err?: nexthop.Error)
---@return (nexthop.server.Finding|true)? answer
---@return nexthop.Error? err
function client:recipient(domain, options, callback) end

--- The counters of the server.
---@param callback? fun(stats?: nexthop.server.Stats, err?: nexthop.Error)
---@return (nexthop.server.Stats|true)? stats
---@return nexthop.Error? err
function client:stats(callback) end

--- Ends the connection. Calls under way end with `closed`.
function client:close() end

return nexthop
