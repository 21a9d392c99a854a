/* sigpipe.h - keeps SIGPIPE from the host program while libunbound works. */
#pragma once

#include <signal.h>
#include <stdbool.h>

/* All fields are zero before the first use. */
struct nh_sigpipe {
    sigset_t old;
    unsigned depth;
    bool held, was_pending;
    bool written; /* the caller sets it: something may have been sent since nh_sigpipe_hold() */
};

/* Call these around code that may call libunbound. They may be nested. */
void nh_sigpipe_enter(struct nh_sigpipe *sigpipe);
void nh_sigpipe_leave(struct nh_sigpipe *sigpipe);

/* Call this before each call of libunbound between the two. Without it the signal mask is not
 * changed. */
void nh_sigpipe_hold(struct nh_sigpipe *sigpipe);
