/* resolver.c - the resolver on one libuv loop: its life, and what makes it run. */
#include "resolver_private.h"

#include "context.h"
#include "host_errors.h"
#include "loop.h"
#include "system.h"
#include "timer.h"

#include <stdlib.h>

#define BATCH 16 /* events; they take about 2 ms, by which a query may be late */
#define LATE 1.0 /* seconds; when the host program is later than that, it is late */

/* kept: of the places up to `most`, those that are given one after the other in `seconds`. */
static void set_places(struct nh_places *p, unsigned most, unsigned limit, unsigned kept,
                       double seconds)
{
    p->limit = limit > 0 ? limit : 1;
    p->most = most > 0 ? most : 1;
    p->burst = p->most - kept;
    p->given = p->burst;
    p->interval = kept > 0 ? seconds / kept : 0;
}

/* A lookup takes one of the places `running` for NH_YOUNG seconds. After that, only the sockets of
 * libunbound are the limit (rule 4). Half of them are for young lookups, and a quarter is for what
 * validation asks.
 *
 * An eighth of the places `running` is kept. Half of these are for lookups that follow from answers.
 * If no other context can be opened when the sockets are taken, half of the sockets are kept. With
 * two for each query they last until the first queries that nobody answers are over. */
void nh_resolver_set_limits(struct nh_resolver *r)
{
    unsigned sockets = r->main->sockets, max_pending = r->config->max_pending;
    unsigned running = sockets / 2 < max_pending ? sockets / 2 : max_pending, more = running / 8;
    unsigned limit = sockets - sockets / 4, most = limit - sockets / 8;

    set_places(&r->running, running + more, running + more, more, 2 * NH_YOUNG);
    set_places(&r->sockets, most, limit, nh_recheck_can_relieve(r, most) ? 0 : most / 2,
               2 * r->timeout);
}

/* Between enter() and leave() the code of libraries runs. What the host program has left in
 * OpenSSL's queue, and its handling of SIGPIPE, are the same afterwards. */
static void enter(struct nh_resolver *r, struct nh_host_errors *errors)
{
    nh_sigpipe_enter(&r->sigpipe);
    nh_host_errors_take(errors);
}

static void leave(struct nh_resolver *r, const struct nh_host_errors *errors)
{
    nh_host_errors_put(errors);
    nh_sigpipe_leave(&r->sigpipe);
}

static struct nh_resolver *new_resolver(void)
{
    struct nh_resolver *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    NH_LIST_INIT(&r->draining);
    NH_LIST_INIT(&r->queued);
    NH_LIST_INIT(&r->queued_first);
    NH_LIST_INIT(&r->ready);
    NH_LIST_INIT(&r->overdue);
    NH_LIST_INIT(&r->tasks);
    NH_LIST_INIT(&r->heavy_tasks);
    NH_LIST_INIT(&r->awaiting);
    NH_LIST_INIT(&r->young);
    NH_LIST_INIT(&r->aged);
    NH_LIST_INIT(&r->old);
    NH_LIST_INIT(&r->others);
    NH_LIST_INIT(&r->released);
    NH_LIST_INIT(&r->free_list);
    r->pid = nh_process_id();
    return r;
}

/* Returns false on failure. Sets *err when the failure has another cause than memory. */
static bool fill(struct nh_resolver *r, const struct nh_config *config, struct nh_err *err)
{
    size_t size;

    r->timeout = config->timeout;
    r->config = nh_config_copy(config);
    r->loop = nh_loop_new();
    if (!r->loop || !r->config || !nh_random(&r->random, sizeof r->random))
        return false;
    r->random |= 1;
    r->main = nh_context_new(r, 0, err);
    if (!r->main)
        return false;
    nh_resolver_set_limits(r);
    size = nh_context_cache_size(r->main->ub);
    if (size > 0 && config->cache_bytes > 0)
        size = config->cache_bytes;
    r->cache = nh_cache_new(size, nh_resolver_random(r));
    return r->cache != NULL;
}

struct nh_resolver *nh_resolver_new(const struct nh_config *config, struct nh_err *err)
{
    struct nh_resolver *r = new_resolver();
    struct nh_host_errors errors;
    bool ok;

    err->code = NH_NO_MEMORY;
    nh_host_errors_take(&errors);
    ok = r && fill(r, config, err);
    nh_host_errors_put(&errors);
    if (ok)
        return r;
    if (err->code == NH_NO_MEMORY)
        nh_fail(err, NH_NO_MEMORY, "resolver: no memory or no descriptors left");
    nh_resolver_free(r);
    return NULL;
}

