--- Which domains of a message are looked up, and in which role.
local lua_util = require "lua_util"
local rspamd_ip = require "rspamd_ip"
local rspamd_util = require "rspamd_util"
local domains = require "nexthop.rspamd.domains"

local M = {}

local N = "nexthop"

--- So many domains of each of From and Reply-To are looked up. A header may have any number.
M.max_header_domains = 3

-- What rspamd's own plugins take for local: loopback, link-local, Unix sockets and `local_addrs` of
-- the options. rspamd does not look into an IPv4 address that is written as an IPv6 one.
local function is_local(task)
  local ip = task:get_from_ip()
  if not ip or not ip:is_valid() then return false end
  if ip:is_local() then return true end
  local mapped = ip:to_string():lower():match "^::ffff:(%d+%.%d+%.%d+%.%d+)$"
  local inner = mapped and rspamd_ip.from_string(mapped)
  return inner ~= nil and inner:is_valid() and inner:is_local() or false
end

--- The operation of nexthop-server for a role: the findings of all who write are those of a sender.
M.operations = { sender = "sender", mime_from = "sender", reply_to = "sender", recipient = "recipient" }

-- Adds a domain. Returns true if it is one more to look up. A domain that is there already for the same
-- operation is looked up once, and its symbol is that of the first role.
local function add(self, task, queries, role, address)
  local domain, reason = domains.of(address)
  if domain and self.excludes(domain) then reason = "excluded" end
  if reason then
    lua_util.debugm(N, task, "%s %s is not looked at: %s", role, address.addr, reason)
    return false
  end
  local operation = M.operations[role]
  local query = queries[operation .. domain]
  if query then
    query.roles[role] = true
    return false
  end
  query = {
    role = role, operation = operation, domain = domain, address = address.addr, roles = { [role] = true },
  }
  queries[operation .. domain] = query
  queries[#queries + 1] = query
  return true
end

local function add_all(self, task, queries, role, addresses, most)
  local count = 0
  for _, address in ipairs(addresses or {}) do
    if count >= most then break end
    if add(self, task, queries, role, address) then count = count + 1 end
  end
end

--- The queries for a message: a list of { role, operation, domain, address, roles }. `roles` is a set of all
-- the roles in which the message has the domain.
-- @param self settings; excludes = function(domain); check_local, check_authed
function M.collect(self, task)
  local settings, queries = self.settings, {}
  local has_user, from_here = task:get_user() ~= nil, is_local(task)
  if (self.check_authed or not has_user) and (self.check_local or not from_here) then
    if settings.sender then add_all(self, task, queries, "sender", task:get_from { "smtp", "orig" }, 1) end
    if settings.from then
      -- as rspamd's mx_check: the envelope goes before Reply-To, and that before From
      local reply_to = task:get_header "Reply-To"
      add_all(self, task, queries, "reply_to",
        reply_to and rspamd_util.parse_mail_address(reply_to, task:get_mempool()), M.max_header_domains)
      add_all(self, task, queries, "mime_from", task:get_from { "mime", "orig" }, M.max_header_domains)
    end
  end
  if settings.recipients and (has_user or from_here) then
    add_all(self, task, queries, "recipient", task:get_recipients { "smtp", "orig" }, settings.max_recipients)
  end
  return queries
end

return M
