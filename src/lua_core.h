/* lua_core.h - what the files that know Lua share. */
#pragma once

#include "compat.h"
#include "gather_raw.h"
#include "list.h"
#include "plan.h"
#include "verify.h"

#define NH_RESOLVER "nexthop resolver"
#define NH_REQUEST "nexthop request"
#define NH_PREFIX "nexthop." /* of the names of the metatables of results */

struct nh_certificate;
struct nh_request;
struct nh_lua_resolver;

/* A call as Lua sees it. It is a row of the table in lua_call.c. */
struct nh_call {
    const char *name;  /* the name of the method */
    const char *input; /* what the call asks about: "domain" or "host" */
    const struct nh_op_type *type;
    size_t size;      /* of a struct nh_request with its part of the union */
    size_t subject;   /* offset in struct nh_request: the text of the input */
    size_t literal;   /* the same: the flag of an address literal; 0: none is accepted */
    size_t bracketed; /* the same: the flag of a name in brackets; 0: none is accepted */
    /* Sets the defaults of the options. NULL: there are none. */
    void (*set_defaults)(struct nh_request *, struct nh_lua_resolver *);
    /* Takes the value at the top of the stack. Returns false when there is no such option. NULL:
     * the call has none. */
    bool (*set_option)(lua_State *, struct nh_request *, const char *key);
    /* Runs after options and input were read. Raises on misuse. NULL: there is nothing to check. */
    void (*check)(lua_State *, struct nh_request *);
    /* These set fields in the table at the top of the stack. set_partial sets the fields that an
     * error has too, and set_rest sets the others. */
    void (*set_partial)(lua_State *, const struct nh_request *);
    void (*set_rest)(lua_State *, const struct nh_request *);
    const char *metatable; /* the metatable of a result; NULL: none */
};

/* The userdata of a call: the handle that a call with a callback returns. It is small, because
 * Lua's collector counts its size. The call itself is in a block of its resolver's pool until it
 * is over. */
struct nh_handle {
    struct nh_request *request; /* NULL: the call is over */
    const struct nh_call *call;
};

/* One call under way, and its result. The resolver stops it before the resolver itself is freed. Its
 * memory has the size of its call: a verify is larger than all others, and none of them pays for it. */
struct nh_request {
    struct nh_handle *handle;
    struct nh_lua_resolver *owner; /* NULL: the call is not under way yet */
    const struct nh_call *call;
    enum { NH_REQUEST_NEW, NH_REQUEST_OPEN, NH_REQUEST_FINISHED } state;
    bool blocking, expired;
    double deadline; /* seconds, negative: none */
    struct nh_timer *timer;
    unsigned long serial;  /* the order in which calls finish */
    int ref, callback_ref; /* where the handle and the callback are anchored */
    NH_LIST_LINK(nh_request) link;
    struct nh_dialed *dialed;
    size_t n_dialed;
    struct nh_assumed *assumed;
    size_t n_assumed;
    struct nh_trace trace; /* only says that a trace is wanted */
    union {
        struct nh_op op; /* first member of each; with op.err the call has no result */
        struct nh_dest_call dest;
        struct nh_ips_call ips;
        struct nh_tlsa_call tlsas;
        struct nh_plan plan;
        struct nh_raw raw;
        struct nh_verify verify;
    };
};

/* The size of a call with that member of the union. */
#define NH_REQUEST_SIZE(member)                                                                    \
    (offsetof(struct nh_request, member) + sizeof((struct nh_request *)0)->member)

/* lua_args.c: reads (self, domain|host [, options] [, callback]) into a new request. Raises on
 * misuse. Leaves the handle on the stack, with its request set. An input that is not a name sets
 * op.err. *callback is the index of the callback, or 0. */
struct nh_handle *nh_check_request(lua_State *L, const struct nh_call *call, int *callback);

