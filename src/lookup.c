/*
 * lookup.c - one DNS lookup, from its start to what became of it.
 *
 * libunbound's callback only reads what it was given into an answer of ours; everything else runs
 * from nh_resolver_run(), after libunbound has returned. Rules about libunbound ("rule N") are explained
 * in CONTRIBUTING.md, "What libunbound does to its users".
 */
#include "lookup.h"

#include "context.h"
#include "loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>

#define CLASS_IN 1
#define PROBE_EVERY 60.0 /* seconds that the finding about a forwarder holds */
#define PROBE_TIMEOUT 5.0

/* ---- to libunbound and back ---------------------------------------------------- */

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
        t = calloc(1, sizeof *t);
        if (!t)
            return NULL;
        t->resolver = r;
    }
    LIST_INSERT_HEAD(&r->tickets, t, link);
    r->n_tickets++;
    return t;
}

static void end_ticket(struct nh_resolver *r, struct ticket *t)
{
    LIST_REMOVE(t, link);
    LIST_INSERT_HEAD(&r->spare, t, link);
    r->n_tickets--;
    free(t->name);
    t->name = NULL;
}

void nh_tickets_free(struct tickets *list)
{
    struct ticket *t;

    while ((t = LIST_FIRST(list)) != NULL) {
        LIST_REMOVE(t, link);
        free(t->name);
        free(t);
    }
}

/* Gives the ticket back: nobody waits for its answer any more. ub_cancel() would stop the callback
 * alone, by which we know for how long the query runs on and keeps its socket (rule 3). */
static void give_back(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;
    struct ticket *t = l->ticket;

    if (!t)
        return;
    l->ticket = NULL;
    r->stats.running--;
    t->lookup = NULL;
    t->name = strdup(l->name);
    t->type = l->type;
    LIST_REMOVE(t, link);
    LIST_INSERT_HEAD(&r->given_back, t, link);
}

/* Takes a ticket for the same question that was given back. Without it a name whose servers are
 * silent would take one more place each time that it is asked for. */
static bool take_over(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;
    struct ticket *t;

    LIST_FOREACH (t, &r->given_back, link) {
        if (t->type == l->type && t->name && strcmp(t->name, l->name) == 0) {
            LIST_REMOVE(t, link);
            LIST_INSERT_HEAD(&r->tickets, t, link);
            free(t->name);
            t->name = NULL;
            t->lookup = l;
            l->ticket = t;
            l->state = NH_SENT;
            r->stats.running++;
            return true;
        }
    }
    return false;
}

/* Hands a lookup to libunbound. A cached answer calls back before this returns (rule 1). */
static void submit(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;
    struct ticket *t;
    int rc, id;

    if (take_over(l))
        return;
    t = new_ticket(r);
    if (!t) {
        make_ready(l, NH_NO_MEMORY);
        return;
    }
    t->lookup = l;
    l->ticket = t;
    l->state = NH_SENT;
    r->stats.running++;
    rc = ub_resolve_event(nh_resolver_guarded(r), l->name, l->type, CLASS_IN, t, on_answer, &id);
    if (l->ticket != t)
        return; /* answered: t is gone */
    r->guard.written = true;
    if (rc != 0) {
        end_ticket(r, t);
        l->ticket = NULL;
        r->stats.running--;
        l->why = strdup(ub_strerror(rc));
        make_ready(l, rc == UB_NOMEM ? NH_NO_MEMORY : NH_SERVFAIL);
    }
}

/* Without an answer. */
static void end(struct nh_lookup *l, enum nh_code code)
{
    if (l->state == NH_QUEUED) {
        TAILQ_REMOVE(&l->resolver->queued, l, link);
        l->resolver->stats.queued--;
    } else if (l->state != NH_SENT) {
        return;
    }
    make_ready(l, code);
}

static void on_timeout(void *arg)
{
    struct nh_lookup *l = arg;

    l->timer = NULL;
    end(l, NH_TIMEOUT);
}

/* What a packet says, for all who will ask for it. */
static enum nh_code read_answer(struct nh_lookup *l, const uint8_t *packet, size_t len, bool secure)
{
    enum nh_code code;

    l->kept = nh_kept_new(l->name, l->type, secure);
    if (!l->kept)
        return NH_NO_MEMORY;
    code = nh_answer_parse(&l->kept->answer, packet, len, l->name, l->type);
    if (code == NH_OK) {
        nh_cache_put(l->resolver->cache, l->kept);
        l->answer = l->kept->answer;
        l->secure = secure;
    } else {
        l->rcode = 2;
    }
    return code;
}

/* libunbound's callback: takes what it is given, nothing else (rule 1). Order of reading: rule 2. */
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
    } else if (!packet || len <= 0) {
        code = sec == 1 ? NH_BOGUS : NH_SERVFAIL;
    } else if (l == &l->resolver->probe) {
        l->resolver->strips = !nh_answer_has_dnssec(packet, (size_t)len);
    } else if (sec == 1) {
        code = NH_BOGUS; /* the forged data is in packet: not looked at */
    } else {
        code = read_answer(l, packet, (size_t)len, sec == 2);
    }
    make_ready(l, code);
}

/* May one more be sent? */
static bool has_place(const struct nh_resolver *r)
{
    return r->stats.running < r->max_running && r->n_tickets < r->max_tickets;
}

/* ---- starting and stopping --------------------------------------------------------- */

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
    } else if (has_place(r) && TAILQ_EMPTY(&r->queued)) {
        submit(l);
    } else {
        l->state = NH_QUEUED;
        r->stats.queued++;
        TAILQ_INSERT_TAIL(&r->queued, l, link);
    }
    if (l->state == NH_SENT || l->state == NH_QUEUED) {
        l->timer = nh_timer_start(r->loop, seconds > 0 ? seconds : r->timeout, on_timeout, l);
        if (!l->timer)
            end(l, NH_NO_MEMORY);
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

    if (probe->code != NH_OK)
        r->strips = false;
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
                              "validates, or resolv_conf = false (nexthop --recursive) to "
                              "resolve from the root",
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

/* ---- what became of it ------------------------------------------------------------ */

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

/* Finishes one lookup that has its answer. */
void nh_lookup_finish(struct nh_lookup *l)
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
    if (l != &r->probe)
        count(l);
    l->done(l->arg, l); /* may free l */
}

bool nh_lookup_can_send(const struct nh_resolver *r)
{
    return has_place(r) && !TAILQ_EMPTY(&r->queued);
}

void nh_lookup_send_queued(struct nh_resolver *r)
{
    struct nh_lookup *l;

    while (nh_lookup_can_send(r)) {
        l = TAILQ_FIRST(&r->queued);
        TAILQ_REMOVE(&r->queued, l, link);
        r->stats.queued--;
        submit(l);
    }
}
