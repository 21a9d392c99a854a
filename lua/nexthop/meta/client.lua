---@meta nexthop.client
--- nexthop.client: the methods of a resolver, answered by a server. Without a callback they run luv's
--- loop until the answer is there. A lost connection is `closed`; the next call connects again.
---@class nexthop.client
local client_module = {}

---@param path string
---@param options? { uv?: table }
---@return nexthop.client.Client
function client_module.new(path, options) end

---@class nexthop.client.Client: nexthop.Resolver
local client = {}

---@param domain string
---@param options? nexthop.PlanOptions
---@param callback? fun(answer?: nexthop.server.Finding, err?: nexthop.Error)
---@return (nexthop.server.Finding|boolean)? answer
---@return nexthop.Error? err
function client:sender(domain, options, callback) end

---@param domain string
---@param options? nexthop.PlanOptions
---@param callback? fun(answer?: nexthop.server.Finding, err?: nexthop.Error)
---@return (nexthop.server.Finding|boolean)? answer
---@return nexthop.Error? err
function client:recipient(domain, options, callback) end

return client_module