/* For the rows of the table of calls. */
bool nh_ips_option(lua_State *L, struct nh_request *request, const char *key);
void nh_ips_defaults(struct nh_request *request, struct nh_lua_resolver *self);
void nh_ips_check(lua_State *L, struct nh_request *request);
bool nh_tlsa_option(lua_State *L, struct nh_request *request, const char *key);
void nh_tlsa_defaults(struct nh_request *request, struct nh_lua_resolver *self);
void nh_tlsa_check(lua_State *L, struct nh_request *request);
bool nh_plan_option(lua_State *L, struct nh_request *request, const char *key);
void nh_plan_defaults(struct nh_request *request, struct nh_lua_resolver *self);
void nh_plan_check(lua_State *L, struct nh_request *request);
bool nh_raw_option(lua_State *L, struct nh_request *request, const char *key);
void nh_raw_check(lua_State *L, struct nh_request *request);
bool nh_verify_option(lua_State *L, struct nh_request *request, const char *key);
void nh_verify_defaults(struct nh_request *request, struct nh_lua_resolver *self);
void nh_verify_check(lua_State *L, struct nh_request *request);

/* For an option's value at the top of the stack. The first raises: what was expected. */
int nh_wrong_option(lua_State *L, const char *key, const char *expected);
const char *nh_opt_string(lua_State *L, const char *key);
bool nh_opt_boolean(lua_State *L, const char *key);
lua_Integer nh_opt_integer(lua_State *L, const char *key, lua_Integer min, lua_Integer max);
double nh_opt_seconds(lua_State *L, const char *key);
/* The options and defaults of a plan, also of one inside another call. */
bool nh_set_plan_option(lua_State *L, struct nh_request *request, struct nh_plan *p,
                        const char *key);
void nh_set_plan_defaults(struct nh_plan *p, struct nh_lua_resolver *self);
void nh_prepare_sts(struct nh_plan *p, struct nh_lua_resolver *self);
void nh_set_plan_lists(const struct nh_request *request, struct nh_plan *p);
/* The text of a host or address as results have it. False: it is neither. */
bool nh_canonical(const char *s, size_t len, char out[NH_HOST_MAX]);

/* lua_record.c: the option `assume`, whose value is at the top of the stack. */
void nh_opt_assume(lua_State *L, struct nh_request *request);
void nh_free_assumed(struct nh_request *request);

/* lua_certificate.c: functions of the module for the program: certificates(text),
 * digest(bytes, match_type), judge{...}. */
int nh_lua_certificates(lua_State *L);
int nh_lua_digest(lua_State *L);
int nh_lua_judge(lua_State *L);

/* lua_names.c: gather_tlsa_names{...} */
int nh_lua_tlsa_names(lua_State *L);

/* lua_result.c: pushes the result, or nil and the error. Returns the number of values. */
int nh_push_result(lua_State *L, struct nh_request *request);
int nh_push_error(lua_State *L, const struct nh_err *err); /* nil, err */
void nh_open_results(lua_State *L);                        /* pushes the table of metatables */

/* For the rows of the table of calls. */
void nh_set_dest(lua_State *L, const struct nh_request *request);
void nh_set_dest_hosts(lua_State *L, const struct nh_request *request);
void nh_set_ips(lua_State *L, const struct nh_request *request);
void nh_set_tlsa(lua_State *L, const struct nh_request *request);
void nh_set_plan(lua_State *L, const struct nh_request *request);
void nh_set_plan_hosts(lua_State *L, const struct nh_request *request);
void nh_set_raw(lua_State *L, const struct nh_request *request);
void nh_set_verify_plan(lua_State *L, const struct nh_request *request);
void nh_set_verify(lua_State *L, const struct nh_request *request);

