/* sigpipe.c - keeps SIGPIPE from the host program while libunbound works. libunbound writes to
 * TCP without MSG_NOSIGNAL (rule 7). We block the signal in this thread, and remove a signal
 * that came, unless it was pending before. What the host program does with SIGPIPE stays
 * unchanged. */
#include "sigpipe.h"

#include <time.h>

void nh_sigpipe_enter(struct nh_sigpipe *sigpipe)
{
    sigpipe->depth++;
}

void nh_sigpipe_hold(struct nh_sigpipe *sigpipe)
{
    sigset_t pipe, pending;

    if (sigpipe->held || sigpipe->depth == 0)
        return;
    sigpipe->held = true;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpipe->was_pending = false;
    pthread_sigmask(SIG_BLOCK, &pipe, &sigpipe->old);
    if (sigismember(&sigpipe->old, SIGPIPE) && sigpending(&pending) == 0)
        sigpipe->was_pending = sigismember(&pending, SIGPIPE);
}

void nh_sigpipe_leave(struct nh_sigpipe *sigpipe)
{
    static const struct timespec at_once = {0, 0};
    sigset_t pipe;

    if (--sigpipe->depth > 0 || !sigpipe->held)
        return;
    if (sigpipe->written && !sigpipe->was_pending) {
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        sigtimedwait(&pipe, NULL, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &sigpipe->old, NULL);
    sigpipe->held = sigpipe->written = false;
}
