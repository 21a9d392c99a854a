/* context.h - a libunbound context: configuration, initialisation, deletion. */
#pragma once

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct ub_ctx;
struct nh_ub_base;

enum nh_step_kind {
    NH_STEP_OPTION,      /* ub_ctx_set_option(a, b), from the user: an unknown option is an error */
    NH_STEP_DEFAULT,     /* the same, from us: an option that libunbound does not know is ignored */
    NH_STEP_CONFIG,      /* a: the path of an unbound.conf */
    NH_STEP_FORWARD,     /* a: the address */
    NH_STEP_STUB,        /* a: the zone, b: the address */
    NH_STEP_ANCHOR,      /* a: a DS or DNSKEY record */
    NH_STEP_ANCHOR_FILE, /* a: the path; the caller has read and checked the file */
    NH_STEP_TLS,         /* use DNS over TLS to the forwarders */
    NH_STEP_FILE         /* a: the path of a file or directory that the unbound.conf names */
};

/* One step of the configuration. Steps are done in their order. label is the name of the step in
 * errors. */
struct nh_step {
    enum nh_step_kind kind;
    const char *a, *b, *label;
};

struct nh_config {
    const struct nh_step *steps;
    size_t n_steps;
    double timeout; /* seconds for one lookup */
    unsigned max_pending;
    size_t cache_bytes;      /* for our cache; 0: as nh_context_cache_size() says */
    const char *forwarders;  /* for the message about a forwarder that strips DNSSEC; NULL: none */
    const char *anchor_zone; /* the zone whose DNSKEY the probe asks for; NULL: no anchor */
    uint64_t files;          /* the state of all files that are read; nh_config_copy() sets it */
};

/* Opens a context on the event base that is ready to resolve and does not log. Returns NULL and
 * sets *err on failure: NH_CONFIG, whose message names the cause, or NH_NO_MEMORY. It also fails
 * when a file has changed since the configuration was copied, because an anchor file that has
 * become empty turns validation off. without says which steps NH_STEP_FORWARD to leave out. Each
 * has one bit, and the first one has the lowest. */
struct ub_ctx *nh_context_open(struct nh_ub_base *base, const struct nh_config *config,
                               uint32_t without, struct nh_err *err);

/* Makes a copy that owns its strings. Returns NULL when memory runs out. */
struct nh_config *nh_config_copy(const struct nh_config *config);
void nh_config_free(struct nh_config *config);

void nh_context_close(struct ub_ctx *ctx);

/* Returns freed memory of the process to the system, if the C library is glibc. */
void nh_context_return_memory(void);

/* The number of sockets of a context that is opened when so many descriptors more are in use. */
unsigned nh_context_range(unsigned max_pending, unsigned more);

/* The number of sockets that the context may have open at once. */
unsigned nh_context_sockets(struct ub_ctx *ctx);

/* The size in bytes for our cache beside libunbound's: it is the size of libunbound's cache for
 * messages. 0 means that there is no cache of ours, because the same question must be answered
 * in another order each time. */
size_t nh_context_cache_size(struct ub_ctx *ctx);
