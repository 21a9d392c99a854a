-- The verdict of verify is that of Postfix's posttls-finger. finger.lua has the cases.
local child = require "tests.support.child"
local mtas = require "tests.integration.mtas"
local shell = require "tests.support.shell"
local smtpd = require "tests.integration.smtpd"

-- Where the two differ: what is not protected by TLS and comes behind the reply to STARTTLS is forgotten by
-- Postfix, as RFC 3207 section 4.2 wants it, and the connection goes on. verify finds it and says so.
local differences = { ["a reply injected behind that to STARTTLS"] = "plaintext-injected true" }

describe("verify and posttls-finger", function()
  local root, why

  setup(function()
    root, why = mtas.root "postfix"
    if root and select(2, shell.run "unshare --net --mount ip link set lo up") ~= 0 then
      root, why = nil, "unshare or ip cannot make a network here"
    end
  end)

  it("have the same verdict in each case", function()
    smtpd.need(root, why, pending)
    local script = ("ip link set lo up && unset NEXTHOP_LAB && exec %s tests/integration/finger.lua %s")
      :format(shell.quote(child.lua), shell.quote(root))
    local said, status = shell.run(("flock %s.lock unshare --net --mount --fork --kill-child sh -c %s")
      :format(root, shell.quote(script)))
    assert.equal(0, status, said)
    local same, different = 0, {}
    for line in said:gmatch "[^\n]+" do
      local title, verdicts = line:match "^(.-): different (%S+ %S+):"
      if title then
        different[title] = verdicts
      elseif line:find(": same ", 1, true) then
        same = same + 1
      end
    end
    assert.same(differences, different)
    assert.equal(36, same, said)
  end)
end)
