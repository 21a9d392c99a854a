/* lua_resolver.c - the resolver as a userdata: creation, driving, closing. */
#include "lua_core.h"

#include "loop.h"

#include <math.h>
#include <string.h>

/* ---- driving ------------------------------------------------------------------------------- */

static int m_process(lua_State *L)
{
    struct nh_lua_resolver *self = nh_check_resolver(L);
    enum nh_code code = nh_usable(self);

    if (code != NH_OK)
        return nh_push_unusable(L, code);
    double start_time = nh_now();
    double until = start_time + self->budget;
    int n = nh_deliver(L, 1, until);
    if (nh_usable(self) == NH_OK && (n == 0 || nh_now() < until)) {
        nh_run(self, until, 0);
        n += nh_deliver(L, 1, until);
    }
    double took = nh_now() - start_time;
    if (took > self->longest_process)
        self->longest_process = took;
    nh_raise_error(L, 1);
    lua_pushinteger(L, n);
    return 1;
}

/* wait([seconds]): returns true when nothing is pending any more, and false when the time is up.
 * seconds may be negative, as the rest until a time that has passed: then this is the same as 0. */
static int m_wait(lua_State *L)
{
    struct nh_lua_resolver *self = nh_check_resolver(L);
    double seconds = luaL_optnumber(L, 2, HUGE_VAL), end = nh_now() + seconds, left;
    enum nh_code code = nh_usable(self);
    bool ran = false; /* it must run at least once, whatever the time is */

    luaL_argcheck(L, seconds == seconds, 2, "seconds expected, got nan");
    if (code != NH_OK)
        return nh_push_unusable(L, code);
    for (;;) {
        nh_deliver(L, 1, 0);
        nh_raise_error(L, 1);
        if (nh_forked(self))
            return nh_push_unusable(L, NH_FORKED);
        if (nh_usable(self) != NH_OK || self->pending == 0)
            break;
        left = end - nh_now();
        if (left <= 0 && ran)
            break;
        if (NH_LIST_EMPTY(&self->finished))
            nh_run(self, 0, left < NH_SLICE ? left : NH_SLICE);
        ran = true;
        if (nh_interrupted(L, 1))
            return lua_error(L);
    }
    lua_pushboolean(L, self->pending == 0);
    return 1;
}

static int m_timeout(lua_State *L)
{
    struct nh_lua_resolver *self = nh_check_resolver(L);
    enum nh_code code = nh_usable(self);

    if (code != NH_OK)
        return nh_push_unusable(L, code);
    if (!NH_LIST_EMPTY(&self->finished)) {
        lua_pushinteger(L, 0);
        return 1;
    }
    /* A deadline may have come while another call was started. Then its timer is gone. */
    double seconds = self->expired ? 0 : nh_resolver_timeout(self->resolver);
    if ((self->pending == 0 && !nh_contacts_are_open(self->contacts)) || seconds < 0)
        lua_pushnil(L);
    else
        lua_pushnumber(L, seconds);
    return 1;
}

static int m_pollfd(lua_State *L)
{
    struct nh_lua_resolver *self = nh_check_resolver(L);
    enum nh_code code = nh_usable(self);

    if (code != NH_OK)
        return nh_push_unusable(L, code);
    lua_pushinteger(L, nh_resolver_fd(self->resolver));
    return 1;
}

static int m_events(lua_State *L)
{
    struct nh_lua_resolver *self = nh_check_resolver(L);
    enum nh_code code = nh_usable(self);

    if (code != NH_OK)
        return nh_push_unusable(L, code);
    lua_pushliteral(L, "r");
    return 1;
}

static int m_pending(lua_State *L)
{
    struct nh_lua_resolver *self = nh_check_resolver(L);
    enum nh_code code = nh_usable(self);

    if (code != NH_OK)
        return nh_push_unusable(L, code);
    lua_pushinteger(L, (lua_Integer)self->pending);
    return 1;
}

static void set_count(lua_State *L, const char *key, unsigned long value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, key);
}

