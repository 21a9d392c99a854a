/* gather_sts.h - what a domain publishes beside its MX: its MTA-STS policy (RFC 8461) and where
 * reports go (TLSRPT, RFC 8460). plan runs this beside its other lookups. */
#pragma once

#include "op.h"
#include "sts.h"

struct nh_sts_call {
    struct nh_op op;
    /* what is asked for; set by the caller */
    struct nh_sts *sts; /* the caller owns it, and it outlives the call */
    const char *domain; /* the same */
    bool wants_policy, wants_report;
    X509_STORE *anchors; /* nh_sts_ready(); the call frees them. NULL without wants_policy */
    uint16_t port;       /* of the policy host */
    /* the result */
    struct nh_sts_known *known; /* NULL: the domain has no policy that is known */
    bool is_fetched;            /* known comes from this call, not from memory or file */
    struct nh_sts_err err;      /* NH_STS_OK: nothing has failed. May be set beside known */
    struct nh_tlsrpt report;    /* n_rua 0: there is none, or report_err says why it is not known */
    struct nh_err report_err;   /* NH_OK: nothing has failed */
    bool is_done;
    /* private */
    char policy_name[NH_HOST_MAX], report_name[NH_HOST_MAX];
    struct nh_lookup policy_lookup, report_lookup;
    struct nh_sts_wait wait;
    unsigned open; /* what is under way */
};

extern const struct nh_op_type nh_sts_type;

/* Stops what is under way. What is known by then stays. */
void nh_sts_give_up(struct nh_sts_call *c);

/* Is there nothing to ask? Either the domain's record was looked up, its TTL is not over, and the policy
 * with the record's id is fresh: *known is that policy, with a reference. Or it is in the cache that there is no
 * record, and no policy is known: *known is NULL. Sets *ttl to the seconds for which that holds. When it
 * returns false, a call must find out. */
bool nh_sts_at_once(struct nh_sts *sts, struct nh_resolver *r, const char *domain,
                    struct nh_sts_known **known, uint32_t *ttl);

/* Does the policy of the domain name the host? known may be NULL: there is none. */
enum nh_fit { NH_FIT_NO_POLICY, NH_FIT_MATCH, NH_FIT_MISMATCH };
enum nh_fit nh_sts_fit(const struct nh_sts_known *known, const char *host);

/* A host does not match a policy that was known before. Must the policy be fetched again before that
 * counts? If so, the fetch begins, and done() is called once more. Owners change the file and forget
 * the id. */
bool nh_sts_recheck(struct nh_sts_call *c);
