/* lookup.h - one DNS lookup. Times are seconds in a double. */
#pragma once

#include "answer.h"
#include "err.h"
#include "list.h"

struct nh_resolver;
struct nh_timer;

enum nh_lookup_state {
    NH_IDLE,
    NH_QUEUED,
    NH_SENT,
    NH_READY,
    NH_AWAITING_KEYS,  /* bogus: the keys are being asked for */
    NH_AWAITING_PROBE, /* bogus: the forwarders are being probed */
    NH_DONE
};

/* One DNS lookup. It is a member of the struct that asks for it. It is zero before the first
 * use. */
struct nh_lookup {
    /* private */
    struct nh_resolver *resolver;
    enum nh_lookup_state state;
    NH_LIST_LINK(nh_lookup) link, overdue_link;
    struct nh_query *query;     /* the query in the main context */
    struct nh_query *second;    /* the query in another context */
    struct nh_context *context; /* the context that gave the result; only for comparison */
    struct nh_key_check *keys;  /* under way */
    struct nh_timer *timer;
    const char *name;
    uint16_t type;
    uint8_t tries;    /* the steps that recheck.c has taken for it */
    bool early;       /* nobody waits for it yet */
    bool internal;    /* a lookup of the resolver itself */
    bool cached;      /* our cache has answered it */
    bool sending;     /* it is being passed to libunbound */
    bool at_once;     /* libunbound has answered without asking a server */
    bool follows;     /* it follows from an answer, so it is queued before others */
    bool overdue;     /* its time is up */
    bool extended;    /* its time was made longer, because the host program was late */
    bool whole;       /* the packet is kept, so our cache is not used */
    bool has_dnssec;  /* for internal lookups: DNSKEY and RRSIG were in the answer */
    double queued_at; /* seconds */
    double waited;    /* seconds that libunbound took for the last result */
    double lateness;  /* lateness of the resolver when the timer was started */
    void (*done)(void *arg, struct nh_lookup *);
    void *arg;
    struct nh_cache_entry *entry; /* what the answer points into; other lookups may share it */
    /* the result: valid from when done() is called until nh_lookup_stop() */
    enum nh_code code; /* NH_OK, NH_BOGUS, NH_SERVFAIL, NH_TIMEOUT, NH_NO_MEMORY */
    bool secure;
    uint8_t rcode;           /* of a failure, for the trace */
    struct nh_answer answer; /* only with NH_OK */
    uint8_t *packet;         /* only with NH_OK, of nh_lookup_start_whole() */
    size_t packet_len;
    char *why; /* the reason from the validator, for example; may be NULL */
};

/* Starts to look up name (as text; it must outlive the lookup) and type. done(arg, lookup) is
 * called once, from nh_resolver_run() and never before this function returns. seconds is the
 * time from now until the lookup times out, 0 for the resolver's default. A lookup that was used
 * before is stopped first. */
void nh_lookup_start(struct nh_resolver *r, struct nh_lookup *l, const char *name, uint16_t type,
                     double seconds, void (*done)(void *arg, struct nh_lookup *), void *arg);

/* The same without our cache. The packet of the answer stays in l->packet. */
void nh_lookup_start_whole(struct nh_resolver *r, struct nh_lookup *l, const char *name,
                           uint16_t type, void (*done)(void *arg, struct nh_lookup *), void *arg);

/* Starts an early lookup: its answer may turn out not to be needed. It is not counted, done() is
 * not called, and a failure is not examined, until nh_lookup_adopt() is called. */
void nh_lookup_ask_early(struct nh_resolver *r, struct nh_lookup *l, const char *name,
                         uint16_t type);

/* Is it in our cache that there are no such records? If so, that is counted as a lookup, and *ttl is
 * set to what is left of its TTL. */
bool nh_lookup_knows_none(struct nh_resolver *r, const char *name, uint16_t type, uint32_t *ttl);

/* Makes an early lookup one like the others: done() is called as nh_lookup_start() describes.
 * Returns false when the lookup has failed. The caller must then start it anew. */
bool nh_lookup_adopt(struct nh_lookup *l, void (*done)(void *arg, struct nh_lookup *), void *arg);

/* Ends a lookup that is under way with NH_TIMEOUT at once. done() is not called. */
void nh_lookup_expire(struct nh_lookup *l);

/* Frees the answer of a finished lookup after all of it was used. code and name remain. */
void nh_lookup_forget(struct nh_lookup *l);

/* Cancels a lookup that is under way and frees its result. May be called twice. */
void nh_lookup_stop(struct nh_lookup *l);

/* Finds the zone that the validator's reason names, if it names one: "... for key example.org.
 * while ...", "key for validation example.org. is marked ...", "for DS example.org." */
bool nh_lookup_zone_of_reason(const struct nh_lookup *l, char zone[NH_NAME_MAX]);
