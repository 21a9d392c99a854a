--- How results and errors print, in the REPL and in logs: a few lines for a person to read.
local core = require "nexthop.core"
local hex = require "nexthop.hex"

local metatables = core.metatables

local function secure(flag)
  return flag and "secure" or "insecure"
end

local function list(values)
  return #values > 0 and table.concat(values, " ") or "none"
end

-- err.message, which names the domain and what failed.
metatables.error.__tostring = function(err)
  return tostring(err.message)
end

metatables.host.__tostring = function(host)
  return host.pref >= 0 and ("%s (preference %d)"):format(host.host, host.pref) or host.host
end

metatables.destinations.__tostring = function(d)
  local lines = {}
  local name = d.expanded_next_hop
  if not name then
    lines[1] = "an address, no DNS asked"
  else
    lines[1] = ("%s: %s (%s)"):format(name,
      d.have_mx and "MX" or d.nxdomain and "does not exist" or "no MX, the host itself",
      secure(d.expanded_next_hop_authentic))
    if d.orig_next_hop_authentic ~= d.expanded_next_hop_authentic then
      lines[1] = lines[1] .. (", reached by an alias (%s)"):format(secure(d.orig_next_hop_authentic))
    end
  end
  for _, host in ipairs(d.hosts) do
    lines[#lines + 1] = host.pref >= 0 and ("  %5d %s"):format(host.pref, host.host)
      or "        " .. host.host
  end
  return table.concat(lines, "\n")
end

local function failures(failed, lines, indent)
  for _, family in ipairs { "ip6", "ip4" } do
    if failed and failed[family] then
      lines[#lines + 1] = ("%s%s failed: %s"):format(indent, family, tostring(failed[family]))
    end
  end
end

metatables.ips.__tostring = function(r)
  local lines = {}
  lines[1] = ("%s (%s)"):format(r.expanded_host or "an address, no DNS asked",
    secure(r.expanded_authentic))
  if r.host_authentic and not r.expanded_authentic then
    lines[1] = lines[1] .. ", reached by a secure alias"
  end
  for _, ip in ipairs(r.ips) do lines[#lines + 1] = "  " .. ip end
  failures(r.failed, lines, "  ")
  return table.concat(lines, "\n")
end

--- `3 1 1 <hex>`, the form of a zone file.
metatables.record.__tostring = function(r)
  local text = ("%d %d %d %s"):format(r.usage, r.selector, r.match_type, hex.encode(r.data))
  return text
end

-- Full certificates are long: a line shows how they begin.
local function brief(record)
  local text = tostring(record)
  if #text > 150 then text = text:sub(1, 100) .. ("... (%d bytes)"):format(#record.data) end
  return text
end

local function add_records(result, lines, indent)
  for _, record in ipairs(result.records or {}) do
    lines[#lines + 1] = indent .. "TLSA " .. brief(record)
  end
  for _, record in ipairs(result.unusable or {}) do
    lines[#lines + 1] = ("%snot usable: %s (%s)"):format(indent, brief(record), record.reason)
  end
end

metatables.tlsa.__tostring = function(t)
  local lines = {}
  if not t.dane_required then
    lines[1] = t.tlsa_base_domain .. ": no DANE"
  elseif #t.records == 0 then
    lines[1] = t.tlsa_base_domain .. ": TLSA records, none usable: TLS without verification"
  else
    lines[1] = t.tlsa_base_domain .. ": DANE"
  end
  add_records(t, lines, "  ")
  return table.concat(lines, "\n")
end

local owed = {
  dane = "DANE: verify", sts = "MTA-STS: verify by PKIX",
  encrypt = "TLS without verification", may = "no DANE", skip = "skip",
}

local function add_host(host, lines)
  lines[#lines + 1] = ("  %s%s (%s): %s"):format(
    host.pref >= 0 and ("%d "):format(host.pref) or "", host.host,
    secure(host.expanded_authentic), owed[host.tls] or host.tls)
  if host.err then lines[#lines] = lines[#lines] .. ", " .. tostring(host.err) end
  if #host.ips > 0 then lines[#lines + 1] = "    " .. list(host.ips) end
  failures(host.failed, lines, "    ")
  add_records(host, lines, "    ")
  if host.names then lines[#lines + 1] = "    names: " .. list(host.names) end
end

metatables.plan_host.__tostring = function(host)
  local lines = {}
  add_host(host, lines)
  return (table.concat(lines, "\n"):gsub("^  ", ""):gsub("\n  ", "\n"))
end

metatables.plan.__tostring = function(p)
  local lines = { ("%s: %s"):format(p.domain, p.have_mx and ("MX (%s)"):format(secure(p.mx_authentic))
    or "no MX, the host itself") }
  if p.expanded_next_hop and p.expanded_next_hop ~= p.domain then
    lines[1] = lines[1] .. ", an alias of " .. p.expanded_next_hop
  end
  for _, host in ipairs(p.hosts) do add_host(host, lines) end
  if p.truncated then lines[#lines + 1] = ("  %d more hosts left out"):format(p.truncated) end
  if p.sts then lines[#lines + 1] = ("  MTA-STS: %s, mx %s"):format(p.sts.mode, list(p.sts.mx)) end
  if p.sts_err then lines[#lines + 1] = "  MTA-STS: " .. tostring(p.sts_err) end
  if p.tlsrpt then lines[#lines + 1] = "  reports: " .. list(p.tlsrpt.rua) end
  if p.tlsrpt_err then lines[#lines + 1] = "  reports: " .. tostring(p.tlsrpt_err) end
  return table.concat(lines, "\n")
end
