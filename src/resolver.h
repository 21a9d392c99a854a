/* resolver.h - one libunbound context: configuration, lookups, deadlines. */
#ifndef NEXTHOP_RESOLVER_H
#define NEXTHOP_RESOLVER_H

#include "cache.h"
#include "context.h"
#include "nexthop.h"

#include <sys/queue.h>

#pragma GCC visibility push(hidden)

struct nh_resolver;
struct nh_timer;

/* NULL and *err on failure (NH_CONFIG, NH_NO_MEMORY). The strings are copied or not kept. */
struct nh_resolver *nh_resolver_new(const struct nh_config *config, struct nh_err *err);

/* Ends everything at once; no lookup's done function runs. Abandoned, it stays in memory. */
void nh_resolver_free(struct nh_resolver *r);

/* False in a forked child of the process that made it: it must not be used there (rule 8). */
bool nh_resolver_mine(const struct nh_resolver *r);

/* In such a child: from now on nothing of it touches libunbound or the loop, which share their
 * descriptors with the parent. Lookups may be stopped, which frees their memory. */
void nh_resolver_abandon(struct nh_resolver *r);

/* ---- lookups ----------------------------------------------------------------- */

enum nh_lookup_state { NH_IDLE, NH_QUEUED, NH_SENT, NH_READY, NH_ASIDE, NH_DONE };

/* One DNS lookup; a member of what asks. Zero before the first use. */
struct nh_lookup {
    /* private */
    struct nh_resolver *resolver;
    enum nh_lookup_state state;
    TAILQ_ENTRY(nh_lookup) link;
    struct ticket *ticket;
    struct nh_timer *timer;
    const char *name;
    uint16_t type;
    void (*done)(void *arg, struct nh_lookup *);
    void *arg;
    struct nh_kept *kept; /* what the answer points into; others may look at it, too */
    /* the result, when done() is called and until nh_lookup_stop() */
    enum nh_code code; /* NH_OK, NH_BOGUS, NH_SERVFAIL, NH_TIMEOUT, NH_NO_MEMORY */
    bool secure;
    uint8_t rcode;           /* of a failure, for the trace */
    struct nh_answer answer; /* with NH_OK only */
    char *why;               /* the validator's reason or the like; may be NULL */
};

/* Starts looking up name (text, must outlive the lookup) and type. done(arg, lookup) is called
 * once from nh_resolver_run(), never from in here. seconds: its deadline from now, 0 for the
 * resolver's. A lookup that was used before is stopped first. */
void nh_lookup_start(struct nh_resolver *r, struct nh_lookup *l, const char *name, uint16_t type,
                     double seconds, void (*done)(void *arg, struct nh_lookup *), void *arg);

/* Frees the answer of a lookup that is done, once all of it was taken; code and name stay. */
void nh_lookup_forget(struct nh_lookup *l);

/* Cancels what is under way and frees the result. Idempotent. */
void nh_lookup_stop(struct nh_lookup *l);

/* ---- running ------------------------------------------------------------------ */

/* Everything below and nh_lookup_start() / nh_lookup_stop() calls libunbound: bracket it, so that
 * SIGPIPE stays away from the host (rule 7). The pairs nest; no Lua in between. */
void nh_resolver_enter(struct nh_resolver *r);
void nh_resolver_leave(struct nh_resolver *r);

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

/* A timer on the resolver's loop, see loop.h. */
struct nh_timer *nh_resolver_timer(struct nh_resolver *r, double seconds, void (*fn)(void *),
                                   void *arg);

double nh_resolver_lookup_timeout(const struct nh_resolver *r);

/* A random number for the shuffle of equal preferences. */
uint32_t nh_resolver_random(struct nh_resolver *r);

struct nh_stats {
    unsigned long lookups;   /* started */
    unsigned long kept;      /* of these: answered from our cache, libunbound was not asked */
    unsigned long secure;    /* answered: secure */
    unsigned long insecure;  /* answered: insecure */
    unsigned long bogus;     /* failed: did not validate */
    unsigned long servfail;  /* failed: SERVFAIL, REFUSED, unreachable ... */
    unsigned long timeouts;  /* failed: no answer in time */
    unsigned long cancelled; /* given up by the caller */
    unsigned running;        /* under way in libunbound */
    unsigned queued;         /* waiting for their turn (max_pending) */
};
const struct nh_stats *nh_resolver_stats(const struct nh_resolver *r);

#pragma GCC visibility pop

#endif
