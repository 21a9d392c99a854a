/*
 * lua_resolver.c - the resolver as a userdata: calls, their delivery, and driving it.
 *
 * A call is an nh_request userdata. While it has a callback to run it is a key of the resolver's
 * user value table, with the callback as value. Callbacks run from deliver() alone, never below
 * libunbound or libuv.
 */
#include "lua_core.h"

#include "loop.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TAILQ_HEAD(requests, nh_request);

struct nh_lua_resolver {
    struct nh_resolver *resolver; /* NULL: closed */
    bool closing;
    double budget;
    unsigned depth;           /* callbacks being run right now, one inside the other */
    unsigned pending;         /* calls with a callback that has not run */
    struct requests open;     /* under way */
    struct requests finished; /* callback due, first come first served */
    unsigned long serial;     /* of the last call that finished */
    unsigned long calls, delivered;
    double longest_process;
};

#define SLICE 0.1 /* seconds a blocking call waits before it looks for an interrupt */

/* ---- the userdata ------------------------------------------------------------------- */

static struct nh_lua_resolver *check_resolver(lua_State *L)
{
    return luaL_checkudata(L, 1, NH_RESOLVER);
}

static bool forked(const struct nh_lua_resolver *self)
{
    return self->resolver && !nh_resolver_mine(self->resolver);
}

/* NH_OK, or why the resolver can't be used. */
static enum nh_code usable(const struct nh_lua_resolver *self)
{
    if (!self->resolver || self->closing)
        return NH_CLOSED;
    return forked(self) ? NH_FORKED : NH_OK;
}

static int push_unusable(lua_State *L, enum nh_code code)
{
    struct nh_err err;

    nh_fail(&err, code,
            code == NH_FORKED ? "the resolver was made before a fork: make a new one"
                              : "the resolver is closed");
    return nh_push_error(L, &err);
}

/* ---- requests ---------------------------------------------------------------------------- */

static void stop_op(struct nh_request *request)
{
    switch (request->kind) {
    case NH_DESTINATIONS:
        nh_dest_stop(&request->dest);
        break;
    case NH_IPS:
        nh_ips_stop(&request->ips);
        break;
    case NH_TLSA:
        nh_tlsas_stop(&request->tlsas);
        break;
    case NH_PLAN:
        nh_plan_stop(&request->plan);
        break;
    }
}

/* Takes the request out of its resolver and frees what it holds. Idempotent; the userdata stays. */
static void stop_request(struct nh_request *request)
{
    struct nh_lua_resolver *self = request->owner;
    size_t k;

    if (self) {
        if (request->state == NH_REQUEST_OPEN)
            TAILQ_REMOVE(&self->open, request, link);
        else if (request->state == NH_REQUEST_FINISHED && !request->blocking)
            TAILQ_REMOVE(&self->finished, request, link);
        if (!request->blocking)
            self->pending--;
        if (request->state == NH_REQUEST_FINISHED) {
            stop_op(request); /* no lookup is under way; the resolver may be closed even */
        } else if (forked(self)) {
            nh_resolver_abandon(self->resolver);
            stop_op(request);
        } else {
            nh_resolver_enter(self->resolver);
            nh_timer_stop(request->timer);
            stop_op(request);
            nh_resolver_leave(self->resolver);
        }
        request->timer = NULL;
        request->owner = NULL;
    }
    for (k = 0; k < request->n_dialed; k++)
        free(request->dialed[k].ips);
    free(request->dialed);
    request->dialed = NULL;
    request->n_dialed = 0;
}

/* The answer is there: line up for delivery, or let the blocking call see it. */
static void finished(void *arg)
{
    struct nh_request *request = arg;
    struct nh_lua_resolver *self = request->owner;

    if (request->state == NH_REQUEST_OPEN)
        TAILQ_REMOVE(&self->open, request, link);
    request->state = NH_REQUEST_FINISHED;
    nh_timer_stop(request->timer);
    request->timer = NULL;
    if (!request->blocking) {
        request->serial = ++self->serial;
        TAILQ_INSERT_TAIL(&self->finished, request, link);
    }
}

