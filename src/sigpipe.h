/* sigpipe.h - keeps SIGPIPE from the host while libunbound works. */
#ifndef NEXTHOP_SIGPIPE_H
#define NEXTHOP_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Zero before the first use. */
struct nh_guard {
    sigset_t old;
    unsigned depth;
    bool held, was_pending;
    bool written; /* set by the caller: something may have been sent since nh_guard_hold() */
};

/* A bracket round what may call libunbound; nests. */
void nh_guard_enter(struct nh_guard *guard);
void nh_guard_leave(struct nh_guard *guard);

/* Before each call of libunbound inside it: without one the signal mask is not touched. */
void nh_guard_hold(struct nh_guard *guard);

#pragma GCC visibility pop

#endif
