-- Makes what the lab serves: certificates (openssl), keys (ldns-keygen), delegations, signatures
-- (ldns-signzone), all in one folder. Runs its programs to their end; only used before serving.
local files = require "tests.support.files"
local shell = require "tests.support.shell"
local wire = require "tests.lab.wire"
local zones = require "tests.lab.zones"

local build = {}

local ALGORITHM = "ECDSAP256SHA256"
-- Name servers are never followed (every answer comes from one server): an address that refuses.
local NOWHERE = "127.255.255.53"

local read, write, quote = files.read, files.write, shell.quote

-- Runs shell text in a folder; raises with everything it said when it fails.
local function run(dir, script)
  local marker = "lab script is done"
  local said = shell.run(("cd %s && { %s\necho %s; }"):format(quote(dir), script, quote(marker)))
  if said:sub(-#marker - 1) ~= marker .. "\n" then
    error(said ~= "" and said or "the shell said nothing", 0)
  end
  return said:sub(1, -#marker - 2)
end

-- Runs commands side by side, then reports all that failed.
local function together(dir, commands)
  local script = {}
  for index, command in ipairs(commands) do
    script[index] = ("{ %s; } >job%d.log 2>&1 || echo failed >>job%d.failed &"):format(
      command, index, index)
  end
  run(dir, table.concat(script, "\n") .. [[

wait
for failed in job*.failed; do
    [ -e "$failed" ] || continue
    cat "${failed%.failed}.log"
    exit 1
done
rm -f job*.log]])
end

local function file_name(zone)
  return zone.name == "." and "root" or zone.name
end

-- Certificates -------------------------------------------------------------------------------

local certificate_script = [[
request="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -batch"
openssl req -x509 $request -days 30 -keyout ca.key -out ca.pem -subj "/CN=nexthop lab CA" &&
openssl req -new $request -keyout server.key -out server.csr -subj "/CN=mx1.dane.example" &&
printf '%s\n' basicConstraints=critical,CA:FALSE \
    subjectAltName=DNS:mx1.dane.example,DNS:mx2.dane.example,DNS:dane.example >server.ext &&
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
    -extfile server.ext -out server.pem &&
for who in ca server; do
    openssl x509 -in $who.pem -outform DER -out $who.cert &&
    openssl x509 -in $who.pem -noout -pubkey | openssl pkey -pubin -outform DER -out $who.spki &&
    for what in cert spki; do
        openssl dgst -sha256 -binary -out $who.$what.sha256 $who.$what &&
        openssl dgst -sha512 -binary -out $who.$what.sha512 $who.$what || exit 1
    done || exit 1
done]]

-- The ${words} of zone text: "server.cert", "ca.spki.sha256", ... in hex.
local function read_words(dir)
  local words = {}
  for _, who in ipairs { "ca", "server" } do
    for _, what in ipairs { "cert", "spki" } do
      local name = who .. "." .. what
      for _, form in ipairs { name, name .. ".sha256", name .. ".sha512" } do
        words[form] = (read(dir .. "/" .. form):gsub(".", function(c)
          return ("%02x"):format(c:byte())
        end))
      end
      words[name .. ".truncated"] = words[name]:sub(1, -3)
    end
  end
  return words
end

-- Zones --------------------------------------------------------------------------------------

local function below(child, parent)
  return child ~= parent
    and (parent == "." or child:sub(-#parent - 1) == "." .. parent)
end

-- The zone a zone is delegated from: the longest name above it.
local function parent_of(zone, all)
  local best
  for _, other in ipairs(all) do
    if below(zone.name, other.name)
      and (not best or best.name == "." or #other.name > #best.name) then
      best = other
    end
  end
  return best
end

function build.has_children(zone, all)
  for _, other in ipairs(all) do
    if parent_of(other, all) == zone then
      return true
    end
  end
  return false
end

local function is_signed(zone)
  return zone.signed ~= false
end

local function dot(name)
  return name == "." and "." or name .. "."
end

-- A DS record for keys or with a digest that no validator knows. A digest of type 1 has 20 bytes: newer name
-- servers load no other.
local function renumbered(zone, ds)
  return (ds:gsub("DS%s+(%d+)%s+(%d+)%s+(%d+)%s+(%x+)", function(tag, algorithm, kind, digest)
    if zone.digest == 1 then digest = digest:sub(1, 40) end
    return ("DS %s %d %d %s"):format(tag, zone.algorithm or algorithm, zone.digest or kind, digest)
  end))
end

local function delegation(zone, ds)
  local name = dot(zone.name)
  local text = ("%s NS ns.%s\nns.%s A %s\n"):format(name, name, name, zone.server or NOWHERE)
  return ds and text .. ds or text
end

-- The DS to publish for a zone, or nil.
local function ds_of(dir, zone)
  if not is_signed(zone) or zone.ds == "none" then
    return nil
  end
  local which = zone.ds == "other" and ".other" or ".key"
  local key = read(dir .. "/" .. file_name(zone) .. which):match("%S+")
  local ds = renumbered(zone, read(dir .. "/" .. key .. ".ds"))
  if zone.ds == "unknown" then
    ds = ds:gsub("(DS%s+%d+%s+)%d+", "%1200") -- an algorithm that is not assigned
  end
  return ds
end

local function zone_text(dir, zone, all, words)
  local origin = zone.name == "." and "." or zone.name .. "."
  local lines = {
    "$ORIGIN " .. origin,
    "$TTL 300",
    "@ SOA ns hostmaster 1 3600 600 86400 60",
    "@ NS ns",
    "ns A " .. (zone.server or NOWHERE),
    zones.expand(zone.text or "", words),
  }
  for _, child in ipairs(all) do
    if parent_of(child, all) == zone then
      lines[#lines + 1] = delegation(child, ds_of(dir, child))
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

local function sign_command(dir, zone)
  local name = file_name(zone)
  local options = { "ldns-signzone", "-f", name .. ".signed" }
  if zone.nsec3 then
    options[#options + 1] = ("-n -s ab -t %d"):format(zone.nsec3.iterations)
    options[#options + 1] = zone.nsec3.optout and "-p" or nil
  end
  local day, now = 86400, os.time()
  options[#options + 1] = zone.expired
    -- Validators grant a day of skew.
    and ("-i %d -e %d"):format(now - 20 * day, now - 3 * day)
    or ("-i %d -e %d"):format(now - day, now + 20 * day)
  options[#options + 1] = name .. ".zone"
  options[#options + 1] = quote(read(dir .. "/" .. name .. ".key"):match("%S+"))
  return table.concat(options, " ")
end

-- What is broken after signing: signatures changed in one letter, types left out.
local function damage(zone, line)
  local owner, kind, rest = line:match("^(%S+)%s+%d+%s+IN%s+(%S+)%s+(.*)$")
  if not owner then
    return line
  end
  local covered = kind == "RRSIG" and rest:match("^%S+")
  if zone.algorithm and covered then
    line = line:gsub("(RRSIG%s+%S+%s+)%d+", ("%%1%d"):format(zone.algorithm))
  elseif zone.algorithm and kind == "DNSKEY" then
    line = line:gsub("(DNSKEY%s+%d+%s+%d+%s+)%d+", ("%%1%d"):format(zone.algorithm))
  end
  if zone.drop and (zone.drop[kind] or zone.drop[covered]) then
    return nil
  end
  local corrupt = zone.corrupt
  if covered and corrupt and covered ~= "DNSKEY"
    and (corrupt["*"] or corrupt[owner:lower() .. " " .. covered]) then
    local head, signature, tail = line:match("^(.*%s)(%S+==)(.*)$")
    local letter = signature:sub(20, 20) == "A" and "B" or "A"
    return head .. signature:sub(1, 19) .. letter .. signature:sub(21) .. tail
  end
  return line
end

local function finish(dir, zone)
  local path = dir .. "/" .. file_name(zone) .. ".signed"
  local lines = {}
  for signed in io.lines(path) do
    local line = damage(zone, signed)
    if line then
      -- A record without data: ldns writes it as text that nobody reads, and NSD since 4.10 takes
      -- it in no form at all. It is served with a byte that the proxy takes away again.
      line = line:gsub("TLSA%s+(%d+) (%d+) (%d+)%s*$", function(usage, selector, match)
        return ("TLSA %d %d %d %s"):format(usage, selector, match, wire.no_data)
      end)
      lines[#lines + 1] = line
    end
  end
  write(path, table.concat(lines, "\n") .. "\n")
end

-- Makes keys and certificates that are not there yet.
local function make_keys(dir, all, with_certificates)
  local jobs = {}
  if with_certificates then
    jobs[1] = certificate_script
  end
  local function key(zone, suffix)
    jobs[#jobs + 1] = ("ldns-keygen -a %s -k %s >%s"):format(
      ALGORITHM, zone.name, quote(file_name(zone) .. suffix))
  end
  for _, zone in ipairs(all) do
    if is_signed(zone) and not zone.has_key then
      key(zone, ".key")
      if zone.ds == "other" then
        key(zone, ".other")
      end
      zone.has_key = true
    end
  end
  together(dir, jobs)
end

-- Builds (or, with only = { [zone] = true }, builds again) the zones in a folder. Sets zone.file,
-- the path of what to serve. Returns the words of zone text.
function build.zones(dir, all, words, only)
  make_keys(dir, all, not words)
  words = words or read_words(dir)
  local jobs = {}
  for _, zone in ipairs(all) do
    if not only or only[zone] then
      local name = file_name(zone)
      write(("%s/%s.zone"):format(dir, name), zone_text(dir, zone, all, words))
      zone.file = ("%s/%s.%s"):format(dir, name, is_signed(zone) and "signed" or "zone")
      if is_signed(zone) then
        jobs[#jobs + 1] = sign_command(dir, zone)
      end
    end
  end
  together(dir, jobs)
  for _, zone in ipairs(all) do
    if is_signed(zone) and (not only or only[zone]) then
      finish(dir, zone)
    end
  end
  return words
end

-- Adds zones to those there are; only they and the zones above them are built.
function build.add(dir, all, words, added)
  local only = {}
  for _, zone in ipairs(added) do
    local at = #all + 1
    for i, old in ipairs(all) do
      if old.name == zone.name then
        at = i -- another spec has added it, too: NSD wants each zone once
      end
    end
    all[at] = zone
    only[zone] = true
  end
  for _, zone in ipairs(added) do
    only[parent_of(zone, all)] = true
  end
  build.zones(dir, all, words, only)
end

-- The trust anchor: the DS of the root's key.
function build.anchor(dir)
  local ds = ds_of(dir, { name = "." })
  write(dir .. "/root.anchor", ds)
  return (ds:gsub("%s+", " "):gsub(" $", "")), dir .. "/root.anchor"
end

return build
