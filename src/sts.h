/* sts.h - MTA-STS of a resolver: the policies it knows, and their fetches, one for each domain at a
 * time, whoever asks. */
#pragma once

#include "anchors.h"
#include "fetch.h"
#include "gather_ips.h"
#include "list.h"

#define NH_STS_RETRY 300 /* seconds before a fetch that has failed is tried again (RFC 8461 3.3) */

struct nh_sts;

/* Returns NULL when memory runs out. */
struct nh_sts *nh_sts_new(struct nh_resolver *r, size_t bytes);

/* Ends all fetches. Nobody may wait for one. In a forked child nothing is ended. */
void nh_sts_free(struct nh_sts *sts);

/* The policies. */
struct nh_sts_store *nh_sts_store(struct nh_sts *sts);

/* Can policies be fetched, with these trust anchors (NULL: those of the system)? Returns the anchors,
 * which the caller frees, or NULL and sets *err (NH_CONFIG, NH_NO_MEMORY). */
X509_STORE *nh_sts_ready(struct nh_sts *sts, const char *ca_file, const char *ca_path,
                         struct nh_err *err);

/* What is to be fetched. */
struct nh_sts_request {
    const char *domain;
    const char *id; /* of the domain's record */
    X509_STORE *anchors;
    uint16_t port;
    double seconds; /* how long the policy is waited for */
};

/* Somebody who waits for a fetch, and afterwards holds its result. It is zero before the first use. */
struct nh_sts_wait {
    struct nh_sts_job *job; /* NULL: nothing is under way */
    /* the result: either of the two */
    struct nh_sts_known *known;
    struct nh_sts_err err;
    /* private */
    struct nh_sts *sts;
    struct nh_task task;
    void (*done)(void *arg);
    void *arg;
    NH_LIST_LINK(nh_sts_wait) link;
};

/* Fetches the policy, or joins a fetch of that domain which is under way. done(arg) is called once,
 * from nh_resolver_run() or nh_resolver_drain(). A policy that comes is in the store then, and so is
 * the failure. */
void nh_sts_ask(struct nh_sts *sts, struct nh_sts_wait *wait, const struct nh_sts_request *request,
                void (*done)(void *arg), void *arg);

/* Gives up the fetch or its result. A fetch that nobody waits for ends. is_late: the time of the
 * caller is up. When the fetch has had some seconds, that counts as its failure. */
void nh_sts_wait_stop(struct nh_sts_wait *wait, bool is_late);
