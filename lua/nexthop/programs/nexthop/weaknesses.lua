--- Why an answer is not secure, in words: what is so, and what helps where that is known. The kinds are those
-- of diagnose.lua.
local MAX_ITERATIONS = require("nexthop.programs.nexthop.diagnose").MAX_ITERATIONS

local function sign(weak)
  local zone = weak.zone ~= weak.link and (" (%s)"):format(weak.zone) or ""
  return ("sign the zone of %s%s with DNSSEC and have its DS published in the zone above")
    :format(weak.link, zone)
end

local kinds = { unsigned = sign }

function kinds.no_ds(weak)
  return ("the zone %s has keys, but the zone above has no DS for it: have it published there")
    :format(weak.zone)
end

function kinds.algorithm(weak)
  return ("the zone %s is signed, but with no algorithm that the validator here supports (its DS have %s), "
    .. "and so counts as unsigned: sign it with one that all support, such as 13 (RFC 8624)")
    :format(weak.zone, table.concat(weak.numbers, ", "))
end

function kinds.digest(weak)
  return ("the zone %s is signed, but its DS have no digest type that the validator here supports (%s), "
    .. "and so it counts as unsigned: have a DS of type 2 published in the zone above (RFC 8624)")
    :format(weak.zone, table.concat(weak.numbers, ", "))
end

function kinds.not_validated(weak)
  return ("the zone %s has a DS that can be used, yet its answers do not count as secure here")
    :format(weak.zone)
end

function kinds.unproven(weak)
  if weak.iterations > MAX_ITERATIONS then
    return ("a wildcard makes the answer at %s, and the proof of that takes %d NSEC3 iterations; with more "
      .. "than %d it does not count: use 0 (RFC 9276)"):format(weak.link, weak.iterations, MAX_ITERATIONS)
  elseif weak.optout then
    return ("a wildcard makes the answer at %s, which a zone with NSEC3 opt-out cannot prove: write the name "
      .. "into the zone, or sign it without opt-out"):format(weak.link)
  end
  return ("every zone on the way to %s is secure, yet the answer is not"):format(weak.link)
end

function kinds.unknown(weak)
  return ("here it is neither secure that %s has a DS nor that it has none"):format(weak.zone)
end

function kinds.failed(weak)
  return ("why is not known: %s of %s could not be looked up"):format(weak.type, weak.name)
end

return kinds
