/*
 * resolver.c - one libunbound context on one libuv loop: its life, and what makes it run.
 */
#include "lookup.h"

#include "context.h"
#include "loop.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define BATCH 16 /* events; some 2 ms, by which a query may be late */

void nh_resolver_enter(struct nh_resolver *r)
{
    nh_guard_enter(&r->guard);
}

void nh_resolver_leave(struct nh_resolver *r)
{
    nh_guard_leave(&r->guard);
}

static bool seed(struct nh_resolver *r)
{
    if (getrandom(&r->random, sizeof r->random, 0) != (ssize_t)sizeof r->random)
        return false;
    r->random |= 1;
    return true;
}

static void no_memory(struct nh_err *err)
{
    err->code = NH_NO_MEMORY;
    err->permanent = false;
    nh_copy(err->message, sizeof err->message, "resolver: no memory or no descriptors left");
}

static char *copy(const char *s)
{
    return s ? strdup(s) : NULL;
}

/* Lookups under way have half of libunbound's sockets, with those that were given up, whose queries
 * run on, three quarters; the rest is for what validation asks (rule 4). */
static void set_limits(struct nh_resolver *r, unsigned max_pending, unsigned sockets)
{
    r->max_running = sockets / 2 < max_pending ? sockets / 2 : max_pending;
    r->max_tickets = sockets - sockets / 4;
    if (r->max_running == 0)
        r->max_running = 1;
    if (r->max_tickets == 0)
        r->max_tickets = 1;
}

struct nh_resolver *nh_resolver_new(const struct nh_config *config, struct nh_err *err)
{
    struct nh_resolver *r = calloc(1, sizeof *r);

    if (!r) {
        no_memory(err);
        return NULL;
    }
    TAILQ_INIT(&r->queued);
    TAILQ_INIT(&r->ready);
    TAILQ_INIT(&r->aside);
    LIST_INIT(&r->tickets);
    LIST_INIT(&r->given_back);
    LIST_INIT(&r->spare);
    r->pid = getpid();
    r->timeout = config->timeout;
    r->forwarders = copy(config->forwarders);
    r->anchor_zone = copy(config->anchor_zone);
    r->loop = nh_loop_new();
    if (!r->loop || !seed(r) || (config->forwarders && !r->forwarders) ||
        (config->anchor_zone && !r->anchor_zone)) {
        no_memory(err);
        nh_resolver_free(r);
        return NULL;
    }
    nh_resolver_enter(r);
    (void)nh_resolver_guarded(r);
    r->ctx = nh_context_open(nh_loop_base(r->loop), config, err);
    nh_resolver_leave(r);
    if (!r->ctx) {
        nh_resolver_free(r);
        return NULL;
    }
    set_limits(r, config->max_pending, nh_context_sockets(r->ctx));
    r->cache = nh_cache_new(nh_context_cache_size(r->ctx), nh_resolver_random(r));
    if (!r->cache) {
        no_memory(err);
        nh_resolver_free(r);
        return NULL;
    }
    return r;
}

bool nh_resolver_mine(const struct nh_resolver *r)
{
    return r->pid == getpid();
}

/* What a child has left behind; keeps it reachable, so that a leak checker knows it is meant. (The
 * module is linked so that it stays loaded when Lua ends.) */
static struct nh_resolver *abandoned;

void nh_resolver_abandon(struct nh_resolver *r)
{
    if (r->abandoned)
        return;
    r->abandoned = true;
    nh_lookup_stop(&r->probe);
    r->next_abandoned = abandoned;
    abandoned = r;
}

void nh_resolver_free(struct nh_resolver *r)
{
    if (!r)
        return;
    if (r->abandoned)
        return;
    nh_resolver_enter(r);
    nh_lookup_stop(&r->probe);
    if (r->ctx)
        nh_context_close(nh_resolver_guarded(r));
    r->guard.written = true; /* TLS says goodbye on connections that are closed */
    nh_loop_free(r->loop);
    nh_resolver_leave(r);
    nh_cache_free(r->cache);
    nh_tickets_free(&r->tickets);
    nh_tickets_free(&r->given_back);
    nh_tickets_free(&r->spare);
    free(r->forwarders);
    free(r->anchor_zone);
    free(r);
}

