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

/* NULL and *err on failure (NH_CONFIG, NH_NO_MEMORY). The configuration is copied. */
struct nh_resolver *nh_resolver_new(const struct nh_config *config, struct nh_err *err);

/* Ends everything at once; no lookup's done function runs. Abandoned, it stays in memory. */
void nh_resolver_free(struct nh_resolver *r);

/* False in a forked child of the process that made it: it must not be used there (rule 8). */
bool nh_resolver_mine(const struct nh_resolver *r);

/* In such a child: from now on nothing of it touches libunbound or the loop, which share their
 * descriptors with the parent. Lookups may be stopped, which frees their memory. */
void nh_resolver_abandon(struct nh_resolver *r);

/* ---- lookups ----------------------------------------------------------------- */

enum nh_lookup_state {
    NH_IDLE,
    NH_QUEUED,
    NH_SENT,
    NH_READY,
    NH_AWAITING_KEYS,  /* bogus: can the keys be fetched? */
    NH_AWAITING_PROBE, /* bogus: is it a forwarder's doing? */
    NH_DONE
};

/* One DNS lookup; a member of what asks. Zero before the first use. */
struct nh_lookup {
    /* private */
    struct nh_resolver *resolver;
    enum nh_lookup_state state;
    TAILQ_ENTRY(nh_lookup) link, overdue_link;
    struct nh_query *query;     /* in the main context */
    struct nh_query *second;    /* in another one */
    struct nh_context *context; /* that gave the result; to be compared alone */
    struct nh_key_check *keys;  /* under way */
    struct nh_timer *timer;
    const char *name;
    uint16_t type;
    uint8_t tries;    /* what recheck.c has done for it */
    bool early;       /* nobody waits for it yet */
    bool internal;    /* the resolver's own */
    bool cached;      /* answered by our cache */
    bool sending;     /* being handed to libunbound */
    bool at_once;     /* libunbound answered without asking anybody */
    bool follows;     /* from an answer: it is queued in front of others */
    bool overdue;     /* its time is up */
    bool has_dnssec;  /* internal ones: there were DNSKEY with RRSIG in the answer */
    double queued_at; /* seconds */
    double lateness;  /* of the resolver, when the timer was started */
    void (*done)(void *arg, struct nh_lookup *);
    void *arg;
    struct nh_cache_entry *entry; /* what the answer points into; others may look at it, too */
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

/* The same for an answer that may turn out not to be needed: it is not counted, nobody is told, and
 * a failure is not looked into, until somebody adopts the lookup. */
void nh_lookup_ask_early(struct nh_resolver *r, struct nh_lookup *l, const char *name,
                         uint16_t type);

/* Makes an early lookup one like the others: done() is called as nh_lookup_start() says. False: it
 * has failed, and is to be started anew. */
bool nh_lookup_adopt(struct nh_lookup *l, void (*done)(void *arg, struct nh_lookup *), void *arg);

/* Ends a lookup that is under way with NH_TIMEOUT at once; done() is not called. */
void nh_lookup_expire(struct nh_lookup *l);

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

/* Is the host known to have addresses whose status is insecure? (from the cache) */
bool nh_resolver_knows_insecure(struct nh_resolver *r, const char *host);

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
