/*
 * recheck.c - asks a failed lookup again, if it may have failed because of what libunbound
 * remembers and not because of what is in the DNS.
 *
 * libunbound remembers for a minute or more that a server was silent, that a forwarder did not
 * speak EDNS, and which keys did not validate or could not be fetched. Nothing but a new context
 * clears that memory. Therefore:
 *
 *   bogus     -> once more in the main context -> in a fresh context -> can the keys be fetched?
 *             -> does a forwarder strip DNSSEC (rule 13)? -> without that forwarder
 *   SERVFAIL  -> in a fresh context, if libunbound asked no server, or has waited for long in vain,
 *                or servers were away recently
 *   silence   -> in a fresh context beside the main one, if all servers are silent
 *
 * A fresh context validates from the trust anchor like any other context, so its answer counts
 * as much. It becomes the main one when it has an answer that the main one did not have. Opening
 * one takes some milliseconds. In the long run one context is opened every REFILL seconds.
 */
#include "resolver_private.h"

#include "context.h"
#include "hash.h"
#include "loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRESH_FOR 5.0        /* seconds after which a context is no longer fresh */
#define BURST 8.0            /* contexts that may be opened in a row */
#define REFILL 5.0           /* seconds until one more may be opened */
#define SLOW 1.0             /* seconds; a SERVFAIL that took longer is probably libunbound's own */
#define KEYS_TIMEOUT 3.0     /* seconds for DNSKEY and DS */
#define CONFIRM_BOGUS 60.0   /* seconds; as long as libunbound remembers it */
#define CONFIRM_SERVFAIL 5.0 /* seconds; as long as libunbound remembers it */
#define FEW_SOCKETS 64       /* a context with fewer sockets does not relieve the main one */
#define MANY_SOCKETS 256     /* with so many sockets it does so for long enough */

enum tries { FIRST, AGAIN, IN_FRESH, KEYS_CHECKED, FORWARDERS_PROBED, LAST };

/* ---- failures that were confirmed --------------------------------------------------- */

static uint64_t failure_hash_of(const struct nh_lookup *l)
{
    return nh_hash((uintptr_t)l->resolver ^ l->type, l->name, strlen(l->name));
}

static bool is_confirmed(const struct nh_lookup *l)
{
    const struct nh_resolver *r = l->resolver;
    uint64_t hash = failure_hash_of(l);
    double now = nh_now();
    unsigned k;

    for (k = 0; k < NH_CONFIRMED; k++)
        if (r->confirmed[k].hash == hash && now < r->confirmed[k].until)
            return true;
    return false;
}

static void confirm(const struct nh_lookup *l, double seconds)
{
    struct nh_resolver *r = l->resolver;

    r->confirmed[r->next_confirmed].hash = failure_hash_of(l);
    r->confirmed[r->next_confirmed].until = nh_now() + seconds;
    r->next_confirmed = (r->next_confirmed + 1) % NH_CONFIRMED;
}

/* ---- the fresh context ------------------------------------------------------------------ */

/* Returns the fresh context. Opens one when there is none with so many sockets. Returns NULL when
 * there is none at all and none can be opened now. */
static struct nh_context *fresh_context(struct nh_resolver *r, unsigned sockets)
{
    struct nh_context *c = r->fresh, *opened;
    double now = nh_now();
    struct nh_err err;

    if (c && !c->has_failed && now - c->since < FRESH_FOR && c->sockets >= sockets)
        return c;
    if (r->tokens_at <= 0)
        r->tokens = BURST;
    else
        r->tokens += (now - r->tokens_at) / REFILL;
    r->tokens_at = now;
    if (r->tokens > BURST)
        r->tokens = BURST;
    if (r->tokens < 1)
        return c;
    opened = nh_context_new(r, nh_forwarders_to_leave(r), &err);
    r->tokens -= 1;
    if (!opened)
        return c;
    if (c)
        NH_LIST_INSERT_LAST(&r->draining, c, link);
    r->fresh = opened;
    return opened;
}

void nh_recheck_adopt(struct nh_resolver *r, struct nh_context *c)
{
    NH_LIST_INSERT_LAST(&r->draining, r->main, link);
    r->main = c;
    r->fresh = NULL;
    r->trouble = 0;
    nh_resolver_set_limits(r);
}

void nh_recheck_relieve(struct nh_resolver *r)
{
    struct nh_context *c;

    if (nh_context_range(r->config->max_pending, 0) < FEW_SOCKETS)
        return;
    c = fresh_context(r, FEW_SOCKETS);
    if (!c || c->has_failed || c->sockets < FEW_SOCKETS)
        return;
    nh_recheck_adopt(r, c);
    nh_lookup_send_queued(r);
}

bool nh_recheck_can_relieve(const struct nh_resolver *r, unsigned sockets)
{
    return (r->tokens_at <= 0 || r->tokens >= 1) &&
           nh_context_range(r->config->max_pending, sockets) >= MANY_SOCKETS;
}

void nh_recheck_tidy(struct nh_resolver *r)
{
    struct nh_context *c;

    if (r->fresh && r->fresh->n_lookups == 0 && nh_now() - r->fresh->since >= FRESH_FOR) {
        nh_context_free(r, r->fresh);
        r->fresh = NULL;
    }
    NH_LIST_FOREACH (c, &r->draining, link) {
        if (c->n_lookups == 0) {
            NH_LIST_REMOVE(&r->draining, c, link);
            nh_context_free(r, c);
            nh_resolver_set_limits(r); /* its descriptors are free */
            break;                     /* close one at a time: it takes some milliseconds */
        }
    }
}

