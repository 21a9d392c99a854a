/* event_api.h - what libunbound and an event base of ours know of each other.
 *
 * Every libunbound since 1.8 has these functions, but most systems install no header for them (it
 * comes with --enable-event-api). Therefore we declare them ourselves. The order and the types of
 * the members are libunbound's, the names are ours. Nothing but the first use can show that a
 * libunbound does keep to that order: nh_event_api_check(). */
#pragma once

#include "err.h"

#include <unbound.h>

#if defined(UNBOUND_VERSION_MAJOR) && UNBOUND_VERSION_MAJOR * 100 + UNBOUND_VERSION_MINOR < 108
#error "nexthop needs libunbound 1.8 or later: the callback of a query had fewer arguments before"
#endif

struct timeval;
struct nh_ub_base;
struct nh_ub_event;

/* Statuses of libunbound. Its header has them since 1.15; the values are the same in all releases. */
enum { NH_UB_NO_MEMORY = -2, NH_UB_SYNTAX = -3, NH_UB_NOT_STARTED = -7, NH_UB_NOT_READ = -9 };

/* The first member of an event base and of an event. */
#define NH_UB_MAGIC 0x44d74d78ul

/* What an event waits for, and what has happened. */
#define NH_EV_TIMEOUT 0x01
#define NH_EV_READ 0x02
#define NH_EV_WRITE 0x04
#define NH_EV_PERSIST 0x10 /* the event stays active when it has happened */

typedef void nh_ub_happened(int fd, short bits, void *arg);

/* What libunbound calls of an event base. It never calls `run`, `new_signal` and `new_wsa`. */
struct nh_ub_base_calls {
    void (*free)(struct nh_ub_base *base);
    int (*run)(struct nh_ub_base *base);
    int (*stop)(struct nh_ub_base *base, struct timeval *after);
    struct nh_ub_event *(*new_event)(struct nh_ub_base *base, int fd, short bits,
                                     nh_ub_happened *happened, void *arg);
    struct nh_ub_event *(*new_signal)(struct nh_ub_base *base, int number, nh_ub_happened *happened,
                                      void *arg);
    struct nh_ub_event *(*new_wsa)(struct nh_ub_base *base, void *wsa, nh_ub_happened *happened,
                                   void *arg);
};

struct nh_ub_base {
    unsigned long magic;
    const struct nh_ub_base_calls *calls;
};

/* What libunbound calls of an event. An event is not active when its bits or its descriptor are
 * changed. libunbound never calls the signal functions, nor `free_wsa` outside of Windows.
 * `would_block` is for Windows, but 1.13 calls it everywhere. */
struct nh_ub_event_calls {
    void (*add_bits)(struct nh_ub_event *event, short bits);
    void (*remove_bits)(struct nh_ub_event *event, short bits);
    void (*set_fd)(struct nh_ub_event *event, int fd);
    void (*free)(struct nh_ub_event *event);
    int (*start)(struct nh_ub_event *event, struct timeval *timeout); /* NULL: no timeout */
    int (*stop)(struct nh_ub_event *event);
    int (*start_timer)(struct nh_ub_event *event, struct nh_ub_base *base, nh_ub_happened *happened,
                       void *arg, struct timeval *timeout);
    int (*stop_timer)(struct nh_ub_event *event);
    int (*start_signal)(struct nh_ub_event *event, struct timeval *timeout);
    int (*stop_signal)(struct nh_ub_event *event);
    void (*free_wsa)(struct nh_ub_event *event);
    void (*would_block)(struct nh_ub_event *event, int bits);
};

struct nh_ub_event {
    unsigned long magic;
    const struct nh_ub_event_calls *calls;
};

/* The result of a query. The packet is valid inside the callback only. security is 0 (insecure), 1
 * (bogus) or 2 (secure), and why is the reason of bogus. */
typedef void nh_ub_answered(void *arg, int rcode, void *packet, int len, int security, char *why,
                            int limited);

/* Makes a context that runs on the event base. Returns NULL on failure. */
struct ub_ctx *ub_ctx_create_ub_event(struct nh_ub_base *base);

/* Sends a query. `answered` may be called before this function returns; then *id is 0. Returns 0 or
 * an error for ub_strerror(). */
int ub_resolve_event(struct ub_ctx *ctx, const char *name, int type, int class_, void *arg,
                     nh_ub_answered *answered, int *id);

/* Lets libunbound answer a name of its own and a query to a socket of ours, on an event base that
 * knows what must be called. Returns false and sets *err to NH_CONFIG when something else is
 * called, which means that the declarations above do not fit this libunbound, or to NH_NO_MEMORY.
 * Creates and deletes a context; rule 10 of CONTRIBUTING.md is the caller's task. */
bool nh_event_api_check(struct nh_err *err);