/* Runs inside the loop: only marks. */
static void on_deadline(void *arg)
{
    struct nh_request *request = arg;

    request->timer = NULL;
    request->expired = true;
}

static void expire(struct nh_request *request)
{
    switch (request->kind) {
    case NH_DESTINATIONS:
        nh_fail(&request->err, NH_TIMEOUT, "%s: the deadline came before its mail hosts were known",
                request->dest.domain);
        nh_dest_stop(&request->dest);
        break;
    case NH_IPS:
        nh_fail(&request->err, NH_TIMEOUT, "%s: the deadline came before its addresses were known",
                request->ips.host);
        nh_ips_stop(&request->ips);
        break;
    case NH_TLSA:
        nh_fail(&request->err, NH_TIMEOUT, "%s: the deadline came before its TLSA were known",
                request->tlsas.host);
        nh_tlsas_stop(&request->tlsas);
        request->tlsas.dane_required = true;
        break;
    case NH_PLAN:
        nh_plan_expire(&request->plan);
        break;
    }
    finished(request);
}

/* Ends what has passed its deadline. */
static void expire_all(struct nh_lua_resolver *self)
{
    struct nh_request *request, *next;

    for (request = TAILQ_FIRST(&self->open); request; request = next) {
        next = TAILQ_NEXT(request, link);
        if (request->expired)
            expire(request);
    }
}

static void run(struct nh_lua_resolver *self, double until, double wait)
{
    nh_resolver_enter(self->resolver);
    nh_resolver_run(self->resolver, until, wait);
    expire_all(self);
    nh_resolver_leave(self->resolver);
}

static void start_op(struct nh_request *request, struct nh_resolver *r)
{
    switch (request->kind) {
    case NH_DESTINATIONS:
        nh_dest_start(&request->dest, r, finished, request);
        break;
    case NH_IPS:
        nh_ips_start(&request->ips, r, finished, request);
        break;
    case NH_TLSA:
        nh_tlsas_start(&request->tlsas, r, finished, request);
        break;
    case NH_PLAN:
        nh_plan_start(&request->plan, r, finished, request);
        break;
    }
}

static void start(struct nh_lua_resolver *self, struct nh_request *request)
{
    request->owner = self;
    request->state = NH_REQUEST_OPEN;
    TAILQ_INSERT_TAIL(&self->open, request, link);
    self->calls++;
    if (!request->blocking)
        self->pending++;
    if (request->err.code != NH_OK) { /* an invalid name */
        finished(request);
        return;
    }
    nh_resolver_enter(self->resolver);
    start_op(request, self->resolver);
    nh_resolver_drain(self->resolver);
    if (request->state == NH_REQUEST_OPEN && request->deadline >= 0) {
        request->timer = nh_resolver_timer(self->resolver, request->deadline, on_deadline, request);
        if (!request->timer) {
            stop_op(request);
            nh_fail(&request->err, NH_NO_MEMORY, "out of memory");
            finished(request);
        }
    }
    nh_resolver_leave(self->resolver);
}

/* ---- delivery ---------------------------------------------------------------------------------- */

/* The message handler of callbacks: text with a traceback; what is no text stays as it is. */
static int add_traceback(lua_State *L)
{
    const char *message = lua_tostring(L, 1);

    if (!message && luaL_callmeta(L, 1, "__tostring"))
        message = lua_tostring(L, -1);
    if (message)
        nh_traceback(L, message);
    else
        lua_settop(L, 1);
    return 1;
}

/* (request, callback): runs it with the result. A C function, so that an error of ours (memory)
 * is caught like one of the callback's. */
static int run_callback(lua_State *L)
{
    struct nh_request *request = lua_touserdata(L, 1);
    int n = nh_push_result(L, request);

    stop_request(request);
    lua_call(L, n, 0);
    return 0;
}

