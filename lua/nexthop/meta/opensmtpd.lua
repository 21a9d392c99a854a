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
---@field on_leave? fun(filter: nexthop.opensmtpd.Filter) called once before the filter ends; it may still write to the log

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
---@field subsystems table<string, boolean> "smtp-in" when a listener has this filter, "smtp-out" when a relay action has it
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

--- Sets the handler of a report (`tx-rcpt` ...) of outgoing mail, which smtpd sends where a relay action has this filter
--- (`action "out" relay filter NAME`). It is called with an event, whose session is one in which smtpd is the client.
--- Nothing can be answered: the reports come when smtpd has done what they say.
---@param name string
---@param handler fun(event: { name: string, session: nexthop.opensmtpd.OutgoingSession })
---@return nexthop.opensmtpd.Filter self
function filter:on_outgoing(name, handler) end

--- A session in which smtpd is the client.
---@class nexthop.opensmtpd.OutgoingSession
---@field id string
---@field destination? string the server: "192.0.2.1:25", "[2001:db8::1]:25"
---@field source? string
---@field rdns? string the name that the server's address leads back to, or the address
---@field tls? string version, cipher and bits; nil: there is no TLS
---@field attempts integer how often smtpd has connected; it does so a second time, without TLS, when the TLS handshake has failed

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

--- Makes a table for smtpd-tables(7), OpenSMTPD 7.6 and later. smtpd asks one question at a time, and does nothing for
--- other sessions until it has the answer. It ends when a table ends, or says something wrong.
---
---     local tables = require("nexthop.opensmtpd").new_table { deadline = 0.3 }
---     tables:on("domain", function(request)
---       if request.query == "example.org" then request:found() else request:not_found() end
---     end)
---     tables:run()
---@param options? nexthop.opensmtpd.TableOptions
---@return nexthop.opensmtpd.Table
function opensmtpd.new_table(options) end

---@class nexthop.opensmtpd.TableOptions
---@field deadline? number seconds after which a request without an answer is answered with `error` (default: no limit)
---@field on_deadline? fun(table: nexthop.opensmtpd.Table, request: nexthop.opensmtpd.TableRequest) called at the deadline; it may give another answer
---@field on_update? fun(table: nexthop.opensmtpd.Table): boolean?, string? called at `smtpctl update table`; returns true, or nil and a reason
---@field log? nexthop.opensmtpd.Log default: a log to standard error
---@field input? integer descriptor (default: that of opensmtpd.reserve)
---@field output? integer descriptor (default: that of opensmtpd.reserve)
---@field max_line? integer bytes of the longest line that is read whole (1048576)

---@class nexthop.opensmtpd.Table
---@field config table<string, string> what smtpd said about itself, and `tablename`
---@field log nexthop.opensmtpd.Log
local smtpd_table = {}

--- Sets the handler of a service ("domain", "alias" ...), which is called with a request. A service that smtpd does not
--- know raises an error. A request for a service without a handler is answered with `not-found`. A handler that raises
--- an error is logged, and its request is answered with `error`.
---@param service string
---@param handler fun(request: nexthop.opensmtpd.TableRequest)
---@return nexthop.opensmtpd.Table self
function smtpd_table:on(service, handler) end

--- Sets another deadline for the requests that come from now on.
---@param seconds? number nil: no limit
function smtpd_table:set_deadline(seconds) end

--- Serves until the end of input. See filter:run() for what is printed meanwhile, and for os.exit.
---@return boolean? ok
---@return string? reason why the input or the output failed
function smtpd_table:run() end

--- A request has one answer. A second answer returns nil and a reason. An answer that would end smtpd raises an error.
---@class nexthop.opensmtpd.TableRequest
---@field operation string "check", "lookup" or "fetch"
---@field service string
---@field query string the key; "" for fetch
---@field id string
---@field answered? string
local table_request = {}

--- The key is in the table. `check` needs no value.
---@param value? string what the key stands for (default for lookup: the key)
function table_request:found(value) end

--- The key is not in the table.
function table_request:not_found() end

--- It is not known now whether the key is in the table. smtpd then answers its client with 451.
---@param text string for the log of smtpd
function table_request:error(text) end

return opensmtpd
