-- The annotations left out fields that errors have: domain, mx_authentic, nxdomain and trace of plan(), the
-- empty lists of the steps. Every field of results and errors is described there, with a type that it may
-- have, and every field that is described occurs.
package.path = "tools/?.lua;" .. package.path
local annotations = require "api.annotations"
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

local classes =
  { "Error", "Destinations", "Ips", "Tlsa", "Record", "PlanHost", "TraceEntry", "Plan", "Sts", "StsError",
    "Stats" }

local plain = {
  string = function(value) return type(value) == "string" end,
  boolean = function(value) return type(value) == "boolean" end,
  number = function(value) return type(value) == "number" end,
  integer = function(value) return type(value) == "number" and value % 1 == 0 end,
  ["true"] = function(value) return value == true end,
  ["false"] = function(value) return value == false end,
}

describe("the annotations describe", function()
  local api, wrong, seen, look

  -- May a field of that type have this value? Looks into lists and classes.
  local function fits(kind, value)
    local inner = kind:match "^(.*)%[%]$"
    if inner then
      if type(value) ~= "table" then return false end
      for _, item in ipairs(value) do
        if not fits(inner, item) then return false end
      end
      return true
    end
    local fields = annotations.inline_fields(kind)
    if fields then
      local described = {}
      for _, field in ipairs(fields) do described[field.name] = field end
      return look(kind, value, described)
    end
    if api.classes[kind] then return look(kind, value) end
    if plain[kind] then return plain[kind](value) end
    if kind == "nexthop.Code" then
      for _, code in ipairs(api.aliases[kind].values) do
        if code.value == value then return true end
      end
      return false
    end
    assert(kind:find '^"', kind) -- one of several strings
    return type(value) == "string" and kind:find('"' .. value .. '"', 1, true) ~= nil
  end

  function look(class, result, described)
    if type(result) ~= "table" then return false end
    described = described or annotations.all_fields(api, class)
    for key, value in pairs(result) do
      local name = class .. "." .. key
      seen[name] = true
      if not described[key] then
        wrong[name] = "not described"
      elseif not fits(described[key].type, value) then
        wrong[name] = ("%s is no %s"):format(tostring(value), described[key].type)
      end
    end
    for key, field in pairs(described) do
      if not field.optional and result[key] == nil then wrong[class .. "." .. key] = "is missing" end
    end
    return true
  end

  before_each(function()
    support.reset()
    api, wrong, seen = annotations.read(), {}, {}
  end)
  after_each(support.close)

  local function call(resolver, class, method, ...)
    local result, err = resolver[method](resolver, ...)
    look(result and class or "nexthop.Error", result or err)
    return result or {}
  end

  it("every field of results and errors, and no other", function()
    local resolver = support.resolver()
    for _, name in ipairs { "mxeverywhere.example", "mx-t-allbad.example", "mx-t-agility.example",
      "nullmx.example", "nothing.example", "broken.example", "s2broken.example", "loop2.example",
      "mxallbad.example", "mx-bogus4.example", "bogus4.example", "bogustlsa.example", "mx1.dane.example",
      "hundred.example", "bogusboth.example", "192.0.2.1", "a..b" } do
      call(resolver, "nexthop.Plan", "plan", name, { trace = true })
      call(resolver, "nexthop.Destinations", "gather_destinations", name)
      call(resolver, "nexthop.Tlsa", "gather_tlsa", name, call(resolver, "nexthop.Ips", "gather_ips", name))
    end
    look("nexthop.Stats", resolver:stats())
    look("nexthop.Error", (select(2, nexthop.new(lab:options { trust_anchor_file = "/dev/null" }))))
    lab:rule { name = "mx2.dane.example", action = "silent" }
    call(resolver, "nexthop.Plan", "plan", "dane.example", { deadline = 1 * support.slow })
    -- MTA-STS: the domain has a policy, and for a second resolver it cannot be fetched
    local world = require("tests.support.sts_world").new("fields.example", 67)
    local domain = world:domain("a", {
      records = '_smtp._tls.@. TXT "v=TLSRPTv1\\; rua=mailto:a\\064b.example"',
    })
    world:start()
    call(resolver, "nexthop.Plan", "plan", domain, world:options { tlsrpt = true })
    call(support.resolver(), "nexthop.Plan", "plan", domain, world:options { sts_port = 9 })
    lab:rule { name = "_mta-sts." .. domain, type = "TXT", action = "silent" }
    call(support.resolver(), "nexthop.Plan", "plan", domain, world:options { deadline = 1 * support.slow })
    lab:clear()
    lab:rule { name = "_smtp._tls." .. domain, type = "TXT", action = "servfail" }
    call(support.resolver(), "nexthop.Plan", "plan", domain, world:options { tlsrpt = true })
    world:stop()
    assert.same({}, wrong)

    local never, has_sts = {}, require("nexthop.core").sts()
    for _, class in ipairs(classes) do
      for key in pairs(annotations.all_fields(api, "nexthop." .. class)) do
        local name = "nexthop." .. class .. "." .. key
        local is_policys = name:find "Sts" or name:find "%.sts" or name:find "%.tlsrpt"
        if not seen[name] and not (is_policys and not has_sts) then never[#never + 1] = name end
      end
    end
    assert.same({}, never)
  end)
end)
