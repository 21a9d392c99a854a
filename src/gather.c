/*
 * gather.c - what the state machines share: errors, the trace, and the walk along a chain of
 * aliases.
 */
#include "gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors --------------------------------------------------------------------- */

const char *nh_type_name(uint16_t type)
{
    switch (type) {
    case NH_TYPE_A:
        return "A";
    case NH_TYPE_CNAME:
        return "CNAME";
    case NH_TYPE_DNAME:
        return "DNAME";
    case NH_TYPE_MX:
        return "MX";
    case NH_TYPE_AAAA:
        return "AAAA";
    case NH_TYPE_TLSA:
        return "TLSA";
    case NH_TYPE_NS:
        return "NS";
    case NH_TYPE_SOA:
        return "SOA";
    case NH_TYPE_DS:
        return "DS";
    case NH_TYPE_DNSKEY:
        return "DNSKEY";
    default:
        return "?";
    }
}

void nh_lookup_error(struct nh_err *err, const char *subject, const struct nh_lookup *l)
{
    const char *type = nh_type_name(l->type);

    switch (l->code) {
    case NH_BOGUS:
        nh_fail(err, NH_BOGUS, "%s: %s of %s failed DNSSEC validation: %s", subject, type, l->name,
                l->why ? l->why : "no reason given");
        break;
    case NH_TIMEOUT:
        nh_fail(err, NH_TIMEOUT, "%s: %s of %s: no answer in time", subject, type, l->name);
        break;
    case NH_NO_MEMORY:
        nh_fail(err, NH_NO_MEMORY, "%s: %s of %s: out of memory", subject, type, l->name);
        break;
    default:
        /* To libunbound it is one whether servers say so, refuse, or none is there. */
        nh_fail(err, NH_SERVFAIL, "%s: %s of %s: the lookup failed (%s)", subject, type, l->name,
                l->why && *l->why ? l->why : "SERVFAIL, or no server answers");
        break;
    }
}

/* ---- trace and TTL ----------------------------------------------------------------- */

void nh_trace_free(struct nh_trace *trace)
{
    size_t i;

    for (i = 0; i < trace->n; i++)
        free(trace->entries[i].name);
    free(trace->entries);
    memset(trace, 0, sizeof *trace);
}

/* A trace that can't grow ends there: it explains, nothing rests on it. */
static void trace(struct nh_trace *t, const struct nh_lookup *l, const char *section)
{
    struct nh_trace_entry *e;

    if (t->n == t->size) {
        size_t size = t->size ? t->size * 2 : 8;

        e = realloc(t->entries, size * sizeof *e);
        if (!e)
            return;
        t->entries = e;
        t->size = size;
    }
    e = &t->entries[t->n];
    e->name = strdup(l->name);
    if (!e->name)
        return;
    e->section = section;
    e->type = l->type;
    e->code = l->code;
    e->rcode = l->code == NH_OK ? l->answer.rcode : l->rcode;
    e->secure = l->code == NH_OK && l->secure;
    t->n++;
}

void nh_note(struct nh_op *op, const struct nh_lookup *l, const char *section)
{
    if (l->code == NH_OK && (!op->has_ttl || l->answer.ttl < op->ttl)) {
        op->has_ttl = true;
        op->ttl = l->answer.ttl;
    }
    if (op->trace)
        trace(op->trace, l, section);
}

/* After a lookup has timed out the way to it is asked for too, to tell what is known; that is in
 * the cache or close, and must not double the time. Seconds, 0 for the usual deadline. */
double nh_grace(const struct nh_op *op, enum nh_code code)
{
    double seconds = nh_resolver_lookup_timeout(op->resolver) / 5;

    if (code != NH_TIMEOUT)
        return 0;
    return seconds < 2 ? seconds : 2;
}

/* A name below a DNAME has no CNAME of its own, and libunbound takes the synthesised one, asked for
 * by that type, for bogus: the DNAME is what is signed. */