/* Pushes { request, callback } of a call out of requests[address], which ends there. */
static void take_anchor(lua_State *L, int table, struct nh_request *request)
{
    lua_rawgeti(L, table, 1);
    lua_pushlightuserdata(L, request);
    lua_rawget(L, -2);
    lua_pushlightuserdata(L, request);
    lua_pushnil(L);
    lua_rawset(L, -4);
    lua_remove(L, -2);
}

/* Runs the first callback that is due. Leaves its error, if any, in the resolver's table at
 * field "error" unless one is there already. */
static void deliver_one(lua_State *L, int self_index)
{
    struct nh_lua_resolver *self = lua_touserdata(L, self_index);
    struct nh_request *request = TAILQ_FIRST(&self->finished);
    int top = lua_gettop(L), table = top + 1;

    luaL_checkstack(L, 10, "no room for a callback");
    nh_getuservalue(L, self_index);
    lua_pushcfunction(L, add_traceback);
    take_anchor(L, table, request); /* stays on the stack: the request is used afterwards */
    lua_pushcfunction(L, run_callback);
    lua_rawgeti(L, table + 2, 1);
    lua_rawgeti(L, table + 2, 2);
    self->depth++;
    self->delivered++;
    if (lua_pcall(L, 2, 0, table + 1) != 0) {
        stop_request(request); /* if it did not come that far */
        lua_getfield(L, table, "error");
        if (lua_isnil(L, -1)) {
            lua_pushvalue(L, -2);
            lua_setfield(L, table, "error");
        }
    }
    self->depth--;
    lua_settop(L, top);
}

/* Runs callbacks that are due, until `until` (0: all that are due now; what becomes due meanwhile
 * is for the next round). Returns how many. */
static int deliver(lua_State *L, int self_index, double until)
{
    struct nh_lua_resolver *self = lua_touserdata(L, self_index);
    unsigned long last = self->serial;
    struct nh_request *request;
    int n = 0;

    while ((request = TAILQ_FIRST(&self->finished)) != NULL && request->serial <= last) {
        deliver_one(L, self_index);
        n++;
        if (until > 0 && nh_now() >= until)
            break;
    }
    return n;
}

/* Raises what a callback has raised, once the batch is through. */
static void raise_error(lua_State *L, int self_index)
{
    nh_getuservalue(L, self_index);
    lua_getfield(L, -1, "error");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 2);
        return;
    }
    lua_pushnil(L);
    lua_setfield(L, -3, "error");
    lua_error(L);
}

/* ---- calls --------------------------------------------------------------------------------------- */

/* Lets a debug hook run: that is how the Lua program makes Ctrl-C an error. */
static void let_interrupt(lua_State *L, int self_index)
{
    if (lua_gethook(L)) {
        nh_getuservalue(L, self_index);
        lua_getfield(L, -1, "idle");
        lua_remove(L, -2);
        lua_call(L, 0, 0);
    }
}

/* Waits for a call's own answer. The callbacks of others run meanwhile, but not inside one of
 * them: they would pile up on the C stack. */
static int block(lua_State *L, struct nh_request *request)
{
    struct nh_lua_resolver *self = lua_touserdata(L, 1);
    enum nh_code code;
    int n;

    while (request->state != NH_REQUEST_FINISHED) {
        run(self, 0, SLICE);
        if (self->depth == 0 && !TAILQ_EMPTY(&self->finished))
            deliver(L, 1, 0);
        code = usable(self);
        if (code != NH_OK && request->state != NH_REQUEST_FINISHED) {
            stop_request(request);
            return push_unusable(L, code);
        }
        if (code != NH_OK)
            break;
        let_interrupt(L, 1);
    }
    n = nh_push_result(L, request);
    stop_request(request);
    return n;
}

