/* lua_call.c - calls on a resolver: their table, their life, the delivery of their results, and
 * waiting for one.
 *
 * A call is an nh_handle userdata and an nh_request behind it. While a call has a callback to
 * run, it is anchored in the user value table of its resolver. Only nh_deliver_one() runs
 * callbacks, and never below libunbound or libuv. */
#include "lua_core.h"

#include "loop.h"
#include "timer.h"

#include <stddef.h>
#include <stdlib.h>

/* ---- the userdata ------------------------------------------------------------------- */

struct nh_lua_resolver *nh_check_resolver(lua_State *L)
{
    return luaL_checkudata(L, 1, NH_RESOLVER);
}

bool nh_forked(const struct nh_lua_resolver *self)
{
    return self->resolver && !nh_resolver_mine(self->resolver);
}

enum nh_code nh_usable(const struct nh_lua_resolver *self)
{
    if (!self->resolver || self->closing)
        return NH_CLOSED;
    return nh_forked(self) ? NH_FORKED : NH_OK;
}

int nh_push_unusable(lua_State *L, enum nh_code code)
{
    struct nh_err err;

    nh_fail(&err, code,
            code == NH_FORKED ? "the resolver was made before a fork: make a new one"
                              : "the resolver is closed");
    return nh_push_error(L, &err);
}

/* ---- requests ---------------------------------------------------------------------------- */

const char *nh_subject(const struct nh_request *request)
{
    return (const char *)request + request->call->subject;
}

void nh_fail_op(struct nh_request *request)
{
    const struct nh_op_type *type = request->call->type;

    (type->fail ? type->fail : type->stop)(&request->op);
}

void nh_stop_request(struct nh_request *request)
{
    struct nh_lua_resolver *self = request->owner;

    if (request->handle)
        request->handle->request = NULL;
    if (self) {
        if (request->state == NH_REQUEST_OPEN)
            NH_LIST_REMOVE(&self->open, request, link);
        else if (request->state == NH_REQUEST_FINISHED && !request->blocking)
            NH_LIST_REMOVE(&self->finished, request, link);
        if (!request->blocking)
            self->pending--;
        if (request->state == NH_REQUEST_FINISHED) {
            request->call->type->stop(
                &request->op); /* no lookup is under way; the resolver may even be closed */
        } else if (nh_forked(self)) {
            nh_resolver_abandon(self->resolver);
            request->call->type->stop(&request->op);
        } else {
            nh_timer_stop(request->timer);
            request->call->type->stop(&request->op);
        }
    }
    for (size_t k = 0; k < request->n_dialed; k++)
        free(request->dialed[k].ips);
    free(request->dialed);
    nh_free_assumed(request);
    if (self && self->resolver && request->call->size <= self->requests.size)
        nh_pool_give(&self->requests, request);
    else
        free(request);
}

struct nh_request *nh_take_request(struct nh_lua_resolver *self, const struct nh_call *call)
{
    if (call->size > self->requests.size)
        return calloc(1, call->size);
    return nh_pool_take(&self->requests, call->size);
}

void nh_request_finished(void *arg)
{
    struct nh_request *request = arg;
    struct nh_lua_resolver *self = request->owner;

    if (request->state == NH_REQUEST_OPEN)
        NH_LIST_REMOVE(&self->open, request, link);
    request->state = NH_REQUEST_FINISHED;
    nh_timer_stop(request->timer);
    request->timer = NULL;
    if (!request->blocking) {
        request->serial = ++self->serial;
        NH_LIST_INSERT_LAST(&self->finished, request, link);
    }
}

/* Runs inside the loop, so it only marks the call. */
static void on_deadline(void *arg)
{
    struct nh_request *request = arg;

    request->timer = NULL;
    request->expired = true;
    if (!request->owner->expired)
        request->owner->expired_at = nh_now();
    request->owner->expired = true;
}

