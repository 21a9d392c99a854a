-- What every Lua in the shell of `make lab` runs first (LUA_INIT): a resolver that is created without
-- name servers asks the lab, and trusts the lab's anchor.
local found, nexthop = pcall(require, "nexthop")
if not found then
  return -- a Lua for which nexthop is not built
end

local new = nexthop.new

function nexthop.new(options)
  if options ~= nil and type(options) ~= "table" then
    return new(options)
  end
  local merged = {}
  for key, value in pairs(options or {}) do merged[key] = value end
  if not (merged.forward or merged.stub or merged.unbound_conf) and merged.resolv_conf == nil then
    merged.forward = os.getenv "LAB_RESOLVER"
  end
  if merged.trust_anchor_file == nil and merged.trust_anchor == nil and merged.unbound_conf == nil then
    merged.trust_anchor_file = os.getenv "LAB_ANCHOR"
  end
  return new(merged)
end