/* ---- running -------------------------------------------------------------------- */

/* Lets libunbound work on one event, of those that `next` takes. False when there is none. */
static bool dispatch(struct nh_resolver *r, bool (*next)(struct nh_loop *))
{
    if (!nh_loop_ready(r->loop))
        return false;
    (void)nh_resolver_guarded(r);
    if (!next(r->loop))
        return false;
    r->guard.written = true;
    return true;
}

void nh_resolver_drain(struct nh_resolver *r)
{
    struct nh_lookup *l;

    nh_lookup_send_queued(r); /* a lookup that was stopped has left its place */
    for (;;) {
        if ((l = TAILQ_FIRST(&r->ready)) != NULL)
            nh_lookup_finish(l);
        else if (!dispatch(r, nh_loop_dispatch_soon))
            break;
        nh_lookup_send_queued(r);
    }
    /* While something is ready nobody waits, and the kernel would tell of all of it once more. */
    if (nh_loop_stale(r->loop) && !nh_loop_ready(r->loop))
        nh_loop_collect(r->loop, false);
}

static void on_alarm(void *arg)
{
    *(struct nh_timer **)arg = NULL;
}

/* Waits for something to happen, for at most so long. */
static void wait(struct nh_resolver *r, double seconds)
{
    struct nh_timer *alarm = nh_timer_start(r->loop, seconds, on_alarm, &alarm);

    nh_loop_collect(r->loop, alarm != NULL);
    nh_timer_stop(alarm);
}

/* What answers lead to is asked for when a batch of them has been read: the queries go out in bursts,
 * and a server on the same machine need not be woken for each. */
void nh_resolver_run(struct nh_resolver *r, double until, double seconds)
{
    struct nh_lookup *l;
    unsigned left = 0; /* of a batch; none, so that what an earlier run has left comes first */

    nh_lookup_send_queued(r);
    if (seconds > 0 && !nh_loop_ready(r->loop) && TAILQ_EMPTY(&r->ready))
        wait(r, seconds);
    else if (!nh_loop_ready(r->loop))
        nh_loop_collect(r->loop, false);
    for (;;) {
        if (left > 0 && dispatch(r, nh_loop_dispatch)) {
            left--;
        } else if ((l = TAILQ_FIRST(&r->ready)) != NULL) {
            nh_lookup_finish(l);
            left = 0;
        } else if (nh_loop_ready(r->loop) || nh_lookup_can_send(r)) {
            nh_lookup_send_queued(r);
            left = BATCH;
            continue;
        } else {
            break;
        }
        if (until > 0 && nh_now() >= until)
            break;
    }
    if (nh_loop_stale(r->loop))
        nh_loop_collect(r->loop, false);
}

double nh_resolver_timeout(struct nh_resolver *r)
{
    return TAILQ_EMPTY(&r->ready) && !nh_lookup_can_send(r) ? nh_loop_timeout(r->loop) : 0;
}

int nh_resolver_fd(const struct nh_resolver *r)
{
    return nh_loop_fd(r->loop);
}

struct nh_timer *nh_resolver_timer(struct nh_resolver *r, double seconds, void (*fn)(void *),
                                   void *arg)
{
    return nh_timer_start(r->loop, seconds, fn, arg);
}

double nh_resolver_lookup_timeout(const struct nh_resolver *r)
{
    return r->timeout;
}

/* xorshift64*: spreads load, keeps no secret. */
uint32_t nh_resolver_random(struct nh_resolver *r)
{
    r->random ^= r->random >> 12;
    r->random ^= r->random << 25;
    r->random ^= r->random >> 27;
    return (uint32_t)((r->random * UINT64_C(2685821657736338717)) >> 32);
}

const struct nh_stats *nh_resolver_stats(const struct nh_resolver *r)
{
    return &r->stats;
}
