/* sigpipe.c - keeps SIGPIPE from the host program while libunbound works. libunbound writes to
 * TCP without MSG_NOSIGNAL (rule 7). We block the signal in this thread, and remove a signal
 * that came, unless it was pending before. What the host program does with SIGPIPE stays
 * unchanged. */
#include "sigpipe.h"

#include <time.h>

/* Takes the signal that is pending, if it is. OpenBSD and macOS have no sigtimedwait(). sigwait()
 * would wait for ever if another thread took a signal that was sent to the whole process. */
#if defined(__OpenBSD__) || defined(__APPLE__) || defined(NH_NO_SIGTIMEDWAIT)
static void take_signal(const sigset_t *signals)
{
    sigset_t pending;
    int number;

    if (sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE))
        sigwait(signals, &number);
}
#else
static void take_signal(const sigset_t *signals)
{
    static const struct timespec at_once = {0, 0};

    sigtimedwait(signals, NULL, &at_once);
}
#endif

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
    sigset_t pipe;

    if (--sigpipe->depth > 0 || !sigpipe->held)
        return;
    if (sigpipe->written && !sigpipe->was_pending) {
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        take_signal(&pipe);
    }
    pthread_sigmask(SIG_SETMASK, &sigpipe->old, NULL);
    sigpipe->held = sigpipe->written = false;
}
