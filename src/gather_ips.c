/* gather_ips.c - gather_ips: from a host to its addresses, and what DNSSEC says about them. mox
 * GatherIPs; RFC 7672 2.2.2.
 *
 * A and AAAA are looked up at the same time. More is looked up when their answers do not show
 * everything:
 *
 *   on_families  both have ended. One failed behind an alias: ask it again at the end -> on_again
 *                All failed, or a chain is odd (loop, too long, not the same): ips_walk() -> on_own
 *   judge        all secure, or no alias: done. Else look up the first alias -> ips_on_cname
 *   ips_on_cname an insecure alias, or only one: done. Else the addresses at the end -> on_own
 *   on_own       the status of the addresses alone, and that of the chain: done
 *   conclude     the addresses in the order of mox, or the error */
#include "gather_ips.h"

#include <stdlib.h>
#include <string.h>

static const char SECTION[] = "RFC 7672 2.2.2";

static void ips_finish(struct nh_ips_call *i)
{
    i->op.done(i->op.arg);
}

static const char *end_name(const struct nh_ips_call *i)
{
    return i->final ? i->final : i->host;
}

/* Records where the chain ends, in a copy of name, because the answer that holds name may be
 * freed. Returns false when memory runs out. The call has then ended, and may be freed. */
static bool set_end(struct nh_ips_call *i, const char *name, unsigned n_links)
{
    i->n_links = n_links;
    if (n_links == 0)
        return true;
    free(i->final);
    i->final = strdup(name);
    if (i->final)
        return true;
    nh_fail(&i->op.err, NH_NO_MEMORY, "%s: out of memory", i->host);
    ips_finish(i);
    return false;
}

/* ---- the two families ---------------------------------------------------------------- */

static void on_families(struct nh_ips_call *i);

static bool ips_odd(const struct nh_ips_call *i, const struct nh_family *f)
{
    return f->answered && (f->lookup.answer.loop || f->lookup.answer.n_links > i->max_links);
}

static const char *end_of(const struct nh_family *f)
{
    return f->lookup.answer.chain[f->lookup.answer.n_links];
}

static void on_family(void *arg, struct nh_lookup *l)
{
    struct nh_ips_call *i = arg;
    struct nh_family *f = l == &i->v4.lookup ? &i->v4 : &i->v6;

    nh_op_record(&i->op, l, SECTION);
    f->answered = l->code == NH_OK;
    f->chain_secure = f->leaf_secure = f->answered && l->secure;
    f->n = f->answered ? l->answer.n_records : 0;
    if (--i->waiting == 0)
        i->next(i);
    else if (i->on_secure && i->next == on_families && f->n && f->chain_secure && !ips_odd(i, f))
        i->on_secure(i->op.arg, end_of(f));
}

static void ips_ask(struct nh_ips_call *i, struct nh_family *f, const char *name, double seconds)
{
    i->waiting++;
    nh_lookup_start(i->op.resolver, &f->lookup, name, f == &i->v4 ? NH_TYPE_A : NH_TYPE_AAAA,
                    seconds, on_family, i);
}

static bool ips_failed(const struct nh_family *f)
{
    return f->wanted && !f->answered;
}

/* Was the family not wanted, or did no answer come in time? */
static bool timed_out(const struct nh_family *f)
{
    return !f->wanted || (!f->answered && f->lookup.code == NH_TIMEOUT);
}

/* Do the flags depend on this family? They depend on the families with addresses. When no family
 * has addresses, they depend on all denials. */
static bool counts(const struct nh_ips_call *i, const struct nh_family *f)
{
    return f->answered && (f->n > 0 || i->v4.n + i->v6.n == 0);
}

static bool all_chains_secure(const struct nh_ips_call *i)
{
    return (!counts(i, &i->v4) || i->v4.chain_secure) && (!counts(i, &i->v6) || i->v6.chain_secure);
}

static bool all_leaves_secure(const struct nh_ips_call *i)
{
    return (!counts(i, &i->v4) || i->v4.leaf_secure) && (!counts(i, &i->v6) || i->v6.leaf_secure);
}

/* ---- addresses and their order ------------------------------------------------------------ */

