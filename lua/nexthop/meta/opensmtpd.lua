---@meta nexthop.opensmtpd
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

return opensmtpd
