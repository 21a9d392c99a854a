/* gather_tlsa.c - gather_tlsa: from a host to its TLSA records. mox GatherTLSA and
 * lookupTLSACNAME; RFC 7672 2.2.3, RFC 6698 2.1.
 *
 * If the expanded host is authentic, it is the first base domain, and the host itself is the
 * next one. A lookup that fails ends the call, because it may have failed for the record that
 * requires DANE. */
#include "gather_tlsa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char SECTION[] = "RFC 7672 2.2.3";

static void next_base(struct nh_tlsa_call *t);

static void tlsa_finish(struct nh_tlsa_call *t)
{
    t->op.done(t->op.arg);
}

static void fail(struct nh_tlsa_call *t)
{
    t->dane_required = true;
    tlsa_finish(t);
}

/* Adds a record to the result. */
static void add_record(struct nh_tlsa_call *t, const uint8_t *rdata, size_t len, unsigned *n_full)
{
    struct nh_tlsa tlsa;

    nh_tlsa_judge(&tlsa, rdata, len, n_full);
    if (tlsa.reason[0])
        t->unusable[t->n_unusable++] = tlsa;
    else
        t->records[t->n_records++] = tlsa;
}

/* Does the record count for this answer, and is it not in it? */
static bool is_assumed(const struct nh_tlsa_call *t, const struct nh_assumed *r,
                       const struct nh_answer *a)
{
    if (strcmp(r->name, t->name) != 0 && strcmp(r->name, a->chain[a->n_links]) != 0)
        return false;
    for (size_t k = 0; k < a->n_records; k++)
        if (a->records[k].len == r->len && memcmp(a->records[k].data, r->rdata, r->len) == 0)
            return false;
    return true;
}

static size_t count_assumed(const struct nh_tlsa_call *t, const struct nh_answer *a)
{
    size_t n = 0;

    for (size_t k = 0; k < t->n_assumed; k++)
        n += is_assumed(t, &t->assumed[k], a);
    return n;
}

/* Takes an answer at the end of the chain that was followed. An insecure answer counts as no
 * record. */
static void tlsa_take(struct nh_tlsa_call *t, const struct nh_lookup *l)
{
    const struct nh_answer *a = &l->answer;
    size_t n = l->secure ? a->n_records + count_assumed(t, a) : 0;
    unsigned n_full = 0;

    if (n == 0) {
        next_base(t);
        return;
    }
    t->records = calloc(n, 2 * sizeof *t->records);
    if (!t->records) {
        nh_fail(&t->op.err, NH_NO_MEMORY, "%s: out of memory", t->host);
        fail(t);
        return;
    }
    t->unusable = t->records + n;
    t->dane_required = true;
    for (size_t k = 0; k < a->n_records; k++)
        add_record(t, a->records[k].data, a->records[k].len, &n_full);
    for (size_t k = 0; k < t->n_assumed; k++)
        if (is_assumed(t, &t->assumed[k], a))
            add_record(t, t->assumed[k].rdata, t->assumed[k].len, &n_full);
    tlsa_finish(t);
}

/* ---- a chain that has failed or is long: one alias at a time ----------------------- */

static void on_end(void *arg, struct nh_lookup *l)
{
    struct nh_tlsa_call *t = arg;

    nh_op_record(&t->op, l, SECTION);
    if (l->code == NH_OK && l->answer.n_links == 0) {
        tlsa_take(t, l);
        return;
    }
    if (l->code != NH_OK)
        nh_lookup_error(&t->op.err, t->host, l);
    else
        nh_fail(&t->op.err, NH_SERVFAIL, "%s: the aliases of %s changed while they were followed",
                t->host, t->name);
    fail(t);
}

static void tlsa_on_walked(void *arg)
{
    struct nh_tlsa_call *t = arg;
    struct nh_walk *w = t->walk;

    if (w->n_links == 0 && t->asked->code != NH_OK) {
        /* There is no alias, or it cannot be known: the TLSA lookup is what has failed. */
        nh_lookup_error(&t->op.err, t->host, nh_walk_culprit(w, t->asked));
        fail(t);
    } else if (w->code != NH_OK) {
        nh_walk_error(w, &t->op.err, t->host);
        fail(t);
    } else if (!w->all_secure) {
        next_base(t); /* an insecure alias is not followed */
    } else {
        t->asked = &t->lookup;
        nh_lookup_start(t->op.resolver, &t->lookup, nh_walk_end(w), NH_TYPE_TLSA, w->seconds,
                        on_end, t);
    }
}

