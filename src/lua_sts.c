/* lua_sts.c - MTA-STS and TLSRPT as Lua sees them: their fields of a plan, and the methods of the resolver
 * about policies.
 *
 * A policy that was not fetched for this plan is one table, which all plans with it share. To make it
 * for each plan would cost a third of a plan whose answers are in the cache. The tables are the values of a
 * weak table, by the serial number of the policy. So a table goes when no plan has it any more. */
#include "lua_core.h"

/* ---- a plan -------------------------------------------------------------------------------- */

static void push_policy(lua_State *L, const struct nh_sts_known *known, bool is_fetched)
{
    lua_createtable(L, 0, 6);
    nh_set_string(L, "mode", nh_sts_mode_names[known->policy.mode]);
    nh_set_string(L, "id", known->id);
    nh_set_integer(L, "max_age", (lua_Integer)known->policy.max_age);
    nh_set_integer(L, "expires", (lua_Integer)known->expires);
    nh_set_string(L, "source", is_fetched ? "fetch" : "cache");
    nh_set_texts(L, "mx", known->policy.mx, known->policy.n_mx);
}

/* Pushes the table of the resolver's tables. */
static void push_tables(lua_State *L, struct nh_lua_resolver *self)
{
    if (self->sts_tables == LUA_NOREF) {
        lua_newtable(L);
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "v");
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
        self->sts_tables = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, self->sts_tables);
}

static void push_shared_policy(lua_State *L, const struct nh_sts_known *known,
                               struct nh_lua_resolver *self)
{
    push_tables(L, self);
    lua_rawgeti(L, -1, (int)known->serial);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        push_policy(L, known, false);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, (int)known->serial);
    }
    lua_remove(L, -2);
}

void nh_free_sts_tables(lua_State *L, struct nh_lua_resolver *self)
{
    luaL_unref(L, LUA_REGISTRYINDEX, self->sts_tables);
    self->sts_tables = LUA_NOREF;
}

static void set_call(lua_State *L, const struct nh_sts_call *c)
{
    if (c->err.code != NH_STS_OK) {
        lua_createtable(L, 0, 4);
        nh_set_string(L, "code", nh_sts_code_names[c->err.code]);
        nh_set_string(L, "message", c->err.message);
        nh_set_boolean(L, "permanent", false);
        if (c->err.expired)
            nh_set_boolean(L, "expired", true);
        nh_set_metatable(L, NH_PREFIX "error");
        lua_setfield(L, -2, "sts_err");
    }
    if (c->report.n_rua) {
        lua_createtable(L, 0, 1);
        nh_set_texts(L, "rua", c->report.rua, c->report.n_rua);
        lua_setfield(L, -2, "tlsrpt");
    }
    if (c->report_err.code != NH_OK) {
        nh_push_error_table(L, &c->report_err);
        lua_setfield(L, -2, "tlsrpt_err");
    }
}

void nh_set_sts(lua_State *L, const struct nh_plan *p, struct nh_lua_resolver *self)
{
    const struct nh_sts_known *known = p->policy;
    bool is_fetched = p->sts_call && p->sts_call->is_fetched;

    if (known) {
        if (is_fetched || !self->sts) /* without it the resolver is closed */
            push_policy(L, known, is_fetched);
        else
            push_shared_policy(L, known, self);
        lua_setfield(L, -2, "sts");
    }
    if (p->sts_call)
        set_call(L, p->sts_call);
}

/* ---- methods -------------------------------------------------------------------------------- */

/* sts_forget(domain): forgets the policy of a domain, in the file too. Returns true when there was
 * one. */
int nh_lua_sts_forget(lua_State *L)
{
    struct nh_lua_resolver *self = nh_check_resolver(L);
    enum nh_code code = nh_usable(self);
    char domain[NH_HOST_MAX];
    size_t len;
    const char *s = luaL_checklstring(L, 2, &len);
    struct nh_err err;

    if (code != NH_OK)
        return nh_push_unusable(L, code);
    if (!nh_canonical(s, len, domain)) {
        nh_fail(&err, NH_INVALID_NAME, "\"%s\" is no domain name", s);
        return nh_push_error(L, &err);
    }
    lua_pushboolean(L, self->sts && nh_sts_store_forget(nh_sts_store(self->sts), domain));
    return 1;
}

/* _sts_notice(): what a person should know of the file of policies, or nil. */
int nh_lua_sts_notice(lua_State *L)
{
    struct nh_lua_resolver *self = nh_check_resolver(L);

    lua_pushstring(L, nh_usable(self) == NH_OK && self->sts
                          ? nh_sts_store_notice(nh_sts_store(self->sts))
                          : NULL); /* a NULL is nil */
    return 1;
}
