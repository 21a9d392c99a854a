-- Authorities, chains and TLSA records, made by the program openssl and by none of our code.
--
--   local ca = require "tests.support.ca"
--   local root = ca.authority { name = "root" }
--   local issuer = ca.authority { name = "issuer", issuer = root }
--   local leaf = ca.leaf { name = "mx", issuer = issuer, names = { "mx.example" } }
--   ca.tlsa(leaf, 3, 1, 1)                     -- "3 1 1 5891b5b5..."
--
-- A certificate: file (its PEM), chain (its PEM and those of the issuers below the root), key (PEM).
-- What was made is kept in the lab's folder under its name: all specs of a run share it, so that a name
-- means the same certificate everywhere.
--
-- Options of both:
--   name            of its files, and its CN unless `cn` is given
--   key             "ec" (P-256, the default), "rsa" (2048 bits), "ed25519", "p384"; or what no client should
--                   read: "explicit" (a curve that the key describes), "exponent" (RSA with one of 33 bits)
--   from, to        days from now at which it begins and ends (-1 and 30; authorities end after 300)
-- and of a leaf:
--   issuer          an authority; without it the leaf signs itself
--   names           list of its DNS names; none: it has no subjectAltName
--   cn              false: the subject is empty
--   extra           list of further certificates that the server sends after it
--   send_root       the server sends the root, too
--   alone           the server sends the leaf alone
local files = require "tests.support.files"
local shell = require "tests.support.shell"

local ca = {}

local keys = {
  ec = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256",
  p384 = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
  rsa = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
  ed25519 = "-algorithm ED25519",
  explicit = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
  exponent = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:4294967311",
}

-- `openssl ca` alone can set both dates in every release.
local config = [[
[ca]
default_ca = own
[own]
database = %s.index
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = %s
policy = any
x509_extensions = extensions
[any]
commonName = optional
[req]
distinguished_name = name
prompt = no
[name]
[extensions]
subjectKeyIdentifier = hash
%s
]]

local function run(command)
  local said, status = shell.run(command)
  if status ~= 0 then error("openssl failed: " .. command .. "\n" .. said, 2) end
  return said
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local folder

-- The folder of this run.
local function place()
  if not folder then
    folder = require("tests.lab.lab").shared().folder .. "/certificates"
    run("mkdir -p " .. shell.quote(folder))
  end
  return folder
end

local function date(days)
  return os.date("!%Y%m%d%H%M%SZ", os.time() + math.floor(days * 86400))
end

-- Makes the key, the request and the certificate, in the folder.
local function make(self, options, extensions)
  local name, issuer = self.name, options.issuer or self
  local own = options.issuer and ("-cert %s.pem -keyfile %s.key"):format(issuer.name, issuer.name)
    or ("-selfsign -keyfile %s.key"):format(name)
  local subject = "/"
  if options.cn ~= false then subject = "/CN=" .. (options.cn or name) end
  local digest = issuer.kind == "ed25519" and "null" or "sha256"
  files.write(place() .. "/" .. name .. ".conf", config:format(name, digest, extensions))
  files.write(place() .. "/" .. name .. ".index", "")
  run(([[cd %s && umask 077 && export OPENSSL_CONF=%s.conf &&
    { [ -s %s.key ] || openssl genpkey %s -out %s.key; } &&
    openssl req -new -key %s.key -subj %s -out %s.request &&
    openssl ca -batch -notext -preserveDN %s -in %s.request -out %s.new -startdate %s -enddate %s &&
    mv %s.new %s.pem]]):format(shell.quote(place()), name, name, keys[self.kind], name, name,
    shell.quote(subject), name, own, name, name, date(options.from or -1), date(options.to or 30),
    name, name))
end

-- The object of a certificate whose files are there or are made by make().
local function certificate(options, extensions)
  local name = assert(options.name)
  local base = place() .. "/" .. name
  local self = { name = name, file = base .. ".pem", key = base .. ".key", kind = options.key or "ec",
    issuer = options.issuer }
  if options.same_key then
    self.kind = options.same_key.kind
    files.write(self.key, files.read(options.same_key.key))
  end
  if not exists(self.file) then make(self, options, extensions) end
  return self
end

--- A certificate authority: a root, or below `issuer`.
-- @param options also same_key: another certificate, whose key this one has
function ca.authority(options)
  local all = { to = 300 }
  for key, value in pairs(options) do all[key] = value end
  local self = certificate(all, "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign")
  self.chain = self.file
  return self
end

--- The certificate of a server.
function ca.leaf(options)
  local names = {}
  for index, name in ipairs(options.names or {}) do names[index] = "DNS:" .. name end
  local extensions = "basicConstraints = critical, CA:FALSE\nextendedKeyUsage = serverAuth"
  if #names > 0 then extensions = extensions .. "\nsubjectAltName = " .. table.concat(names, ", ") end
  local self = certificate(options, extensions)
  local sent, issuer = { files.read(self.file) }, options.issuer
  while issuer and not options.alone do
    if issuer.issuer or options.send_root then sent[#sent + 1] = files.read(issuer.file) end
    issuer = issuer.issuer
  end
  for _, extra in ipairs(options.extra or {}) do sent[#sent + 1] = files.read(extra.file) end
  self.chain = files.write(place() .. "/" .. self.name .. ".chain", table.concat(sent))
  return self
end

local forms = {
  [0] = { [0] = "cert", [1] = "spki" },
  digests = { [1] = "sha256", [2] = "sha512" },
}

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

--- The hex of a certificate ("cert") or key ("spki"), or of its digest ("sha256", "sha512").
function ca.hex(self, what, digest)
  local path = ("%s/%s.%s"):format(place(), self.name, what)
  if not exists(path) then
    local base = shell.quote(place() .. "/" .. self.name)
    run(what == "cert" and ("openssl x509 -in %s.pem -outform DER -out %s.cert"):format(base, base)
      or ("openssl x509 -in %s.pem -noout -pubkey | openssl pkey -pubin -outform DER -out %s.spki")
      :format(base, base))
  end
  if digest then
    local whole = path
    path = path .. "." .. digest
    if not exists(path) then
      run(("openssl dgst -%s -binary -out %s %s"):format(digest, shell.quote(path), shell.quote(whole)))
    end
  end
  return hex(files.read(path))
end

--- The text of a TLSA record of these three numbers for a certificate.
function ca.tlsa(self, usage, selector, match_type)
  return ("%d %d %d %s"):format(usage, selector, match_type,
    ca.hex(self, forms[0][selector], forms.digests[match_type]))
end

--- A record of the same form that nothing matches.
function ca.stale(usage, selector, match_type)
  return ("%d %d %d %s"):format(usage, selector, match_type, ("5a"):rep(match_type == 2 and 64 or 32))
end

return ca
