--- The defaults of libunbound that nexthop changes, each with its reason. ("rule N" is in CONTRIBUTING.md.)
-- A step of the kind `default` is no error where a libunbound does not know the option. Two more defaults
-- depend on the process and are computed in src/context.c: outgoing-range and outgoing-num-tcp.
local core = require "nexthop.core"

local M = {}

-- Since 1.19.3 libunbound sends one packet for each try. Older releases send two: they repeat a question
-- that was not answered with another EDNS buffer size. Where a fifth of the packets is lost each way, five
-- tries lose one plan of 400. With a forwarder there are six tries and no more, as libunbound makes all of
-- them when the forwarder answers SERVFAIL. The time for an answer doubles with each try, from 50 ms on: it
-- is 0.8 s at the fifth and 1.6 s at the sixth. A forwarder that was fast and now needs 1.4 s has its time at
-- the sixth.
local function tries(has_forwarder)
  local major, minor, patch = core.versions().libunbound:match "^(%d+)%.(%d+)%.(%d+)"
  local one_packet = major and (major * 1000 + minor) * 1000 + patch >= 1019003
  if has_forwarder then return "6" end
  return one_packet and "10" or "7"
end

local function step(name, value)
  return { "default", name .. ":", value }
end

--- Returns the steps that come before all that the caller configures, who may change them.
-- @param asks_this_machine is one of the servers to ask on this machine?
-- @param has_forwarder is one of them a forwarder?
function M.first(asks_this_machine, has_forwarder)
  return {
    -- These five decide how long a good answer is waited for, and how long a silent server is remembered
    -- (rule 4); `make bench` shows their effect. The first two are variables of the process in libunbound:
    -- every resolver must have the same ones.
    step("infra-cache-min-rtt", "50"),
    step("infra-cache-max-rtt", "120000"),
    step("infra-host-ttl", "10"),
    step("outbound-msg-retry", tries(has_forwarder)),
    step("max-sent-count", "32"),
    -- libunbound would tell the name servers of the root which trust anchor it has.
    step("trust-anchor-signaling", "no"),
    -- Otherwise addresses change places every second: an answer must be the same each time.
    step("rrset-roundrobin", "no"),
    -- DNS data must not lead libunbound to ask this machine, unless the caller told it to.
    step("do-not-query-localhost", asks_this_machine and "no" or "yes"),
  }
end

--- Returns the step that goes with a stub zone. libunbound answers some zones itself (test., localhost.,
-- private reverse zones). They are the caller's when he has a stub for them; the type `nodefault` has no
-- effect through the API (rule 5).
function M.of_stub(zone)
  return step("local-zone", zone .. " transparent")
end

--- Returns the step that comes after an unbound.conf: at that threshold libunbound drops its cache, and with
-- it the trust anchors.
function M.after_unbound_conf()
  return step("unwanted-reply-threshold", "0")
end

return M
