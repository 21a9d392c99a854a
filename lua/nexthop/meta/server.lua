---@meta nexthop.server
--- A server for the JSON lines of nexthop-server(8), at a Unix socket on luv's loop (lua-luv, lua-cjson).
---@class nexthop.server
---@field limits { in_flight: integer, output: integer, connections: integer } for a connection, in_flight is the number of requests under way at which no more are read, and output is the number of bytes of answers that the client has not read; connections is for the server
local server_module = {}

---@class nexthop.server.Options
---@field resolver? nexthop.Options
---@field exclude? string[] domains that `sender` and `recipient` do not look up: "example.org", "*.example.net"
---@field sts? boolean `plan` and `recipient` look up MTA-STS policies, unless the request says otherwise (false)
---@field tlsrpt? boolean the same for TLSRPT (false)
---@field sts_port? integer see nexthop.PlanOptions; a request cannot set it
---@field ca_file? string the same
---@field metrics? string|integer an address and a port, "127.0.0.1:9645", or a port at 127.0.0.1: GET /metrics is answered there, too
---@field deadline? number seconds that a request may take, and the highest deadline that it may ask for (10)

--- Reads a configuration file. Checks only that it returns a table.
---@param path? string nil: the defaults
---@return nexthop.server.Options? options
---@return string? reason
function server_module.load(path) end

--- Checks a configuration. For this the resolver is created and closed again.
---@param options nexthop.server.Options
---@return table? checked
---@return nexthop.Error? err `config`
function server_module.check(options) end

--- Creates a server and its resolver.
---@param options? nexthop.server.Options
---@return nexthop.server.Server? server
---@return nexthop.Error? err `config`
function server_module.new(options) end

---@class nexthop.server.Server
---@field resolver nexthop.Resolver
local server = {}

--- Accepts connections at a Unix socket while luv's loop runs. Call it outside of luv's callbacks.
---@param path? string at most 103 bytes; nil: that of `fd`
---@param options? { mode?: integer, log?: fun(text: string), uv?: table, fd?: integer } mode: 432 (0660); fd: a socket that is bound already, as a service manager passes it
---@return boolean? ok
---@return nexthop.Error? err `config`: the path is in use, or is not a socket
function server:listen(path, options) end

--- Accepts no more connections and requests. When the requests that are there are answered, the callback runs.
---@param callback fun()
function server:drain(callback) end

function server:close() end

---@class nexthop.server.Stats
---@field connections integer connections so far
---@field open integer connections now
---@field requests integer
---@field answered integer requests with an answer, also an error
---@field bad_requests integer
---@field deadline number seconds
---@field plans table<string, integer> plans by what each of them means for a recipient, see nexthop.policy
---@field ops table<string, integer> requests by their op; `invalid` has those that are wrong
---@field resolver nexthop.Stats

---@return nexthop.server.Stats
function server:stats() end

--- Returns the counters as a page of metrics, in the text format OpenMetrics. A connection at the server's socket whose
--- first bytes are those of an HTTP request gets this page from GET /metrics.
---@param reader? "openmetrics"|"textfile" who reads the page: nil, readers of OpenMetrics and of the older text format of Prometheus, and counters have no type then; "openmetrics", readers of that format alone; "textfile", readers of the older one
---@return string page
function server:metrics(reader) end

--- Returns a connection without a socket. The caller feeds it with the bytes that come from the client, and sends
--- the bytes that it takes from it.
---@return nexthop.server.Session
function server:session() end

---@class nexthop.server.Session
---@field wake fun() may be set; it is called when the resolver has delivered a result: then call take() and advance()
---@field blocked? boolean set it while the client does not read the bytes that were taken
local session = {}

---@param bytes string
function session:feed(bytes) end

--- Tells the session that the client sends no more.
function session:finish() end

--- Goes on with the bytes that were fed before the session was full.
function session:advance() end

---@return string? bytes to send; nil: there are none
function session:take() end

---@return boolean full do not feed more bytes now
function session:is_full() end

---@return boolean done everything is answered, and the client sends no more
function session:is_done() end

--- Ends the session when the connection is lost. Its lookups are stopped.
function session:close() end

--- The answer of the ops `sender` and `recipient`.
---@class nexthop.server.Finding
---@field finding? string nil: the domain was not looked up, see skipped
---@field skipped? "excluded"|"address literal"|"no domain"
---@field domain? string lower-case A-label
---@field plan? nexthop.Plan
---@field error? nexthop.Error

return server
