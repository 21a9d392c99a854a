/* verdict.h - judges a chain of certificates, by DANE (RFC 7671, RFC 7672 3) and by PKIX (RFC 5280).
 *
 * It needs no connection, so that a chain which was seen once can be judged for other records,
 * names and times. OpenSSL decides both. Its error queue is left as it was found. */
#pragma once

#include "tlsa.h"

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

struct nh_judge; /* what OpenSSL needs to judge; one for each resolver */

/* What a chain is judged by. */
struct nh_criteria {
    const struct nh_tlsa *records; /* usable ones */
    size_t n_records;
    const char *const *names; /* reference identifiers; at least one */
    size_t n_names;
    bool is_address;     /* the only name is an IP address */
    bool no_common_name; /* the common name never counts, as RFC 8461 4.2 has it */
    bool has_time;       /* false: the certificates are judged at the present time */
    time_t time;
};

/* Which certificate of the chain a record fits, whatever its names and dates are. */
enum nh_matches { NH_MATCHES_NONE, NH_MATCHES_LEAF, NH_MATCHES_ISSUER };

enum nh_dane {
    NH_DANE_VERIFIED,
    NH_DANE_NO_MATCH,   /* no record matches the chain */
    NH_DANE_WRONG_NAME, /* a record of usage 2 matches; the leaf has another name */
    NH_DANE_EXPIRED,    /* the same; a certificate has expired */
    NH_DANE_UNTRUSTED   /* the same; not yet valid, or the chain does not lead to the match */
};

struct nh_dane_verdict {
    enum nh_dane dane;
    int depth;          /* verified: which certificate of the chain has matched, 0 for the leaf */
    size_t record;      /* verified: the index of the record */
    const char *name;   /* verified: the reference identifier that fits; NULL for usage 3 */
    const char *reason; /* else: in OpenSSL's words */
};

enum nh_pkix { NH_PKIX_OK, NH_PKIX_WRONG_NAME, NH_PKIX_EXPIRED, NH_PKIX_UNTRUSTED };

struct nh_pkix_verdict {
    bool ok;
    enum nh_pkix kind;
    const char *reason; /* not ok: in OpenSSL's words */
};

/* Returns NULL when memory runs out, or when OpenSSL has no DANE. */
struct nh_judge *nh_judge_new(void);
void nh_judge_free(struct nh_judge *judge);
bool nh_has_dane(void);

/* Sets matches[k] for each of the records. Returns false when memory runs out. */
bool nh_judge_matches(struct nh_judge *judge, STACK_OF(X509) * chain, const struct nh_criteria *c,
                      enum nh_matches *matches);

/* matches are those of nh_judge_matches() for the same chain and records. Both return false when
 * memory runs out. */
bool nh_judge_dane(struct nh_judge *judge, STACK_OF(X509) * chain, const struct nh_criteria *c,
                   const enum nh_matches *matches, struct nh_dane_verdict *verdict);
bool nh_judge_pkix(X509_STORE *anchors, STACK_OF(X509) * chain, const struct nh_criteria *c,
                   struct nh_pkix_verdict *verdict);
