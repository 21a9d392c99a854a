--- Findings about signatures that end soon or have ended, from what the name servers of a zone say. No DNS.
local M = {}

local names = { [1] = "A", [2] = "NS", [6] = "SOA", [15] = "MX", [28] = "AAAA", [48] = "DNSKEY", [51] =
  "NSEC3PARAM", [47] = "NSEC", [50] = "NSEC3", [52] = "TLSA" }

--- The signature of a server that ends first; nil: it has none.
function M.first_to_end(said)
  local first
  for _, answer in pairs(said.answers) do
    for _, one in ipairs(answer.signatures or {}) do
      if not first or one.expiration < first.expiration
        or one.expiration == first.expiration and one.owner .. one.covered < first.owner .. first.covered then
        first = one
      end
    end
  end
  return first
end

local function text_of(one)
  return ("the signature over the %s of %s"):format(names[one.covered] or "TYPE" .. one.covered, one.owner)
end

--- Adds the findings.
-- @param self of nexthop.doctor.judge
-- @param settings { critical = days, now = seconds since 1970 }
function M.judge(self, settings)
  local groups, order = {}, {}
  for _, said in ipairs(self.alive) do
    local one = M.first_to_end(said)
    local left = one and (one.expiration - settings.now) / 86400
    if left and left < settings.critical then
      local key = ("%s %d %.0f"):format(one.owner, one.covered, one.expiration)
      if not groups[key] then
        groups[key] = { one = one, left = left, servers = {} }
        order[#order + 1] = groups[key]
      end
      table.insert(groups[key].servers, said)
      said.explained = said.explained or left < 0
    end
  end
  for _, group in ipairs(order) do
    local date = os.date("!%Y-%m-%d %H:%M UTC", math.floor(group.one.expiration))
    local what, where = text_of(group.one), self:where(group.servers)
    if group.left < 0 then
      self:add("signature-expired", "error", ("%s ended on %s%s"):format(what, date, where),
        { cure = "sign the zone again, and see that its signer runs; until then senders that do DANE hold "
          .. "mail back" })
    else
      self:add("signature-ending", group.left < 1 and "error" or "warning",
        ("%s ends on %s, in %.1f days%s"):format(what, date, group.left, where),
        { cure = "see that the signer of the zone runs, and that the new signatures reach this server" })
    end
  end
end

return M
