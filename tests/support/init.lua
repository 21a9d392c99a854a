-- What the specs share: the lab, resolvers that end with their test, and what every error must keep to.
--
--   local support = require "tests.support"
--   local lab = support.lab
--   before_each(support.reset)
--   after_each(support.close)
local assert = require "luassert"
local nexthop = require "nexthop"

local support = { lab = require("tests.lab.lab").shared() }
local lab = support.lab

--- Fixed times that must be longer than the work of a moment are multiplied by this: 1, or more where a
-- tool slows everything down (tests/under).
support.slow = tonumber(os.getenv "NEXTHOP_SLOW" or 1)

--- Which of the Luas of this run is ours, and how many are there? What takes long is divided among them.
-- @return our number, from 1, and how many (tests/run says them; one without it)
function support.part()
  local own, index, count = os.getenv "NEXTHOP_LUA_NAME", 1, 0
  for lua in (os.getenv "NEXTHOP_LUAS" or "one"):gmatch("%S+") do
    count = count + (lua == "unit" and 0 or 1)
    index = lua == own and count or index
  end
  return index, count
end

--- Options of libunbound with which it gives no silent server up before our own timeouts and deadlines come.
support.patient = { ["infra-cache-min-rtt"] = "30000", ["infra-cache-max-rtt"] = "60000",
  ["unknown-server-time-limit"] = "30000" }

local open = {}

--- A resolver on the lab, with an empty cache; closed after the test.
-- @param extra options of nexthop.new beside lab:options()
function support.resolver(extra)
  local resolver = assert(nexthop.new(lab:options(extra)))
  open[#open + 1] = resolver
  return resolver
end

--- For before_each: no rules, counts at zero.
function support.reset()
  lab:clear()
  lab:reset()
end

--- For after_each: closes the resolvers of the test.
function support.close()
  for _, resolver in ipairs(open) do
    resolver:close()
  end
  open = {}
end

--- Newer releases of libunbound give some denials that are forged where nothing is signed up as SERVFAIL. For
-- the comparison of whole worlds alone.
support.gives_up = (function()
  local major, minor = nexthop.versions().libunbound:match "^(%d+)%.(%d+)"
  return tonumber(major) * 1000 + tonumber(minor) > 1017
end)()

local permanent = { no_mail = true, nxdomain = true, invalid_name = true, invalid_mx = true }

--- Fills the cache with what is known of names, whatever that is.
function support.look_up(resolver, names)
  for _, name in ipairs(names) do
    resolver:gather_ips(name)
    resolver:gather_tlsa(name)
    resolver:gather_destinations(name)
  end
end

--- Asserts that a call has failed with this code, and what the API says of every error.
-- @return the error
function support.failed(code, result, err)
  assert.is_nil(result)
  assert.is_table(err)
  assert.equal(code .. ": " .. err.message, tostring(err.code) .. ": " .. tostring(err))
  assert.equal(permanent[code] or false, err.permanent)
  assert.is_nil(err.message:find("%c"), "more than one line: " .. err.message)
  return err
end

--- Asserts that a text contains others, literally.
function support.contains(text, ...)
  for _, part in ipairs { ... } do
    assert(text:find(part, 1, true), ("%q is not in: %s"):format(part, text))
  end
end

--- Asserts that a text contains none of these, literally.
function support.lacks(text, ...)
  for _, part in ipairs { ... } do
    assert(not text:find(part, 1, true), ("%q is in: %s"):format(part, text))
  end
end

--- Asserts a TTL: what the zone says, less what the test took (the zones' TTLs are far apart).
function support.ttl(expected, actual)
  assert.is_number(actual)
  assert(actual <= expected and actual > expected - 15,
    ("ttl %d, not %d"):format(actual, expected))
end

--- Asserts the fields of a result or error that are given, deeply.
function support.fields(expected, actual)
  for key, value in pairs(expected) do
    assert.same(value, actual[key], key)
  end
end

return support
