-- The chains of certificates that several specs of verify use. Each is made when it is first asked for.
local ca = require "tests.support.ca"

local chains = {}

local makers = {}

function makers.root() return ca.authority { name = "root" } end
function makers.issuer() return ca.authority { name = "issuer", issuer = chains.root } end
function makers.stranger() return ca.authority { name = "stranger" } end

local function leaf(name, options)
  makers[name] = function()
    local all = { name = name, issuer = chains.issuer, names = { "*." .. chains.zone } }
    for key, value in pairs(options) do all[key] = value end
    return ca.leaf(all)
  end
end

--- The zone whose hosts the certificates are for.
chains.zone = "verify.example"

leaf("ec", {})
leaf("rsa", { key = "rsa" })
leaf("ed25519", { key = "ed25519" })
leaf("with-root", { send_root = true })
leaf("alone", { alone = true })
leaf("expired", { from = -20, to = -10 })
leaf("future", { from = 10, to = 20 })
leaf("foreign", { names = { "mx.elsewhere.example" } })
leaf("nameless", { cn = false, names = {} })

makers["self-signed"] = function() return ca.leaf { name = "self-signed" } end
makers.strange = function()
  return ca.leaf { name = "strange", issuer = chains.stranger, names = { "*." .. chains.zone } }
end

return setmetatable(chains, { __index = function(_, name)
  local made = (makers[name] or error("no such chain: " .. tostring(name), 2))()
  chains[name] = made
  return made
end })
