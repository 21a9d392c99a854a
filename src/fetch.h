/* fetch.h - gets the policy of MTA-STS by HTTPS (RFC 8461 3.3), by libcurl on the resolver's loop.
 *
 * libcurl is loaded at the first fetch, so that a program which uses no MTA-STS does not have it. */
#pragma once

#include "name.h"
#include "resolver.h"
#include "sts_store.h"

#include <openssl/x509.h>

#define NH_FETCH_IPS 8 /* addresses that are tried */

struct nh_fetcher;

/* Returns NULL and sets *err: there is no memory (NH_NO_MEMORY), or no libcurl that fits
 * (NH_CONFIG). */
struct nh_fetcher *nh_fetcher_new(struct nh_resolver *r, struct nh_err *err);

/* Nothing may be under way. In a forked child nothing is ended. */
void nh_fetcher_free(struct nh_fetcher *fetcher);

/* One fetch. It is zero before the first use. */
struct nh_fetch {
    struct nh_fetcher *fetcher; /* NULL: it is not under way */
    char host[NH_HOST_MAX + 8];
    X509_STORE *anchors;
    /* the result: from done() until nh_fetch_stop() */
    struct nh_sts_err err;
    char *body;
    size_t len;
    /* private */
    void *easy, *share, *addresses;
    size_t header_len;
    bool is_too_long;
    struct nh_task task;
    void (*done)(void *arg);
    void *arg;
};

/* Gets https://host:port/.well-known/mta-sts.txt from one of the addresses. done(arg) is called
 * once, from nh_resolver_run() or nh_resolver_drain(). A silent server is waited for: the caller must
 * end the fetch. anchors are referenced until nh_fetch_stop(). */
void nh_fetch_start(struct nh_fetch *f, struct nh_fetcher *fetcher, const char *host,
                    const struct nh_ip *ips, size_t n_ips, uint16_t port, X509_STORE *anchors,
                    void (*done)(void *arg), void *arg);

/* Ends a fetch and frees its result. May be called twice. */
void nh_fetch_stop(struct nh_fetch *f);
