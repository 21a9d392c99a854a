--- Findings about name servers of a zone that do not answer, or cannot be asked. No DNS.
local words = require "nexthop.programs.nexthop.words"

local M = {}

local silent = {
  timeout = "does not answer", servfail = "refuses to answer, or fails",
  bogus = "has no answer that is valid",
}

-- Name servers without an address.
local function unknown(self, severity)
  for _, name in ipairs(self.zone.unknown) do
    local why = self.zone.why[name]
    local text = ("the name server %s %s"):format(name, why.text)
    if why.is_unasked then
      self:add("not-all-checked", #self.alive > 0 and "hint" or "warning", text)
    else
      self:add("server-silent", severity, text, { cure = why.is_failed
        and "see that the name servers of the zone of that name answer"
        or "give it an address, or take it out of the NS records of the zone and of the zone above" })
    end
  end
end

-- What could not be looked at from here.
local function unseen(self)
  local ds_error = self.zone.ds_error
  if ds_error and not ds_error.expired then
    self:add("not-all-checked", "error", "the DS of the zone cannot be looked up, and its signatures were "
      .. "not looked at: " .. words.one_line(ds_error.message or ds_error.code),
      { cure = "see that the name servers of the zone above answer" })
  end
  if self.zone.left_over then
    self:add("not-all-checked", "warning",
      ("%s, and nothing is known of what those say"):format(self.zone.left_over),
      { cure = "have fewer name servers for the zone, or fewer addresses for each of them" })
  end
  for _, server in ipairs(self.no_way) do
    self:add("not-all-checked", #self.alive > 0 and "hint" or "warning",
      ("this machine has no way to the name server %s, and nothing is known of what it says"):format(server),
      { cure = "check the domain from a machine that has a way there, too" })
  end
end

-- Servers that answer for the zone, but not each question about it.
local function gaps(self)
  for _, said in ipairs(self.alive) do
    local first = said.failed[1]
    if first then
      local severity = "error"
      for _, other in ipairs(self.alive) do
        if other.answers[first.key] then severity = "warning" end
      end
      self:add("server-silent", severity, ("the name server %s %s when it is asked for the %s of %s"):format(
        said.server:text(), silent[first.code] or "cannot be asked", first.type, first.name),
        { cure = "see that it serves the zone, and answers questions of each type" })
    end
  end
end

--- Adds the findings.
-- @param self of nexthop.doctor.judge
-- @param said list of what the servers say
function M.judge(self, said)
  local severity = #self.alive > 0 and "warning" or "error"
  unknown(self, severity)
  for _, each in ipairs(said) do
    if each.error then
      self:add("server-silent", severity, ("the name server %s %s"):format(each.server:text(),
        silent[each.error.code] or "cannot be asked"),
        { cure = "see that it runs and serves the zone, or take it out of the NS records of the zone and of "
          .. "the zone above" })
    end
  end
  unseen(self)
  gaps(self)
end

return M
