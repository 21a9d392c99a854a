-- nexthop --make-tlsa: its records are compared with what the program openssl makes of the same files.
local ca = require "tests.support.ca"
local files = require "tests.support.files"
local program = require "tests.support.program"
local shell = require "tests.support.shell"
local support = require "tests.support"

local function make(...)
  return program.run({ "--make-tlsa", ... }, { bare = true })
end

after_each(files.remove)

local kinds = { ec = "ECDSA P-256", p384 = "ECDSA P-384", rsa = "RSA", ed25519 = "Ed25519" }

for kind, title in pairs(kinds) do
  describe("nexthop --make-tlsa with " .. title, function()
    local leaf, der, key_der, public_key

    setup(function()
      leaf = ca.leaf { name = "make-tlsa-" .. kind, key = kind, names = { "mx.example" } }
    end)
    before_each(function()
      der, key_der, public_key = files.path ".der", files.path ".key", files.path ".pub"
      assert.equal("", (shell.run(([[openssl x509 -in %s -outform DER -out %s &&
        openssl pkey -in %s -outform DER -out %s &&
        openssl pkey -in %s -pubout -out %s]]):format(leaf.file, der, leaf.key, key_der, leaf.key,
        public_key))))
    end)

    for selector = 0, 1 do
      for match_type = 0, 2 do
        it(("makes the record 3 %d %d of a certificate"):format(selector, match_type), function()
          local expected = ca.tlsa(leaf, 3, selector, match_type) .. "\n"
          for _, path in ipairs { leaf.file, der } do
            local r = make(path, "--selector", tostring(selector), "--match", tostring(match_type))
            assert.equal(expected, r.out, r.err)
            assert.equal(0, r.status)
          end
        end)
      end
    end

    it("makes the record of a private or public key, in PEM or DER", function()
      for match_type = 0, 2 do
        for _, path in ipairs { leaf.key, key_der, public_key } do
          local r = make(path, "--match", tostring(match_type))
          assert.equal(ca.tlsa(leaf, 3, 1, match_type) .. "\n", r.out, path .. r.err)
        end
      end
    end)
  end)
end

describe("nexthop --make-tlsa", function()
  local issuer, leaf

  setup(function()
    issuer = ca.authority { name = "make-tlsa-issuer", issuer = ca.authority { name = "make-tlsa-root" } }
    leaf = ca.leaf { name = "make-tlsa-leaf", issuer = issuer, names = { "mx.example" } }
  end)

  it("writes lines of a zone file for hosts", function()
    local r = make(leaf.chain, "--port", "465", "MX.example", "mx2.example.")
    local data = ca.tlsa(leaf, 3, 1, 1)
    assert.equal(("_465._tcp.mx.example. IN TLSA %s\n_465._tcp.mx2.example. IN TLSA %s\n"):format(data, data),
      r.out, r.err)
    r = make(leaf.chain, "--port", "25", "--port", "465", "mx.example")
    assert.equal(("_25._tcp.mx.example. IN TLSA %s\n_465._tcp.mx.example. IN TLSA %s\n"):format(data, data),
      r.out, r.err)
  end)

  it("means the issuer with usage 2, where the file has a chain", function()
    assert.equal(ca.tlsa(issuer, 2, 1, 1) .. "\n", make(leaf.chain, "--usage", "2").out)
    assert.equal(ca.tlsa(issuer, 2, 0, 2) .. "\n",
      make(issuer.file, "--usage", "2", "--selector", "0", "--match", "2").out)
  end)

  it("refuses what has no record", function()
    for text, words in pairs {
      ["No such file"] = { "/nonexistent" },
      ["there is no certificate and no key in it"] = { files.new "text" },
      ["there is no certificate and no key in it "] = { files.new "" },
      ["selector 0 needs a certificate"] = { leaf.key, "--selector", "0" },
      ["--usage: '4' is no whole number from 0 to 3"] = { leaf.file, "--usage", "4" },
      ["a..b: "] = { leaf.file, "a..b" },
    } do
      local r = make((table.unpack or unpack)(words)) -- luacheck: ignore
      assert.equal(64, r.status, text .. r.out)
      support.contains(r.err, (text:gsub(" $", "")))
      assert.equal("", r.out)
    end
    local r = program.run({ "--usage", "3", "mx.example" }, { bare = true })
    assert.equal(64, r.status)
    support.contains(r.err, "--usage needs --make-tlsa")
  end)
end)