static int m_stats(lua_State *L)
{
    struct nh_lua_resolver *self = nh_check_resolver(L);
    enum nh_code code = nh_usable(self);

    if (code != NH_OK)
        return nh_push_unusable(L, code);
    const struct nh_stats *s = nh_resolver_stats(self->resolver);
    lua_createtable(L, 0, 14);
    set_count(L, "calls", self->calls);
    set_count(L, "delivered", self->delivered);
    set_count(L, "pending", self->pending);
    set_count(L, "lookups", s->lookups);
    set_count(L, "kept", s->cache_hits);
    set_count(L, "running", s->running);
    set_count(L, "queued", s->queued);
    set_count(L, "secure", s->secure);
    set_count(L, "insecure", s->insecure);
    set_count(L, "bogus", s->bogus);
    set_count(L, "servfail", s->servfail);
    set_count(L, "timeouts", s->timeouts);
    set_count(L, "cancelled", s->cancelled);
    lua_pushnumber(L, self->longest_process);
    lua_setfield(L, -2, "longest_process");
    return 1;
}

/* Opens the file of policies. Returns false and sets *err. */
static bool open_sts(struct nh_lua_resolver *self, const char *path, struct nh_err *err)
{
    if (!path)
        return true;
    self->sts = nh_sts_new(self->resolver, self->sts_bytes);
    if (!self->sts)
        nh_fail(err, NH_NO_MEMORY, "sts_cache: out of memory");
    return self->sts && nh_sts_store_open(nh_sts_store(self->sts), path, err);
}

/* ---- closing ------------------------------------------------------------------------------- */

/* Stops all calls. With callbacks, those whose callback has not run become due with the error
 * `closed`. Without, they are over. */
static void stop_all(struct nh_lua_resolver *self, bool callbacks)
{
    struct nh_request *request;

    while ((request = NH_LIST_FIRST(&self->open)) != NULL) {
        if (callbacks && !request->blocking) {
            nh_fail(&request->op.err, NH_CLOSED,
                    "%s: the resolver was closed before the answer came", nh_subject(request));
            nh_fail_op(request);
            nh_request_finished(request);
        } else {
            nh_stop_request(request);
        }
    }
    if (!callbacks)
        while ((request = NH_LIST_FIRST(&self->finished)) != NULL)
            nh_stop_request(request);
}

static void free_resolver(lua_State *L, struct nh_lua_resolver *self)
{
    struct nh_resolver *r = self->resolver;

    nh_contacts_free(self->contacts);
    self->contacts = NULL;
    nh_free_sts_tables(L, self);
    nh_sts_free(self->sts);
    self->sts = NULL;
    self->resolver = NULL;
    nh_resolver_free(r);
    nh_pool_empty(&self->requests);
    nh_pool_empty(&self->hosts);
}

/* close(): may be called twice. Pending callbacks run with the error `closed`, except in a
 * forked child. */
static int m_close(lua_State *L)
{
    struct nh_lua_resolver *self = nh_check_resolver(L);

    if (self->resolver && !self->closing && !nh_forked(self)) {
        self->closing = true;
        stop_all(self, true);
        while (!NH_LIST_EMPTY(&self->finished) && !nh_forked(self))
            nh_deliver_one(L, 1);
        if (!nh_forked(self)) {
            free_resolver(L, self);
            nh_raise_error(L, 1);
        }
    }
    if (self->resolver && nh_forked(self)) {
        nh_resolver_abandon(self->resolver);
        stop_all(self, false);
        free_resolver(L, self);
        nh_getuservalue(L, 1); /* drops the callbacks, which will not run */
        lua_newtable(L);
        lua_rawseti(L, -2, 1);
    }
    lua_pushboolean(L, true);
    return 1;
}

static int resolver_gc(lua_State *L)
{
    struct nh_lua_resolver *self = lua_touserdata(L, 1);

    if (self->resolver) {
        if (nh_forked(self))
            nh_resolver_abandon(self->resolver);
        self->closing = true;
        stop_all(self, false);
        free_resolver(L, self);
    }
    nh_pool_empty(&self->hosts); /* an ended blocking plan returned them after close() */
    return 0;
}

static int resolver_tostring(lua_State *L)
{
    struct nh_lua_resolver *self = nh_check_resolver(L);
    enum nh_code code = nh_usable(self);

    if (code == NH_OK)
        lua_pushfstring(L, NH_RESOLVER " (%d pending)", (int)self->pending);
    else
        lua_pushfstring(L, NH_RESOLVER " (%s)",
                        code == NH_FORKED ? "of another process" : "closed");
    return 1;
}

/* ---- creation ------------------------------------------------------------------------------ */

static const char *field_string(lua_State *L, int table, const char *key)
{
    lua_getfield(L, table, key);
    const char *s = lua_tostring(L, -1); /* stays anchored in the table */
    lua_pop(L, 1);
    return s;
}

