---@meta nexthop.client
--- The calls of a resolver, which a nexthop-server answers. A call without a callback runs luv's loop until the
--- answer is there, so it must not be made inside a callback. A call with a callback returns true. When the
--- connection is lost, calls end with `closed`. The next call connects again.
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

--- Looks up the domain of a sender. The answer has the plan and the finding.
---@param domain string
---@param options? nexthop.PlanOptions
---@param callback? fun(answer?: nexthop.server.Finding, err?: nexthop.Error)
---@return (nexthop.server.Finding|true)? answer
---@return nexthop.Error? err
function client:sender(domain, options, callback) end

--- Does the same for the domain of a recipient.
---@param domain string
---@param options? nexthop.PlanOptions
---@param callback? fun(answer?: nexthop.server.Finding, err?: nexthop.Error)
---@return (nexthop.server.Finding|true)? answer
---@return nexthop.Error? err
function client:recipient(domain, options, callback) end

--- Returns the counters of the server.
---@param callback? fun(stats?: nexthop.server.Stats, err?: nexthop.Error)
---@return (nexthop.server.Stats|true)? stats
---@return nexthop.Error? err
function client:stats(callback) end

--- Closes the connection. Calls that are under way end with `closed`.
function client:close() end

return client
