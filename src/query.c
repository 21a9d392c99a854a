/*
 * query.c - what is asked of libunbound, and what comes back.
 *
 * The callback that libunbound calls only reads its arguments into an answer of ours. Everything
 * else runs from nh_resolver_run(), after libunbound has returned. CONTRIBUTING.md explains the
 * rules about libunbound ("rule N") under "What libunbound does to its users".
 */
#include "resolver_private.h"

#include "context.h"
#include "event_api.h"
#include "loop.h"

#include <stdlib.h>
#include <string.h>
#include <unbound.h>

static void on_answer(void *arg, int rcode, void *packet, int len, int sec, char *why, int limited);

/* ---- contexts ------------------------------------------------------------------- */

struct nh_context *nh_context_new(struct nh_resolver *r, uint32_t without, struct nh_err *err)
{
    struct nh_context *c = calloc(1, sizeof *c);

    if (c)
        c->base = nh_base_new(r->loop);
    if (!c || !c->base) {
        free(c);
        nh_fail(err, NH_NO_MEMORY, "libunbound: no memory for a context");
        return NULL;
    }
    nh_sigpipe_enter(&r->sigpipe);
    nh_sigpipe_hold(&r->sigpipe);
    c->ub = nh_context_open(nh_base_events(c->base), r->config, without, err);
    nh_sigpipe_leave(&r->sigpipe);
    if (!c->ub) {
        nh_base_free(c->base);
        free(c);
        return NULL;
    }
    c->since = nh_now();
    c->sockets = nh_context_sockets(c->ub);
    return c;
}

static void end_query(struct nh_query *q);

void nh_context_free(struct nh_resolver *r, struct nh_context *c)
{
    struct nh_query *q, *next;

    if (!c)
        return;
    nh_sigpipe_enter(&r->sigpipe);
    nh_sigpipe_hold(&r->sigpipe);
    nh_context_close(c->ub);
    r->sigpipe.written = true; /* TLS sends a last message on connections that are closed */
    nh_sigpipe_leave(&r->sigpipe);
    for (q = NH_LIST_FIRST(&r->released); q; q = next) {
        next = NH_LIST_NEXT(q, link);
        if (q->context == c)
            end_query(q);
    }
    nh_base_free(c->base);
    free(c);
}

/* ---- queries ---------------------------------------------------------------------- */

static void move(struct nh_query *q, struct nh_queries *list)
{
    struct nh_resolver *r = q->resolver;

    if (q->list)
        NH_LIST_REMOVE(q->list, q, link);
    if (q->list == &r->young)
        r->n_young--;
    q->list = list;
    NH_LIST_INSERT_LAST(list, q, link);
    if (list == &r->young)
        r->n_young++;
}

static struct nh_query *new_query(struct nh_resolver *r, struct nh_context *c)
{
    struct nh_query *q = NH_LIST_FIRST(&r->free_list);

    if (!q) {
        q = calloc(1, sizeof *q);
        if (!q)
            return NULL;
        q->resolver = r;
    }
    q->context = c;
    c->n_queries++;
    return q;
}

/* The list for the queries of that context. */
static struct nh_queries *list_of(struct nh_resolver *r, const struct nh_context *c)
{
    return c == r->main ? &r->young : &r->others;
}

static void attach(struct nh_query *q, struct nh_lookup *l)
{
    struct nh_resolver *r = l->resolver;

    q->lookup = l;
    q->sent = nh_now();
    q->context->n_lookups++;
    if (q->context == r->main)
        l->query = q;
    else
        l->second = q;
    l->state = NH_SENT;
    move(q, list_of(r, q->context));
    if (!l->internal)
        r->stats.running++;
}

static void detach(struct nh_query *q)
{
    struct nh_lookup *l = q->lookup;

    if (l->query == q)
        l->query = NULL;
    else
        l->second = NULL;
    q->lookup = NULL;
    q->context->n_lookups--;
    if (!l->internal)
        q->resolver->stats.running--;
}

static void end_query(struct nh_query *q)
{
    free(q->name);
    q->name = NULL;
    q->context->n_queries--;
    move(q, &q->resolver->free_list);
}