/* The context that gave the lookup its result, or the main one when that context is closed. */
static struct nh_context *context_of(const struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;
    struct nh_context *c;

    if (l->context == r->fresh && r->fresh)
        return r->fresh;
    NH_LIST_FOREACH (c, &r->draining, link)
        if (c == l->context)
            return c;
    return r->main;
}

static void ask_again(struct nh_lookup *l, struct nh_context *c, enum tries tries)
{
    l->tries = (uint8_t)tries;
    nh_lookup_forget(l);
    nh_query_send(l, c);
}

static bool ask_fresh(struct nh_lookup *l)
{
    struct nh_context *c = is_confirmed(l) ? NULL : fresh_context(l->resolver, 0);

    if (c)
        ask_again(l, c, IN_FRESH);
    return c != NULL;
}

void nh_recheck_silent(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;
    struct nh_context *c;

    if (l->internal || l->second || l->tries != FIRST || r->last_success >= l->query->sent)
        return;
    c = fresh_context(r, 0);
    if (c && c->n_queries < c->sockets / 4)
        nh_query_send(l, c);
}

/* ---- can the keys be fetched? --------------------------------------------------------------- */

/* libunbound also says "bogus" when DNSKEY or DS cannot be fetched. Lookups of DNSKEY and DS
 * show the difference: then they fail, and are not bogus. */
struct nh_key_check {
    struct nh_lookup *lookup;
    unsigned waiting;
    bool failed;
    char zone[NH_NAME_MAX];
    struct nh_lookup dnskey, ds;
};

void nh_recheck_stop(struct nh_lookup *l)
{
    if (!l->keys)
        return;
    nh_lookup_stop(&l->keys->dnskey);
    nh_lookup_stop(&l->keys->ds);
    free(l->keys);
    l->keys = NULL;
}

static void on_key(void *arg, struct nh_lookup *key)
{
    struct nh_key_check *check = arg;
    struct nh_lookup *l = check->lookup;
    char text[NH_NAME_MAX + 40];

    check->failed = check->failed || key->code == NH_SERVFAIL || key->code == NH_TIMEOUT;
    if (--check->waiting > 0)
        return;
    if (check->failed) {
        snprintf(text, sizeof text, "the keys of %s could not be fetched", check->zone);
        nh_lookup_set_reason(l, text);
    }
    nh_lookup_ready(l, check->failed ? NH_SERVFAIL : NH_BOGUS);
    nh_recheck_stop(l);
}

/* Looks up the keys of the zone that the reason names. Returns false when it names none, or
 * memory runs out. */
static bool check_keys(struct nh_lookup *l)
{
    struct nh_context *c = context_of(l);
    struct nh_key_check *check = calloc(1, sizeof *check);

    if (!check || !nh_lookup_zone_of_reason(l, check->zone)) {
        free(check);
        return false;
    }
    check->lookup = l;
    check->waiting = 2;
    l->keys = check;
    l->tries = KEYS_CHECKED;
    l->state = NH_AWAITING_KEYS;
    nh_lookup_start_internal(l->resolver, c, &check->dnskey, check->zone, NH_TYPE_DNSKEY,
                             KEYS_TIMEOUT, on_key, check);
    nh_lookup_start_internal(l->resolver, c, &check->ds, check->zone, NH_TYPE_DS, KEYS_TIMEOUT,
                             on_key, check);
    return true;
}

/* ---- the decision ---------------------------------------------------------------------------- */

/* The lookup is bogus and the forwarders were probed. Asks again without those that strip
 * DNSSEC, if there are others. Returns false when the failure is final. */
static bool forwarders_are_known(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;
    struct nh_context *c = nh_forwarders_to_leave(r) ? fresh_context(r, 0) : NULL;

    if (c) {
        ask_again(l, c, LAST);
        return true;
    }
    nh_forwarders_explain(l);
    if (!r->stripping)
        confirm(l, CONFIRM_BOGUS);
    return false;
}

/* The lookup is bogus, and its keys are not the cause. Returns true when the lookup goes on. */
static bool is_bogus(struct nh_lookup *l)
{
    l->tries = FORWARDERS_PROBED;
    return nh_forwarders_probe(l, context_of(l)) || forwarders_are_known(l);
}

/* The fresh context has failed, too. Returns true when the lookup goes on. */
static bool fresh_has_failed(struct nh_lookup *l)
{
    context_of(l)->has_failed = true;
    if (l->code == NH_BOGUS)
        return check_keys(l) || is_bogus(l);
    l->tries = LAST;
    confirm(l, CONFIRM_SERVFAIL);
    return false;
}

bool nh_recheck(struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;

    if (l->internal || l->early)
        return false;
    if (!l->timer && !l->overdue)
        return false; /* its time is up: no timer would end it */
    switch ((enum tries)l->tries) {
    case FIRST:
        if (l->code == NH_SERVFAIL)
            return (l->at_once || l->waited > SLOW || nh_now() < r->trouble) && ask_fresh(l);
        ask_again(l, r->main, AGAIN);
        return true;
    case AGAIN:
        return ask_fresh(l) || (l->code == NH_BOGUS && is_bogus(l));
    case IN_FRESH:
        return fresh_has_failed(l);
    case KEYS_CHECKED:
        return l->code == NH_BOGUS && is_bogus(l);
    case FORWARDERS_PROBED:
        return forwarders_are_known(l);
    case LAST:
        if (l->code == NH_BOGUS)
            nh_forwarders_explain(l);
        return false;
    }
    return false;
}
