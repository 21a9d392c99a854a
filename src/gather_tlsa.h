/* gather_tlsa.h - gather_tlsa: the TLSA records of a host. */
#pragma once

#include "op.h"
#include "tlsa.h"
#include "walk.h"

struct nh_tlsa_call {
    struct nh_op op;
    char host[NH_HOST_MAX], expanded_host[NH_HOST_MAX]; /* expanded_host may be "" */
    bool literal, expanded_authentic;
    uint16_t port;
    char protocol[16];
    /* records that count beside those of the answers; the caller owns them until the call is
     * stopped */
    const struct nh_assumed *assumed;
    size_t n_assumed;
    bool dane_required;
    char base[NH_HOST_MAX];             /* the TLSA base domain */
    struct nh_tlsa *records, *unusable; /* one block; each has room for all records */
    size_t n_records, n_unusable;
    /* private */
    struct nh_lookup lookup;
    struct nh_walk *walk;   /* NULL: there is none */
    char name[NH_HOST_MAX]; /* _port._protocol.base */
    bool last;              /* there is no other base domain to try */
    struct nh_lookup early; /* the early lookup */
    char early_name[NH_HOST_MAX];
    struct nh_lookup *asked; /* the lookup whose answer is used, one of the two; NULL: none yet */
};

extern const struct nh_op_type nh_tlsa_type;

/* Starts the early lookup: TLSA of base, which may become the base domain. port and protocol are
 * set. nh_tlsa_type.start() uses the answer when it needs that name. If it does not, neither the
 * answer nor a failure has any effect. Only the first call of this function starts a lookup. */
void nh_tlsa_call_ask_early(struct nh_tlsa_call *t, struct nh_resolver *r, const char *base);

/* Call this when the result is there. It ends an early lookup that is not a part of the result,
 * because that lookup may still be under way. */
void nh_tlsa_call_stop_early(struct nh_tlsa_call *t);

/* Call this instead of nh_tlsa_type.start() when the deadline has come. It uses the answer of
 * the early lookup if it is there and nothing else is needed. Otherwise the call fails with
 * NH_TIMEOUT. Never calls done(). */
void nh_tlsa_call_expire(struct nh_tlsa_call *t, struct nh_resolver *r);

/* For a result: makes records unusable whose digest is not among these, the strongest first. */
void nh_tlsa_call_drop_unaccepted(struct nh_tlsa_call *t, const uint8_t *digests, size_t n_digests);

/* Digest agility, RFC 7671 9: only the strongest digest counts for each usage and selector. The
 * weaker records move to a new list in their order, which the caller frees. Returns false when memory
 * runs out. */
bool nh_tlsa_call_drop_weaker(struct nh_tlsa_call *t, const uint8_t *digests, size_t n_digests,
                              struct nh_tlsa **weaker, size_t *n_weaker);
