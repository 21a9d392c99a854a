--- `nexthop --make-tlsa`: prints the TLSA record for a certificate or a key.
local core = require "nexthop.core"
local tlsa_record = require "nexthop.doctor.tlsa_record"

local M = {}

--- Reads a file of certificates and keys, in PEM or DER.
-- @return the list of core.certificates(); or nil and the reason, which begins with the path
function M.read(path)
  local file, reason = io.open(path, "rb")
  if not file then return nil, reason end
  local text = file:read "*a"
  file:close()
  if not text then return nil, path .. ": it cannot be read" end
  local list, why = core.certificates(text)
  if not list then return nil, ("%s: %s"):format(path, why) end
  return list
end

--- The certificates of a list, in their order.
function M.certificates(list)
  local certificates = {}
  for _, object in ipairs(list) do
    if object.kind == "certificate" then certificates[#certificates + 1] = object end
  end
  return certificates
end

-- What the record is about. With usage 2 it is a CA: the second certificate, where the first is that of the
-- server.
local function subject(list, usage)
  local certificates = M.certificates(list)
  return certificates[usage == 2 and #certificates > 1 and 2 or 1] or list[1]
end

--- The lines to print.
-- @param args make_tlsa, names (of hosts; none: the record without a name), ports, usage, selector, match
-- @return text; or nil and the reason
function M.lines(args)
  local list, reason = M.read(args.make_tlsa)
  if not list then return nil, reason end
  local usage = args.usage or 3
  local record, why = tlsa_record.of(subject(list, usage), usage, args.selector or 1, args.match or 1)
  if not record then return nil, ("%s: %s"):format(args.make_tlsa, why) end
  local text = tlsa_record.text(record)
  if #args.names == 0 then return text .. "\n" end
  local lines = {}
  for _, given in ipairs(args.names) do
    local host, wrong = core.name(given)
    if not host then return nil, ("%s: %s"):format(given, wrong) end
    for _, port in ipairs(args.ports) do
      lines[#lines + 1] = ("%s. IN TLSA %s\n"):format(tlsa_record.name(host, port), text)
    end
  end
  return table.concat(lines)
end

return M
