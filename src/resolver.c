/*
 * resolver.c - one libunbound context on one libuv loop: configuration, submit, cancel, deadlines.
 *
 * libunbound's callback only copies what it was given; everything else runs from
 * nh_resolver_run(), after libunbound has returned. Rules about libunbound ("rule N") are
 * explained in CONTRIBUTING.md, "What libunbound does to its users".
 */
#include "resolver.h"

#include "context.h"
#include "loop.h"
#include "sigpipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unbound-event.h>
#include <unbound.h>
#include <unistd.h>

#define CLASS_IN 1
#define PROBE_EVERY 60.0 /* seconds that the finding about a forwarder holds */
#define PROBE_TIMEOUT 5.0

/* What libunbound's callback is given: it outlives a lookup that was cancelled. */
struct ticket {
    struct nh_resolver *resolver;
    struct nh_lookup *lookup; /* NULL: given back */
    int id;
    LIST_ENTRY(ticket) link;
};

TAILQ_HEAD(lookups, nh_lookup);
LIST_HEAD(tickets, ticket);

struct nh_resolver {
    struct ub_ctx *ctx;
    struct nh_loop *loop;
    struct nh_cache *cache;
    pid_t pid;
    double timeout;
    unsigned max_pending;
    struct lookups queued; /* wait for a place */
    struct lookups ready;  /* have their answer, done() not yet called */
    struct lookups aside;  /* bogus, waiting for what the probe finds */
    struct tickets tickets;
    struct nh_guard guard;
    struct tickets spare;
    uint64_t random;
    /* the probe for a forwarder that strips DNSSEC (rule 13) */
    struct nh_lookup probe;
    char *forwarders, *anchor_zone;
    double probed_at; /* 0: never */
    bool strips;
    struct nh_stats stats;
    bool abandoned;
    struct nh_resolver *next_abandoned;
};

void nh_resolver_enter(struct nh_resolver *r)
{
    nh_guard_enter(&r->guard);
}

void nh_resolver_leave(struct nh_resolver *r)
{
    nh_guard_leave(&r->guard);
}

/* For every call of libunbound: what is in our cache needs none. */
static struct ub_ctx *guarded(struct nh_resolver *r)
{
    nh_guard_hold(&r->guard);
    return r->ctx;
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
    LIST_INIT(&r->spare);
    r->pid = getpid();
    r->timeout = config->timeout;
    r->max_pending = config->max_pending;
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
    (void)guarded(r);
    r->ctx = nh_context_open(nh_loop_base(r->loop), config, err);
    nh_resolver_leave(r);
    if (!r->ctx) {
        nh_resolver_free(r);
        return NULL;
    }
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

/* What a child has left behind; keeps it reachable, so that a leak checker knows it is meant. */
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

static void free_tickets(struct tickets *list)
{
    struct ticket *t;

    while ((t = LIST_FIRST(list)) != NULL) {
        LIST_REMOVE(t, link);
        free(t);
    }
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
        nh_context_close(guarded(r));
    r->guard.written = true; /* TLS says goodbye on connections that are closed */
    nh_loop_free(r->loop);
    nh_resolver_leave(r);
    nh_cache_free(r->cache);
    free_tickets(&r->tickets);
    free_tickets(&r->spare);
    free(r->forwarders);
    free(r->anchor_zone);
    free(r);
}

/* ---- lookups -------------------------------------------------------------------- */

static void on_answer(void *arg, int rcode, void *packet, int len, int sec, char *why, int limited);

static void make_ready(struct nh_lookup *l, enum nh_code code)
{
    l->code = code;
    l->state = NH_READY;
    TAILQ_INSERT_TAIL(&l->resolver->ready, l, link);
}

static struct ticket *new_ticket(struct nh_resolver *r)
{
    struct ticket *t = LIST_FIRST(&r->spare);