static size_t ips_take(struct nh_ip *ips, const struct nh_family *f, uint8_t family)
{
    size_t k, len = family == 4 ? 4 : 16;

    for (k = 0; k < f->n; k++) {
        ips[k].family = family;
        memcpy(ips[k].addr, f->lookup.answer.records[k].data, len);
    }
    return f->n;
}

static bool same_ip(const struct nh_ip *a, const struct nh_ip *b)
{
    return a->family == b->family && memcmp(a->addr, b->addr, a->family == 4 ? 4 : 16) == 0;
}

/* The rank of an address, as in mox. When there were earlier attempts, the family that was not
 * tried last goes first. When the last family was tried exactly once, the address of that
 * attempt is the first of its family. The order is otherwise unchanged. */
static unsigned rank(const struct nh_ip *ip, const struct nh_ip *last, bool prefer_last)
{
    if (ip->family != last->family)
        return 0;
    return prefer_last && same_ip(ip, last) ? 1 : 2;
}

static bool order(struct nh_ips_call *i)
{
    struct nh_ip *sorted;
    size_t k, n = 0, tried = 0;

    if (i->n_dialed == 0)
        return true;
    const struct nh_ip *last = &i->dialed[i->n_dialed - 1];
    for (k = 0; k < i->n_dialed; k++)
        tried += i->dialed[k].family == last->family;
    sorted = malloc(i->n_ips * sizeof *sorted);
    if (!sorted)
        return false;
    for (unsigned want = 0; want <= 2; want++)
        for (k = 0; k < i->n_ips; k++)
            if (rank(&i->ips[k], last, tried == 1) == want)
                sorted[n++] = i->ips[k];
    free(i->ips);
    i->ips = sorted;
    return true;
}

/* ---- the end -------------------------------------------------------------------------------- */

/* The family whose error says more: bogus says more than SERVFAIL, and SERVFAIL says more than a
 * timeout. */
static const struct nh_family *worse(const struct nh_family *a, const struct nh_family *b)
{
    if (!ips_failed(a))
        return b;
    if (!ips_failed(b) || a->lookup.code == NH_BOGUS)
        return a;
    return b->lookup.code == NH_BOGUS || a->lookup.code == NH_TIMEOUT ? b : a;
}

/* Ends the call. The flags are set. This function sets the addresses, or the error. */
static void conclude(struct nh_ips_call *i)
{
    const char *reason = NULL;

    i->alias = i->n_links > 0;
    if (i->alias)
        reason = nh_name_from_dns(end_name(i), i->expanded);
    else
        nh_copy(i->expanded, sizeof i->expanded, i->host);
    if (reason) {
        nh_fail(&i->op.err, NH_INVALID_NAME, "%s: is an alias of %s, which is no host name: %s",
                i->host, end_name(i), reason);
        ips_finish(i);
        return;
    }
    i->has_expanded = true;
    i->n_ips = (size_t)i->v4.n + i->v6.n;
    i->dualstack = i->v4.n && i->v6.n;
    if (i->n_ips == 0) {
        if (ips_failed(&i->v4) || ips_failed(&i->v6)) /* a failed lookup proves nothing */
            nh_lookup_error(&i->op.err, i->host,
                            nh_walk_culprit(i->walk, &worse(&i->v4, &i->v6)->lookup));
        else
            nh_fail(&i->op.err, NH_NOT_FOUND, "%s: %s has no %saddress", i->host, i->expanded,
                    i->network == NH_IP4   ? "IPv4 "
                    : i->network == NH_IP6 ? "IPv6 "
                                           : "");
        ips_finish(i);
        return;
    }
    i->ips = malloc(i->n_ips * sizeof *i->ips);
    if (i->ips) {
        size_t n6 = ips_take(i->ips, &i->v6, 6);
        ips_take(i->ips + n6, &i->v4, 4);
        nh_lookup_forget(&i->v6.lookup); /* it may be long until the result is fetched */
        nh_lookup_forget(&i->v4.lookup);
    }
    if (!i->ips || !order(i)) {
        i->n_ips = 0;
        nh_fail(&i->op.err, NH_NO_MEMORY, "%s: out of memory", i->host);
    }
    ips_finish(i);
}

/* ---- one alias at a time -------------------------------------------------------------------- */