void nh_alias_start(struct nh_op *op, struct nh_lookup *l, const struct nh_answer *a,
                    void (*done)(void *arg, struct nh_lookup *), void *arg)
{
    nh_lookup_start(op->resolver, l, a->dname ? a->dname : a->chain[0],
                    a->dname ? NH_TYPE_DNAME : NH_TYPE_CNAME, 0, done, arg);
}

bool nh_alias_is_there(const struct nh_lookup *l)
{
    return l->code == NH_OK && l->answer.n_records > 0 &&
           (l->type != NH_TYPE_DNAME || l->answer.n_links == 0);
}

/* ---- the walk ------------------------------------------------------------------------ */

const char *nh_walk_end(const struct nh_walk *w)
{
    return w->n_links ? w->names[w->n_links] : w->first;
}

void nh_walk_stop(struct nh_walk *w)
{
    unsigned i;

    nh_lookup_stop(&w->lookup);
    nh_lookup_stop(&w->dname);
    free(w->made);
    w->made = NULL;
    for (i = 1; i <= w->n_links; i++)
        free(w->names[i]);
    w->n_links = 0;
}

static bool seen(const struct nh_walk *w, const char *name)
{
    unsigned i;

    if (strcmp(name, w->first) == 0)
        return true;
    for (i = 1; i <= w->n_links; i++)
        if (strcmp(name, w->names[i]) == 0)
            return true;
    return false;
}

static void ended(struct nh_walk *w, enum nh_code code)
{
    w->code = code;
    w->done(w->arg);
}

static void on_hop(void *arg, struct nh_lookup *l);
static void ask_above(struct nh_walk *w, const char *name);

static void failed(struct nh_walk *w, const struct nh_lookup *l)
{
    w->failed = l;
    if (w->n_links == 0)
        w->first_secure = false;
    w->all_secure = false;
    ended(w, l->code);
}

/* Follows an alias to w->target. */
static void follow(struct nh_walk *w, bool secure)
{
    char host[NH_HOST_MAX];
    const char *target = w->target;
    bool loop;

    if (w->n_links == 0)
        w->first_secure = secure;
    w->all_secure = w->all_secure && secure;
    if (w->hosts_only) {
        w->reason = nh_name_from_dns(target, host);
        if (w->reason) {
            ended(w, NH_INVALID_NAME);
            return;
        }
        target = host;
    }
    loop = seen(w, target);
    w->names[w->n_links + 1] = strdup(target);
    if (!w->names[w->n_links + 1]) {
        ended(w, NH_NO_MEMORY);
        return;
    }
    w->n_links++;
    if (w->stop_insecure && !secure)
        ended(w, NH_OK);
    else if (loop)
        ended(w, NH_CNAME_LOOP);
    else if (w->n_links > w->max_links)
        ended(w, NH_CNAME_LIMIT);
    else
        nh_lookup_start(w->op->resolver, &w->lookup, w->names[w->n_links], NH_TYPE_CNAME,
                        w->seconds, on_hop, w);
}

/* The status of the DNAME is that of the alias it makes. */
static void on_dname(void *arg, struct nh_lookup *l)
{
    struct nh_walk *w = arg;

    nh_note(w->op, l, w->section);
    if (l->code == NH_OK && !nh_alias_is_there(l))
        l->code = NH_SERVFAIL; /* it was there a moment ago: a denial is no status of an alias */
    if (l->code != NH_OK)
        failed(w, l);
    else
        follow(w, l->secure);
}

/* Nothing but a secure DNAME makes up for a bogus answer: one of an insecure zone above, where an anchor is
 * below it, could be anybody's. */
static void on_dname_above(void *arg, struct nh_lookup *l)
{
    struct nh_walk *w = arg;

    if (l->code == NH_OK && !nh_alias_is_there(l)) {
        ask_above(w, l->name);
        return;
    }
    free(w->made);
    w->made = l->code == NH_OK && l->secure
                  ? nh_name_renamed(w->lookup.name, l->name, l->answer.records[0].name)
                  : NULL;
    if (!w->made) {
        failed(w, &w->lookup);
        return;
    }
    nh_note(w->op, l, w->section);
    w->target = w->made;
    follow(w, l->secure);
}

