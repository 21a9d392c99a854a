/* lua_core.h - what the files that know Lua share. */
#ifndef NEXTHOP_LUA_CORE_H
#define NEXTHOP_LUA_CORE_H

#include "compat.h"
#include "gather.h"

#pragma GCC visibility push(hidden)

#define NH_RESOLVER "nexthop resolver"
#define NH_REQUEST "nexthop request"

enum nh_kind { NH_DESTINATIONS, NH_IPS, NH_TLSA, NH_PLAN };

/* One call under way, and what it leaves: a userdata, the handle that a call with a callback
 * returns. Its resolver stops it before it goes away itself. */
struct nh_request {
    struct nh_lua_resolver *owner; /* NULL: over */
    enum nh_kind kind;
    enum { NH_REQUEST_NEW, NH_REQUEST_OPEN, NH_REQUEST_FINISHED } state;
    bool blocking, expired;
    double deadline; /* seconds, negative: none */
    struct nh_timer *timer;
    unsigned long serial; /* order of finishing */
    struct nh_err err;    /* in place of a result; the partial fields still hold */
    TAILQ_ENTRY(nh_request) link;
    struct nh_dialed *dialed;
    size_t n_dialed;
    struct nh_trace trace; /* only marks that one is wanted */
    union {
        struct nh_dest dest;
        struct nh_ips ips;
        struct nh_tlsas tlsas;
        struct nh_plan plan;
    };
};

/* lua_args.c: reads (self, domain|host [, options] [, callback]) into a new request. Raises on
 * misuse. Leaves the request on the stack. An input that is no name sets err. *callback: index of
 * the callback or 0. */
struct nh_request *nh_check_request(lua_State *L, enum nh_kind kind, int *callback);

/* gather_tlsa_names{...} */
int nh_lua_tlsa_names(lua_State *L);

/* lua_result.c: pushes the result, or nil and the error; returns how many. */
int nh_push_result(lua_State *L, struct nh_request *request);
int nh_push_error(lua_State *L, const struct nh_err *err); /* nil, err */
void nh_open_results(lua_State *L);                        /* leaves the table of metatables */
const char *nh_code_name(enum nh_code code);

/* lua_resolver.c */
void nh_open_resolver(lua_State *L);
int nh_lua_new(lua_State *L);

#pragma GCC visibility pop

#endif