/* The status of the addresses themselves is known. aliases_secure says whether the chain to them
 * is secure. */
static void on_own(struct nh_ips_call *i)
{
    bool leaves = (i->v4.answered || i->v6.answered) && all_leaves_secure(i);

    i->v4.chain_secure = i->v4.leaf_secure && i->aliases_secure;
    i->v6.chain_secure = i->v6.leaf_secure && i->aliases_secure;
    i->authentic = i->host_authentic && leaves;
    if (i->n_links == 0)
        i->host_authentic = leaves;
    i->expanded_authentic = i->aliases_secure && leaves;
    conclude(i);
}

static void ips_on_walked(void *arg)
{
    struct nh_ips_call *i = arg;
    struct nh_walk *w = i->walk;

    if (!set_end(i, nh_walk_end(w), w->n_links))
        return;
    if (w->n_links == 0 && !i->v4.answered && !i->v6.answered) {
        conclude(i); /* no alias, or it cannot be known: the address lookup has failed */
        return;
    }
    /* A host without an alias has the status of its addresses. The denial of its CNAME answers
     * another question, so its status does not count. */
    i->host_authentic = i->authentic = w->first_secure;
    i->expanded_authentic = i->aliases_secure = w->all_secure;
    if (w->n_links == 0 && w->code == NH_OK)
        i->host_authentic = true; /* until on_own() knows it */
    if (w->code != NH_OK) {
        nh_walk_error(w, &i->op.err, i->host);
        /* The cache decides which of the two lookups fails on the same chain, so drop both
         * results. */
        nh_lookup_stop(&i->v4.lookup);
        nh_lookup_stop(&i->v6.lookup);
        i->v4.n = i->v6.n = 0;
        ips_finish(i);
        return;
    }
    i->next = on_own;
    if (i->v4.wanted)
        ips_ask(i, &i->v4, end_name(i), w->seconds);
    if (i->v6.wanted)
        ips_ask(i, &i->v6, end_name(i), w->seconds);
}

static void ips_walk(struct nh_ips_call *i)
{
    struct nh_walk *w = nh_walk_new(&i->walk, &i->op, ips_on_walked, i);
    bool late = (ips_failed(&i->v4) && timed_out(&i->v4)) ||
                (ips_failed(&i->v6) && timed_out(&i->v6));

    if (!w) {
        nh_fail(&i->op.err, NH_NO_MEMORY, "%s: out of memory", i->host);
        ips_finish(i);
        return;
    }
    w->section = SECTION;
    w->seconds = nh_followup_timeout(&i->op, late ? NH_TIMEOUT : NH_OK);
    w->max_links = i->max_links;
    nh_walk_start(w, i->host);
}

/* ---- the usual case ------------------------------------------------------------------------- */

/* This is the answer for the first alias alone. RFC 7672 2.2.2 has a rule for a secure alias
 * into an insecure zone. */
static void ips_on_cname(void *arg, struct nh_lookup *l)
{
    struct nh_ips_call *i = arg;
    bool again4 = counts(i, &i->v4) && !i->v4.chain_secure;
    bool again6 = counts(i, &i->v6) && !i->v6.chain_secure;

    nh_op_record(&i->op, l, SECTION);
    i->host_authentic = nh_alias_is_there(l) && l->secure;
    if (l->code != NH_OK) {
        nh_lookup_error(&i->op.err, i->host, l);
        ips_finish(i);
    } else if (!nh_alias_is_there(l)) {
        /* A denial is not the status of an alias. The host must not lose DANE because of it. */
        nh_fail(&i->op.err, NH_SERVFAIL, "%s: its alias changed while it was followed", i->host);
        ips_finish(i);
    } else if (!i->host_authentic || i->n_links < 2) {
        conclude(i); /* with one alias, the addresses are what is insecure */
    } else {
        i->next = on_own;
        if (again4)
            ips_ask(i, &i->v4, end_name(i), 0);
        if (again6)
            ips_ask(i, &i->v6, end_name(i), 0);
    }
}

