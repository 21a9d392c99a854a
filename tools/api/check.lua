--- Compares the annotations with the module: what the module has must be described, and what is described
-- must be there. The module itself is asked, as far as it can tell without DNS: functions, the methods of
-- its objects, counters, and the options that its functions take. The names of the fields of results are
-- taken from the C file that sets them; tests/regress/045-fields-undescribed_spec.lua looks at real results.
local annotations = require "api.annotations"

local M = {}

-- ---- the sources as text ----------------------------------------------------------

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

local function sources(pattern)
  local pipe = assert(io.popen("ls " .. pattern .. " 2>/dev/null"))
  local list = {}
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

-- All text of the code without the annotations, and every word in it.
local function vocabulary()
  local parts, words = {}, {}
  local pipe = assert(io.popen "find src lua -name '*.[ch]' -o -name '*.lua' | grep -v '/meta[./]'")
  for path in pipe:lines() do parts[#parts + 1] = read(path) end
  pipe:close()
  local text = table.concat(parts, "\n")
  for word in text:gmatch "%l[%w_]*" do words[word] = true end
  return text, words
end

-- ---- what a function takes ---------------------------------------------------------

local function message_of(ok, result, err)
  return tostring(ok and err or not ok and result or "")
end

-- The names that f takes in a table of options, as a set. A function that refuses unknown names is asked for
-- every word of the sources, with a value that is wrong for every option. One that says which names there are
-- is asked once. Of one that takes any table the names are noted that it looks up in it.
local function options_of(f, words, base)
  local function ask(name)
    local options = {}
    for key, value in pairs(base or {}) do options[key] = value end
    options[name] = function() end
    return message_of(pcall(f, options))
  end
  local taken = {}
  local answer = ask "no_such_name"
  if answer:find "there are: " then
    for name in answer:match("there are: ([^\n]*)"):gmatch "[%w_]+" do taken[name] = true end
  elseif answer:find "unknown option" then
    for name in pairs(words) do
      if not ask(name):find("unknown option", 1, true) then taken[name] = true end
    end
  else
    local noted = setmetatable({}, { __index = function(_, name) taken[name] = true end })
    assert(pcall(f, noted))
  end
  return taken
end

-- ---- objects ------------------------------------------------------------------------

-- Is a method public? One written in C is, unless its name begins with `_`. One written in Lua is when a
-- comment that begins with --- stands above it, or when it is no `function object:name`, but comes of a loop.
local function is_public(name, f)
  if name:find "^_" then return false end
  local info = debug.getinfo(f, "S")
  if info.what == "C" then return true end
  local path, lines = info.source:match "^@(.*)$", {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  local n = info.linedefined
  if not lines[n]:find "^function " then return true end
  while lines[n - 1] and lines[n - 1]:find "^%-%-" do n = n - 1 end
  return lines[n]:find "^%-%-%-" ~= nil
end

local function methods_of(object)
  local list = {}
  for name, f in pairs(getmetatable(object).__index) do
    if type(f) == "function" and is_public(name, f) then list[name] = true end
  end
  return list
end

-- ---- comparing ------------------------------------------------------------------------

local Comparison = {}
Comparison.__index = Comparison

function Comparison:wrong(...) self.list[#self.list + 1] = (...):format(select(2, ...)) end

-- Two sets of names: what there is, and what is described.
function Comparison:compare(what, there, described)
  local names = {}
  for name in pairs(there) do
    if described[name] == nil then names[#names + 1] = name .. " is not described" end
  end
  for name in pairs(described) do
    if there[name] == nil then names[#names + 1] = name .. " is described, and is not there" end
  end
  table.sort(names)
  for _, text in ipairs(names) do self:wrong("%s: %s", what, text) end
end

-- Fields of a class against a set. Marks the class as looked at.
function Comparison:fields(class, there)
  self.done[class] = true
  self:compare(class, there, annotations.all_fields(self.api, class))
end

-- Fields of an object, which has private ones too: each one that is described is in it, or the code uses it.
function Comparison:object_fields(class, object)
  for name in pairs(annotations.all_fields(self.api, class)) do
    if object[name] == nil and not self.text:find("[.]" .. name .. "%f[^%w_]") then
      self:wrong("%s: %s is described, and is not there", class, name)
    end
  end
end

function Comparison:object(class, object)
  self.done[class] = true
  self:compare(class, methods_of(object), annotations.all_functions(self.api, class))
  self:object_fields(class, object)
end

function Comparison:module(name)
  local functions, fields = {}, {}
  local loaded = require(name)
  for key, value in pairs(loaded) do
    local list = type(value) == "function" and functions or fields
    list[key] = value
  end
  self:compare(name, functions, annotations.all_functions(self.api, name))
  self:fields(name, fields)
  for key, field in pairs(annotations.all_fields(self.api, name)) do
    local described = annotations.inline_fields(field.type)
    if described and fields[key] then
      local names = {}
      for _, inner in ipairs(described) do names[inner.name] = true end
      self:compare(name .. "." .. key, fields[key], names)
    end
  end
  return loaded
end

-- The fields of the table that a function takes as its parameter `options`.
function Comparison:parameter(class, name, there)
  for _, param in ipairs(annotations.all_functions(self.api, class)[name].params) do
    if param.name == "options" then
      local names = {}
      for _, field in ipairs(annotations.inline_fields(param.type)) do names[field.name] = true end
      self:compare(class .. ":" .. name .. " options", there, names)
    end
  end
end

function Comparison:alias(name, there)
  local described = {}
  for _, value in ipairs(self.api.aliases[name].values) do described[value.value] = true end
  self:compare(name, there, described)
end

-- ---- the parts of the module -------------------------------------------------------------

local offline = { forward = "127.0.0.1@1", trust_anchor_file = false } -- nothing is ever sent

local function resolver(self)
  local nexthop = self:module "nexthop"
  self:fields("nexthop.Options", options_of(nexthop.new, self.words))
  local made = assert(nexthop.new(offline))
  self:object("nexthop.Resolver", made)
  self:object("nexthop.Request", made:plan("192.0.2.1", function() end))
  self:fields("nexthop.Stats", made:stats())
  for name, class in pairs {
    gather_destinations = "nexthop.CallOptions", gather_ips = "nexthop.IpsOptions",
    gather_tlsa = "nexthop.TlsaOptions", plan = "nexthop.PlanOptions", verify = "nexthop.VerifyOptions",
  } do
    -- a name that is refused: no call begins
    self:fields(class, options_of(function(options) return made[name](made, "a..b", options) end, self.words))
  end
  self:fields("nexthop.TlsaNames", options_of(nexthop.gather_tlsa_names, self.words))
  made:close()
end

local private_fields = { -- of resolver:_lookup
  secure = true, iterations = true, optout = true, dname = true, chain = true, signatures = true,
  algorithm = true, covered = true, expiration = true, inception = true, key_tag = true,
  original_ttl = true, owner = true, signer = true,
}

local result_classes =
  { "Error", "Destinations", "Ips", "Tlsa", "Record", "PlanHost", "TraceEntry", "Plan", "Sts", "StsError",
    "Report",
    "ReportHost", "RecordMatch", "Connection", "Session", "Certificate" }

local function results(self)
  local there, described = {}, {}
  self.done["nexthop.AssumedRecord"] = true -- an option's value; its fields are those of a record, and a name
  for _, path in ipairs(sources "src/lua_result*.c src/lua_sts.c src/lua_verify.c") do
    for line in read(path):gmatch "[^\n]+" do
      local key = line:match '%f[%w_]n?h?_?set_%w+%(L, .-"([%l][%w_]*)"' or line:match '^ *"(host)",?$'
      key = key or line:match 'lua_setfield%(L, %-%d, "([%l][%w_]*)"'
      if key and not line:find "set_metatable" and not (private_fields[key] and path:find "result") then
        there[key] = true
      end
    end
  end
  -- set in a loop
  for key in read("src/outcome.c"):match("nh_stage_names%[NH_STAGES%] = (%b{})"):gmatch '"(%l+)"' do
    there[key] = true
  end
  for _, name in ipairs(result_classes) do
    local class = "nexthop." .. name
    self.done[class] = true
    for key, field in pairs(annotations.all_fields(self.api, class)) do
      described[key] = true
      for _, inner in ipairs(annotations.inline_fields(field.type) or {}) do described[inner.name] = true end
    end
  end
  self:compare("results", there, described)

  local codes = { bad_request = true } -- of a server
  for _, path in ipairs(sources "src/*.c") do
    for constant, name in read(path):gmatch '%[NH_([%u_]+)%] = "([%l_]+)"' do
      if constant:lower() == name and name ~= "ok" then codes[name] = true end
    end
  end
  self:alias("nexthop.Code", codes)
end

local function policy(self)
  local found = { ok = true }
  for _, list in pairs(self:module("nexthop.policy").findings) do
    for _, name in ipairs(list) do found[name] = true end
  end
  self:alias("nexthop.Finding", found)
end

-- A filter is told of a session and asked about a sender.
local dialogue = [[
config|smtpd-version|7.0.0
config|subsystem|smtp-out
config|ready
report|0.7|1.1|smtp-in|link-connect|5e551011|mx.example|pass|192.0.2.1:1025|192.0.2.2:25
report|0.7|1.2|smtp-in|link-identify|5e551011|EHLO|mx.example
report|0.7|1.3|smtp-in|link-auth|5e551011|pass|someone
report|0.7|1.3|smtp-out|link-connect|5e551012|mx.example|pass|192.0.2.2:1025|192.0.2.1:25
report|0.7|1.3|smtp-out|link-tls|5e551012|TLSv1.3:TLS_AES_256_GCM_SHA384:256
filter|0.7|1.4|smtp-in|mail-from|5e551011|70ce2|someone@example.org
]]

local function opensmtpd(self)
  local module = self:module "nexthop.opensmtpd"
  local uv = require "luv"
  self:fields("nexthop.opensmtpd.Options", options_of(module.new, self.words))
  self:object("nexthop.opensmtpd.Log", module.log.new(2))
  local input, output = uv.pipe(), uv.pipe()
  uv.fs_write(input.write, dialogue, -1)
  uv.fs_close(input.write)
  local filter = module.new { input = input.read, output = output.write, log = module.log.new(2) }
  local session, outgoing
  filter:on_outgoing("link-tls", function(event) outgoing = event.session end)
  filter:on("mail-from", function(request)
    session = request.session
    request:proceed()
    self:object("nexthop.opensmtpd.Request", request)
  end)
  assert(filter:run())
  self:object("nexthop.opensmtpd.Filter", filter)
  self:fields("nexthop.opensmtpd.Session", session)
  self:fields("nexthop.opensmtpd.OutgoingSession", outgoing)
end

-- A table is asked for a domain.
local table_dialogue = [[
config|tablename|some
config|ready
table|0.1|1.0|some|check|domain|0000000a|example.org
]]

local function opensmtpd_table(self)
  local module = self:module "nexthop.opensmtpd"
  local uv = require "luv"
  self:fields("nexthop.opensmtpd.TableOptions", options_of(module.new_table, self.words))
  local input, output = uv.pipe(), uv.pipe()
  uv.fs_write(input.write, table_dialogue, -1)
  uv.fs_close(input.write)
  local smtpd_table = module.new_table { input = input.read, output = output.write }
  smtpd_table:on("domain", function(request)
    self:object("nexthop.opensmtpd.TableRequest", request)
    request:found()
  end)
  assert(smtpd_table:run())
  self:object("nexthop.opensmtpd.Table", smtpd_table)
end

local function server(self)
  local module = self:module "nexthop.server"
  self:fields("nexthop.server.Options", options_of(module.check, self.words, { resolver = offline }))
  local made = assert(module.new { resolver = offline, exclude = { "example.org" } })
  self:object("nexthop.server.Server", made)
  self:fields("nexthop.server.Stats", made:stats())
  local session = made:session()
  self:object("nexthop.server.Session", session)
  session:feed '{"id":1,"op":"sender","domain":"example.org"}\n'
  self:fields("nexthop.server.Finding", require("cjson").decode(session:take()).result)
  self:parameter("nexthop.server.Server", "listen", options_of(function(options)
    local path = os.tmpname()
    os.remove(path)
    local listening = assert(module.new { resolver = offline })
    assert(listening:listen(path, options))
    listening:close()
  end, self.words))
  made:close()
  require("luv").run()
end

local function client(self)
  local module = self:module "nexthop.client"
  self:object("nexthop.client.Client", module.new "/nonexistent")
  self:parameter("nexthop.client", "new",
    options_of(function(options) return module.new("/nonexistent", options) end, self.words))
end

--- Compares all of it.
-- @param api of annotations.read
-- @return a list of differences, a line each
function M.differences(api)
  local self = setmetatable({ api = api, list = {}, done = {} }, Comparison)
  self.text, self.words = vocabulary()
  for _, part in ipairs {
    resolver, results, policy, opensmtpd, opensmtpd_table, server, client,
  } do
    part(self)
  end
  for name in pairs(api.classes) do
    if not self.done[name] then self:wrong("%s: tools/api/check.lua does not look at this class", name) end
  end
  return self.list
end

return M
