/* lookup.c - one DNS lookup, from its start to its outcome.
 *
 *   start -> cache entry?  -> ready -> finish -> done()
 *         -> place?        -> sent (query.c) -> ready -> finish -> failed? -> recheck.c -> sent ...
 *         -> queued        -> sent when there is a place
 *   time is up (also while queued or sent) -> overdue -> ready, after all that has arrived was read
 *
 * An early lookup is finished without done(), and then waits until it is adopted or stopped. */
#include "resolver_private.h"

#include "loop.h"
#include "timer.h"

#include <stdlib.h>
#include <string.h>

/* ---- outcome ---------------------------------------------------------------------- */

void nh_lookup_ready(struct nh_lookup *l, enum nh_code code)
{
    l->code = code;
    l->state = NH_READY;
    NH_LIST_INSERT_LAST(&l->resolver->ready, l, link);
}

static void leave_queue(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;

    NH_LIST_REMOVE(l->follows ? &r->queued_first : &r->queued, l, link);
    r->stats.queued--;
}

/* Ends a lookup that has no answer. */
static void lookup_end(struct nh_lookup *l, enum nh_code code)
{
    if (l->state == NH_QUEUED) {
        leave_queue(l);
    } else if (l->state == NH_AWAITING_PROBE) {
        NH_LIST_REMOVE(&l->resolver->awaiting, l, link);
        code = l->code;
    } else if (l->state == NH_AWAITING_KEYS) {
        nh_recheck_stop(l);
        code = NH_SERVFAIL; /* its keys were not fetched in time */
    } else if (l->state != NH_SENT) {
        return;
    }
    nh_query_release(l);
    nh_lookup_ready(l, code);
}

/* Runs inside the loop before the sockets are read, so the answer may have arrived. */
static void on_timeout(void *arg)
{
    struct nh_lookup *l = arg;

    l->timer = NULL;
    l->overdue = true;
    NH_LIST_INSERT_LAST(&l->resolver->overdue, l, overdue_link);
}

static void leave_overdue(struct nh_lookup *l)
{
    if (l->overdue)
        NH_LIST_REMOVE(&l->resolver->overdue, l, overdue_link);
    l->overdue = false;
}

static void lookup_start_timer(struct nh_lookup *l, double seconds)
{
    l->lateness = l->resolver->lateness;
    l->timer = nh_timer_start(l->resolver->loop, seconds, on_timeout, l);
    if (!l->timer)
        lookup_end(l, NH_NO_MEMORY);
}

/* Ends overdue lookups. Before that, each gets once more the time in which the host program did
 * not let us work, because the servers are not responsible for that time. */
void nh_lookup_end_overdue(struct nh_resolver *r)
{
    struct nh_lookup *l;
    double late;

    while ((l = NH_LIST_FIRST(&r->overdue)) != NULL) {
        leave_overdue(l);
        late = r->lateness - l->lateness;
        if (late > 0 && !l->extended) {
            l->extended = true; /* only once, as the host program may always be late */
            lookup_start_timer(l, late);
        } else {
            lookup_end(l, NH_TIMEOUT);
        }
    }
}

/* ---- starting and stopping --------------------------------------------------------- */

/* Takes the answer from the cache, with the rest of its TTL. */
static bool from_cache(struct nh_lookup *l)
{
    uint32_t ttl = 0;

    if (l->whole)
        return false;
    l->entry = nh_cache_find(l->resolver->cache, l->name, l->type, &ttl);
    if (!l->entry)
        return false;
    l->answer = l->entry->answer;
    l->answer.ttl = ttl;
    __builtin_prefetch(l->answer.records); /* often they are in no cache of the CPU */
    l->secure = l->entry->secure;
    l->cached = true;
    return true;
}

static void count_start(const struct nh_lookup *l)
{
    struct nh_stats *s = &l->resolver->stats;

    if (l->internal || l->early)
        return;
    s->lookups++;
    if (l->cached)
        s->cache_hits++;
}

bool nh_lookup_knows_none(struct nh_resolver *r, const char *name, uint16_t type, uint32_t *ttl)
{
    struct nh_cache_entry *entry = nh_cache_find(r->cache, name, type, ttl);
    bool none = entry && entry->answer.n_records == 0;

    if (none) {
        r->stats.lookups++;
        r->stats.cache_hits++;
        entry->secure ? r->stats.secure++ : r->stats.insecure++;
    }
    nh_cache_entry_drop(entry);
    return none;
}