static void judge(struct nh_ips_call *i)
{
    if (all_chains_secure(i)) {
        i->authentic = i->expanded_authentic = i->host_authentic = true;
        conclude(i);
    } else if (i->n_links == 0) {
        conclude(i); /* all or one family is insecure: all flags are false */
    } else {
        /* Do not use the answer of a family that was asked again: it begins at the end of the
         * chain. */
        nh_alias_start(&i->op, &i->cname, &i->first->lookup.answer, ips_on_cname, i);
    }
}

/* One family was asked again, at the end of the chain of the other family. */
static void on_again(struct nh_ips_call *i)
{
    if (i->aliases_secure || !i->again->leaf_secure)
        judge(i);
    else
        ips_walk(i); /* secure addresses behind a chain whose status is unknown */
}

static void on_families(struct nh_ips_call *i)
{
    struct nh_family *good = i->v4.answered ? &i->v4 : &i->v6;
    struct nh_family *other = good == &i->v4 ? &i->v6 : &i->v4;

    i->first = good;
    if (!good->answered && timed_out(&i->v4) && timed_out(&i->v6)) {
        conclude(i); /* no answer came, so nothing can be known about an alias */
        return;
    }
    if (!good->answered || ips_odd(i, &i->v4) || ips_odd(i, &i->v6) ||
        (other->answered && strcmp(end_of(good), end_of(other)) != 0)) {
        ips_walk(i);
        return;
    }
    if (!set_end(i, end_of(good), good->lookup.answer.n_links))
        return;
    i->aliases_secure = i->v4.chain_secure || i->v6.chain_secure; /* each of them proves it */
    if (ips_failed(other) && !timed_out(other) && i->n_links) {
        /* libunbound may have given up the chain and not the address. */
        i->next = on_again;
        i->again = other;
        ips_ask(i, other, end_name(i), nh_followup_timeout(&i->op, other->lookup.code));
        return;
    }
    judge(i);
}

/* Does the same as mox GatherIPs. */
static void ips_start(struct nh_op *op, struct nh_resolver *r)
{
    struct nh_ips_call *i = (struct nh_ips_call *)op;

    op->resolver = r;
    if (i->literal) {
        i->ips = malloc(sizeof *i->ips);
        if (i->ips && nh_ip_parse(i->host, i->ips))
            i->n_ips = 1;
        else
            nh_fail(&i->op.err, NH_NO_MEMORY, "%s: out of memory", i->host);
        nh_op_finish_later(&i->op);
        return;
    }
    i->v4.wanted = i->network != NH_IP6;
    i->v6.wanted = i->network != NH_IP4;
    i->next = on_families;
    if (i->v6.wanted)
        ips_ask(i, &i->v6, i->host, 0);
    if (i->v4.wanted)
        ips_ask(i, &i->v4, i->host, 0);
}

static void ips_stop(struct nh_op *op)
{
    struct nh_ips_call *i = (struct nh_ips_call *)op;

    nh_op_stop(op);
    nh_lookup_stop(&i->v4.lookup);
    nh_lookup_stop(&i->v6.lookup);
    nh_lookup_stop(&i->cname);
    nh_walk_free(&i->walk);
    free(i->final);
    i->final = NULL;
    free(i->ips);
    i->ips = NULL;
    i->n_ips = 0;
}

/* Lets a family fail whose lookup has not ended. */
static void expire_family(struct nh_family *f)
{
    if (!f->wanted || f->lookup.state == NH_DONE)
        return;
    nh_lookup_expire(&f->lookup);
    f->answered = false;
    f->expired = true;
    f->n = 0;
}

bool nh_ips_expire(struct nh_ips_call *i)
{
    struct nh_family *good = i->v4.answered ? &i->v4 : &i->v6;

    if (i->next == on_families && i->waiting == 1 && good->answered && good->n &&
        !ips_odd(i, good)) {
        expire_family(&i->v4);
        expire_family(&i->v6);
        i->waiting = 0;
        i->first = good;
        /* If there is an insecure alias, its status would have to be looked up. */
        if (good->chain_secure || good->lookup.answer.n_links == 0) {
            if (set_end(i, end_of(good), good->lookup.answer.n_links)) {
                i->aliases_secure = good->chain_secure;
                judge(i);
            }
            return true;
        }
    }
    ips_stop(&i->op);
    return false;
}

const struct nh_op_type nh_ips_type = {
    .awaited = "its addresses were known", .start = ips_start, .stop = ips_stop};
