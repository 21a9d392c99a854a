---@meta nexthop.policy
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

return policy
