--- The state of a domain, made of the results of its checks. Pure: no clock, no I/O.
--
-- A result is { level, key }. `level` is "ok", "warning" or "error"; `key` says which errors and warnings
-- were found, and is "" where there are none. Two results are alike if they have the same key. Where the
-- state is good, two bad results are alike, too, whatever they have found: a host that fails in another way
-- each time is no good host.
--
-- A state is { level, key, since, candidate, told, told_level }. It changes only after two results in a row
-- that are alike and differ from it; `candidate` is the first of them. Only the very first result counts at
-- once, if it is good. `told` is the key of the state that was told last.
local M = {}

local ranks = { ok = 0, warning = 1, error = 2 }
local levels = { error = "error", warning = "warning" }

--- Makes a result of the findings of a check.
function M.result(findings)
  local level, keys = "ok", {}
  for _, finding in ipairs(findings) do
    local own = levels[finding.severity]
    if own then
      if ranks[own] > ranks[level] then level = own end
      keys[#keys + 1] = ("%s %s %s %s"):format(own, finding.name, finding.subject, finding.port or "")
    end
  end
  table.sort(keys)
  return { level = level, key = table.concat(keys, "\n") }
end

local function set(state, result, now)
  state.level, state.key, state.since, state.candidate = result.level, result.key, now, nil
end

--- Adds a result to a state.
-- @param state {}: there has been no result
-- @return has the state changed?
function M.step(state, result, now)
  if result.key == state.key then
    state.candidate = nil
    return false
  end
  if not state.level and result.level == "ok" then
    set(state, result, now)
    state.told, state.told_level = result.key, result.level -- that all is well from the start is no news
    return false
  end
  local before = state.candidate
  state.candidate = result
  local is_good = state.level == nil or state.level == "ok"
  if not before or before.key ~= result.key and not (is_good and before.level ~= "ok") then return false end
  set(state, result, now)
  return true
end

--- Must the domain be checked again soon? So it is where an error is there, or may be, or may be gone.
function M.is_unsettled(state)
  return state.candidate ~= nil or state.level == "error" or state.level == nil
end

--- Is there a state that was not told?
function M.is_untold(state)
  return state.level ~= nil and state.told ~= state.key
end

--- Says that a state was told.
-- @param told { level, key } as they were when it was told
function M.told(state, told)
  state.told, state.told_level = told.key, told.level
end

return M
