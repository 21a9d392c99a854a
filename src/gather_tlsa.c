/*
 * gather_tlsa.c - gather_tlsa: host -> TLSA records. mox GatherTLSA and lookupTLSACNAME;
 * RFC 7672 2.2.3, RFC 6698 2.1.
 *
 * The expanded host is tried first when it is authentic, then the host itself. A lookup that
 * fails ends it: what failed may be the record that would have required DANE.
 */
#include "gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char SECTION[] = "RFC 7672 2.2.3";

static void next_base(struct nh_tlsas *t);

static void finish(struct nh_tlsas *t)
{
    t->op.done(t->op.arg);
}

static void fail(struct nh_tlsas *t)
{
    t->dane_required = true;
    finish(t);
}

static void take_records(struct nh_tlsas *t, const struct nh_answer *a)
{
    struct nh_tlsa tlsa;
    size_t k;

    t->records = calloc(a->n_records, 2 * sizeof *t->records);
    if (!t->records) {
        nh_fail(&t->op.err, NH_NO_MEMORY, "%s: out of memory", t->host);
        fail(t);
        return;
    }
    t->unusable = t->records + a->n_records;
    t->dane_required = true;
    for (k = 0; k < a->n_records; k++) {
        nh_tlsa_judge(&tlsa, a->records[k].data, a->records[k].len);
        if (tlsa.reason[0])
            t->unusable[t->n_unusable++] = tlsa;
        else
            t->records[t->n_records++] = tlsa;
    }
    finish(t);
}

/* An answer at the end of the (followed) chain. Insecure is as good as absent. */
static void take(struct nh_tlsas *t, const struct nh_lookup *l)
{
    if (l->secure && l->answer.n_records)
        take_records(t, &l->answer);
    else
        next_base(t);
}

/* ---- the failed or the long chain: hop by hop ------------------------------------ */

static void on_end(void *arg, struct nh_lookup *l)
{
    struct nh_tlsas *t = arg;

    nh_note(&t->op, l, SECTION);
    if (l->code == NH_OK && l->answer.n_links == 0) {
        take(t, l);
        return;
    }
    if (l->code != NH_OK)
        nh_lookup_error(&t->op.err, t->host, l);
    else
        nh_fail(&t->op.err, NH_SERVFAIL, "%s: the aliases of %s changed while they were followed",
                t->host, t->name);
    fail(t);
}

static void on_walked(void *arg)
{
    struct nh_tlsas *t = arg;
    struct nh_walk *w = &t->walk;

    if (w->n_links == 0 && t->lookup.code != NH_OK) {
        /* no alias, or not to be known: what failed is the TLSA lookup */
        nh_lookup_error(&t->op.err, t->host, nh_walk_culprit(w, &t->lookup));
        fail(t);
    } else if (w->code != NH_OK) {
        nh_walk_error(w, &t->op.err, t->host);
        fail(t);
    } else if (w->lookup.answer.n_links) {
        next_base(t); /* an insecure alias: followed no further */
    } else {
        nh_lookup_start(t->op.resolver, &t->lookup, nh_walk_end(w), NH_TYPE_TLSA, w->seconds,
                        on_end, t);
    }
}

static void walk(struct nh_tlsas *t)
{
    struct nh_walk *w = &t->walk;

    nh_walk_stop(w);
    w->op = &t->op;
    w->done = on_walked;
    w->arg = t;
    w->section = SECTION;
    w->seconds = nh_grace(&t->op, t->lookup.code);
    w->max_links = NH_TLSA_LINKS;
    w->stop_insecure = true;
    nh_walk_start(w, t->name);
}

/* ---- the usual way ------------------------------------------------------------------ */

static void on_tlsa(void *arg, struct nh_lookup *l)
{
    struct nh_tlsas *t = arg;
    bool odd = l->answer.loop || l->answer.n_links > NH_TLSA_LINKS;

    nh_note(&t->op, l, SECTION);
    if (l->code == NH_NO_MEMORY) {
        nh_lookup_error(&t->op.err, t->host, l);
        fail(t);
    } else if (l->code != NH_OK || odd) {
        walk(t);
    } else {
        take(t, l);
    }
}

static void ask(struct nh_tlsas *t)
{
    int n = snprintf(t->name, sizeof t->name, "_%u._%s.%s", t->port, t->protocol, t->base);

    if (n > NH_HOST_MAX - 1)
        next_base(t); /* longer than any DNS name: nothing can be there */
    else
        nh_lookup_start(t->op.resolver, &t->lookup, t->name, NH_TYPE_TLSA, 0, on_tlsa, t);
}

static void next_base(struct nh_tlsas *t)
{
    if (t->last) {
        nh_copy(t->base, sizeof t->base, t->host);
        finish(t);
        return;
    }
    t->last = true;
    nh_copy(t->base, sizeof t->base, t->host);
    ask(t);
}

/* mox GatherTLSA. */
void nh_tlsas_start(struct nh_tlsas *t, struct nh_resolver *r, void (*done)(void *), void *arg)
{
    t->op.resolver = r;
    t->op.done = done;
    t->op.arg = arg;
    nh_copy(t->base, sizeof t->base, t->host);
    if (t->literal) {
        finish(t);
        return;
    }
    t->last = !t->expanded_authentic || !t->expanded_host[0] ||
              strcmp(t->host, t->expanded_host) == 0;
    if (!t->last)
        nh_copy(t->base, sizeof t->base, t->expanded_host);
    ask(t);
}

void nh_tlsas_stop(struct nh_tlsas *t)
{
    nh_lookup_stop(&t->lookup);
    nh_walk_stop(&t->walk);
    free(t->records);
    t->records = t->unusable = NULL;
    t->n_records = t->n_unusable = 0;
}