/* These set a field in the table at the top of the stack. */
void nh_set_boolean(lua_State *L, const char *key, bool value);
void nh_set_integer(lua_State *L, const char *key, lua_Integer value);
void nh_set_string(lua_State *L, const char *key, const char *value);
void nh_set_ttl(lua_State *L, bool has, uint32_t ttl);
void nh_set_metatable(lua_State *L, const char *name);
/* Sets a list of n texts, which follow each other in memory. */
void nh_set_texts(lua_State *L, const char *key, const char *text, size_t n);
/* lua_sts.c: sets what the domain publishes beside its MX: `sts`, `sts_err`, `tlsrpt`, `tlsrpt_err`. */
void nh_set_sts(lua_State *L, const struct nh_plan *p, struct nh_lua_resolver *self);
void nh_free_sts_tables(lua_State *L, struct nh_lua_resolver *self);
/* Methods of the resolver. */
int nh_lua_sts_forget(lua_State *L);
int nh_lua_sts_notice(lua_State *L);
/* These push a table. */
void nh_push_error_table(lua_State *L, const struct nh_err *err);
void nh_push_record(lua_State *L, const struct nh_tlsa *r);
/* self: whose plan it is. */
void nh_push_plan(lua_State *L, const struct nh_plan *p, struct nh_lua_resolver *self);
void nh_push_certificate(lua_State *L, const struct nh_certificate *c); /* lua_verify.c */
void nh_set_hex(lua_State *L, const char *key, const uint8_t digest[32]);
extern const char *const nh_tls_names[];

NH_LIST_HEAD(requests, nh_request);

struct nh_lua_resolver {
    struct nh_resolver *resolver; /* NULL: the resolver is closed */
    bool closing;
    double budget;
    size_t sts_bytes;         /* for policies of MTA-STS; 0: the default */
    unsigned depth;           /* callbacks that are running now, one inside the other */
    unsigned pending;         /* calls whose callback has not run */
    struct requests open;     /* calls that are under way */
    struct requests finished; /* calls whose callback is due, in the order of finishing */
    bool expired;             /* the deadline of a call in `open` has come ... */
    double expired_at;        /* ... at that time, as nh_now() */
    struct nh_pool requests, hosts;
    struct nh_contacts *contacts; /* NULL until the first verify */
    struct nh_sts *sts;           /* NULL until it is asked for, or the cache file is opened */
    int sts_tables;               /* reference of their table in the registry, or LUA_NOREF */
    unsigned long serial;         /* serial of the last call that finished */
    unsigned long calls, delivered;
    double longest_process;
};

#define NH_GRACE 0.1 /* seconds after a deadline in which results that have come still count */
#define NH_SLICE 0.1 /* seconds after which a blocking call looks for an interrupt again */

/* lua_call.c */
struct nh_lua_resolver *nh_check_resolver(lua_State *L);
/* Was the resolver created in the parent, before a fork? */
bool nh_forked(const struct nh_lua_resolver *self);
/* Returns NH_OK, or why the resolver cannot be used. */
enum nh_code nh_usable(const struct nh_lua_resolver *self);
/* Pushes nil and the error for that code. */
int nh_push_unusable(lua_State *L, enum nh_code code);
/* Zeroed memory for a call, or NULL when memory runs out; nh_stop_request() frees it. */
struct nh_request *nh_take_request(struct nh_lua_resolver *self, const struct nh_call *call);
/* The text of the input of the call. */
const char *nh_subject(const struct nh_request *request);
/* Ends a call that is under way with the error op.err, which is set. */
void nh_fail_op(struct nh_request *request);
/* Removes a call from its resolver and frees it. The handle remains. */
void nh_stop_request(struct nh_request *request);
/* Runs the resolver (see nh_resolver_run()), and ends calls whose deadline has come. */
void nh_run(struct nh_lua_resolver *self, double until, double wait);
/* Handles the end of a call: puts it into the queue for delivery, or marks it for the blocking
 * call that waits. */
void nh_request_finished(void *arg);
/* Runs the first callback that is due. Stores its error for nh_raise_error(). */
void nh_deliver_one(lua_State *L, int self_index);
/* Runs callbacks that are due, until the time `until` (0: all that are due now). Returns how
 * many. */
int nh_deliver(lua_State *L, int self_index, double until);
/* Raises the error that a callback has raised. Call it at the end of a batch. */
void nh_raise_error(lua_State *L, int self_index);
/* Lets a debug hook run. In this way the Lua program turns Ctrl-C into an error. Returns true,
 * with the error on the stack, when the hook raised one. */
bool nh_interrupted(lua_State *L, int self_index);
void nh_open_request(lua_State *L); /* adds the calls to the table at the top of the stack */

/* lua_resolver.c */
void nh_open_resolver(lua_State *L);
int nh_lua_new(lua_State *L);