static void call_expire(struct nh_request *request)
{
    const struct nh_op_type *type = request->call->type;

    if (type->expire) {
        type->expire(&request->op);
    } else {
        nh_fail_expired(&request->op.err, "%s: the deadline came before %s", nh_subject(request),
                        type->awaited);
        nh_fail_op(request);
    }
    nh_request_finished(request);
}

/* Ends the calls whose deadline has passed. */
static void expire_all(struct nh_lua_resolver *self)
{
    struct nh_request *request, *next;

    if (!self->expired)
        return;
    self->expired = false;
    for (request = NH_LIST_FIRST(&self->open); request; request = next) {
        next = NH_LIST_NEXT(request, link);
        if (request->expired)
            call_expire(request);
    }
}

/* What has come when the deadline comes still counts, even if there was no time to look at it in this turn. */
void nh_run(struct nh_lua_resolver *self, double until, double wait)
{
    nh_resolver_run(self->resolver, until, self->expired ? 0 : wait);
    if (!nh_resolver_has_results(self->resolver) || nh_now() - self->expired_at >= NH_GRACE)
        expire_all(self);
}

static void call_start(struct nh_lua_resolver *self, struct nh_request *request)
{
    request->owner = self;
    request->state = NH_REQUEST_OPEN;
    NH_LIST_INSERT_LAST(&self->open, request, link);
    self->calls++;
    if (!request->blocking)
        self->pending++;
    if (request->op.err.code == NH_OK && request->deadline >= 0) {
        request->timer = nh_resolver_timer(self->resolver, request->deadline, on_deadline, request);
        if (!request->timer)
            nh_fail(&request->op.err, NH_NO_MEMORY, "%s: out of memory", nh_subject(request));
    }
    if (request->op.err.code != NH_OK) { /* also for an invalid name */
        nh_request_finished(request);
        return;
    }
    request->op.done = nh_request_finished;
    request->op.arg = request;
    request->call->type->start(&request->op, self->resolver);
    nh_resolver_drain(self->resolver);
}

/* ---- delivery ------------------------------------------------------------------------------ */

/* The message handler of callbacks. It adds a traceback to a text, and leaves another value as
 * it is. */
static int add_traceback(lua_State *L)
{
    const char *message = lua_tostring(L, 1);

    if (!message && luaL_callmeta(L, 1, "__tostring"))
        message = lua_tostring(L, -1);
    if (lua_isnil(L, 1))
        message = "(the error is nil)"; /* a nil would mean that there is no error */
    if (message)
        nh_traceback(L, message);
    else
        lua_settop(L, 1);
    return 1;
}

/* Takes the address of a pointer to a request, the handle of the call and its callback. Sets the pointer to NULL
 * when the request is freed, and runs the callback with the result. It is a C function, so that an error of ours (no memory) is caught in the same way as an error of the callback. */
static int run_callback(lua_State *L)
{
    struct nh_request **place = lua_touserdata(L, 1), *request = *place;
    int n = nh_push_result(L, request);

    *place = NULL;
    nh_stop_request(request);
    lua_call(L, n, 0);
    return 0;
}

/* Takes the request out of all that Lua can reach. When Lua makes a table it may collect garbage, and a finalizer
 * of the host program may cancel the call or close the resolver. */
static void take_out(struct nh_lua_resolver *self, struct nh_request *request)
{
    NH_LIST_REMOVE(&self->finished, request, link);
    self->pending--;
    request->blocking = true; /* from here on it is in no list, as a blocking call */
    request->handle->request = NULL;
    request->handle = NULL;
}

/* Anchors a call with a callback in a list in the table of its resolver, before the call starts.
 * The list is also the user value of the handle (at index 5), because cancel() has no other way
 * to find it. */
static void anchor(lua_State *L, struct nh_request *request, int callback)
{
    nh_getuservalue(L, 1);
    lua_rawgeti(L, -1, 1);
    lua_pushvalue(L, -1);
    nh_setuservalue(L, 5);
    lua_pushvalue(L, callback);
    request->callback_ref = luaL_ref(L, 7);
    lua_pushvalue(L, 5);
    request->ref = luaL_ref(L, 7);
    lua_settop(L, 5);
}

