/* gather_tlsa.h - gather_tlsa: the TLSA records of a host. */
#ifndef NEXTHOP_GATHER_TLSA_H
#define NEXTHOP_GATHER_TLSA_H

#include "op.h"
#include "tlsa.h"
#include "walk.h"

#pragma GCC visibility push(hidden)

struct nh_tlsa_call {
    struct nh_op op;
    char host[NH_HOST_MAX], expanded_host[NH_HOST_MAX]; /* expanded_host may be "" */
    bool literal, expanded_authentic;
    uint16_t port;
    char protocol[16];
    bool dane_required;
    char base[NH_HOST_MAX];             /* the TLSA base domain */
    struct nh_tlsa *records, *unusable; /* one block; either has room for all */
    size_t n_records, n_unusable;
    /* private */
    struct nh_lookup lookup;
    struct nh_walk walk;
    char name[NH_HOST_MAX + 32]; /* _port._protocol.base */
    bool last;                   /* no other base domain to try */
    struct nh_lookup early;      /* asked for before it was known to be needed */
    char early_name[NH_HOST_MAX + 32];
    struct nh_lookup *asked; /* one of the two, whose answer is taken; NULL: none yet */
};

extern const struct nh_op_type nh_tlsa_type;

/* Asks for the TLSA of base, a candidate base domain, before it is known whether they are needed
 * (port and protocol are set). nh_tlsa_type.start() takes the answer when it comes to ask for that name.
 * Without it, nothing of the answer counts, and no failure. Only the first call asks. */
void nh_tlsa_call_ask_early(struct nh_tlsa_call *t, struct nh_resolver *r, const char *base);

/* The result is there: a lookup that was asked for early and is no part of it ends, as it may be under
 * way. */
void nh_tlsa_call_stop_early(struct nh_tlsa_call *t);

/* In place of nh_tlsa_type.start(), when the deadline has come: takes what was asked for early if it is
 * there and all that is needed, else fails with NH_TIMEOUT. Never calls done(). */
void nh_tlsa_call_expire(struct nh_tlsa_call *t, struct nh_resolver *r);

#pragma GCC visibility pop

#endif
