--- What a plan means for mail: one finding for a sender's or a recipient's domain, shared by the
-- OpenSMTPD filter, the rspamd plugin, the lookup server and scripts of one's own. This file is the public
-- face of mail/, and of the checks of options in config/.
--
--   local domain = policy.domain(address)             -- nil: nothing to look up
--   resolver:plan(domain, function(plan, err)
--     print(policy.find("sender", plan, err))         -- "null_mx", "ok", ...
--   end)
local addresses = require "nexthop.mail.addresses"
local exclusions = require "nexthop.mail.exclusions"
local findings = require "nexthop.mail.findings"
local settings = require "nexthop.config.settings"

return {
  findings = findings.findings, is_finding = findings.is_finding, find = findings.find,
  unfinished = findings.unfinished,
  domain = addresses.domain, is_global = addresses.is_global, is_loopback = addresses.is_loopback,
  exclusions = exclusions.of, check = settings.check, options = settings.options,
}
