/*
 * gather_dest.c - gather_destinations: from a domain to its mail hosts. mox GatherDestinations;
 * RFC 5321 5.1, RFC 7505 (null MX).
 *
 * MX is looked up, and the answer holds the chain of aliases. More is looked up when this answer
 * does not show the status of the first name:
 *
 *   on_mx         secure, or no alias: done
 *                 insecure behind an alias: look up the first alias -> dest_on_cname
 *                 secure, and the end has no MX: look up the end -> on_missing: done
 *                 no answer came: done, with an error
 *                 failed, a loop or a long chain: one alias at a time -> dest_walk()
 *   dest_walk     the end is known: look up its MX -> on_mx_at_end: done. Else the error
 *   dest_take_records  MX records: hosts by preference; none: the name itself; only ".": no mail
 */
#include "gather_dest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char SECTION_MX[] = "RFC 7672 2.2.1";
static const char SECTION_ALIAS[] = "RFC 5321 5.1";

static void dest_finish(struct nh_dest_call *d)
{
    nh_lookup_forget(&d->mx); /* it may be long until the result is fetched */
    nh_lookup_forget(&d->cname);
    d->op.done(d->op.arg);
}

static void out_of_memory(struct nh_dest_call *d)
{
    nh_fail(&d->op.err, NH_NO_MEMORY, "%s: out of memory", d->domain);
}

static void add_host(struct nh_dest_call *d, const char *name, int pref)
{
    d->hosts[d->n_hosts].name = strdup(name);
    d->hosts[d->n_hosts].pref = pref;
    if (d->hosts[d->n_hosts].name)
        d->n_hosts++;
    else
        out_of_memory(d);
}

static int by_pref(const void *a, const void *b)
{
    return ((const struct nh_host *)a)->pref - ((const struct nh_host *)b)->pref;
}

/* Sorts the hosts by preference. Hosts with equal preference are put into a random order at each
 * call (RFC 5321 5.1). */
static void sort_hosts(struct nh_dest_call *d)
{
    struct nh_host swap;
    size_t i, j;

    for (i = d->n_hosts; i > 1; i--) {
        j = nh_resolver_random(d->op.resolver) % i;
        swap = d->hosts[i - 1];
        d->hosts[i - 1] = d->hosts[j];
        d->hosts[j] = swap;
    }
    qsort(d->hosts, d->n_hosts, sizeof *d->hosts, by_pref);
}

/* Makes the hosts from the MX records at the end of the chain. */
static void dest_take_records(struct nh_dest_call *d, const struct nh_answer *a)
{
    const char *reason = NULL, *refused = "";
    char host[NH_HOST_MAX];
    size_t i, null_mx = 0;

    d->hosts = calloc(a->n_records ? a->n_records : 1, sizeof *d->hosts);
    if (!d->hosts) {
        out_of_memory(d);
        return;
    }
    if (a->n_records == 0) {
        d->nxdomain = a->rcode == 3;
        add_host(d, d->expanded, -1);
        return;
    }
    d->have_mx = true;
    for (i = 0; i < a->n_records && d->op.err.code == NH_OK; i++) {
        if (strcmp(a->records[i].name, ".") == 0) {
            null_mx++;
            continue;
        }
        reason = nh_name_from_dns(a->records[i].name, host);
        if (reason)
            refused = reason;
        else
            add_host(d, host, a->records[i].pref);
    }
    if (d->op.err.code == NH_OK && d->n_hosts == 0) {
        if (null_mx == a->n_records) /* RFC 7505 3 */
            nh_fail(&d->op.err, NH_NO_MAIL, "%s: accepts no mail (null MX at %s)", d->domain,
                    d->expanded);
        else
            nh_fail(&d->op.err, NH_INVALID_MX, "%s: no MX of %s names a host: %s", d->domain,
                    d->expanded, refused);
    }
    sort_hosts(d);
}

/* Sets expanded to the end of the chain in the answer. Returns false unless every name of the
 * chain is a host name. */
static bool take_chain(struct nh_dest_call *d, const struct nh_answer *a)
{
    char host[NH_HOST_MAX];
    const char *reason;
    unsigned i;

    for (i = 1; i <= a->n_links; i++) {
        reason = nh_name_from_dns(a->chain[i], host);
        if (reason) {
            nh_fail(&d->op.err, NH_INVALID_NAME,
                    "%s: %s is an alias of %s, which is no host name: %s", d->domain, d->expanded,
                    a->chain[i], reason);
            return false;
        }
        nh_copy(d->expanded, sizeof d->expanded, host);
    }
    return true;
}

/* ---- a chain that has failed or is long: one alias at a time ----------------------- */

/* The last answer: what was asked for at the end of the chain. */
static void dest_end(struct nh_dest_call *d, struct nh_lookup *l)
{
    if (l->code != NH_OK)
        nh_lookup_error(&d->op.err, d->domain, l);
    else if (l->answer.n_links)
        nh_fail(&d->op.err, NH_SERVFAIL, "%s: the aliases changed while they were followed",
                d->domain);
    else
        dest_take_records(d, &l->answer);
    dest_finish(d);
}

static void on_mx_at_end(void *arg, struct nh_lookup *l)
{
    struct nh_dest_call *d = arg;

    nh_op_record(&d->op, l, SECTION_MX);
    d->expanded_authentic = d->walk->all_secure && l->code == NH_OK && l->secure;
    if (d->walk->n_links == 0) /* it is the answer of the first name */
        d->orig_authentic = d->expanded_authentic;
    dest_end(d, l);
}

