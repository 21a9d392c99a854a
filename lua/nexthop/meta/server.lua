---@meta nexthop.server
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

return server_module
