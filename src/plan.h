/* plan.h - plan: the whole way from a domain to what TLS its hosts are owed. */
#ifndef NEXTHOP_PLAN_H
#define NEXTHOP_PLAN_H

#include "gather_dest.h"
#include "gather_ips.h"
#include "gather_tlsa.h"
#include "pool.h"

#pragma GCC visibility push(hidden)

enum nh_tls { NH_TLS_SKIP, NH_TLS_MAY, NH_TLS_ENCRYPT, NH_TLS_DANE };

struct nh_plan_host {
    struct nh_plan *plan;
    const char
        *name; /* what the result calls it; of an implicit MX the end of the domain's aliases */
    int pref;
    bool done, asked_tlsa;
    enum nh_tls tls;
    const struct nh_err *err; /* NULL: none; else that of ips.op or tlsa.op */
    struct nh_ips_call ips;
    struct nh_tlsa_call tlsa;
    struct nh_tlsa *weaker; /* dropped by digest agility; the tail of tlsa.records */
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
    bool literal, bracketed; /* bracketed: that host itself, no MX */
    enum nh_network network;
    uint16_t port;
    size_t max_hosts;
    bool dane_behind_insecure_mx, require_dane;
    uint8_t digests[8]; /* strongest first */
    size_t n_digests;
    /* per host: earlier attempts; the caller's, until done */
    const struct nh_dialed *dialed;
    size_t n_dialed;
    struct nh_pool *pool; /* of struct nh_plan_host; the caller's, outlives the plan */

    struct nh_dest_call dest;
    struct nh_plan_host **hosts;
    size_t n_hosts, truncated, open;
    bool mx_authentic;
    bool expired;          /* the deadline came before all of it was known */
    struct nh_trace trace; /* of the destinations */
};

struct nh_dialed {
    char host[NH_HOST_MAX];
    struct nh_ip *ips;
    size_t n;
};

extern const struct nh_op_type nh_plan_type;

#pragma GCC visibility pop

#endif