static void dest_on_walked(void *arg)
{
    struct nh_dest_call *d = arg;
    struct nh_walk *w = d->walk;

    nh_copy(d->expanded, sizeof d->expanded, nh_walk_end(w));
    d->orig_authentic = w->first_secure;
    d->expanded_authentic = w->all_secure;
    if (w->n_links == 0 && w->code != NH_INVALID_NAME && d->mx.code != NH_OK) {
        /* There is no alias, or it cannot be known: the MX lookup is what has failed. */
        d->orig_authentic = d->expanded_authentic = false;
        nh_lookup_error(&d->op.err, d->domain, nh_walk_culprit(w, &d->mx));
        dest_finish(d);
    } else if (w->code != NH_OK) {
        nh_walk_error(w, &d->op.err, d->domain);
        dest_finish(d);
    } else {
        nh_lookup_start(d->op.resolver, &d->mx, d->expanded, NH_TYPE_MX, 0, on_mx_at_end, d);
    }
}

static void dest_walk(struct nh_dest_call *d)
{
    struct nh_walk *w = nh_walk_new(&d->walk, &d->op, dest_on_walked, d);

    if (!w) {
        out_of_memory(d);
        dest_finish(d);
        return;
    }
    w->section = SECTION_ALIAS;
    w->max_links = NH_DEST_LINKS;
    w->hosts_only = true;
    nh_walk_start(w, d->domain);
}

/* ---- the usual case ----------------------------------------------------------------- */

/* The rcode of the answer to the first name says whether the name at the end of a secure chain exists.
 * Nobody has signed the rcode, and libunbound compares it with the proof only when the name at the end is
 * asked for itself. */
static void on_missing(void *arg, struct nh_lookup *l)
{
    struct nh_dest_call *d = arg;

    nh_op_record(&d->op, l, SECTION_MX);
    d->expanded_authentic = d->expanded_authentic && l->code == NH_OK && l->secure;
    dest_end(d, l);
}

static bool is_missing_behind_alias(const struct nh_answer *a)
{
    return a->n_links && a->n_records == 0;
}

/* A part of the chain was insecure. This is the answer for the first alias. */
static void dest_on_cname(void *arg, struct nh_lookup *l)
{
    struct nh_dest_call *d = arg;

    nh_op_record(&d->op, l, SECTION_ALIAS);
    /* A denial does not count: then the alias has changed, or there was none. */
    d->orig_authentic = nh_alias_is_there(l) && l->secure;
    if (l->code != NH_OK) {
        nh_copy(d->expanded, sizeof d->expanded, d->domain);
        nh_lookup_error(&d->op.err, d->domain, l);
    } else if (take_chain(d, &d->mx.answer)) {
        dest_take_records(d, &d->mx.answer);
    }
    dest_finish(d);
}

static void on_mx(void *arg, struct nh_lookup *l)
{
    struct nh_dest_call *d = arg;
    const struct nh_answer *a = &l->answer;

    nh_op_record(&d->op, l, SECTION_MX);
    if (l->code == NH_NO_MEMORY || l->code == NH_TIMEOUT) {
        /* When no answer came, a lookup of the alias would only take the same time again. */
        nh_lookup_error(&d->op.err, d->domain, l);
        dest_finish(d);
    } else if (l->code != NH_OK || a->loop || a->n_links > NH_DEST_LINKS) {
        dest_walk(d);
    } else if (!l->secure && a->n_links) {
        nh_alias_start(&d->op, &d->cname, a, dest_on_cname, d);
    } else {
        d->orig_authentic = d->expanded_authentic = l->secure;
        if (!take_chain(d, a)) {
            dest_finish(d);
        } else if (is_missing_behind_alias(a)) {
            nh_lookup_start(d->op.resolver, &d->cname, d->expanded, NH_TYPE_MX, 0, on_missing, d);
        } else {
            dest_take_records(d, a);
            dest_finish(d);
        }
    }
}

/* Does the same as mox GatherDestinations. */
static void dest_start(struct nh_op *op, struct nh_resolver *r)
{
    struct nh_dest_call *d = (struct nh_dest_call *)op;

    op->resolver = r;
    if (d->literal) { /* an address is its own only host */
        d->hosts = calloc(1, sizeof *d->hosts);
        if (d->hosts)
            add_host(d, d->domain, -1);
        else
            out_of_memory(d);
        nh_op_finish_later(&d->op);
        return;
    }
    d->has_expanded = true;
    nh_copy(d->expanded, sizeof d->expanded, d->domain);
    nh_lookup_start(r, &d->mx, d->domain, NH_TYPE_MX, 0, on_mx, d);
}

static void dest_stop(struct nh_op *op)
{
    struct nh_dest_call *d = (struct nh_dest_call *)op;
    size_t i;

    nh_op_stop(op);
    nh_lookup_stop(&d->mx);
    nh_lookup_stop(&d->cname);
    nh_walk_free(&d->walk);
    for (i = 0; i < d->n_hosts; i++)
        free(d->hosts[i].name);
    free(d->hosts);
    d->hosts = NULL;
    d->n_hosts = 0;
}

const struct nh_op_type nh_dest_type = {
    .awaited = "its mail hosts were known", .start = dest_start, .stop = dest_stop};
