-- luacheck: max line length 140
-- Fuzzes the protocol of nexthop-server: lines as a client might send them, and as none should, on a
-- session without a socket and with the lab behind it. Whatever comes: every line out is one JSON
-- object, every request is answered once and by its id, and the session comes to its end.
package.path = "./?.lua;" .. package.path
local cjson = require "cjson"
local fuzz = require "tests.fuzz.mutate"
local lab = require("tests.lab.lab").shared()
local nexthop_server = require "nexthop.server"
local protocol = require "nexthop.server.protocol"

local server = assert(nexthop_server.new {
  resolver = lab:options(), deadline = 10, exclude = { "example.org", "*.example.net" },
})

local words = {
  '"', "{", "}", "[", "]", ",", ":", "null", "true", "false", "NaN", "Infinity", "-0", "1e999", "0x10",
  "9007199254740993", "0.30000000000000004", '"id"', '"op"', '"plan"', '"domain"', '"host"', '"options"',
  '"deadline"', '"dialed_ips"', '"digests"', "\\u0000", "\\ud800", "\\n", "\255", "\195\188", "\0", "\r", "\n",
  "stats", "sender", "recipient", "gather_ips", "gather_tlsa", "gather_destinations", "dane.example",
  '{"id":1,"op":"stats"}', ("["):rep(1200), '"port":25', '"trace":true', '"max_hosts":0',
}
local names = {
  "dane.example", "nullmx.example", "nothing.example", "192.0.2.1", "[192.0.2.1]", "IPv6:::1", "b\195\188cher.example",
  "", ".", "a..b", "example.org", "x.example.net", "\\u0000.example", "_25._tcp.mx1.dane.example", "xn--a",
}
local options = {
  "{}", "[]", "{}", '{"trace":true}', '{"network":"ip4"}', '{"port":465}', '{"port":-1}', '{"deadline":1}',
  '{"deadline":0}', '{"deadline":"x"}', '{"max_hosts":1}', '{"digests":[1,2]}', '{"digests":[9]}',
  '{"dialed_ips":{"mx1.dane.example":["192.0.2.1"]}}', '{"dialed_ips":[1]}', '{"nonsense":1}', "null", "1",
  '{"insecure_mx":"dane"}', '{"require_dane":true}', '{"expanded_host":"a.example","expanded_authentic":true}',
  '{"protocol":"tcp","port":25}', '{"host":"a.example","ips":[],"authentic":true}',
}
local ops = { "plan", "sender", "recipient", "gather_destinations", "gather_ips", "gather_tlsa", "stats", "x" }

local ids

local function line(random)
  ids = ids + 1
  local id = random:chance(5) and ('"i\\n%d"'):format(ids) or tostring(ids)
  local op = random:pick(ops)
  local field = op:find "^gather_[it]" and "host" or "domain"
  return ('{"id":%s,"op":"%s","%s":"%s","options":%s}'):format(id, op, field, random:pick(names),
    random:pick(options))
end

-- cjson, strict about what is no JSON.
local strict = cjson.new()
strict.decode_invalid_numbers(false)

-- The ids of the lines that count, in order; true as the last for the line that ends it all.
local function expected_of(input, finished)
  local expected = {}
  local function take(text)
    if #text > 65536 then return true end
    local ok, request = pcall(strict.decode, text)
    if not ok or type(request) ~= "table" or not text:find "^%s*{" then return true end
    local id = request.id
    -- what is no UTF-8 cannot be sent back
    if type(id) == "string" then id = strict.decode(protocol.encode { id = id }).id end
    if type(id) == "number" and id - id ~= 0 then id = nil end -- 1e999
    if type(id) == "number" or type(id) == "string" then
      expected[#expected + 1] = id
    else
      expected[#expected + 1] = false -- told off, and no id to say so by
    end
  end
  for text in input:gmatch "([^\n]*)\n" do
    if take(text) then
      expected.refused = true
      return expected
    end
  end
  local rest = input:match "[^\n]*$"
  if #rest > 65536 or (finished and rest ~= "") then expected.refused = take(rest) end
  return expected
end

local function check(input, output)
  local expected, count = expected_of(input, true), { anonymous = 0 }
  for _, id in ipairs(expected) do
    if id then count[id] = (count[id] or 0) + 1 else count.anonymous = count.anonymous + 1 end
  end
  if expected.refused then count.anonymous = count.anonymous + 1 end
  for text in output:gmatch "([^\n]*)\n" do
    local ok, answer = pcall(strict.decode, text)
    if not ok or type(answer) ~= "table" then error(("no JSON: %q: %s"):format(text, tostring(answer))) end
    local id = answer.id
    if id == nil then id = "anonymous" end
    if not count[id] or count[id] == 0 then error(("answered too often: %q"):format(text)) end
    count[id] = count[id] - 1
    local err = answer.error
    if (answer.result == nil) == (err == nil) then error(("neither or both: %q"):format(text)) end
    if err ~= nil and (type(err.code) ~= "string" or type(err.message) ~= "string"
      or type(err.permanent) ~= "boolean" or err.message:find "%c") then
      error(("no error of ours: %q"):format(text))
    end
  end
  if output ~= "" and output:sub(-1) ~= "\n" then error "output ends in the middle of a line" end
  for id, left in pairs(count) do
    if left ~= 0 then error(("%d without an answer: %s"):format(left, tostring(id))) end
  end
end

fuzz.run("server", function(random)
  ids = 0
  local lines = {}
  for i = 1, random:number(20) do
    lines[i] = line(random)
    if random:chance(3) then lines[i] = random:mutate(lines[i], words) end
  end
  local input = table.concat(lines, "\n") .. (random:chance(4) and "" or "\n")
  fuzz.note(input)
  local session, output, at = server:session(), {}, 1
  local function take() output[#output + 1] = session:take() end
  while at <= #input do
    local stop = random:chance(2) and at + random:number(400) or #input
    session:feed(input:sub(at, stop))
    at = stop + 1
    if random:chance(2) then server.resolver:process() end
    take()
    if random:chance(200) then return session:close() end -- the client is gone
  end
  session:finish()
  local stop = os.time() + 30
  while not session:is_done() do
    if os.time() > stop then error "the session does not end" end
    server.resolver:wait(1)
    session:advance()
    take()
  end
  take()
  session:close()
  if os.getenv "SHOW" then print(table.concat(output)) end
  check(input, table.concat(output))
end)
server:close()
