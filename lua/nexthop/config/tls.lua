--- DNS over TLS: the options `tls` and `tls_cert_bundle`.
local checks = require "nexthop.config.checks"
local core = require "nexthop.core"
local defaults = require "nexthop.config.defaults"

local fail = checks.fail

local M = {}

local bundles = {
  "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
}

--- Fails where this libunbound does no DNS over TLS or checks no names, which a context of its own tells.
-- Debian's is built on nettle; told to use TLS by an unbound.conf, it silently does without.
-- @param what asks for TLS, for the message
function M.check(what)
  local steps = defaults.first(true, true)
  steps[#steps + 1] = { "forward", "127.0.0.1@853#localhost", nil, "forward" }
  steps[#steps + 1] = { "tls", nil, nil, "tls" }
  local probe = core.new { steps = steps, timeout = 1, max_pending = 1, budget = 1, idle = function() end }
  if not probe then
    fail("%s: this libunbound (%s) has no TLS, or none that checks names (Debian's is without)", what,
      core.versions().libunbound)
  end
  probe:close()
end

--- Returns the steps for DNS over TLS to the forwarders. A certificate is checked against the name after '#':
-- without a libunbound that does so there is no connection.
function M.steps(options)
  if not options.tls then return {} end
  if not options.forward then fail "tls: needs forward addresses with a name, 9.9.9.9@853#name" end
  for _, address in ipairs(checks.strings(options.forward, "forward")) do
    if not address:find "#." then
      fail("tls: forward '%s' has no name to check the certificate against (address@853#name)",
        address)
    end
  end
  local bundle = options.tls_cert_bundle or checks.first_existing(bundles)
  if not bundle then fail "tls: no bundle of certificates found, name it as tls_cert_bundle" end
  local text, reason = checks.read_file(bundle)
  if not text then fail("tls_cert_bundle: cannot read it: %s", reason) end
  if not text:find "BEGIN CERTIFICATE" then
    fail("tls_cert_bundle: %s holds no certificate", bundle)
  end
  M.check "tls"
  return {
    { "option", "tls-cert-bundle:", bundle, "tls: this libunbound does not know tls-cert-bundle" },
    { "tls", nil, nil, "tls: this libunbound has no TLS" },
  }
end

return M