static void tlsa_walk(struct nh_tlsa_call *t)
{
    struct nh_walk *w = nh_walk_new(&t->walk, &t->op, tlsa_on_walked, t);

    if (!w) {
        nh_fail(&t->op.err, NH_NO_MEMORY, "%s: out of memory", t->host);
        fail(t);
        return;
    }
    w->section = SECTION;
    w->max_links = NH_TLSA_LINKS;
    w->stop_insecure = true;
    nh_walk_start(w, t->name);
}

/* ---- the usual case ----------------------------------------------------------------- */

static bool tlsa_odd(const struct nh_answer *a)
{
    return a->loop || a->n_links > NH_TLSA_LINKS;
}

static void tlsa_on_tlsa(void *arg, struct nh_lookup *l)
{
    struct nh_tlsa_call *t = arg;

    nh_op_record(&t->op, l, SECTION);
    if (l->code == NH_NO_MEMORY || l->code == NH_TIMEOUT) {
        /* When no answer came, a lookup of the alias would only take the same time again. */
        nh_lookup_error(&t->op.err, t->host, l);
        fail(t);
    } else if (l->code != NH_OK || tlsa_odd(&l->answer)) {
        tlsa_walk(t);
    } else {
        tlsa_take(t, l);
    }
}

/* Returns false when the name is longer than any DNS name. Then it cannot exist, and `name` must not be read. What
 * stands before the base always fits: it has 24 bytes at most. */
static bool set_name(const struct nh_tlsa_call *t, char name[NH_HOST_MAX], const char *base)
{
    size_t protocol_len = strlen(t->protocol), base_size = strlen(base) + 1;
    char *at = name;

    *at++ = '_';
    at = nh_write_number(at, t->port);
    *at++ = '.';
    *at++ = '_';
    memcpy(at, t->protocol, protocol_len);
    at += protocol_len;
    *at++ = '.';
    if ((size_t)(at - name) + base_size > NH_HOST_MAX)
        return false;
    memcpy(at, base, base_size);
    return true;
}

static bool asked_early(const struct nh_tlsa_call *t)
{
    return t->early.state != NH_IDLE && strcmp(t->early_name, t->name) == 0;
}

static void tlsa_ask(struct nh_tlsa_call *t)
{
    if (!set_name(t, t->name, t->base)) {
        next_base(t);
    } else if (asked_early(t) && nh_lookup_adopt(&t->early, tlsa_on_tlsa, t)) {
        t->asked = &t->early;
    } else {
        t->asked = &t->lookup;
        nh_lookup_start(t->op.resolver, &t->lookup, t->name, NH_TYPE_TLSA, 0, tlsa_on_tlsa, t);
    }
}

void nh_tlsa_call_ask_early(struct nh_tlsa_call *t, struct nh_resolver *r, const char *base)
{
    if (t->early.state == NH_IDLE && set_name(t, t->early_name, base))
        nh_lookup_ask_early(r, &t->early, t->early_name, NH_TYPE_TLSA);
}

void nh_tlsa_call_stop_early(struct nh_tlsa_call *t)
{
    if (t->asked != &t->early)
        nh_lookup_stop(&t->early);
}

static void next_base(struct nh_tlsa_call *t)
{
    nh_copy(t->base, sizeof t->base, t->host);
    if (t->last) {
        tlsa_finish(t);
    } else {
        t->last = true;
        tlsa_ask(t);
    }
}

/* Sets the first base domain. */
static void set_base(struct nh_tlsa_call *t)
{
    t->last = !t->expanded_authentic || !t->expanded_host[0] ||
              strcmp(t->host, t->expanded_host) == 0;
    nh_copy(t->base, sizeof t->base, t->last ? t->host : t->expanded_host);
}