bool nh_resolver_mine(const struct nh_resolver *r)
{
    return r->pid == nh_process_id();
}

/* Resolvers that a forked child has left behind. This list keeps them reachable, so that a leak
 * checker does not report them. (The module is linked so that it stays loaded when Lua ends.) */
static struct nh_resolver *abandoned;

void nh_resolver_abandon(struct nh_resolver *r)
{
    if (r->abandoned)
        return;
    r->abandoned = true;
    r->next_abandoned = abandoned;
    abandoned = r;
}

static void free_contexts(struct nh_resolver *r)
{
    struct nh_context *c;

    nh_forwarders_stop(r);
    while ((c = NH_LIST_FIRST(&r->draining)) != NULL) {
        NH_LIST_REMOVE(&r->draining, c, link);
        nh_context_free(r, c);
    }
    nh_context_free(r, r->fresh);
    nh_context_free(r, r->main);
    r->main = r->fresh = NULL;
}

void nh_resolver_free(struct nh_resolver *r)
{
    struct nh_host_errors errors;

    if (!r || r->abandoned)
        return;
    enter(r, &errors);
    free_contexts(r);
    nh_loop_free(r->loop);
    leave(r, &errors);
    nh_context_return_memory();
    nh_cache_free(r->cache);
    nh_queries_free(&r->young);
    nh_queries_free(&r->aged);
    nh_queries_free(&r->old);
    nh_queries_free(&r->others);
    nh_queries_free(&r->released);
    nh_queries_free(&r->free_list);
    nh_config_free(r->config);
    free(r);
}

/* ---- running -------------------------------------------------------------------- */

/* Lets libunbound handle one event, which `next` chooses. Returns false when there is none. */
static bool resolver_dispatch(struct nh_resolver *r, bool (*next)(struct nh_loop *))
{
    if (!nh_loop_ready(r->loop))
        return false;
    nh_sigpipe_hold(&r->sigpipe);
    if (!next(r->loop))
        return false;
    r->sigpipe.written = true;
    return true;
}

void nh_resolver_later(struct nh_resolver *r, struct nh_task *task, void (*run)(void *arg),
                       void *arg)
{
    task->run = run;
    task->arg = arg;
    task->is_queued = true;
    NH_LIST_INSERT_LAST(task->is_heavy ? &r->heavy_tasks : &r->tasks, task, link);
}

void nh_task_stop(struct nh_resolver *r, struct nh_task *task)
{
    if (task->is_queued)
        NH_LIST_REMOVE(task->is_heavy ? &r->heavy_tasks : &r->tasks, task, link);
    task->is_queued = false;
}

static bool has_no_task(const struct nh_resolver *r)
{
    return NH_LIST_EMPTY(&r->tasks) && NH_LIST_EMPTY(&r->heavy_tasks);
}

/* Runs the first task of the list. This may free the task. */
static void do_task(struct nh_resolver *r, const struct nh_tasks *tasks)
{
    struct nh_task *task = NH_LIST_FIRST(tasks);

    nh_task_stop(r, task);
    task->run(task->arg);
}

/* ---- the time ---------------------------------------------------------------------- */

/* A timer has fired: arg is the pointer to it. */
static void forget_timer(void *arg)
{
    *(struct nh_timer **)arg = NULL;
}

/* Sets a timer that wakes the host program when a query is old enough: then a queued lookup may
 * start in its place, or it may also be asked in a fresh context. */
static void set_tick(struct nh_resolver *r)
{
    const struct nh_query *q;
    double at, now;

    if (!NH_LIST_EMPTY(&r->queued) || !NH_LIST_EMPTY(&r->queued_first)) {
        at = nh_query_next_place(r);
    } else {
        q = NH_LIST_FIRST(NH_LIST_EMPTY(&r->aged) ? &r->young : &r->aged);
        if (!q)
            return;
        at = q->sent + NH_HEDGE;
    }
    if (r->tick && r->tick_at <= at)
        return;
    nh_timer_stop(r->tick);
    now = nh_now();
    r->tick_at = at;
    r->tick = nh_timer_start(r->loop, at > now ? at - now : 0, forget_timer, &r->tick);
}

/* Records that the host program was late. libunbound then believes that servers were slow, and
 * may take them for dead. */
static void notice_lateness(struct nh_resolver *r)
{
    if (r->due <= 0)
        return;
    double now = nh_now();
    if (now - r->due > LATE) {
        r->lateness += now - r->due;
        r->trouble = now + 75;
    }
    r->due = 0;
}