    if (t) {
        LIST_REMOVE(t, link);
    } else {
        t = malloc(sizeof *t);
        if (!t)
            return NULL;
        t->resolver = r;
    }
    LIST_INSERT_HEAD(&r->tickets, t, link);
    return t;
}

static void end_ticket(struct nh_resolver *r, struct ticket *t)
{
    LIST_REMOVE(t, link);
    LIST_INSERT_HEAD(&r->spare, t, link);
}

/* Hands a lookup to libunbound. A cached answer calls back before this returns (rule 1). */
static void submit(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;
    struct ticket *t = new_ticket(r);
    int rc, id = 0;

    if (!t) {
        make_ready(l, NH_NO_MEMORY);
        return;
    }
    t->lookup = l;
    t->id = 0;
    l->ticket = t;
    l->state = NH_SENT;
    r->stats.running++;
    rc = ub_resolve_event(guarded(r), l->name, l->type, CLASS_IN, t, on_answer, &id);
    if (l->ticket != t)
        return; /* answered: t is gone */
    r->guard.written = true;
    t->id = id;
    if (rc != 0) {
        end_ticket(r, t);
        l->ticket = NULL;
        r->stats.running--;
        l->why = strdup(ub_strerror(rc));
        make_ready(l, rc == UB_NOMEM ? NH_NO_MEMORY : NH_SERVFAIL);
    }
}

/* Gives the ticket back: libunbound won't call for it any more. Its query runs on and keeps its
 * socket until libunbound gives it up (rule 3). */
static void give_back(struct nh_lookup *l)
{
    struct ticket *t = l->ticket;

    if (!t)
        return;
    l->ticket = NULL;
    t->lookup = NULL;
    l->resolver->stats.running--;
    if (ub_cancel(guarded(l->resolver), t->id) == 0)
        end_ticket(l->resolver, t);
}

static void on_timeout(void *arg)
{
    struct nh_lookup *l = arg;

    l->timer = NULL;
    if (l->state == NH_QUEUED) {
        TAILQ_REMOVE(&l->resolver->queued, l, link);
        l->resolver->stats.queued--;
    } else if (l->state != NH_SENT) {
        return;
    }
    make_ready(l, NH_TIMEOUT);
}

/* libunbound's callback: copies, nothing else (rule 1). Order of reading: rule 2. */
static void on_answer(void *arg, int rcode, void *packet, int len, int sec, char *why, int limited)
{
    struct ticket *t = arg;
    struct nh_lookup *l = t->lookup;
    enum nh_code code = NH_OK;

    (void)limited;
    end_ticket(t->resolver, t);
    if (!l)
        return;
    l->ticket = NULL;
    l->resolver->stats.running--;
    if (l->state != NH_SENT)
        return; /* its deadline has passed already */
    l->rcode = (uint8_t)rcode;
    if (why)
        l->why = strdup(why);
    if (rcode != 0) {
        code = NH_SERVFAIL; /* packet may be anything: not looked at */
    } else if (sec == 1 && l != &l->resolver->probe) {
        code = NH_BOGUS; /* the forged data is in packet: not looked at */
    } else if (!packet || len <= 0) {
        code = NH_SERVFAIL;
    } else {
        l->kept = nh_kept_new(l->name, l->type, packet, (size_t)len, sec == 2);
        if (!l->kept)
            code = NH_NO_MEMORY;
    }
    make_ready(l, code);
}

/* Takes the answer out of the cache, with what is left of its TTL. */
static bool from_cache(struct nh_lookup *l)
{
    uint32_t ttl = 0;

    l->kept = nh_cache_find(l->resolver->cache, l->name, l->type, &ttl);
    if (!l->kept)
        return false;
    l->answer = l->kept->answer;
    l->answer.ttl = ttl;
    l->secure = l->kept->secure;
    l->resolver->stats.kept++;
    return true;
}

void nh_lookup_start(struct nh_resolver *r, struct nh_lookup *l, const char *name, uint16_t type,
                     double seconds, void (*done)(void *arg, struct nh_lookup *), void *arg)
{
    nh_lookup_stop(l);
    memset(l, 0, sizeof *l);
    l->resolver = r;
    l->name = name;
    l->type = type;
    l->done = done;
    l->arg = arg;
    if (l != &r->probe) /* ours, nobody's lookup */
        r->stats.lookups++;
    if (from_cache(l)) {
        make_ready(l, NH_OK);
    } else if (r->stats.running < r->max_pending && TAILQ_EMPTY(&r->queued)) {
        submit(l);
    } else {
        l->state = NH_QUEUED;
        r->stats.queued++;
        TAILQ_INSERT_TAIL(&r->queued, l, link);
    }
    if (l->state == NH_SENT || l->state == NH_QUEUED) {
        l->timer = nh_timer_start(r->loop, seconds > 0 ? seconds : r->timeout, on_timeout, l);
        if (!l->timer) {
            nh_lookup_stop(l);
            l->resolver = r;
            make_ready(l, NH_NO_MEMORY);
        }
    }
}

void nh_lookup_forget(struct nh_lookup *l)
{
    nh_kept_drop(l->kept);
    l->kept = NULL;
    memset(&l->answer, 0, sizeof l->answer);
}

void nh_lookup_stop(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;

    if (l->state == NH_IDLE)
        return;
    /* one that is done may outlive its resolver */
    if (l->state != NH_DONE && !r->abandoned) {
        nh_timer_stop(l->timer);
        give_back(l);
    }
    l->timer = NULL;
    l->ticket = NULL;
    if (l->state != NH_DONE && l != &r->probe) /* its answer may be there: it counts once */
        r->stats.cancelled++;
    if (l->state == NH_QUEUED) {
        TAILQ_REMOVE(&r->queued, l, link);
        r->stats.queued--;
    } else if (l->state == NH_READY) {
        TAILQ_REMOVE(&r->ready, l, link);
    } else if (l->state == NH_ASIDE) {
        TAILQ_REMOVE(&r->aside, l, link);
    }
    l->state = NH_IDLE;
    nh_lookup_forget(l);
    free(l->why);
    l->why = NULL;
}

/* ---- a forwarder that strips DNSSEC (rule 13) --------------------------------- */

/* Behind such a forwarder everything is bogus. Asked once, at the first bogus answer: does the
 * DNSKEY of the anchor's zone come with its signatures? */
static void on_probed(void *arg, struct nh_lookup *probe)
{
    struct nh_resolver *r = arg;
    struct nh_lookup *l;

    r->strips = probe->kept && !nh_answer_has_dnssec(probe->kept->packet, probe->kept->packet_len);
    r->probed_at = nh_now();
    while ((l = TAILQ_FIRST(&r->aside)) != NULL) {
        TAILQ_REMOVE(&r->aside, l, link);
        make_ready(l, NH_BOGUS);
    }
}

static void explain(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;
    char *why;

    if (r->strips && asprintf(&why,
                              "the forwarder (%s) returns no DNSSEC records: use one that "
                              "validates, or resolv_conf = false to resolve from the root",
                              r->forwarders) >= 0) {
        free(l->why);
        l->why = why;
    }
}

/* True when the lookup has to wait for the probe. */
static bool set_aside(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;

    if (l->code != NH_BOGUS || !r->forwarders || !r->anchor_zone || l == &r->probe)
        return false;
    if (r->probed_at > 0 && nh_now() - r->probed_at < PROBE_EVERY)
        return false;
    l->state = NH_ASIDE;
    TAILQ_INSERT_TAIL(&r->aside, l, link);
    if (r->probe.state == NH_IDLE || r->probe.state == NH_DONE)
        nh_lookup_start(r, &r->probe, r->anchor_zone, NH_TYPE_DNSKEY, PROBE_TIMEOUT, on_probed, r);
    return true;
}

/* ---- running -------------------------------------------------------------------- */

static void count(struct nh_lookup *l)
{
    struct nh_stats *s = &l->resolver->stats;

    switch (l->code) {
    case NH_OK:
        l->secure ? s->secure++ : s->insecure++;
        break;
    case NH_BOGUS:
        s->bogus++;
        break;
    case NH_TIMEOUT:
        s->timeouts++;
        break;
    default:
        s->servfail++;
        break;
    }
}

/* Reads what has come, for all who will ask for it. */
static void read_answer(struct nh_lookup *l)
{
    struct nh_kept *kept = l->kept;

    l->code = nh_answer_parse(&kept->answer, kept->packet, kept->packet_len, l->name, l->type);
    if (l->code != NH_OK) {
        l->rcode = 2;
        return;
    }
    nh_cache_put(l->resolver->cache, kept);
    l->answer = kept->answer;
    l->secure = kept->secure;
}

/* Finishes one lookup that has its answer. */
static void finish(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;

    TAILQ_REMOVE(&r->ready, l, link);
    nh_timer_stop(l->timer);
    l->timer = NULL;
    give_back(l);
    if (set_aside(l))
        return;
    l->state = NH_DONE;
    if (l->code == NH_BOGUS)
        explain(l);
    if (l->code == NH_OK && l != &r->probe && !l->answer.memory)
        read_answer(l);
    if (l != &r->probe)
        count(l);
    l->done(l->arg, l); /* may free l */
}

static bool can_send(const struct nh_resolver *r)
{
    return r->stats.running < r->max_pending && !TAILQ_EMPTY(&r->queued);
}

static void send_queued(struct nh_resolver *r)
{
    struct nh_lookup *l;

    while (can_send(r)) {
        l = TAILQ_FIRST(&r->queued);
        TAILQ_REMOVE(&r->queued, l, link);
        r->stats.queued--;
        submit(l);
    }
}

void nh_resolver_drain(struct nh_resolver *r)
{
    struct nh_lookup *l;

    send_queued(r); /* a lookup that was stopped has left its place */
    for (;;) {
        if ((l = TAILQ_FIRST(&r->ready)) != NULL)
            finish(l);
        else if (nh_loop_ready(r->loop) && guarded(r) && nh_loop_dispatch_soon(r->loop))
            r->guard.written = true;
        else
            break;
        send_queued(r);
    }
    if (nh_loop_stale(r->loop))
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

    if (alarm)
        nh_loop_collect(r->loop, true);
    nh_timer_stop(alarm);
}

void nh_resolver_run(struct nh_resolver *r, double until, double seconds)
{
    struct nh_lookup *l;

    send_queued(r);
    if (!nh_loop_ready(r->loop))
        nh_loop_collect(r->loop, false);
    if (seconds > 0 && !nh_loop_ready(r->loop) && TAILQ_EMPTY(&r->ready))
        wait(r, seconds);
    for (;;) {
        if ((l = TAILQ_FIRST(&r->ready)) != NULL)
            finish(l);
        else if (nh_loop_ready(r->loop) && guarded(r) && nh_loop_dispatch(r->loop))
            r->guard.written = true;
        else
            break;
        send_queued(r);
        if (until > 0 && nh_now() >= until)
            break;
    }
    if (nh_loop_stale(r->loop))
        nh_loop_collect(r->loop, false);
}

double nh_resolver_timeout(struct nh_resolver *r)
{
    return TAILQ_EMPTY(&r->ready) && !can_send(r) ? nh_loop_timeout(r->loop) : 0;
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