/* libunbound takes a CNAME that a DNAME makes, asked for by that type, for bogus: nobody has signed it.
 * The DNAME is what is signed. */
static void ask_above(struct nh_walk *w, const char *name)
{
    const char *above = nh_name_above(name);

    if (above && ++w->n_above <= NH_DNAMES_ABOVE)
        nh_lookup_start(w->op->resolver, &w->dname, above, NH_TYPE_DNAME, w->seconds,
                        on_dname_above, w);
    else
        failed(w, &w->lookup);
}

static void on_hop(void *arg, struct nh_lookup *l)
{
    struct nh_walk *w = arg;

    nh_note(w->op, l, w->section);
    w->target = l->code == NH_OK && l->answer.n_links ? l->answer.chain[1] : NULL;
    if (l->code == NH_BOGUS) {
        ask_above(w, l->name);
    } else if (l->code != NH_OK) {
        failed(w, l);
    } else if (l->answer.n_links == 0) {
        /* The end of the aliases: how it is denied lowers nothing. */
        if (w->n_links == 0)
            w->first_secure = l->secure;
        ended(w, NH_OK);
    } else if (l->answer.dname && !l->secure) {
        /* The CNAME question below a DNAME is not answered by what is signed. */
        nh_alias_start(w->op, &w->dname, &l->answer, on_dname, w);
    } else {
        follow(w, l->secure);
    }
}

/* The fields up to stop_insecure are set by the caller. name must outlive the walk. */
void nh_walk_start(struct nh_walk *w, const char *name)
{
    w->first = name;
    w->n_links = 0;
    w->n_above = 0;
    w->all_secure = true;
    w->failed = NULL;
    nh_lookup_start(w->op->resolver, &w->lookup, name, NH_TYPE_CNAME, w->seconds, on_hop, w);
}

void nh_walk_error(const struct nh_walk *w, struct nh_err *err, const char *subject)
{
    switch (w->code) {
    case NH_OK:
        break;
    case NH_CNAME_LOOP:
        nh_fail(err, w->code, "%s: the aliases of %s form a loop, back at %s", subject, w->first,
                nh_walk_end(w));
        break;
    case NH_CNAME_LIMIT:
        nh_fail(err, w->code, "%s: %s has more than %u aliases in a row, given up at %s", subject,
                w->first, w->max_links, nh_walk_end(w));
        break;
    case NH_INVALID_NAME:
        nh_fail(err, w->code, "%s: %s is an alias of %s, which is no host name: %s", subject,
                nh_walk_end(w), w->target, w->reason);
        break;
    default:
        nh_lookup_error(err, subject, w->failed ? w->failed : &w->lookup);
        break;
    }
}

/* A bogus alias into a chain that libunbound gives up on is just SERVFAIL to it. */
const struct nh_lookup *nh_walk_culprit(const struct nh_walk *w, const struct nh_lookup *l)
{
    return l->code == NH_SERVFAIL && w->code == NH_BOGUS ? w->failed : l;
}

/* ---- gather_tlsa_names ------------------------------------------------------------------ */

/* RFC 7672 3.2.2, as mox GatherTLSANames has it. */
size_t nh_tlsa_names(const struct nh_names_in *in, const char *out[4])
{
    bool same_base = strcmp(in->orig_base, in->expanded_base) == 0;
    size_t n = 0;

    if (!in->have_mx) {
        if (in->base_authentic && !same_base)
            out[n++] = in->expanded_base;
        out[n++] = in->orig_base;
        return n;
    }
    if (!in->next_hop_authentic) {
        out[n++] = in->orig_next_hop;
        return n;
    }
    if (in->base_authentic)
        out[n++] = in->expanded_base;
    if (!same_base)
        out[n++] = in->orig_base;
    out[n++] = in->orig_next_hop;
    if (strcmp(in->orig_next_hop, in->expanded_next_hop) != 0)
        out[n++] = in->expanded_next_hop;
    return n;
}
