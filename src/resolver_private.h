/* resolver_private.h - the inside of the resolver, which resolver.c, lookup.c, query.c,
 * recheck.c and forwarders.c share. */
#pragma once

#include "cache.h"
#include "context.h"
#include "list.h"
#include "lookup.h"
#include "resolver.h"
#include "sigpipe.h"

#include <sys/types.h>

/* One libunbound context. A resolver has a main context. A fresh context beside it gives a
 * second answer when the first one may be wrong because of something that libunbound remembers
 * (see recheck.c). */
struct nh_context {
    struct ub_ctx *ub;
    struct nh_base *base;
    double since;       /* when it was opened */
    unsigned sockets;   /* that it may have open at once */
    unsigned n_queries; /* each of them may need a socket */
    unsigned n_lookups; /* lookups that wait for one of its queries */
    bool has_failed;    /* a lookup has failed in it, and it may remember the cause */
    NH_LIST_LINK(nh_context) link;
};

NH_LIST_HEAD(nh_queries, nh_query);
NH_LIST_HEAD(nh_contexts, nh_context);
NH_LIST_HEAD(nh_lookups, nh_lookup);
NH_LIST_HEAD(nh_tasks, nh_task);

/* A query of libunbound. It goes on after its lookup was given up. Then it is `released`. */
struct nh_query {
    struct nh_resolver *resolver;
    struct nh_context *context;
    struct nh_lookup *lookup; /* NULL: the query is released */
    char *name;               /* of a released query; so is the type */
    uint16_t type;
    double sent;
    struct nh_queries *list; /* the list that it is in */
    NH_LIST_LINK(nh_query) link;
};

/* Places that lookups take. The first `burst` places are taken at once. Of those from `burst` to
 * `most` one is given every `interval` seconds. So a lookup that starts later finds a place, although
 * lookups that nobody answers have taken all places before it. The places from `most` to `limit` are
 * for lookups that follow from answers. */
struct nh_places {
    unsigned burst, most, limit;
    unsigned given; /* lookups that follow from no answer may take these places now */
    double interval;
    double next; /* when one more is given */
};

#define NH_CONFIRMED 64 /* confirmed failures that are remembered */

struct nh_resolver {
    struct nh_context *main, *fresh; /* fresh is NULL when there is none */
    struct nh_contexts draining;     /* they are closed when no lookup waits for them */
    struct nh_config *config;        /* for further contexts */
    struct nh_loop *loop;
    struct nh_cache *cache;
    pid_t pid;
    double timeout;
    struct nh_places running;               /* for lookups sent in the last NH_YOUNG seconds */
    struct nh_places sockets;               /* of the main context */
    struct nh_lookups queued, queued_first; /* they wait for a place; the second is served first */
    struct nh_lookups ready;                /* they have an outcome, but not yet done() */
    struct nh_lookups overdue;              /* the time of these lookups is up */
    struct nh_tasks tasks, heavy_tasks;
    struct nh_lookups awaiting; /* bogus; they wait for the probe of the forwarders */
    /* The queries of the main context, in the order in which they were sent. */
    struct nh_queries young; /* sent less than NH_YOUNG seconds ago */
    struct nh_queries aged;  /* sent longer ago */
    struct nh_queries old;   /* sent more than NH_HEDGE seconds ago */
    struct nh_queries others;
    struct nh_queries released, free_list;
    unsigned n_young;
    bool newest_first; /* which end of a queue that has waited for long is next */
    bool following;    /* a lookup that was answered is being finished */
    struct nh_timer *tick;
    double tick_at;      /* when the tick fires */
    double last_success; /* when the main context last gave an answer */
    double due;          /* when the host program should run us next; 0: at any time */
    double lateness;     /* the sum of the seconds by which it was late */
    double trouble;      /* until this time the main context may remember that servers were away */
    struct nh_sigpipe sigpipe;
    uint64_t random;
    /* for recheck.c and forwarders.c */
    double tokens, tokens_at; /* for opening fresh contexts */
    struct {
        uint64_t hash;
        double until;
    } confirmed[NH_CONFIRMED];
    unsigned next_confirmed;
    struct nh_forwarder_probe *probe; /* under way */
    double probed_at;                 /* 0: never */
    uint32_t stripping;               /* forwarders that return no DNSSEC records; one bit each */
    struct nh_stats stats;
    bool abandoned;
    struct nh_resolver *next_abandoned;
};

#define NH_YOUNG 0.5 /* seconds after which a lookup no longer keeps others from starting */
#define NH_HEDGE 2.0 /* seconds after which it may also be asked in a fresh context */

