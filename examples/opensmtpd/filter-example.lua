#!/usr/bin/env lua5.4
-- Another filter on nexthop.opensmtpd, as a start for your own. It refuses clients that greet with our
-- own name, and messages that say "cheap" in their subject. In smtpd.conf:
--   filter "example" proc-exec "/usr/local/libexec/opensmtpd/filter-example.lua mx.example.org"
local opensmtpd = require "nexthop.opensmtpd"
local uv = require "luv"

local our_name = arg[1] or "mx.example.org"
local filter = opensmtpd.new { deadline = 5 }

local function greeting(request)
  if request.parameter:lower() == our_name and not request.session.is_local then
    request:reject "550 5.7.1 That is my name"
  else
    request:proceed()
  end
end
filter:on("helo", greeting):on("ehlo", greeting)

-- The lines of a message come one by one. Each is passed on, and may be changed before.
filter:on("data-line", function(request)
  local line = request.parameter
  if line:lower():find "^subject:.*cheap" then request.session.cheap = true end
  request:write(line)
end)

-- An answer may be given later. All other requests are served meanwhile.
filter:on("data", function(request)
  local timer = uv.new_timer()
  timer:start(100, 0, function()
    timer:close()
    request:proceed()
  end)
end)

filter:on("commit", function(request)
  if request.session.cheap then
    request:reject "550 5.7.1 Not wanted"
  else
    request:proceed()
  end
end)

filter:on("tx-reset", function(event) event.session.cheap = nil end)
filter:on("link-disconnect", function(event)
  filter.log:line { session = event.session.id, event = "left", helo = event.session.helo }
end)

filter:run()
