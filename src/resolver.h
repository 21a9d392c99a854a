/* resolver.h - the resolver: its configuration, its life, and what makes it run. */
#pragma once

#include "context.h"
#include "err.h"
#include "list.h"

struct nh_resolver;
struct nh_loop;
struct nh_timer;

/* Returns NULL and sets *err on failure (NH_CONFIG, NH_NO_MEMORY). The configuration is copied. */
struct nh_resolver *nh_resolver_new(const struct nh_config *config, struct nh_err *err);

/* Ends everything at once. The done function of a lookup does not run. An abandoned resolver
 * stays in memory. */
void nh_resolver_free(struct nh_resolver *r);

/* Returns false in a forked child of the process that created the resolver. The child must not
 * use it (rule 8). */
bool nh_resolver_mine(const struct nh_resolver *r);

/* Call this in such a child. From then on nothing of the resolver touches libunbound or the
 * loop, because they share their descriptors with the parent. Lookups may still be stopped,
 * which frees their memory. */
void nh_resolver_abandon(struct nh_resolver *r);

/* Does the work that is ready: at least one step, and more until `until` (a time of nh_now(); 0:
 * until all of it is done). With wait > 0 it waits for as many seconds when nothing is ready. */
void nh_resolver_run(struct nh_resolver *r, double until, double wait);

/* Finishes the lookups whose answer is there already (cached ones) and sends the queries of the
 * others. Does nothing else. Call it after lookups were started outside nh_resolver_run(). It
 * also registers new descriptors with the kernel. */
void nh_resolver_drain(struct nh_resolver *r);

/* Have results come that nh_resolver_run() had no time for? */
bool nh_resolver_has_results(const struct nh_resolver *r);

/* Seconds until there is work to do; 0 means now, and a negative number means never. */
double nh_resolver_timeout(struct nh_resolver *r);
int nh_resolver_fd(const struct nh_resolver *r);

/* A task that runs when the resolver runs next. It is zero before the first use. */
struct nh_task {
    NH_LIST_LINK(nh_task) link;
    void (*run)(void *arg);
    void *arg;
    bool is_queued;
    bool is_heavy; /* the caller sets it before nh_resolver_later(): it takes about a millisecond */
};

/* Calls run(arg) once, from nh_resolver_run() or nh_resolver_drain(). It never calls it before
 * it returns. A heavy task runs only in nh_resolver_run(), which looks at the time. */
void nh_resolver_later(struct nh_resolver *r, struct nh_task *task, void (*run)(void *arg),
                       void *arg);
void nh_task_stop(struct nh_resolver *r, struct nh_task *task);

/* A timer on the resolver's loop, see loop.h. */
struct nh_timer *nh_resolver_timer(struct nh_resolver *r, double seconds, void (*fn)(void *),
                                   void *arg);

/* The resolver's loop, for descriptors and timers of others. */
struct nh_loop *nh_resolver_loop(struct nh_resolver *r);

double nh_resolver_lookup_timeout(const struct nh_resolver *r);

/* Are the addresses of the host in the cache, and with them their status? */
bool nh_resolver_knows_host(struct nh_resolver *r, const char *host);

/* A random number for the shuffle of equal preferences. */
uint32_t nh_resolver_random(struct nh_resolver *r);

struct nh_stats {
    unsigned long lookups;    /* started */
    unsigned long cache_hits; /* of these, answered from our cache without libunbound */
    unsigned long secure;     /* answered, and secure */
    unsigned long insecure;   /* answered, and insecure */
    unsigned long bogus;      /* failed: the answer did not validate */
    unsigned long servfail;   /* failed: SERVFAIL, REFUSED, unreachable ... */
    unsigned long timeouts;   /* failed: no answer in time */
    unsigned long cancelled;  /* stopped by the caller */
    unsigned running;         /* under way in libunbound */
    unsigned queued;          /* waiting because of max_pending */
};
const struct nh_stats *nh_resolver_stats(const struct nh_resolver *r);
