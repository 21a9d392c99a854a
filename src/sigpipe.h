/* sigpipe.h - keeps SIGPIPE from the host while libunbound works. */
#ifndef NEXTHOP_SIGPIPE_H
#define NEXTHOP_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Zero before the first use. */
struct nh_sigpipe {
    sigset_t old;
    unsigned depth;
    bool held, was_pending;
    bool written; /* set by the caller: something may have been sent since nh_sigpipe_hold() */
};

/* A bracket round what may call libunbound; nests. */
void nh_sigpipe_enter(struct nh_sigpipe *sigpipe);
void nh_sigpipe_leave(struct nh_sigpipe *sigpipe);

/* Before each call of libunbound inside it: without one the signal mask is not touched. */
void nh_sigpipe_hold(struct nh_sigpipe *sigpipe);

#pragma GCC visibility pop

#endif
