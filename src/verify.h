/* verify.h - verify: what the mail hosts of a domain present, and whether it is what they owe. */
#pragma once

#include "contacts.h"
#include "plan.h"

#define NH_KEYS_MAX 4       /* key kinds of one call */
#define NH_ADDRESSES_MAX 64 /* addresses of one host that are contacted */

/* What was seen at one address of a host with one kind of key. */
struct nh_connection {
    struct nh_verify_host *host;
    struct nh_ip ip;
    enum nh_key_kind kind;
    struct nh_wait wait; /* wait.contact has what the server presented; NULL: not contacted */
    bool done, ok, absent, temporary;
    enum nh_result result;
    enum nh_stage stage; /* of a failure */
    bool judged;         /* there is a chain, and pkix is set */
    struct nh_pkix_verdict pkix;
    bool has_dane; /* the host is owed DANE, and dane is set */
    struct nh_dane_verdict dane;
    char message[400]; /* of a failure */
};

struct nh_verify_host {
    struct nh_verify *verify;
    const struct nh_plan_host *plan;
    struct nh_connection *connections;
    size_t n_connections, truncated; /* truncated: addresses that are not contacted */
    enum nh_matches *matches;        /* for each record of the plan's host */
    const char **match_keys;         /* the kind of key whose chain it was; NULL: it matches none */
    bool ok, temporary;
    enum nh_result result;
    struct nh_err err; /* why there is no connection; NH_OK: there are some, or the plan says it */
};

struct nh_verify {
    struct nh_op op;
    struct nh_plan plan;
    struct nh_contacts *contacts; /* the caller owns it, and it outlives the call */
    enum nh_key_kind keys[NH_KEYS_MAX];
    size_t n_keys;
    bool first_only, implicit_tls, global_only;
    uint16_t connect_port; /* 0: the port of the plan */
    const char *helo;      /* these three need to be valid until the call has started */
    bool has_time;
    time_t time;
    struct nh_ip source4, source6; /* family 0: none */
    struct nh_limits limits;

    bool ok;
    enum nh_result result; /* of the MTA-STS policy; NH_RESULT_OK: nothing is wrong with it */
    bool expired;          /* the deadline came before every connection was verified */
    bool planned;          /* the plan has ended, and hosts is set */
    struct nh_verify_host *hosts;
    size_t n_hosts, open; /* open: connections that have no result yet */
    /* private */
    char *own_helo;
    X509_STORE *anchors;
};

extern const struct nh_op_type nh_verify_type;