void nh_queries_free(struct nh_queries *list)
{
    struct nh_query *q;

    while ((q = NH_LIST_FIRST(list)) != NULL) {
        /* clang's analyzer does not follow the list. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        NH_LIST_REMOVE(list, q, link);
        free(q->name);
        free(q);
    }
}

static void release(struct nh_query *q)
{
    struct nh_lookup *l = q->lookup;

    detach(q);
    q->name = strdup(l->name);
    q->type = l->type;
    move(q, &q->resolver->released);
}

/* Releases the queries of the lookup. Do not call ub_cancel(): the query would keep its socket,
 * and we would lose the callback that tells us when the socket is free (rule 3). */
void nh_query_release(struct nh_lookup *l)
{
    if (l->query)
        release(l->query);
    if (l->second)
        release(l->second);
}

/* Takes over a released query for the same question. Without this, a name whose servers are
 * silent would take one more place each time it is asked for. */
static bool take_over(struct nh_lookup *l, struct nh_context *c)
{
    struct nh_query *q;

    NH_LIST_FOREACH (q, &l->resolver->released, link) {
        if (q->context == c && q->type == l->type && q->name && strcmp(q->name, l->name) == 0) {
            free(q->name);
            q->name = NULL;
            attach(q, l);
            return true;
        }
    }
    return false;
}

void nh_query_send(struct nh_lookup *l, struct nh_context *c)
{
    struct nh_resolver *r = l->resolver;
    struct nh_query *q;
    int rc, id;

    l->at_once = false;
    if (take_over(l, c))
        return;
    q = new_query(r, c);
    if (!q) {
        if (!l->query && !l->second)
            nh_lookup_ready(l, NH_NO_MEMORY);
        return;
    }
    attach(q, l);
    l->sending = true;
    nh_sigpipe_enter(&r->sigpipe);
    nh_sigpipe_hold(&r->sigpipe);
    rc = ub_resolve_event(c->ub, l->name, l->type, NH_CLASS_IN, q, on_answer, &id);
    l->sending = false;
    if (q->lookup == l)
        r->sigpipe.written = true;
    nh_sigpipe_leave(&r->sigpipe);
    if (q->lookup != l)
        return; /* answered at once: q is free */
    if (rc != 0) {
        detach(q);
        end_query(q);
        if (l->query || l->second)
            return; /* the other context may still have an answer */
        l->why = strdup(ub_strerror(rc));
        nh_lookup_ready(l, rc == NH_UB_NO_MEMORY ? NH_NO_MEMORY : NH_SERVFAIL);
    }
}

/* ---- places ------------------------------------------------------------------------- */

/* The sockets of the main context that are taken. Each query needs one soon. It has none when
 * another query asks a server the same; it counts all the same, so that the number of queries has
 * a limit, too. */
static unsigned sockets_taken(const struct nh_resolver *r)
{
    unsigned open = nh_base_sockets(r->main->base);

    return open > r->main->n_queries ? open : r->main->n_queries;
}

/* The same with what the queries may still need. If the servers of a query are silent, it takes two
 * sockets, because libunbound also asks for the AAAA record of the name server. Therefore, if there
 * are queries that nobody has answered for NH_YOUNG seconds, as many young ones count as two. Where
 * places are kept, all queries do, unless a forwarder is asked: a query that is sent anew has no
 * socket for a moment, and nothing must take its place then. */
static unsigned sockets_needed(const struct nh_resolver *r)
{
    unsigned taken = sockets_taken(r), needed = r->main->n_queries;
    unsigned silent = needed > r->n_young ? needed - r->n_young : 0;

    if (r->sockets.burst == r->sockets.most)
        needed += silent < r->n_young ? silent : r->n_young;
    else if (!r->config->forwarders)
        needed += needed;
    return taken > needed ? taken : needed;
}

static bool has_place(const struct nh_places *p, unsigned taken, bool following)
{
    return taken < (following ? p->limit : p->given);
}

bool nh_query_has_place(const struct nh_resolver *r, bool following)
{
    return has_place(&r->running, r->n_young, following) &&
           has_place(&r->sockets, sockets_needed(r), following);
}

bool nh_query_is_full(const struct nh_resolver *r)
{
    return r->n_young < r->running.burst && sockets_taken(r) >= r->sockets.most;
}

/* Gives no place only because one has become free: a query that is sent anew closes its socket
 * for a moment. */
static void give_place(struct nh_places *p, unsigned taken, double now)
{
    p->given = p->burst;
    if (taken >= p->burst && taken < p->most && now >= p->next) {
        p->given = taken + 1;
        p->next = now + p->interval;
    }
}

void nh_query_give_places(struct nh_resolver *r)
{
    double now;

    if (NH_LIST_EMPTY(&r->queued))
        return;
    now = nh_now();
    give_place(&r->running, r->n_young, now);
    give_place(&r->sockets, sockets_needed(r), now);
}

/* Returns when one more place is given, at the latest at the time `end`. */
static double next_place(const struct nh_places *p, unsigned taken, double end)
{
    if (taken < p->given)
        return 0;
    return taken < p->most && p->next < end ? p->next : end;
}

double nh_query_next_place(const struct nh_resolver *r)
{
    const struct nh_query *oldest = NH_LIST_FIRST(&r->young);
    /* By then the oldest one is no longer young. If none is young, another context may be opened. */
    double end = (oldest ? oldest->sent : nh_now()) + NH_YOUNG;
    double running = next_place(&r->running, r->n_young, end);
    double socket = next_place(&r->sockets, sockets_needed(r), end);

    return running > socket ? running : socket;
}

/* ---- ages --------------------------------------------------------------------------- */

void nh_query_age(struct nh_resolver *r)
{
    struct nh_query *q;
    double now;

    if (NH_LIST_EMPTY(&r->young) && NH_LIST_EMPTY(&r->aged))
        return;
    now = nh_now();
    while ((q = NH_LIST_FIRST(&r->young)) != NULL && now - q->sent >= NH_YOUNG)
        move(q, &r->aged);
    while ((q = NH_LIST_FIRST(&r->aged)) != NULL && now - q->sent >= NH_HEDGE) {
        move(q, &r->old);
        nh_recheck_silent(q->lookup);
    }
}

/* ---- answers ------------------------------------------------------------------------ */

static bool keep_packet(struct nh_lookup *l, const uint8_t *packet, size_t len)
{
    free(l->packet);
    l->packet = malloc(len);
    if (!l->packet)
        return false;
    memcpy(l->packet, packet, len);
    l->packet_len = len;
    return true;
}

/* Reads a packet into an answer that all lookups of this question share. */
static enum nh_code read_answer(struct nh_lookup *l, const uint8_t *packet, size_t len, bool secure)
{
    enum nh_code code;

    l->entry = nh_cache_entry_new(l->name, l->type, secure);
    if (!l->entry)
        return NH_NO_MEMORY;
    code = nh_answer_parse(&l->entry->answer, packet, len, l->name, l->type);
    if (code == NH_OK && l->whole && !keep_packet(l, packet, len))
        code = NH_NO_MEMORY;
    if (code == NH_OK) {
        nh_cache_put(l->resolver->cache, l->entry);
        l->answer = l->entry->answer;
        l->secure = secure;
    } else {
        nh_lookup_forget(l);
        l->rcode = 2;
    }
    return code;
}

/* Reads a result in the order that rule 2 requires. */
static enum nh_code read_result(struct nh_lookup *l, int rcode, const uint8_t *packet, int len,
                                int sec)
{
    l->rcode = (uint8_t)rcode;
    if (rcode != 0)
        return NH_SERVFAIL; /* the packet may hold anything, so it is not read */
    if (!packet || len <= 0)
        return sec == 1 ? NH_BOGUS : NH_SERVFAIL;
    if (l->internal) {
        l->rcode = len > 3 ? packet[3] & 0x0f : 2; /* the SERVFAIL of a server is in the header */
        l->has_dnssec = nh_answer_has_dnssec(packet, (size_t)len);
        return l->rcode != 0 && l->rcode != 3 ? NH_SERVFAIL : sec == 1 ? NH_BOGUS : NH_OK;
    }
    if (sec == 1)
        return NH_BOGUS; /* the packet holds the forged data, so it is not read */
    return read_answer(l, packet, (size_t)len, sec == 2);
}

/* The callback for libunbound. It reads its arguments and does nothing else (rule 1). */
static void on_answer(void *arg, int rcode, void *packet, int len, int sec, char *why, int limited)
{
    struct nh_query *q = arg;
    struct nh_lookup *l = q->lookup;
    struct nh_context *c = q->context;
    double sent = q->sent;
    enum nh_code code;

    (void)limited;
    if (l)
        detach(q);
    end_query(q);
    if (!l || l->state != NH_SENT)
        return; /* the lookup was given up, or its time was up already */
    code = read_result(l, rcode, packet, len, sec);
    l->context = c;
    l->at_once = l->sending;
    l->waited = l->at_once || code == NH_OK ? 0 : nh_now() - sent;
    free(l->why);
    l->why = why && code != NH_OK ? strdup(why) : NULL;
    if (code == NH_OK) {
        if (c == l->resolver->main && !l->at_once)
            l->resolver->last_success = nh_now();
        nh_query_release(l);
    } else if (l->query || l->second) {
        return; /* the other context may still have an answer */
    }
    nh_lookup_ready(l, code);
}