static int call(lua_State *L, enum nh_kind kind)
{
    struct nh_lua_resolver *self = check_resolver(L);
    struct nh_request *request;
    enum nh_code code;
    int callback;

    lua_settop(L, 4);
    request = nh_check_request(L, kind, &callback);
    code = usable(self);
    if (code != NH_OK)
        return push_unusable(L, code);
    request->blocking = callback == 0;
    if (callback) {
        /* anchored before it starts: requests[address] = { request, callback } */
        nh_getuservalue(L, 1);
        lua_rawgeti(L, -1, 1);
        lua_pushlightuserdata(L, request);
        lua_createtable(L, 2, 0);
        lua_pushvalue(L, 5);
        lua_rawseti(L, -2, 1);
        lua_pushvalue(L, callback);
        lua_rawseti(L, -2, 2);
        lua_rawset(L, -3);
        lua_settop(L, 5);
    }
    start(self, request);
    return callback ? 1 : block(L, request);
}

static int m_gather_destinations(lua_State *L)
{
    return call(L, NH_DESTINATIONS);
}

static int m_gather_ips(lua_State *L)
{
    return call(L, NH_IPS);
}

static int m_gather_tlsa(lua_State *L)
{
    return call(L, NH_TLSA);
}

static int m_plan(lua_State *L)
{
    return call(L, NH_PLAN);
}

/* request:cancel(): its callback will not run. True if it was still to come. */
static int request_cancel(lua_State *L)
{
    struct nh_request *request = luaL_checkudata(L, 1, NH_REQUEST);
    bool live = request->owner != NULL;

    stop_request(request);
    lua_pushboolean(L, live);
    return 1;
}

static int request_gc(lua_State *L)
{
    stop_request(lua_touserdata(L, 1));
    return 0;
}

static int request_tostring(lua_State *L)
{
    struct nh_request *request = luaL_checkudata(L, 1, NH_REQUEST);
    static const char *const kinds[] = {"gather_destinations", "gather_ips", "gather_tlsa", "plan"};

    lua_pushfstring(L, NH_REQUEST " (%s, %s)", kinds[request->kind],
                    request->owner ? "pending" : "over");
    return 1;
}

/* ---- driving ------------------------------------------------------------------------------------- */

static int m_process(lua_State *L)
{
    struct nh_lua_resolver *self = check_resolver(L);
    enum nh_code code = usable(self);
    double start_time, until, took;
    int n;

    if (code != NH_OK)
        return push_unusable(L, code);
    start_time = nh_now();
    until = start_time + self->budget;
    n = deliver(L, 1, until);
    if (usable(self) == NH_OK && nh_now() < until) {
        run(self, until, 0);
        n += deliver(L, 1, until);
    }
    took = nh_now() - start_time;
    if (took > self->longest_process)
        self->longest_process = took;
    raise_error(L, 1);
    lua_pushinteger(L, n);
    return 1;
}

/* wait([seconds]): true when nothing is pending any more, false when the time was up. */
static int m_wait(lua_State *L)
{
    struct nh_lua_resolver *self = check_resolver(L);
    double seconds = luaL_optnumber(L, 2, -1), end = seconds >= 0 ? nh_now() + seconds : 0, left;
    enum nh_code code = usable(self);

    if (code != NH_OK)
        return push_unusable(L, code);
    for (;;) {
        deliver(L, 1, 0);
        raise_error(L, 1);
        if (usable(self) != NH_OK || self->pending == 0)
            break;
        left = end > 0 ? end - nh_now() : SLICE;
        if (left <= 0)
            break;
        if (TAILQ_EMPTY(&self->finished))
            run(self, 0, left < SLICE ? left : SLICE);
        let_interrupt(L, 1);
    }
    lua_pushboolean(L, self->pending == 0);
    return 1;
}

static int m_timeout(lua_State *L)
{
    struct nh_lua_resolver *self = check_resolver(L);
    enum nh_code code = usable(self);
    double seconds;

    if (code != NH_OK)
        return push_unusable(L, code);
    if (!TAILQ_EMPTY(&self->finished)) {
        lua_pushinteger(L, 0);
        return 1;
    }
    seconds = nh_resolver_timeout(self->resolver);
    if (self->pending == 0 || seconds < 0)
        lua_pushnil(L);
    else
        lua_pushnumber(L, seconds);
    return 1;
}