static void set_due(struct nh_resolver *r)
{
    if (r->stats.running == 0)
        return;
    double seconds = nh_resolver_timeout(r);
    if (seconds >= 0)
        r->due = nh_now() + seconds;
}

void nh_resolver_drain(struct nh_resolver *r)
{
    struct nh_lookup *l;
    struct nh_host_errors errors;

    enter(r, &errors);
    nh_lookup_send_queued(r); /* a lookup that was stopped has left its place free */
    for (;;) {
        if (!NH_LIST_EMPTY(&r->tasks))
            do_task(r, &r->tasks);
        else if ((l = NH_LIST_FIRST(&r->ready)) != NULL)
            nh_lookup_finish(l);
        else if (!resolver_dispatch(r, nh_loop_dispatch_zero_delay))
            break;
        nh_lookup_send_queued(r);
    }
    /* Do not collect while something is ready: the kernel would report all ready descriptors
     * again. */
    if (nh_loop_stale(r->loop) && !nh_loop_ready(r->loop))
        nh_loop_collect(r->loop, false);
    set_tick(r);
    leave(r, &errors);
}

/* Waits until something happens, for at most `seconds`. */
static void wait(struct nh_resolver *r, double seconds)
{
    struct nh_timer *alarm = nh_timer_start(r->loop, seconds, forget_timer, &alarm);

    nh_loop_collect(r->loop, alarm != NULL);
    nh_timer_stop(alarm);
}

/* See resolver.h. The lookups that follow from answers are sent after a batch of answers was
 * read. Then the queries go out in bursts, and a server on the same machine need not be woken
 * for each query. */
void nh_resolver_run(struct nh_resolver *r, double until, double seconds)
{
    struct nh_lookup *l;
    struct nh_host_errors errors;
    unsigned left = 0; /* in the batch; 0, so that what is left from before goes first */

    enter(r, &errors);
    notice_lateness(r);
    nh_lookup_send_queued(r);
    if (seconds > 0 && !nh_loop_ready(r->loop) && NH_LIST_EMPTY(&r->ready) && has_no_task(r))
        wait(r, seconds);
    else if (!nh_loop_ready(r->loop))
        nh_loop_collect(r->loop, false);
    for (;;) {
        if (left > 0 && resolver_dispatch(r, nh_loop_dispatch)) {
            left--;
        } else if (!NH_LIST_EMPTY(&r->tasks)) {
            do_task(r, &r->tasks);
        } else if ((l = NH_LIST_FIRST(&r->ready)) != NULL) {
            nh_lookup_finish(l);
            left = 0;
        } else if (!NH_LIST_EMPTY(&r->heavy_tasks)) {
            do_task(r, &r->heavy_tasks);
            left = BATCH; /* answers wait for one of these, and not for all */
        } else if (nh_loop_ready(r->loop) || nh_lookup_can_send(r)) {
            nh_lookup_send_queued(r);
            left = BATCH;
            continue;
        } else if (!NH_LIST_EMPTY(&r->overdue)) {
            /* Answers that wait in the sockets are read before the lookup ends. */
            if (nh_loop_settled(r->loop))
                nh_lookup_end_overdue(r);
        } else {
            break;
        }
        if (until > 0 && nh_now() >= until)
            break;
    }
    nh_query_age(r);
    nh_query_give_places(r);
    nh_lookup_send_queued(r);
    if (!NH_LIST_EMPTY(&r->queued) && nh_query_is_full(r))
        nh_recheck_relieve(r);
    nh_recheck_tidy(r);
    if (nh_loop_stale(r->loop))
        nh_loop_collect(r->loop, false);
    set_tick(r);
    set_due(r);
    leave(r, &errors);
}

bool nh_resolver_has_results(const struct nh_resolver *r)
{
    return !NH_LIST_EMPTY(&r->ready) || !has_no_task(r);
}

double nh_resolver_timeout(struct nh_resolver *r)
{
    return !nh_resolver_has_results(r) && NH_LIST_EMPTY(&r->overdue) && !nh_lookup_can_send(r)
               ? nh_loop_timeout(r->loop)
               : 0;
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

struct nh_loop *nh_resolver_loop(struct nh_resolver *r)
{
    return r->loop;
}

double nh_resolver_lookup_timeout(const struct nh_resolver *r)
{
    return r->timeout;
}

bool nh_resolver_knows_host(struct nh_resolver *r, const char *host)
{
    return nh_cache_has(r->cache, host, NH_TYPE_A);
}

/* xorshift64*. It spreads load, and is not for secrets. */
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
