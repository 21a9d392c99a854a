--- Which records of --assume were used. A record at a name that is never looked at is most often a typing
-- error, and the answer is then the one without it.
local equal = require("nexthop.doctor.tlsa_record").equal

local M = {}

--- Notes the records at a name whose TLSA records were looked at.
function M.mark(records, name)
  for _, record in ipairs(records or {}) do
    if record.name == name then record.is_used = true end
  end
end

--- Notes those of a plan, or of the error in its place: by the names in its trace, and where an alias leads
-- to their name, by the records of its hosts.
function M.mark_plan(records, outcome)
  if not records then return end
  for _, entry in ipairs(outcome.trace or {}) do
    if entry.type == "TLSA" then M.mark(records, entry.name) end
  end
  for _, host in ipairs(outcome.hosts or {}) do
    for _, list in ipairs { host.records or {}, host.weaker or {}, host.unusable or {} } do
      for _, found in ipairs(list) do
        for _, record in ipairs(records) do record.is_used = record.is_used or equal(record, found) end
      end
    end
  end
end

--- Complains of the records that were of no use.
-- @param program of nexthop.programs.program
function M.complain(program, records)
  for _, record in ipairs(records or {}) do
    if not record.is_used then
      program:complain(("--assume: no TLSA records are looked for at %s"):format(record.name))
    end
  end
end

return M
