/* resolver.h - the resolver: configuration, life, running. */
#ifndef NEXTHOP_RESOLVER_H
#define NEXTHOP_RESOLVER_H

#include "context.h"
#include "err.h"

#include <sys/queue.h>

#pragma GCC visibility push(hidden)

struct nh_resolver;
struct nh_timer;

/* NULL and *err on failure (NH_CONFIG, NH_NO_MEMORY). The configuration is copied. */
struct nh_resolver *nh_resolver_new(const struct nh_config *config, struct nh_err *err);

/* Ends everything at once; no lookup's done function runs. Abandoned, it stays in memory. */
void nh_resolver_free(struct nh_resolver *r);

/* False in a forked child of the process that made it: it must not be used there (rule 8). */
bool nh_resolver_mine(const struct nh_resolver *r);

/* In such a child: from now on nothing of it touches libunbound or the loop, which share their
 * descriptors with the parent. Lookups may be stopped, which frees their memory. */
void nh_resolver_abandon(struct nh_resolver *r);

/* Works off what is ready, until `until` (nh_now() time; 0: all of it), and at least one thing.
 * wait > 0 (seconds): when nothing is ready, waits for it as long as that. */
void nh_resolver_run(struct nh_resolver *r, double until, double wait);

/* Works off lookups whose answer is there already (cached ones), and sends the queries of the
 * others; nothing else. After lookups were started outside nh_resolver_run(); also puts new
 * descriptors under watch. */
void nh_resolver_drain(struct nh_resolver *r);

/* Seconds until there is something to do: 0 now, negative never. */
double nh_resolver_timeout(struct nh_resolver *r);
int nh_resolver_fd(const struct nh_resolver *r);

/* Something to do when the resolver runs next. Zero before the first use. */
struct nh_task {
    TAILQ_ENTRY(nh_task) link;
    void (*run)(void *arg);
    void *arg;
    bool is_queued;
};

/* run(arg) is called once from nh_resolver_run() or nh_resolver_drain(), never from in here. */
void nh_resolver_later(struct nh_resolver *r, struct nh_task *task, void (*run)(void *arg),
                       void *arg);
void nh_task_stop(struct nh_resolver *r, struct nh_task *task);

/* A timer on the resolver's loop, see loop.h. */
struct nh_timer *nh_resolver_timer(struct nh_resolver *r, double seconds, void (*fn)(void *),
                                   void *arg);

double nh_resolver_lookup_timeout(const struct nh_resolver *r);

/* Are the addresses of the host in the cache, and so their status? */
bool nh_resolver_knows_host(struct nh_resolver *r, const char *host);

/* A random number for the shuffle of equal preferences. */
uint32_t nh_resolver_random(struct nh_resolver *r);

struct nh_stats {
    unsigned long lookups;    /* started */
    unsigned long cache_hits; /* of these: answered from our cache, libunbound was not asked */
    unsigned long secure;     /* answered: secure */
    unsigned long insecure;   /* answered: insecure */
    unsigned long bogus;      /* failed: did not validate */
    unsigned long servfail;   /* failed: SERVFAIL, REFUSED, unreachable ... */
    unsigned long timeouts;   /* failed: no answer in time */
    unsigned long cancelled;  /* given up by the caller */
    unsigned running;         /* under way in libunbound */
    unsigned queued;          /* waiting for their turn (max_pending) */
};
const struct nh_stats *nh_resolver_stats(const struct nh_resolver *r);

#pragma GCC visibility pop

#endif
