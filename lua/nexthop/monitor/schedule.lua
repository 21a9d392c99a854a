--- When each domain is checked. Pure: every function takes the time, in seconds, so that a test has a clock
-- of its own.
--
-- Each domain has a place in the interval, and is checked at that place in every round. So the checks are
-- spread, and between two checks of a domain there is never more than the interval. A check that must be
-- confirmed or repeated comes after `retry` seconds instead. It does not come earlier, even if the place of
-- the domain does: two checks within seconds would see the same lost packet.
local M = {}

local Schedule = {}
Schedule.__index = Schedule

-- The next time after `now` at which the place of a domain comes.
local function next_place(self, entry, now)
  return entry.place + (math.floor((now - entry.place) / self.interval) + 1) * self.interval
end

local function next_check(self, entry, now, again)
  return again and now + self.retry or next_place(self, entry, now)
end

-- Spreads the domains whose time has come already. Few of them are checked within seconds, and many take no
-- longer than the time of a retry.
local function spread(self, waiting, now)
  local step = math.min(1, self.retry / math.max(1, #waiting))
  for i, entry in ipairs(waiting) do entry.due = now + (i - 1) * step end
end

--- Makes a schedule.
-- @param domains list without duplicates
-- @param settings { interval, retry } in seconds
-- @param known { [domain] = { checked = time of its last check, again = was it to be checked again soon? } }
function M.new(domains, settings, now, known)
  local self = setmetatable({
    interval = settings.interval, retry = math.min(settings.retry, settings.interval), entries = {},
  }, Schedule)
  local waiting = {}
  for i, domain in ipairs(domains) do
    local entry = { domain = domain, place = (i - 1) / #domains * self.interval, active = false }
    local last = known[domain]
    self.entries[domain] = entry
    if last and last.checked <= now then entry.due = next_check(self, entry, last.checked, last.again) end
    if not entry.due or entry.due <= now then waiting[#waiting + 1] = entry end
  end
  spread(self, waiting, now)
  return self
end

-- The domain that is due first and is not being checked; nil: there is none.
local function first(self)
  local found
  for _, entry in pairs(self.entries) do
    if not entry.active and (not found or entry.due < found.due) then found = entry end
  end
  return found
end

--- The seconds until the next check is due, 0 or more; nil: all domains are being checked.
function Schedule:left(now)
  local entry = first(self)
  return entry and math.max(0, entry.due - now)
end

--- Takes the domain whose check is due; nil: none is due.
function Schedule:take(now)
  local entry = first(self)
  if not entry or entry.due > now then return nil end
  entry.active = true
  return entry.domain
end

--- Says that the check of a domain has ended.
-- @param again is it to be checked again soon?
function Schedule:finish(domain, now, again)
  local entry = self.entries[domain]
  entry.active, entry.due = false, next_check(self, entry, now, again)
end

--- When the domain is checked next; nil: it is being checked.
function Schedule:due(domain)
  local entry = self.entries[domain]
  return not entry.active and entry.due or nil
end

return M