/* ---- query.c ------------------------------------------------------------------- */

/* Asks libunbound for the lookup in that context. A cached answer calls back before this
 * function returns (rule 1). Afterwards the lookup is NH_SENT, or it has failed and is ready. */
void nh_query_send(struct nh_lookup *l, struct nh_context *context);

/* Releases the queries of the lookup, which no longer waits for them. */
void nh_query_release(struct nh_lookup *l);

/* Gives places to queued lookups, if it is time. */
void nh_query_give_places(struct nh_resolver *r);

/* When a queued lookup may find a place. A time of nh_now(). */
double nh_query_next_place(const struct nh_resolver *r);

/* May one more lookup be sent? following: the lookup follows from an answer. */
bool nh_query_has_place(const struct nh_resolver *r, bool following);

/* Does the main context have too many queries for another one, and are most of them old? */
bool nh_query_is_full(const struct nh_resolver *r);

/* Moves queries to the list for their age. Asks again for those that have been silent for long. */
void nh_query_age(struct nh_resolver *r);

/* Sets the limits that depend on the sockets of the main context. */
void nh_resolver_set_limits(struct nh_resolver *r);

/* Returns NULL and sets *err on failure. without: the forwarders to leave out, one bit each. */
struct nh_context *nh_context_new(struct nh_resolver *r, uint32_t without, struct nh_err *err);

/* Frees the queries of the context and closes it. No lookup may wait for it. Must not be called
 * from inside a callback. */
void nh_context_free(struct nh_resolver *r, struct nh_context *c);

void nh_queries_free(struct nh_queries *list);

/* ---- lookup.c ------------------------------------------------------------------ */

/* nh_lookup_send_queued() sends queued lookups while there are places for them.
 * nh_lookup_can_send() says whether it would send one. */
bool nh_lookup_can_send(const struct nh_resolver *r);
void nh_lookup_send_queued(struct nh_resolver *r);

/* Replaces the reason of the failure. Without memory the former one stays. */
void nh_lookup_set_reason(struct nh_lookup *l, const char *text);

/* Gives the lookup its outcome. The next nh_lookup_finish() calls done(). */
void nh_lookup_ready(struct nh_lookup *l, enum nh_code code);

/* Finishes a lookup that is in the list `ready`. This may free the lookup. */
void nh_lookup_finish(struct nh_lookup *l);

/* Ends the lookups whose time is up. */
void nh_lookup_end_overdue(struct nh_resolver *r);

/* Starts a lookup of the resolver itself, in that context only. It uses no cache, is asked once,
 * and is not counted. */
void nh_lookup_start_internal(struct nh_resolver *r, struct nh_context *context,
                              struct nh_lookup *l, const char *name, uint16_t type, double seconds,
                              void (*done)(void *arg, struct nh_lookup *), void *arg);

/* ---- recheck.c ------------------------------------------------------------------- */

/* Decides what follows when a lookup has failed. Returns true when it is asked again. It will
 * then be ready once more. */
bool nh_recheck(struct nh_lookup *l);

/* Handles a lookup that has waited for NH_HEDGE seconds. */
void nh_recheck_silent(struct nh_lookup *l);

/* Makes the fresh context the main one, because it has answered the lookup. */
void nh_recheck_adopt(struct nh_resolver *r, struct nh_context *c);

/* Makes a fresh context, which has its own sockets, the main one. This is for lookups that wait
 * because queries that nobody answers hold the sockets. */
void nh_recheck_relieve(struct nh_resolver *r);

/* Could nh_recheck_relieve() help when so many sockets more are open? */
bool nh_recheck_can_relieve(const struct nh_resolver *r, unsigned sockets);

/* Frees what recheck.c has under way for the lookup. */
void nh_recheck_stop(struct nh_lookup *l);

/* Closes contexts that nobody needs any more. */
void nh_recheck_tidy(struct nh_resolver *r);

/* ---- forwarders.c ----------------------------------------------------------------- */

/* Starts the probe of the forwarders if it is necessary. Returns true when the lookup, which is bogus in
 * that context, has to wait for it. It will then be ready once more. */
bool nh_forwarders_probe(struct nh_lookup *l, struct nh_context *c);

/* The forwarders to leave out because they strip DNSSEC, one bit each. 0 when all of them do, or
 * when the last probe was too long ago. */
uint32_t nh_forwarders_to_leave(const struct nh_resolver *r);

/* Puts the forwarders that strip DNSSEC into the reason of the lookup. */
void nh_forwarders_explain(struct nh_lookup *l);

/* Ends the probe. */
void nh_forwarders_stop(struct nh_resolver *r);
