/* lookup.h - one DNS lookup. Times are seconds, as double. */
#ifndef NEXTHOP_LOOKUP_H
#define NEXTHOP_LOOKUP_H

#include "answer.h"
#include "err.h"

#include <sys/queue.h>

#pragma GCC visibility push(hidden)

struct nh_resolver;
struct nh_timer;

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
    bool extended;    /* its time was made longer, as the host was late */
    bool has_dnssec;  /* internal ones: there were DNSKEY with RRSIG in the answer */
    double queued_at; /* seconds */
    double waited;    /* seconds that libunbound took for the last result */
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

#pragma GCC visibility pop

#endif