static int m_pollfd(lua_State *L)
{
    struct nh_lua_resolver *self = check_resolver(L);
    enum nh_code code = usable(self);

    if (code != NH_OK)
        return push_unusable(L, code);
    lua_pushinteger(L, nh_resolver_fd(self->resolver));
    return 1;
}

static int m_events(lua_State *L)
{
    struct nh_lua_resolver *self = check_resolver(L);
    enum nh_code code = usable(self);

    if (code != NH_OK)
        return push_unusable(L, code);
    lua_pushliteral(L, "r");
    return 1;
}

static int m_pending(lua_State *L)
{
    struct nh_lua_resolver *self = check_resolver(L);
    enum nh_code code = usable(self);

    if (code != NH_OK)
        return push_unusable(L, code);
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
    struct nh_lua_resolver *self = check_resolver(L);
    enum nh_code code = usable(self);
    const struct nh_stats *s;

    if (code != NH_OK)
        return push_unusable(L, code);
    s = nh_resolver_stats(self->resolver);
    lua_createtable(L, 0, 13);
    set_count(L, "calls", self->calls);
    set_count(L, "delivered", self->delivered);
    set_count(L, "pending", self->pending);
    set_count(L, "lookups", s->lookups);
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

/* ---- the end ---------------------------------------------------------------------------------------- */

/* Stops all calls; with callbacks to come they become due with `closed`, without they are over. */
static void stop_all(struct nh_lua_resolver *self, bool callbacks)
{
    struct nh_request *request;

    while ((request = TAILQ_FIRST(&self->open)) != NULL) {
        if (callbacks && !request->blocking) {
            nh_resolver_enter(self->resolver);
            stop_op(request);
            nh_resolver_leave(self->resolver);
            nh_fail(&request->err, NH_CLOSED, "the resolver was closed before the answer came");
            if (request->kind == NH_TLSA)
                request->tlsas.dane_required = true;
            finished(request);
        } else {
            stop_request(request);
        }
    }
    if (!callbacks)
        while ((request = TAILQ_FIRST(&self->finished)) != NULL)
            stop_request(request);
}

static void free_resolver(struct nh_lua_resolver *self)
{
    struct nh_resolver *r = self->resolver;

    self->resolver = NULL;
    nh_resolver_free(r);
}

/* close(): idempotent. Pending callbacks run with `closed`. */
static int m_close(lua_State *L)
{
    struct nh_lua_resolver *self = check_resolver(L);

    if (self->resolver && forked(self)) {
        nh_resolver_abandon(self->resolver);
        stop_all(self, false);
        free_resolver(self);
    } else if (self->resolver && !self->closing) {
        self->closing = true;
        stop_all(self, true);
        while (!TAILQ_EMPTY(&self->finished))
            deliver_one(L, 1);
        free_resolver(self);
        raise_error(L, 1);
    }
    lua_pushboolean(L, true);
    return 1;
}

static int resolver_gc(lua_State *L)
{
    struct nh_lua_resolver *self = lua_touserdata(L, 1);

    if (self->resolver) {
        if (forked(self))
            nh_resolver_abandon(self->resolver);
        self->closing = true;
        stop_all(self, false);
        free_resolver(self);
    }
    return 0;
}

static int resolver_tostring(lua_State *L)
{
    struct nh_lua_resolver *self = check_resolver(L);

    switch (usable(self)) {
    case NH_OK:
        lua_pushfstring(L, NH_RESOLVER " (%d pending)", (int)self->pending);
        break;
    case NH_FORKED:
        lua_pushliteral(L, NH_RESOLVER " (of another process)");
        break;
    default:
        lua_pushliteral(L, NH_RESOLVER " (closed)");
        break;
    }
    return 1;
}

/* ---- creation -------------------------------------------------------------------------------------------- */

static const char *field_string(lua_State *L, int table, const char *key)
{
    const char *s;

    lua_getfield(L, table, key);
    s = lua_tostring(L, -1); /* stays anchored in the table */
    lua_pop(L, 1);
    return s;
}

static double field_number(lua_State *L, int table, const char *key)
{
    double n;

    lua_getfield(L, table, key);
    n = luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return n;
}

static const char *item_string(lua_State *L, int index, int n)
{
    const char *s;

    lua_rawgeti(L, index, n);
    s = lua_tostring(L, -1);
    lua_pop(L, 1);
    return s;
}

static void read_step(lua_State *L, struct nh_step *step)
{
    static const char *const kinds[] = {"option",  "default", "resolv_conf", "unbound_conf",
                                        "forward", "stub",    "anchor",      "anchor_file",
                                        "tls",     NULL};
    int item = lua_gettop(L);

    lua_rawgeti(L, item, 1);
    step->kind = (enum nh_step_kind)luaL_checkoption(L, -1, NULL, kinds);
    lua_pop(L, 1);
    step->a = item_string(L, item, 2);
    step->b = item_string(L, item, 3);
    step->label = item_string(L, item, 4);
}

/* core.new(config): config is what lua/nexthop/config.lua has made of the options, checked. */
int nh_lua_new(lua_State *L)
{
    struct nh_config config = {0};
    struct nh_lua_resolver *self;
    struct nh_step *steps;
    struct nh_err err;
    size_t k;
    int list;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "steps");
    luaL_checktype(L, 2, LUA_TTABLE);
    list = 2;
    config.n_steps = nh_rawlen(L, list);
    steps = lua_newuserdata(L, (config.n_steps + 1) * sizeof *steps);
    for (k = 0; k < config.n_steps; k++) {
        lua_rawgeti(L, list, (int)k + 1);
        luaL_checktype(L, -1, LUA_TTABLE);
        read_step(L, &steps[k]);
        lua_pop(L, 1);
    }
    config.steps = steps;
    config.timeout = field_number(L, 1, "timeout");
    config.max_pending = (unsigned)field_number(L, 1, "max_pending");
    config.forwarders = field_string(L, 1, "forwarders");
    config.anchor_zone = field_string(L, 1, "anchor_zone");

    self = lua_newuserdata(L, sizeof *self);
    memset(self, 0, sizeof *self);
    TAILQ_INIT(&self->open);
    TAILQ_INIT(&self->finished);
    self->budget = field_number(L, 1, "budget");
    luaL_getmetatable(L, NH_RESOLVER);
    lua_setmetatable(L, -2);
    lua_createtable(L, 1, 2); /* [1]: callbacks; error: first one raised; idle: see above */
    lua_newtable(L);
    lua_rawseti(L, -2, 1);
    lua_getfield(L, 1, "idle");
    lua_setfield(L, -2, "idle");
    nh_setuservalue(L, -2);
    self->resolver = nh_resolver_new(&config, &err);
    if (!self->resolver)
        return nh_push_error(L, &err);
    return 1;
}

void nh_open_resolver(lua_State *L)
{
    static const luaL_Reg resolver_methods[] = {
        {"gather_destinations", m_gather_destinations},
        {"gather_ips", m_gather_ips},
        {"gather_tlsa", m_gather_tlsa},
        {"plan", m_plan},
        {"pollfd", m_pollfd},
        {"getfd", m_pollfd},
        {"events", m_events},
        {"timeout", m_timeout},
        {"process", m_process},
        {"wait", m_wait},
        {"pending", m_pending},
        {"stats", m_stats},
        {"close", m_close},
        {"__close", m_close},
        {"__gc", resolver_gc},
        {"__tostring", resolver_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg request_methods[] = {
        {"cancel", request_cancel},
        {"__gc", request_gc},
        {"__tostring", request_tostring},
        {NULL, NULL},
    };

    luaL_newmetatable(L, NH_RESOLVER);
    nh_setfuncs(L, resolver_methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    luaL_newmetatable(L, NH_REQUEST);
    nh_setfuncs(L, request_methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);
}
