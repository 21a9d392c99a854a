--- The root certificates of this machine: which of them is a TLSA record of?
local core = require "nexthop.core"

local M = {}

local places = {
  "/etc/ssl/certs/ca-certificates.crt", -- Debian, Arch Linux
  "/etc/pki/tls/certs/ca-bundle.crt",   -- Fedora
  "/etc/ssl/cert.pem",                  -- OpenBSD, FreeBSD, Alpine
}

local read = {}

-- The certificates of a file; an empty list where there are none.
local function certificates(path)
  if not read[path] then
    local file = io.open(path, "rb")
    read[path] = file and core.certificates(file:read "*a") or {}
    if file then file:close() end
  end
  return read[path]
end

--- The subject of the root that a TLSA record is of; nil: none of those that are known.
-- @param record of usage 2
-- @param ca_file nil: the roots of the system
function M.find(record, ca_file)
  for _, path in ipairs(ca_file and { ca_file } or places) do
    for _, one in ipairs(certificates(path)) do
      if one.kind == "certificate" then
        local bytes = record.selector == 1 and one.spki or one.der
        if core.digest(bytes, record.match_type) == record.data then return one.subject end
      end
    end
  end
end

return M
