-- luacheck: max line length 140
-- Fuzzes the HTTP server: requests as a scraper sends them and as none should, cut anywhere, on a session without a
-- socket. Whatever comes: there is one response at most, with a status that is known and the length that it says,
-- and a session that was fed 8,192 bytes, or whose client has ended, is done.
package.path = "./?.lua;" .. package.path
local fuzz = require "tests.fuzz.mutate"
local http = require "nexthop.luv.http"

local words = {
  "GET ", "HEAD ", "POST ", "/metrics", "/", "?", "%00", " HTTP/1.1", " HTTP/1.0", " HTTP/2.0", "\r\n", "\n", "\r", "\0",
  "\255", " ", "\t", ":", "Host: a\r\n", "Host:\r\n", " folded: line\r\n", "Content-Length: 99999999999\r\n",
  "Transfer-Encoding: chunked\r\n", "http://a.example", "//", "\r\n\r\n", "\n\n", ("x"):rep(9000),
}
local targets = { "/metrics", "/metrics?a=b", "/", "/boom", "http://a.example/metrics", "*", "/%zz", "/a b", "" }
local statuses = { [200] = true, [400] = true, [404] = true, [405] = true, [431] = true, [500] = true, [505] = true }

local function request(random)
  local lines = {
    ("%s %s HTTP/1.%d"):format(random:pick { "GET", "HEAD", "POST", "get", "" }, random:pick(targets), random:number(2) - 1),
    "Host: a.example", "Accept: application/openmetrics-text;version=1.0.0",
  }
  return table.concat(lines, random:chance(4) and "\n" or "\r\n") .. "\r\n\r\n"
end

local function routes(path)
  if path == "/boom" then error "boom" end
  if path:find "^/metrics" then return 200, "text/plain", "body\n" end
end

local function check(output, is_head)
  if output == "" then return end
  local status, head, body = output:match "^HTTP/1%.1 (%d%d%d) [%a ]+\r\n(.-\r\n)\r\n(.*)$"
  if not status or not statuses[tonumber(status)] then error(("no response: %q"):format(output)) end
  if head:gsub("[%w-]+: [\32-\126]+\r\n", "") ~= "" then error(("odd fields: %q"):format(head)) end
  local length = tonumber(head:match "Content%-Length: (%d+)\r\n")
  if #body ~= length and not (body == "" and is_head) then error(("%d bytes: %q"):format(length, output)) end
end

fuzz.run("http", function(random)
  local input = request(random)
  if random:chance(2) then input = random:mutate(input, words) end
  if random:chance(10) then input = random:bytes(random:number(9000)) end
  if random:chance(5) then input = input:sub(1, random:number(#input + 1) - 1) end
  fuzz.note(input)
  local session, at, output = http.session(routes, function() end), 1, ""
  while at <= #input do
    local stop = random:chance(2) and at + random:number(40) - 1 or #input
    session:feed(input:sub(at, stop))
    output = output .. (session:take() or "")
    at = stop + 1
  end
  if #input > http.limits.request and not session:is_done() then error "it reads on" end
  session:finish()
  output = output .. (session:take() or "")
  if not session:is_done() then error "it does not end" end
  check(output, session.method == "HEAD")
end)