static void drop_anchor(lua_State *L, int list, const struct nh_request *request)
{
    luaL_unref(L, list, request->ref);
    luaL_unref(L, list, request->callback_ref);
}

/* Stores the error of the callback, if there is one, in the field "error" of the resolver's
 * table, unless that field is set already. */
void nh_deliver_one(lua_State *L, int self_index)
{
    struct nh_lua_resolver *self = lua_touserdata(L, self_index);
    int top = lua_gettop(L), table = top + 1, list = top + 2;
    struct nh_request *request, *left; /* left: not freed yet */

    luaL_checkstack(L, 10, "no room for a callback");
    nh_getuservalue(L, self_index);
    lua_rawgeti(L, table, 1);
    lua_pushcfunction(L, add_traceback);
    lua_pushcfunction(L, run_callback);
    request = NH_LIST_FIRST(&self->finished);
    if (!request) { /* a finalizer has closed the resolver */
        lua_settop(L, top);
        return;
    }
    left = request;
    lua_pushlightuserdata(L, &left);
    lua_rawgeti(L, list, request->ref);
    lua_rawgeti(L, list, request->callback_ref);
    drop_anchor(L, list, request);
    take_out(self, request);
    self->depth++;
    self->delivered++;
    if (lua_pcall(L, 3, 0, list + 1) != 0) {
        if (left) /* an error came before the callback ran */
            nh_stop_request(left);
        lua_getfield(L, table, "error");
        if (lua_isnil(L, -1)) {
            lua_pushvalue(L, -2);
            lua_setfield(L, table, "error");
        }
    }
    self->depth--;
    lua_settop(L, top);
}

/* Runs callbacks that are due, until the time `until`. 0 means all that are due now; a callback
 * that becomes due meanwhile runs in the next round. Returns how many have run. */
int nh_deliver(lua_State *L, int self_index, double until)
{
    struct nh_lua_resolver *self = lua_touserdata(L, self_index);
    unsigned long last = self->serial;
    struct nh_request *request;
    int n = 0;

    while ((request = NH_LIST_FIRST(&self->finished)) != NULL && request->serial <= last) {
        nh_deliver_one(L, self_index);
        n++;
        if ((until > 0 && nh_now() >= until) || nh_forked(self))
            break; /* the callback has forked: in the child the other calls are not ours */
    }
    return n;
}

void nh_raise_error(lua_State *L, int self_index)
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

/* ---- calls --------------------------------------------------------------------------------- */

bool nh_interrupted(lua_State *L, int self_index)
{
    if (!lua_gethook(L))
        return false;
    nh_getuservalue(L, self_index);
    lua_getfield(L, -1, "idle");
    lua_remove(L, -2);
    return lua_pcall(L, 0, 0, 0) != 0;
}

/* Waits until this call has its result. Callbacks of other calls run meanwhile. They do not run
 * when this call was made inside a callback, because they would pile up on the C stack. */
static int call_block(lua_State *L, struct nh_handle *handle)
{
    struct nh_lua_resolver *self = lua_touserdata(L, 1);

    /* A callback or a hook may close the resolver, which ends the call, or it may fork. */
    while (handle->request && handle->request->state != NH_REQUEST_FINISHED) {
        enum nh_code code = nh_usable(self);

        if (code != NH_OK) {
            nh_stop_request(handle->request);
            return nh_push_unusable(L, code);
        }
        nh_run(self, 0, NH_SLICE);
        if (self->depth == 0 && !NH_LIST_EMPTY(&self->finished))
            nh_deliver(L, 1, 0);
        if (nh_interrupted(L, 1)) {
            if (handle->request)
                nh_stop_request(handle->request);
            return lua_error(L);
        }
    }
    if (!handle->request)
        return nh_push_unusable(L, nh_usable(self));
    int n = nh_push_result(L, handle->request);
    nh_stop_request(handle->request);
    return n;
}