static double field_number(lua_State *L, int table, const char *key)
{
    lua_getfield(L, table, key);
    double n = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return n;
}

/* Bytes; 0 when there is no such field. */
static size_t field_size(lua_State *L, int table, const char *key)
{
    lua_getfield(L, table, key);
    lua_Number n = luaL_optnumber(L, -1, 0);
    lua_pop(L, 1);
    return (size_t)n;
}

static void read_step(lua_State *L, struct nh_step *step)
{
    static const char *const kinds[] = {"option", "default",     "unbound_conf", "forward", "stub",
                                        "anchor", "anchor_file", "tls",          "file",    NULL};
    int item = lua_gettop(L);

    for (int n = 1; n <= 4; n++) /* the strings stay anchored in the item */
        lua_rawgeti(L, item, n);
    step->kind = (enum nh_step_kind)luaL_checkoption(L, item + 1, NULL, kinds);
    step->a = lua_tostring(L, item + 2);
    step->b = lua_tostring(L, item + 3);
    step->label = lua_tostring(L, item + 4);
    lua_settop(L, item);
}

/* core.new(config): lua/nexthop/config.lua has made config from the options and has checked it. */
int nh_lua_new(lua_State *L)
{
    struct nh_config config = {0};
    struct nh_lua_resolver *self;
    struct nh_step *steps;
    struct nh_err err;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "steps");
    luaL_checktype(L, 2, LUA_TTABLE);
    config.n_steps = nh_rawlen(L, 2);
    steps = lua_newuserdata(L, (config.n_steps + 1) * sizeof *steps);
    for (size_t k = 0; k < config.n_steps; k++) {
        lua_rawgeti(L, 2, (int)k + 1);
        luaL_checktype(L, -1, LUA_TTABLE);
        read_step(L, &steps[k]);
        lua_pop(L, 1);
    }
    config.steps = steps;
    config.timeout = field_number(L, 1, "timeout");
    config.max_pending = (unsigned)field_number(L, 1, "max_pending");
    config.cache_bytes = field_size(L, 1, "cache_bytes");
    config.forwarders = field_string(L, 1, "forwarders");
    config.anchor_zone = field_string(L, 1, "anchor_zone");

    self = lua_newuserdata(L, sizeof *self);
    memset(self, 0, sizeof *self);
    NH_LIST_INIT(&self->open);
    NH_LIST_INIT(&self->finished);
    self->requests.size = NH_REQUEST_SIZE(plan);
    self->sts_tables = LUA_NOREF;
    self->hosts.size = sizeof(struct nh_plan_host);
    self->budget = field_number(L, 1, "budget");
    self->sts_bytes = field_size(L, 1, "sts_bytes");
    luaL_getmetatable(L, NH_RESOLVER);
    lua_setmetatable(L, -2);
    lua_createtable(L, 1, 2); /* [1]: callbacks; error: the first one; idle: see nh_interrupted() */
    lua_newtable(L);
    lua_pushinteger(L, 0); /* for luaL_unref(): it may raise if it adds this at a delivery */
    lua_rawseti(L, -2, 0);
    lua_rawseti(L, -2, 1);
    lua_getfield(L, 1, "idle");
    lua_setfield(L, -2, "idle");
    nh_setuservalue(L, -2);
    self->resolver = nh_resolver_new(&config, &err);
    if (!self->resolver || !open_sts(self, field_string(L, 1, "sts_cache"), &err))
        return nh_push_error(L, &err);
    return 1;
}

void nh_open_resolver(lua_State *L)
{
    static const luaL_Reg resolver_methods[] = {
        {"pollfd", m_pollfd},
        {"getfd", m_pollfd},
        {"events", m_events},
        {"timeout", m_timeout},
        {"process", m_process},
        {"wait", m_wait},
        {"pending", m_pending},
        {"stats", m_stats},
        {"close", m_close},
        {"sts_forget", nh_lua_sts_forget},
        {"_sts_notice", nh_lua_sts_notice},
        {"__close", m_close},
        {"__gc", resolver_gc},
        {"__tostring", resolver_tostring},
        {NULL, NULL},
    };

    luaL_newmetatable(L, NH_RESOLVER);
    nh_setfuncs(L, resolver_methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    nh_open_request(L);
    lua_pop(L, 1);
}
