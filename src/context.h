/* context.h - a libunbound context: configuration, initialisation, deletion. */
#ifndef NEXTHOP_CONTEXT_H
#define NEXTHOP_CONTEXT_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

struct ub_ctx;
struct ub_event_base;

enum nh_step_kind {
    NH_STEP_OPTION,      /* ub_ctx_set_option(a, b); the user's: unknown ones are an error */
    NH_STEP_DEFAULT,     /* the same, ours: a libunbound that does not know it is let be */
    NH_STEP_CONFIG,      /* a: path of an unbound.conf */
    NH_STEP_FORWARD,     /* a: address */
    NH_STEP_STUB,        /* a: zone, b: address */
    NH_STEP_ANCHOR,      /* a: a DS or DNSKEY record */
    NH_STEP_ANCHOR_FILE, /* a: path; read and checked before by the caller */
    NH_STEP_TLS,         /* DNS over TLS to the forwarders */
    NH_STEP_FILE         /* a: path of a file (or directory) that the unbound.conf leads to */
};

/* One step of configuration, done in the order given. label: how errors name it. */
struct nh_step {
    enum nh_step_kind kind;
    const char *a, *b, *label;
};

struct nh_config {
    const struct nh_step *steps;
    size_t n_steps;
    double timeout; /* seconds for one lookup */
    unsigned max_pending;
    const char *forwarders;  /* for the message about one that strips DNSSEC; NULL: none */
    const char *anchor_zone; /* whose DNSKEY that probe asks for; NULL: no anchor */
    uint64_t files;          /* set by nh_config_copy(): the state of all files that are read */
};

/* A context that is ready to resolve, silent, on the event base. NULL and *err on failure
 * (NH_CONFIG naming the culprit, NH_NO_MEMORY), also when a file has changed since the configuration was
 * copied: an anchor file that is empty by now turns validation off. without: the steps NH_STEP_FORWARD to leave out, a
 * bit each, the first one's the lowest. */
struct ub_ctx *nh_context_open(struct ub_event_base *base, const struct nh_config *config,
                               uint32_t without, struct nh_err *err);

/* A copy that owns its strings. NULL: no memory. */
struct nh_config *nh_config_copy(const struct nh_config *config);
void nh_config_free(struct nh_config *config);

void nh_context_close(struct ub_ctx *ctx);

/* Gives what the process has freed back to the system, where that is glibc's to do. */
void nh_context_return_memory(void);

/* The sockets that it may have open at once. */
unsigned nh_context_sockets(struct ub_ctx *ctx);

/* Bytes of answers to keep beside libunbound's own cache: as many as it has been told to take for
 * its messages. 0 when the same question is to be answered in another order each time. */
size_t nh_context_cache_size(struct ub_ctx *ctx);

#pragma GCC visibility pop

#endif
