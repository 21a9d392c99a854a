---@meta nexthop.policy
---@alias nexthop.Finding
---| "ok"           # senders: there is nothing wrong with the domain
---| "null_mx"      # the domain accepts no mail
---| "no_host"      # the domain does not exist, has neither MX nor address, or cannot exist
---| "broken"       # the domain has MX records, and none of their hosts has an address
---| "unroutable"   # every address is private, loopback, link-local, for documentation or for another reason not global
---| "bogus"        # DNSSEC validation failed
---| "failure"      # the lookup failed
---| "dane"         # recipients: every host with an address has DANE
---| "sts"          # recipients, with sts: every host with an address has DANE or is named by an MTA-STS policy that is enforced
---| "dane_partial" # recipients: some hosts have DANE, or have TLSA records of which none is usable
---| "dane_broken"  # recipients: the lookup of the TLSA records of a host failed
---| "no_dane"      # recipients: no host has DANE

---@class nexthop.policy
---@field findings { sender: nexthop.Finding[], recipient: nexthop.Finding[] } the findings of each role, without `ok`
---@field options { resolver: function, deadline: function, exclude: function, sts: function, tlsrpt: function, sts_port: function, ca_file: function, metrics_file: function } functions for check()
local policy = {}

--- Returns the finding for the result of resolver:plan().
---@param role "sender"|"recipient"
---@param plan? nexthop.Plan
---@param err? nexthop.Error
---@return nexthop.Finding
function policy.find(role, plan, err) end

--- Returns the error of the first host that was not looked up because the deadline came, or nil when the plan is
--- complete. The finding of an incomplete plan is `failure`.
---@param plan nexthop.Plan
---@return nexthop.Error? err
function policy.unfinished(plan) end

---@param role string
---@param name any
---@return boolean
function policy.is_finding(role, name) end

--- Returns the domain of a mail address, which is the text after the last `@`. If it is a name, it is returned as a
--- lower-case A-label. Otherwise it is returned unchanged.
---@param address string without angle brackets
---@return string? domain nil: there is nothing to look up
---@return "null sender"|"no domain"|"address literal"|nil reason
function policy.domain(address) end

--- Compiles a list of names (`example.org`) and wildcards (`*.example.net`: everything below that name).
---@param list string[]
---@return (fun(domain: string): boolean)? excluded
---@return string? reason it names the entry that is wrong
function policy.exclusions(list) end

--- Can this address be reached from the whole Internet (IANA's special-purpose registries)?
---@param ip string
---@return boolean? global nil: the text is not an address
---@return string? purpose
---@return string? rfc
function policy.is_global(ip) end

---@param ip string
---@return boolean
function policy.is_loopback(ip) end

--- Checks options with a table of functions. Each function takes a value, and returns the value to use, or nil and
--- what is allowed.
---@param given table
---@param spec table<string, fun(value: any): any, string?>
---@param prefix? string for messages: "sender."
---@return table? checked
---@return string? message it names the key and what is allowed
function policy.check(given, spec, prefix) end

return policy
