/*
 * sigpipe.c - keeps SIGPIPE from the host while libunbound works, which writes to TCP without
 * MSG_NOSIGNAL (rule 7). The signal is blocked in this thread, and one that came is taken back,
 * unless it was there before; the host's disposition stays as it is.
 */
#include "sigpipe.h"

#include <time.h>

void nh_guard_enter(struct nh_guard *guard)
{
    guard->depth++;
}

void nh_guard_hold(struct nh_guard *guard)
{
    sigset_t pipe, pending;

    if (guard->held || guard->depth == 0)
        return;
    guard->held = true;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    guard->was_pending = false;
    pthread_sigmask(SIG_BLOCK, &pipe, &guard->old);
    if (sigismember(&guard->old, SIGPIPE) && sigpending(&pending) == 0)
        guard->was_pending = sigismember(&pending, SIGPIPE);
}

void nh_guard_leave(struct nh_guard *guard)
{
    static const struct timespec at_once = {0, 0};
    sigset_t pipe;

    if (--guard->depth > 0 || !guard->held)
        return;
    if (guard->written && !guard->was_pending) {
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        sigtimedwait(&pipe, NULL, &at_once);
    }
    pthread_sigmask(SIG_SETMASK, &guard->old, NULL);
    guard->held = guard->written = false;
}
