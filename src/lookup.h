/* lookup.h - the resolver from inside: what resolver.c and lookup.c share. */
#ifndef NEXTHOP_LOOKUP_H
#define NEXTHOP_LOOKUP_H

#include "resolver.h"
#include "sigpipe.h"

#include <sys/queue.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

/* A query of libunbound's, which outlives a lookup that was cancelled. */
struct ticket {
    struct nh_resolver *resolver;
    struct nh_lookup *lookup; /* NULL: given back */
    char *name;               /* of one that was given back, and its type */
    uint16_t type;
    LIST_ENTRY(ticket) link;
};

TAILQ_HEAD(lookups, nh_lookup);
LIST_HEAD(tickets, ticket);

struct nh_resolver {
    struct ub_ctx *ctx;
    struct nh_loop *loop;
    struct nh_cache *cache;
    pid_t pid;
    double timeout;
    unsigned max_running, max_tickets;
    struct lookups queued; /* wait for a place */
    struct lookups ready;  /* have their answer, done() not yet called */
    struct lookups aside;  /* bogus, waiting for what the probe finds */
    struct tickets tickets, given_back;
    unsigned n_tickets; /* in both */
    struct tickets spare;
    struct nh_guard guard;
    uint64_t random;
    /* the probe for a forwarder that strips DNSSEC (rule 13) */
    struct nh_lookup probe;
    char *forwarders, *anchor_zone;
    double probed_at; /* 0: never */
    bool strips;
    struct nh_stats stats;
    bool abandoned;
    struct nh_resolver *next_abandoned;
};

/* For every call of libunbound: what is in our cache needs none. */
static inline struct ub_ctx *nh_resolver_guarded(struct nh_resolver *r)
{
    nh_guard_hold(&r->guard);
    return r->ctx;
}

/* Sends queued lookups as far as there is room; the first says whether there are any. */
bool nh_lookup_can_send(const struct nh_resolver *r);
void nh_lookup_send_queued(struct nh_resolver *r);

/* Finishes a lookup of the list `ready`, which may free it. */
void nh_lookup_finish(struct nh_lookup *l);

/* Frees them all. */
void nh_tickets_free(struct tickets *list);

#pragma GCC visibility pop

#endif
