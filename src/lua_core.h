/* lua_core.h - what the files that know Lua share. */
#ifndef NEXTHOP_LUA_CORE_H
#define NEXTHOP_LUA_CORE_H

#include "compat.h"
#include "gather_raw.h"
#include "plan.h"

#pragma GCC visibility push(hidden)

#define NH_RESOLVER "nexthop resolver"
#define NH_REQUEST "nexthop request"

struct nh_request;
struct nh_lua_resolver;

/* A call as Lua has it: a row of the table in lua_call.c. */
struct nh_call {
    const char *name;  /* of the method */
    const char *input; /* what it asks about: "domain" or "host" */
    const struct nh_op_type *type;
    size_t subject;   /* where struct nh_request has the text of the input */
    size_t literal;   /* likewise, the flag of an address literal; 0: none is taken */
    size_t bracketed; /* likewise, the flag of a name in brackets; 0: none is taken */
    /* Sets what options may change; NULL: nothing. */
    void (*set_defaults)(struct nh_request *, struct nh_lua_resolver *);
    /* Takes the value at the top of the stack. False: no such option. NULL: there are none. */
    bool (*set_option)(lua_State *, struct nh_request *, const char *key);
    /* After options and input; raises on misuse. NULL: nothing to do. */
    void (*check)(lua_State *, struct nh_request *);
    /* Sets fields in the table at the top of the stack: those that an error has, too, and the rest. */
    void (*set_partial)(lua_State *, const struct nh_request *);
    void (*set_rest)(lua_State *, const struct nh_request *);
    const char *metatable; /* of a result; NULL: none */
};

/* The userdata of a call: the handle that a call with a callback returns. Small, as Lua's collector
 * counts it; the call itself is in a block of its resolver's pool, until it is over. */
struct nh_handle {
    struct nh_request *request; /* NULL: over */
    const struct nh_call *call;
};

/* One call under way, and what it leaves. Its resolver stops it before it goes away itself. */
struct nh_request {
    struct nh_handle *handle;
    struct nh_lua_resolver *owner; /* NULL: not yet under way */
    const struct nh_call *call;
    enum { NH_REQUEST_NEW, NH_REQUEST_OPEN, NH_REQUEST_FINISHED } state;
    bool blocking, expired;
    double deadline; /* seconds, negative: none */
    struct nh_timer *timer;
    unsigned long serial;  /* order of finishing */
    int ref, callback_ref; /* where handle and callback are anchored */
    TAILQ_ENTRY(nh_request) link;
    struct nh_dialed *dialed;
    size_t n_dialed;
    struct nh_trace trace; /* only marks that one is wanted */
    union {
        struct nh_op op; /* the first member of each; op.err is in place of a result */
        struct nh_dest_call dest;
        struct nh_ips_call ips;
        struct nh_tlsa_call tlsas;
        struct nh_plan plan;
        struct nh_raw raw;
    };
};

/* lua_args.c: reads (self, domain|host [, options] [, callback]) into a new request. Raises on
 * misuse. Leaves the handle on the stack, its request set. An input that is no name sets err. *callback: index of
 * the callback or 0. */
struct nh_handle *nh_check_request(lua_State *L, const struct nh_call *call, int *callback);

/* Rows of the table of calls. */
bool nh_ips_option(lua_State *L, struct nh_request *request, const char *key);
void nh_ips_defaults(struct nh_request *request, struct nh_lua_resolver *self);
void nh_ips_check(lua_State *L, struct nh_request *request);
bool nh_tlsa_option(lua_State *L, struct nh_request *request, const char *key);
void nh_tlsa_defaults(struct nh_request *request, struct nh_lua_resolver *self);
bool nh_plan_option(lua_State *L, struct nh_request *request, const char *key);
void nh_plan_defaults(struct nh_request *request, struct nh_lua_resolver *self);
void nh_plan_check(lua_State *L, struct nh_request *request);
bool nh_raw_option(lua_State *L, struct nh_request *request, const char *key);
void nh_raw_check(lua_State *L, struct nh_request *request);

/* gather_tlsa_names{...} */
int nh_lua_tlsa_names(lua_State *L);

/* lua_result.c: pushes the result, or nil and the error; returns how many. */
int nh_push_result(lua_State *L, struct nh_request *request);
int nh_push_error(lua_State *L, const struct nh_err *err); /* nil, err */
void nh_open_results(lua_State *L);                        /* leaves the table of metatables */

/* Rows of the table of calls. */
void nh_set_dest(lua_State *L, const struct nh_request *request);
void nh_set_dest_hosts(lua_State *L, const struct nh_request *request);
void nh_set_ips(lua_State *L, const struct nh_request *request);
void nh_set_tlsa(lua_State *L, const struct nh_request *request);
void nh_set_plan(lua_State *L, const struct nh_request *request);
void nh_set_plan_hosts(lua_State *L, const struct nh_request *request);
void nh_set_raw(lua_State *L, const struct nh_request *request);

TAILQ_HEAD(requests, nh_request);

struct nh_lua_resolver {
    struct nh_resolver *resolver; /* NULL: closed */
    bool closing;
    double budget;
    unsigned depth;           /* callbacks being run right now, one inside the other */
    unsigned pending;         /* calls with a callback that has not run */
    struct requests open;     /* under way */
    struct requests finished; /* callback due, first come first served */
    bool expired;             /* the deadline of one that is open has come */
    struct nh_pool requests, hosts;
    unsigned long serial; /* of the last call that finished */
    unsigned long calls, delivered;
    double longest_process;
};

#define NH_SLICE 0.1 /* seconds that a blocking call waits before it looks for an interrupt */

/* lua_call.c */
struct nh_lua_resolver *nh_check_resolver(lua_State *L);
/* Was it made before a fork, in the parent? */
bool nh_forked(const struct nh_lua_resolver *self);
/* NH_OK, or why the resolver can't be used. */
enum nh_code nh_usable(const struct nh_lua_resolver *self);
/* nil and that as an error. */
int nh_push_unusable(lua_State *L, enum nh_code code);
/* The text of the input. */
const char *nh_subject(const struct nh_request *request);
/* Ends a call that is under way with op.err, which is set. */
void nh_fail_op(struct nh_request *request);
/* Takes a call out of its resolver and frees it; the handle stays. */
void nh_stop_request(struct nh_request *request);
/* Runs the resolver, see nh_resolver_run(), and ends calls whose deadline has come. */
void nh_run(struct nh_lua_resolver *self, double until, double wait);
/* The answer is there: lines the call up for delivery, or lets the blocking call see it. */
void nh_request_finished(void *arg);
/* Runs the first callback that is due; keeps its error for nh_raise_error(). */
void nh_deliver_one(lua_State *L, int self_index);
/* Runs callbacks that are due, until `until` (0: all that are due now). Returns how many. */
int nh_deliver(lua_State *L, int self_index, double until);
/* Raises what a callback has raised, once the batch is through. */
void nh_raise_error(lua_State *L, int self_index);
/* Lets a debug hook run: that is how the Lua program makes Ctrl-C an error. True, and the error
 * on the stack, when it raised one. */
bool nh_interrupted(lua_State *L, int self_index);
void nh_open_request(lua_State *L); /* adds the calls to the table at the top of the stack */

/* lua_resolver.c */
void nh_open_resolver(lua_State *L);
int nh_lua_new(lua_State *L);

#pragma GCC visibility pop

#endif
