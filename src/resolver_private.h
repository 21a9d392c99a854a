/* resolver_private.h - the resolver from inside: what resolver.c, lookup.c, query.c and recheck.c share. */
#ifndef NEXTHOP_RESOLVER_PRIVATE_H
#define NEXTHOP_RESOLVER_PRIVATE_H

#include "cache.h"
#include "context.h"
#include "lookup.h"
#include "resolver.h"
#include "sigpipe.h"

#include <sys/queue.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

/* One libunbound context. A resolver has a main one. A fresh one beside it gives a second answer
 * where the first may be wrong because of what libunbound remembers (see recheck.c). */
struct nh_context {
    struct ub_ctx *ub;
    double since;       /* when it was opened */
    unsigned n_queries; /* each may need a socket */
    unsigned n_lookups; /* lookups that wait for one of its queries */
    bool has_failed;    /* it has failed a lookup, and may remember why */
    TAILQ_ENTRY(nh_context) link;
};

TAILQ_HEAD(nh_queries, nh_query);
TAILQ_HEAD(nh_contexts, nh_context);
TAILQ_HEAD(nh_lookups, nh_lookup);
TAILQ_HEAD(nh_tasks, nh_task);

/* A query of libunbound's. It goes on when its lookup has been given up; then it is `released`. */
struct nh_query {
    struct nh_resolver *resolver;
    struct nh_context *context;
    struct nh_lookup *lookup; /* NULL: released */
    char *name;               /* of a released one, and its type */
    uint16_t type;
    double sent;
    struct nh_queries *list; /* that it is in */
    TAILQ_ENTRY(nh_query) link;
};

#define NH_CONFIRMED 64 /* failures that are remembered as confirmed */

struct nh_resolver {
    struct nh_context *main, *fresh; /* fresh: NULL where there is none */
    struct nh_contexts draining;     /* closed when no lookup waits for them */
    struct nh_config *config;        /* for further contexts */
    struct nh_loop *loop;
    struct nh_cache *cache;
    pid_t pid;
    double timeout;
    unsigned max_running;                   /* lookups under way for less than NH_YOUNG seconds */
    unsigned max_queries;                   /* of the main context */
    unsigned reserve;                       /* of these, for lookups that follow from an answer */
    struct nh_lookups queued, queued_first; /* wait for a place; the second list goes first */
    struct nh_lookups ready;                /* have their answer, done() is not yet called */
    struct nh_lookups overdue;              /* their time is up */
    struct nh_tasks tasks;
    struct nh_lookups awaiting; /* bogus; they wait for the probe of the forwarders */
    /* Queries of the main context, in the order in which they were sent. */
    struct nh_queries young; /* less than NH_YOUNG seconds ago */
    struct nh_queries aged;  /* longer ago */
    struct nh_queries old;   /* longer than NH_HEDGE seconds ago */
    struct nh_queries others;
    struct nh_queries released, free_list;
    unsigned n_young;
    bool newest_first; /* whose turn it is in a queue that has waited for long */
    bool following;    /* a lookup that was answered is being finished */
    struct nh_timer *tick;
    double tick_at;      /* when it fires */
    double last_success; /* when the main context last gave an answer */
    double due;          /* when the host was to run us again; 0: no matter */
    double lateness;     /* seconds that it came too late, summed up */
    double trouble;      /* until then the main context may remember that servers were away */
    struct nh_sigpipe sigpipe;
    uint64_t random;
    /* recheck.c */
    double tokens, tokens_at; /* for opening fresh contexts */
    struct {
        uint64_t hash;
        double until;
    } confirmed[NH_CONFIRMED];
    unsigned next_confirmed;
    struct nh_forwarder_probe *probe; /* under way */
    double probed_at;                 /* 0: never */
    uint32_t stripping;               /* forwarders that return no DNSSEC records, a bit each */
    struct nh_stats stats;
    bool abandoned;
    struct nh_resolver *next_abandoned;
};

#define NH_YOUNG 0.5 /* seconds after which a lookup no longer keeps others from starting */
#define NH_HEDGE 2.0 /* seconds after which it may be asked in a fresh context, too */

/* ---- query.c ------------------------------------------------------------------- */

/* Asks for the lookup in that context. A cached answer calls back before this returns (rule 1). The
 * lookup is NH_SENT, or has failed and is ready. */
void nh_query_send(struct nh_lookup *l, struct nh_context *context);

/* The lookup no longer waits for its queries. */
void nh_query_release(struct nh_lookup *l);

/* May one more lookup be sent? following: it follows from an answer. */
bool nh_query_has_place(const struct nh_resolver *r, bool following);

/* Are the queries of the main context too many for another one, and mostly old? */
bool nh_query_is_full(const struct nh_resolver *r);

/* Moves queries to the lists of their age; asks again for those that are silent for long. */
void nh_query_age(struct nh_resolver *r);

/* Sets what depends on the sockets of the main context. */
void nh_resolver_set_limits(struct nh_resolver *r);

/* NULL and *err on failure. without: forwarders to leave out, a bit each. */
struct nh_context *nh_context_new(struct nh_resolver *r, uint32_t without, struct nh_err *err);

/* Frees its queries, closes it. No lookup may wait for it; not from inside a callback. */
void nh_context_free(struct nh_resolver *r, struct nh_context *c);

void nh_queries_free(struct nh_queries *list);

/* ---- lookup.c ------------------------------------------------------------------ */

/* Sends queued lookups as far as there is room; the first says whether there are any. */
bool nh_lookup_can_send(const struct nh_resolver *r);
void nh_lookup_send_queued(struct nh_resolver *r);

/* Gives the lookup its outcome: done() is called by the next nh_lookup_finish(). */
void nh_lookup_ready(struct nh_lookup *l, enum nh_code code);

/* Finishes a lookup of the list `ready`, which may free it. */
void nh_lookup_finish(struct nh_lookup *l);

/* Ends the lookups whose time is up. */
void nh_lookup_end_overdue(struct nh_resolver *r);

/* A lookup of our own, in that context alone: no cache, no second try, not counted. */
void nh_lookup_start_internal(struct nh_resolver *r, struct nh_context *context,
                              struct nh_lookup *l, const char *name, uint16_t type, double seconds,
                              void (*done)(void *arg, struct nh_lookup *), void *arg);

/* ---- recheck.c ------------------------------------------------------------------- */

/* A lookup has failed. True: it is asked again, and will be ready once more. */
bool nh_recheck(struct nh_lookup *l);

/* The lookup has waited for NH_HEDGE seconds. */
void nh_recheck_silent(struct nh_lookup *l);

/* The lookup was answered by a fresh context: it becomes the main one. */
void nh_recheck_adopt(struct nh_resolver *r, struct nh_context *c);

/* Lookups wait, and the sockets are taken by queries that nobody answers: a fresh context, with sockets
 * of its own, becomes the main one. */
void nh_recheck_relieve(struct nh_resolver *r);

/* Frees what the lookup has under way in recheck.c. */
void nh_recheck_stop(struct nh_lookup *l);

/* Closes contexts that nobody needs any more. */
void nh_recheck_tidy(struct nh_resolver *r);

/* Ends the probe of the forwarders. */
void nh_recheck_free(struct nh_resolver *r);

#pragma GCC visibility pop

#endif
