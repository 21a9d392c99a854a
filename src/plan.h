/* plan.h - plan: all steps from a domain to what TLS its hosts are owed. */
#pragma once

#include "gather_dest.h"
#include "gather_ips.h"
#include "gather_sts.h"
#include "gather_tlsa.h"
#include "pool.h"

enum nh_tls { NH_TLS_SKIP, NH_TLS_MAY, NH_TLS_ENCRYPT, NH_TLS_DANE, NH_TLS_STS };

struct nh_plan_host {
    struct nh_plan *plan;
    const char
        *name; /* the name in the result; for an implicit MX the end of the domain's aliases */
    int pref;
    bool done, asked_tlsa;
    enum nh_tls tls;
    enum nh_fit sts;
    const struct nh_err *err; /* NULL: no error; else the error of ips.op or tlsa.op */
    struct nh_ips_call ips;
    struct nh_tlsa_call tlsa;
    struct nh_tlsa *weaker; /* records that digest agility dropped; the end of tlsa.records */
    size_t n_weaker;
    struct nh_trace trace;
    const char *names[4]; /* reference identifiers */
    size_t n_names;
    bool has_ttl;
    uint32_t ttl;
};

struct nh_plan {
    struct nh_op op;
    char domain[NH_HOST_MAX];
    bool literal, bracketed; /* bracketed: the host itself, without MX */
    enum nh_network network;
    uint16_t port;
    size_t max_hosts;
    bool dane_behind_insecure_mx, require_dane;
    uint8_t digests[8]; /* the strongest is first */
    size_t n_digests;
    /* for each host: earlier attempts; the caller owns them until done() */
    const struct nh_dialed *dialed;
    size_t n_dialed;
    const struct nh_assumed *assumed; /* for gather_tlsa.h; the same owner */
    size_t n_assumed;
    struct nh_sts *sts; /* the caller owns it, and it outlives the plan */
    bool wants_sts, wants_tlsrpt;
    uint16_t sts_port;             /* of the policy host */
    const char *ca_file, *ca_path; /* NULL: those of the system; valid until the call has started */
    struct nh_pool *pool; /* of struct nh_plan_host; the caller owns it, and it outlives the plan */

    struct nh_dest_call dest;
    struct nh_plan_host **hosts;
    size_t n_hosts, truncated, open;
    bool mx_authentic;
    bool expired;                 /* the deadline came before everything was known */
    struct nh_trace trace;        /* of the destinations */
    X509_STORE *anchors;          /* of ca_file and ca_path, until a call needs them */
    struct nh_sts_known *policy;  /* with a reference; NULL: the domain has none that is known */
    struct nh_sts_call *sts_call; /* NULL: not asked for, or the policy was known at once */
    struct nh_trace sts_trace;
};

struct nh_dialed {
    char host[NH_HOST_MAX];
    struct nh_ip *ips;
    size_t n;
};

extern const struct nh_op_type nh_plan_type;