static int call_call(lua_State *L)
{
    const struct nh_call *row = lua_touserdata(L, lua_upvalueindex(1));
    struct nh_lua_resolver *self = nh_check_resolver(L);
    int callback;

    lua_settop(L, 4);
    struct nh_handle *handle = nh_check_request(L, row, &callback);
    enum nh_code code = nh_usable(self);
    if (code != NH_OK)
        return nh_push_unusable(L, code);
    handle->request->blocking = callback == 0;
    if (callback)
        anchor(L, handle->request, callback);
    call_start(self, handle->request);
    return callback ? 1 : call_block(L, handle);
}

/* request:cancel(): its callback will not run. Returns true when the callback had not run yet. */
static int request_cancel(lua_State *L)
{
    struct nh_handle *handle = luaL_checkudata(L, 1, NH_REQUEST);
    bool live = handle->request != NULL;

    if (live) {
        nh_getuservalue(L, 1);
        drop_anchor(L, lua_gettop(L), handle->request);
        nh_stop_request(handle->request);
    }
    lua_pushboolean(L, live);
    return 1;
}

static int request_gc(lua_State *L)
{
    struct nh_handle *handle = lua_touserdata(L, 1);

    if (handle->request)
        nh_stop_request(handle->request);
    return 0;
}

static int request_tostring(lua_State *L)
{
    struct nh_handle *handle = luaL_checkudata(L, 1, NH_REQUEST);
    lua_pushfstring(L, NH_REQUEST " (%s, %s)", handle->call->name,
                    handle->request ? "pending" : "over");
    return 1;
}

/* ---- the table ----------------------------------------------------------------------------- */

#define AT(member) offsetof(struct nh_request, member)

static const struct nh_call calls[] = {
    {"gather_destinations", "domain", &nh_dest_type, NH_REQUEST_SIZE(dest), AT(dest.domain),
     AT(dest.literal), 0, NULL, NULL, NULL, nh_set_dest, nh_set_dest_hosts, "nexthop.destinations"},
    {"gather_ips", "host", &nh_ips_type, NH_REQUEST_SIZE(ips), AT(ips.host), AT(ips.literal), 0,
     nh_ips_defaults, nh_ips_option, nh_ips_check, nh_set_ips, NULL, "nexthop.ips"},
    {"gather_tlsa", "host", &nh_tlsa_type, NH_REQUEST_SIZE(tlsas), AT(tlsas.host),
     AT(tlsas.literal), 0, nh_tlsa_defaults, nh_tlsa_option, nh_tlsa_check, nh_set_tlsa, NULL,
     "nexthop.tlsa"},
    {"plan", "domain", &nh_plan_type, NH_REQUEST_SIZE(plan), AT(plan.domain), AT(plan.literal),
     AT(plan.bracketed), nh_plan_defaults, nh_plan_option, nh_plan_check, nh_set_plan,
     nh_set_plan_hosts, "nexthop.plan"},
    {"verify", "domain", &nh_verify_type, NH_REQUEST_SIZE(verify), AT(verify.plan.domain),
     AT(verify.plan.literal), AT(verify.plan.bracketed), nh_verify_defaults, nh_verify_option,
     nh_verify_check, nh_set_verify_plan, nh_set_verify, "nexthop.report"},
    /* Private: for `nexthop --check`. */
    {"_lookup", "host", &nh_raw_type, NH_REQUEST_SIZE(raw), AT(raw.name), 0, 0, NULL, nh_raw_option,
     nh_raw_check, NULL, nh_set_raw, NULL},
};

void nh_open_request(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"cancel", request_cancel},
        {"__gc", request_gc},
        {"__tostring", request_tostring},
        {NULL, NULL},
    };
    size_t k;

    for (k = 0; k < sizeof calls / sizeof calls[0]; k++) { /* they become methods of the resolver */
        lua_pushlightuserdata(L, (void *)&calls[k]);
        lua_pushcclosure(L, call_call, 1);
        lua_setfield(L, -2, calls[k].name);
    }
    luaL_newmetatable(L, NH_REQUEST);
    nh_setfuncs(L, methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
