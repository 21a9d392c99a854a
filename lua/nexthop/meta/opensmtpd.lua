---@meta nexthop.opensmtpd
---@class nexthop.opensmtpd
---@field log { new: (fun(fd: integer): nexthop.opensmtpd.Log), quote: (fun(value: any): string) }
local opensmtpd = {}

--- Protects the call handler(...): an error in it is logged as error=what and ends nothing else.
---@param filter nexthop.opensmtpd.Filter
---@param what string
---@param session? nexthop.opensmtpd.Session
---@param handler function
---@return boolean ok
function opensmtpd.guarded(filter, what, session, handler, ...) end

--- Reserves standard input and output for the connection to smtpd. It moves them to descriptors that no child process
--- inherits. Afterwards descriptor 0 is /dev/null, and 1 is standard error, which smtpd logs. A filter's run() does
--- this. A program that prints or starts other programs before run() must call this function first. A second call
--- returns the same descriptors.
---@return integer input
---@return integer output
function opensmtpd.reserve() end

---@class nexthop.opensmtpd.Log
local log = {}

--- Writes one line of key=value pairs. Values from the peer are quoted. It never blocks.
---@param fields table<string, any>
function log:line(fields) end

--- Runs `done` when all lines are written, or when they could not be written within a second.
---@param done fun()
function log:close(done) end

---@class nexthop.opensmtpd.Options
---@field deadline? number seconds after which a request without an answer proceeds (default: no limit)
---@field on_deadline? fun(filter: nexthop.opensmtpd.Filter, request: nexthop.opensmtpd.Request) called at the deadline; it may give another answer
---@field log? nexthop.opensmtpd.Log default: a log to standard error
---@field input? integer descriptor (default: that of opensmtpd.reserve)
---@field output? integer descriptor (default: that of opensmtpd.reserve)
---@field max_line? integer bytes of the longest line that is read (131072); a request in a longer line proceeds

---@class nexthop.opensmtpd.Session
---@field id string
---@field source? string "192.0.2.1:25", "[2001:db8::1]:25", "unix:/path"
---@field destination? string
---@field rdns? string
---@field fcrdns? string "pass", "fail", "error"
---@field helo? string
---@field username? string
---@field authenticated boolean
---@field is_local boolean the peer is at a Unix socket or a loopback address

---@param options? nexthop.opensmtpd.Options
---@return nexthop.opensmtpd.Filter
function opensmtpd.new(options) end

---@class nexthop.opensmtpd.Filter
---@field config table<string, string> what smtpd said about itself
---@field sessions table<string, nexthop.opensmtpd.Session>
---@field log nexthop.opensmtpd.Log
local filter = {}

--- Sets the handler of a phase (`mail-from` ...) or of a report (`tx-mail` ...). The handler of a phase is called with
--- a request. The handler of a report is called with an event, which has name, session and the fields of
--- smtpd-filters(7) under their names. A name that smtpd does not know raises an error. A name that smtpd no longer
--- knows (wiz, since 7.9) is not registered.
---@param name string
---@param handler function
---@return nexthop.opensmtpd.Filter self
function filter:on(name, handler) end

--- Serves until the end of input, and then until every open request has its answer. It returns at once when smtpd
--- has ended. Until it returns, everything that is printed goes to standard error, also by programs that a handler
--- starts: see opensmtpd.reserve. Until then os.exit raises an error, because smtpd ends when a filter ends.
---@return boolean? ok
---@return string? reason why the input or the output failed
function filter:run() end

--- A request has one answer, and none at data-line. A second answer returns nil and a reason. An answer that would
--- end smtpd raises an error.
---@class nexthop.opensmtpd.Request
---@field phase string
---@field parameter string everything after the token
---@field address? string for mail-from and rcpt-to: the address as the client wrote it
---@field session nexthop.opensmtpd.Session
---@field answered? string
---@field on_gone? fun(request: nexthop.opensmtpd.Request) may be set; it is called when nobody waits for the answer any more
local filter_request = {}

function filter_request:proceed() end

function filter_request:junk() end

---@param text string "550 5.7.1 text"
function filter_request:reject(text) end

---@param text string
function filter_request:disconnect(text) end

---@param parameter string
function filter_request:rewrite(parameter) end

--- For data-line: passes on one line of the message.
---@param line string
function filter_request:write(line) end

return opensmtpd