static void lookup_begin(struct nh_resolver *r, struct nh_lookup *l, const char *name,
                         uint16_t type)
{
    nh_lookup_stop(l);
    *l = (struct nh_lookup){.resolver = r, .name = name, .type = type};
}

static void lookup_start(struct nh_lookup *l, double seconds)
{
    struct nh_resolver *r = l->resolver;

    if (from_cache(l)) {
        nh_lookup_ready(l, NH_OK);
    } else if (nh_query_has_place(r, r->following) && NH_LIST_EMPTY(&r->queued_first) &&
               (r->following || NH_LIST_EMPTY(&r->queued))) {
        nh_query_send(l, r->main);
    } else {
        l->state = NH_QUEUED;
        l->follows = r->following;
        l->queued_at = nh_now();
        r->stats.queued++;
        NH_LIST_INSERT_LAST(l->follows ? &r->queued_first : &r->queued, l, link);
    }
    count_start(l);
    /* A lookup that has failed already needs a timer too, because recheck.c may ask it again. */
    if (l->state != NH_READY || l->code != NH_OK)
        lookup_start_timer(l, seconds > 0 ? seconds : r->timeout);
}

void nh_lookup_start(struct nh_resolver *r, struct nh_lookup *l, const char *name, uint16_t type,
                     double seconds, void (*done)(void *arg, struct nh_lookup *), void *arg)
{
    lookup_begin(r, l, name, type);
    l->done = done;
    l->arg = arg;
    lookup_start(l, seconds);
}

void nh_lookup_start_whole(struct nh_resolver *r, struct nh_lookup *l, const char *name,
                           uint16_t type, void (*done)(void *arg, struct nh_lookup *), void *arg)
{
    lookup_begin(r, l, name, type);
    l->whole = true;
    l->done = done;
    l->arg = arg;
    lookup_start(l, 0);
}

void nh_lookup_ask_early(struct nh_resolver *r, struct nh_lookup *l, const char *name,
                         uint16_t type)
{
    lookup_begin(r, l, name, type);
    l->early = true;
    lookup_start(l, 0);
}

bool nh_lookup_adopt(struct nh_lookup *l, void (*done)(void *arg, struct nh_lookup *), void *arg)
{
    if (l->state == NH_DONE && (l->code == NH_BOGUS || l->code == NH_SERVFAIL))
        return false; /* a failure counts only after recheck.c has examined it */
    l->done = done;
    l->arg = arg;
    l->early = false;
    count_start(l);
    if (l->state == NH_DONE)
        nh_lookup_ready(l, l->code);
    return true;
}

void nh_lookup_start_internal(struct nh_resolver *r, struct nh_context *context,
                              struct nh_lookup *l, const char *name, uint16_t type, double seconds,
                              void (*done)(void *arg, struct nh_lookup *), void *arg)
{
    lookup_begin(r, l, name, type);
    l->internal = true;
    l->done = done;
    l->arg = arg;
    nh_query_send(l, context);
    if (l->state == NH_SENT)
        lookup_start_timer(l, seconds);
}

void nh_lookup_set_reason(struct nh_lookup *l, const char *text)
{
    char *why = strdup(text);

    if (!why)
        return;
    free(l->why);
    l->why = why;
}

void nh_lookup_forget(struct nh_lookup *l)
{
    nh_cache_entry_drop(l->entry);
    l->entry = NULL;
    free(l->packet);
    l->packet = NULL;
    memset(&l->answer, 0, sizeof l->answer);
}

void nh_lookup_expire(struct nh_lookup *l)
{
    lookup_end(l, NH_TIMEOUT);
    if (l->state != NH_READY)
        return;
    NH_LIST_REMOVE(&l->resolver->ready, l, link);
    nh_timer_stop(l->timer);
    l->timer = NULL;
    leave_overdue(l);
    l->state = NH_DONE;
    nh_lookup_forget(l);
    l->code = NH_TIMEOUT;
    if (!l->early)
        l->resolver->stats.cancelled++;
}