/* Does the same as mox GatherTLSA. */
static void tlsa_start(struct nh_op *op, struct nh_resolver *r)
{
    struct nh_tlsa_call *t = (struct nh_tlsa_call *)op;

    op->resolver = r;
    nh_copy(t->base, sizeof t->base, t->host);
    if (t->literal) {
        nh_op_finish_later(&t->op);
        return;
    }
    set_base(t);
    tlsa_ask(t);
}

static void expired(void *arg)
{
    (void)arg;
}

void nh_tlsa_call_expire(struct nh_tlsa_call *t, struct nh_resolver *r)
{
    const struct nh_lookup *l = &t->early;

    t->op.resolver = r;
    t->op.done = expired;
    set_base(t);
    bool known = set_name(t, t->name, t->base) && asked_early(t) && l->state == NH_DONE &&
                 l->code == NH_OK && !tlsa_odd(&l->answer);
    /* If there are no records, another base domain may have to be asked. */
    if (known && (t->last || (l->secure && l->answer.n_records))) {
        t->asked = &t->early;
        nh_op_record(&t->op, l, SECTION);
        tlsa_take(t, l);
        return;
    }
    nh_fail_expired(&t->op.err, "%s: the deadline came before its TLSA were known", t->host);
    nh_copy(t->base, sizeof t->base, t->host);
    t->dane_required = true; /* as for any lookup that failed */
}

static void tlsa_stop(struct nh_op *op)
{
    struct nh_tlsa_call *t = (struct nh_tlsa_call *)op;

    nh_op_stop(op);
    nh_lookup_stop(&t->lookup);
    nh_lookup_stop(&t->early);
    nh_walk_free(&t->walk);
    free(t->records);
    t->records = t->unusable = NULL;
    t->n_records = t->n_unusable = 0;
}

/* A call that has not succeeded may have missed a record that requires DANE. */
static void fail_op(struct nh_op *op)
{
    tlsa_stop(op);
    ((struct nh_tlsa_call *)op)->dane_required = true;
}

/* ---- which records count for a caller ----------------------------------------------------- */

/* The rank of a matching type by its strength: 0 is the strongest. Full data is never dropped
 * (RFC 7671 9). */
static size_t weakness(const uint8_t *digests, size_t n_digests, uint8_t match_type)
{
    size_t k;

    if (match_type == 0)
        return 0;
    for (k = 0; k < n_digests; k++)
        if (digests[k] == match_type)
            break;
    return k;
}

void nh_tlsa_call_drop_unaccepted(struct nh_tlsa_call *t, const uint8_t *digests, size_t n_digests)
{
    size_t k, n = 0;

    for (k = 0; k < t->n_records; k++) {
        struct nh_tlsa *r = &t->records[k];

        if (r->match_type != 0 && weakness(digests, n_digests, r->match_type) == n_digests) {
            snprintf(r->reason, sizeof r->reason,
                     "matching type %u is not among the digests asked for", r->match_type);
            t->unusable[t->n_unusable++] = *r;
        } else {
            t->records[n++] = *r;
        }
    }
    t->n_records = n;
}

bool nh_tlsa_call_drop_weaker(struct nh_tlsa_call *t, const uint8_t *digests, size_t n_digests,
                              struct nh_tlsa **weaker, size_t *n_weaker)
{
    size_t best[2][2] = {{SIZE_MAX, SIZE_MAX}, {SIZE_MAX, SIZE_MAX}}, k, n = 0, w;

    if (t->n_records <= 1)
        return true;
    for (k = 0; k < t->n_records; k++) {
        const struct nh_tlsa *r = &t->records[k];

        w = weakness(digests, n_digests, r->match_type);
        if (r->match_type && w < best[r->usage - 2][r->selector])
            best[r->usage - 2][r->selector] = w;
    }
    *weaker = calloc(t->n_records, sizeof **weaker);
    if (!*weaker)
        return false;
    for (k = 0; k < t->n_records; k++) {
        const struct nh_tlsa *r = &t->records[k];

        w = weakness(digests, n_digests, r->match_type);
        if (r->match_type && w > best[r->usage - 2][r->selector])
            (*weaker)[(*n_weaker)++] = *r;
        else
            t->records[n++] = *r;
    }
    t->n_records = n;
    return true;
}

const struct nh_op_type nh_tlsa_type = {
    .awaited = "its TLSA were known", .start = tlsa_start, .stop = tlsa_stop, .fail = fail_op};