void nh_lookup_stop(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;

    if (l->state == NH_IDLE)
        return;
    /* A finished lookup may outlive its resolver, so it must not use it. */
    if (l->state != NH_DONE) {
        if (!r->abandoned) {
            nh_timer_stop(l->timer);
            nh_query_release(l);
        }
        leave_overdue(l);
        nh_recheck_stop(l);
        if (!l->internal && !l->early) /* also when it is ready: it is counted once */
            r->stats.cancelled++;
        if (l->state == NH_QUEUED)
            leave_queue(l);
        else if (l->state == NH_READY)
            NH_LIST_REMOVE(&r->ready, l, link);
        else if (l->state == NH_AWAITING_PROBE)
            NH_LIST_REMOVE(&r->awaiting, l, link);
    }
    l->timer = NULL;
    l->query = l->second = NULL;
    l->state = NH_IDLE;
    nh_lookup_forget(l);
    free(l->why);
    l->why = NULL;
}

/* ---- finishing ------------------------------------------------------------------------ */

static void lookup_count(struct nh_lookup *l)
{
    struct nh_stats *s = &l->resolver->stats;

    if (l->code == NH_OK)
        l->secure ? s->secure++ : s->insecure++;
    else if (l->code == NH_BOGUS)
        s->bogus++;
    else if (l->code == NH_TIMEOUT)
        s->timeouts++;
    else
        s->servfail++;
}

void nh_lookup_finish(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;
    bool following = r->following;

    NH_LIST_REMOVE(&r->ready, l, link);
    if (l->code == NH_OK && l->context && l->context == r->fresh && !l->internal)
        nh_recheck_adopt(r, l->context);
    if ((l->code == NH_BOGUS || l->code == NH_SERVFAIL) && nh_recheck(l))
        return;
    if (l->code == NH_TIMEOUT && !l->internal)
        r->trouble = nh_now() + 75;
    nh_timer_stop(l->timer);
    l->timer = NULL;
    leave_overdue(l);
    nh_query_release(l);
    l->state = NH_DONE;
    if (l->early)
        return;
    if (!l->internal)
        lookup_count(l);
    r->following = l->code == NH_OK;
    l->done(l->arg, l); /* may free l */
    r->following = following;
}

/* ---- the queue ---------------------------------------------------------------------------- */

/* The next lookup of the queue. When the queue has waited for long, all lookups at its front may
 * be for dead names. Then the newest and the oldest take turns. */
static struct nh_lookup *next_queued(struct nh_resolver *r)
{
    struct nh_lookup *l = NH_LIST_FIRST(&r->queued_first);

    if (l)
        return l;
    l = NH_LIST_FIRST(&r->queued);
    if (l && nh_now() - l->queued_at >= NH_YOUNG / 5) {
        r->newest_first = !r->newest_first;
        if (r->newest_first)
            return NH_LIST_LAST(&r->queued);
    }
    return l;
}

bool nh_lookup_can_send(const struct nh_resolver *r)
{
    return (!NH_LIST_EMPTY(&r->queued_first) && nh_query_has_place(r, true)) ||
           (!NH_LIST_EMPTY(&r->queued) && nh_query_has_place(r, false));
}

void nh_lookup_send_queued(struct nh_resolver *r)
{
    struct nh_lookup *l;

    while (nh_lookup_can_send(r)) {
        l = next_queued(r);
        leave_queue(l);
        nh_query_send(l, r->main);
    }
}

bool nh_lookup_zone_of_reason(const struct nh_lookup *l, char zone[NH_NAME_MAX])
{
    static const char *const before[] = {" for key ", "key for validation ", " for DS ",
                                         " for trust anchor "};
    const char *at = NULL;
    size_t k, len;

    for (k = 0; l->why && !at && k < sizeof before / sizeof before[0]; k++) {
        at = strstr(l->why, before[k]);
        if (at)
            at += strlen(before[k]);
    }
    len = at ? strcspn(at, " ,") : 0;
    if (len == 0 || len >= NH_NAME_MAX)
        return false;
    memcpy(zone, at, len);
    zone[len] = '\0';
    if (len > 1 && zone[len - 1] == '.')
        zone[len - 1] = '\0';
    return true;
}
