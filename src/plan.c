/* plan.c - plan: from a domain to its mail hosts, to the addresses and TLSA records of each (at
 * the same time), and to what TLS each host is owed. RFC 7672, RFC 7671, RFC 7505. Where mox
 * differs from them, this file follows them.
 *
 *   start     the only host is an address or a name in brackets; else gather_destinations -> on_dest
 *   on_dest   failed, or does not exist: done. Else each host begins: start_host()
 *   per host  gather_ips, and an early lookup of TLSA if the MX records are secure -> on_ips
 *   on_ips    failed: skip. No secure addresses, no secure alias: may. Else gather_tlsa -> on_tlsa
 *   on_tlsa   failed: skip. No records: may. None usable: encrypt. Else dane, with names
 *   close     the last host that ends also ends the plan
 *   sts       beside all this, if asked for: the domain's MTA-STS policy, which the plan waits for
 *   expire    the deadline: hosts that have not ended end with what is known, or are skip */
#include "plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void keep_ttl(bool *has, uint32_t *ttl, const struct nh_op *op)
{
    if (op->has_ttl && (!*has || op->ttl < *ttl)) {
        *has = true;
        *ttl = op->ttl;
    }
}

/* May the plan be cached with this host? After a temporary failure it may not: what the failure
 * hides may be there at the next attempt. */
static bool is_to_be_kept(const struct nh_plan_host *h)
{
    return !h->err || h->err->permanent || h->err->code == NH_NOT_FOUND ||
           h->err->code == NH_NO_DANE;
}

/* Sets the TTL to the smallest TTL of everything that the plan uses, or to 0 when a host has
 * failed temporarily. */
static void plan_set_ttl(struct nh_plan *p)
{
    keep_ttl(&p->op.has_ttl, &p->op.ttl, &p->dest.op);
    if (p->sts_call)
        keep_ttl(&p->op.has_ttl, &p->op.ttl, &p->sts_call->op);
    for (size_t k = 0; k < p->n_hosts; k++) {
        const struct nh_plan_host *h = p->hosts[k];
        bool is_kept = is_to_be_kept(h);
        uint32_t ttl = is_kept ? h->ttl : 0;

        if ((h->has_ttl || !is_kept) && (!p->op.has_ttl || ttl < p->op.ttl)) {
            p->op.has_ttl = true;
            p->op.ttl = ttl;
        }
    }
}

/* ---- MTA-STS -------------------------------------------------------------------------- */

/* Compares the hosts with the policy of the domain. Returns true when it excludes one of those that DANE
 * says nothing of. */
static bool compare_policy(struct nh_plan *p)
{
    bool excludes = false;

    for (size_t k = 0; k < p->n_hosts; k++) {
        struct nh_plan_host *h = p->hosts[k];

        h->sts = nh_sts_fit(p->policy, h->name);
        excludes = excludes || (h->sts == NH_FIT_MISMATCH && h->tls == NH_TLS_MAY &&
                                p->policy->policy.mode == NH_STS_ENFORCE);
    }
    return excludes;
}

/* After the comparison: applies the policy to the hosts that DANE says nothing of (RFC 8461 2, 5). */
static void apply_policy(struct nh_plan *p)
{
    for (size_t k = 0; p->policy && p->policy->policy.mode == NH_STS_ENFORCE && k < p->n_hosts;
         k++) {
        struct nh_plan_host *h = p->hosts[k];

        if (h->tls != NH_TLS_MAY)
            continue;
        h->tls = h->sts == NH_FIT_MATCH ? NH_TLS_STS : NH_TLS_SKIP;
        h->err = h->sts == NH_FIT_MATCH ? NULL : &h->tlsa.op.err;
        if (h->err)
            nh_fail(&h->tlsa.op.err, NH_STS_MISMATCH,
                    "%s: the MTA-STS policy of %s does not name this host", h->name, p->domain);
    }
}

static void plan_on_sts(void *arg);

/* Starts the call that looks up what the domain publishes beside its MX. Returns false and sets the
 * error when that cannot be done. */
static bool start_sts_call(struct nh_plan *p)
{
    struct nh_sts_call *c = p->sts_call = calloc(1, sizeof *c);

    if (!c) {
        nh_fail(&p->op.err, NH_NO_MEMORY, "%s: out of memory", p->domain);
        return false;
    }
    c->op.done = plan_on_sts;
    c->op.arg = p;
    c->op.trace = p->op.trace ? &p->sts_trace : NULL;
    c->sts = p->sts;
    c->domain = p->domain;
    c->wants_policy = p->wants_sts;
    c->wants_report = p->wants_tlsrpt;
    c->port = p->sts_port;
    c->anchors = p->anchors;
    p->anchors = NULL;
    if (p->wants_sts && !c->anchors)
        c->anchors = nh_sts_ready(p->sts, NULL, NULL, &p->op.err);
    if (p->op.err.code != NH_OK)
        return false;
    nh_sts_type.start(&c->op, p->op.resolver);
    return true;
}

/* Starts what finds the policy. A host has none. Returns false and sets the error. A trace has all
 * questions, so with a trace they are asked. */
static bool start_sts(struct nh_plan *p)
{
    if ((!p->wants_sts && !p->wants_tlsrpt) || p->literal || p->bracketed)
        return true;
    if (!p->sts)
        nh_fail(&p->op.err, NH_NO_MEMORY, "%s: out of memory", p->domain);
    else if (p->wants_sts && (p->ca_file || p->ca_path))
        p->anchors = nh_sts_ready(p->sts, p->ca_file, p->ca_path, &p->op.err);
    if (p->op.err.code != NH_OK)
        return false;
    p->op.has_ttl = !p->wants_tlsrpt && !p->op.trace &&
                    nh_sts_at_once(p->sts, p->op.resolver, p->domain, &p->policy, &p->op.ttl);
    return p->op.has_ttl || start_sts_call(p);
}

/* Must the plan wait for the policy? It must when the policy is not known yet, or would exclude a host
 * and must be fetched again before that. */
static bool awaits_policy(struct nh_plan *p)
{
    if (p->sts_call && !p->sts_call->is_done)
        return true;
    if (p->sts_call)
        nh_sts_known_set(&p->policy, p->sts_call->known);
    if (!compare_policy(p))
        return false;
    if (p->sts_call)
        return nh_sts_recheck(p->sts_call);
    nh_sts_known_set(&p->policy, NULL); /* it was known at once: only a call can fetch it again */
    return start_sts_call(p);
}

/* A plan that ends with an error does not wait for the policy. Nothing may be under way when a call has
 * ended, as the call may outlive its resolver then. */
static void give_up_sts(struct nh_plan *p)
{
    if (p->sts_call)
        nh_sts_give_up(p->sts_call);
}

static void plan_finish(struct nh_plan *p)
{
    if (p->op.err.code == NH_OK) {
        if (awaits_policy(p))
            return;
        apply_policy(p);
    }
    plan_set_ttl(p);
    if (p->op.err.code != NH_OK)
        give_up_sts(p);
    p->op.done(p->op.arg);
}

static void plan_on_sts(void *arg)
{
    struct nh_plan *p = arg;

    if (p->hosts && p->open == 0 && p->op.err.code == NH_OK)
        plan_finish(p);
}

/* ---- one host: the end ------------------------------------------------------------- */

static void close_host(struct nh_plan_host *h, enum nh_tls tls)
{
    struct nh_plan *p = h->plan;

    h->tls = tls;
    h->done = true;
    keep_ttl(&h->has_ttl, &h->ttl, &h->ips.op);
    if (h->asked_tlsa)
        keep_ttl(&h->has_ttl, &h->ttl, &h->tlsa.op);
    nh_tlsa_call_stop_early(&h->tlsa);
    if (--p->open == 0 && !p->expired)
        plan_finish(p);
}

static void skip_host(struct nh_plan_host *h, const struct nh_err *err)
{
    h->err = err;
    close_host(h, NH_TLS_SKIP);
}

/* Ends a host that has no usable record. With require_dane such a host is skipped. */
static void without_dane(struct nh_plan_host *h, enum nh_tls tls)
{
    struct nh_err *err = &h->tlsa.op.err;

    if (!h->plan->require_dane) {
        close_host(h, tls);
        return;
    }
    nh_fail(err, NH_NO_DANE, "%s: %s, and DANE is required", h->ips.host,
            tls == NH_TLS_ENCRYPT ? "no TLSA record is usable" : "has no DANE");
    skip_host(h, err);
}

/* ---- names ------------------------------------------------------------------------------ */

static void add_name(struct nh_plan_host *h, const char *name)
{
    for (size_t k = 0; k < h->n_names; k++)
        if (strcmp(h->names[k], name) == 0)
            return;
    h->names[h->n_names++] = name;
}

/* Sets the reference identifiers, RFC 7672 3.2.2. These are the TLSA base domain, and the
 * next-hop domain and its secure expansion when an MX led here or when the base domain is that
 * expansion. */
static void set_names(struct nh_plan_host *h)
{
    const struct nh_plan *p = h->plan;

    add_name(h, h->tlsa.base);
    if (p->dest.have_mx) {
        if (!p->dest.expanded_authentic)
            return; /* 2.2.1: behind an insecure MX only the base domain */
        add_name(h, p->domain);
        add_name(h, p->dest.expanded);
    } else {
        add_name(h, p->domain);
    }
}

static void plan_on_tlsa(void *arg)
{
    struct nh_plan_host *h = arg;
    struct nh_tlsa_call *t = &h->tlsa;

    if (t->op.err.code != NH_OK) {
        skip_host(h, &t->op.err); /* 2.1.1: a failed lookup does not mean "no DANE" */
        return;
    }
    nh_tlsa_call_drop_unaccepted(t, h->plan->digests, h->plan->n_digests);
    if (t->n_records == 0) {
        /* 2.2.3: there are records but none is usable: TLS without verification */
        without_dane(h, t->dane_required ? NH_TLS_ENCRYPT : NH_TLS_MAY);
        return;
    }
    if (!nh_tlsa_call_drop_weaker(t, h->plan->digests, h->plan->n_digests, &h->weaker,
                                  &h->n_weaker)) {
        nh_fail(&t->op.err, NH_NO_MEMORY, "%s: out of memory", h->ips.host);
        skip_host(h, &t->op.err);
        return;
    }
    set_names(h);
    close_host(h, NH_TLS_DANE);
}

/* ---- one host: addresses, then TLSA ----------------------------------------------------- */

/* May TLSA records count at all? Behind an insecure MX they do not (RFC 7672 2.2.1), unless the
 * caller wants it. */
static bool may_have_dane(const struct nh_plan *p)
{
    return !p->literal &&
           (!p->dest.have_mx || p->dest.expanded_authentic || p->dane_behind_insecure_mx);
}

/* Must TLSA be looked up, and at which names (RFC 7672 2.2.2)? */
static bool wants_tlsa(struct nh_plan_host *h)
{
    const struct nh_ips_call *i = &h->ips;
    bool secure = (i->v4.n && i->v4.chain_secure) || (i->v6.n && i->v6.chain_secure);

    if (!may_have_dane(h->plan))
        return false;
    if (!secure && !(i->alias && i->host_authentic))
        return false;
    nh_copy(h->tlsa.host, sizeof h->tlsa.host, i->host);
    if (secure) {
        h->tlsa.expanded_authentic = true;
        nh_copy(h->tlsa.expanded_host, sizeof h->tlsa.expanded_host, i->expanded);
    } /* else a secure alias into an insecure zone: the alias is the only base domain */
    return true;
}

/* One family has secure addresses at that name, which will be the first base domain. So the
 * lookup of TLSA need not wait for the other family. */
static void on_secure(void *arg, const char *name)
{
    struct nh_plan_host *h = arg;

    nh_tlsa_call_ask_early(&h->tlsa, h->plan->op.resolver, name);
}

static void on_ips(void *arg)
{
    struct nh_plan_host *h = arg;

    if (h->ips.op.err.code != NH_OK) {
        skip_host(h, &h->ips.op.err);
    } else if (wants_tlsa(h)) {
        h->asked_tlsa = true;
        h->tlsa.op.trace = h->ips.op.trace;
        if (h->plan->expired) {
            nh_tlsa_call_expire(&h->tlsa, h->plan->op.resolver);
            plan_on_tlsa(h);
        } else {
            h->tlsa.op.done = plan_on_tlsa;
            h->tlsa.op.arg = h;
            nh_tlsa_type.start(&h->tlsa.op, h->plan->op.resolver);
        }
    } else {
        without_dane(h, NH_TLS_MAY);
    }
}

static void set_dialed(const struct nh_plan *p, struct nh_ips_call *i, const char *name)
{
    for (size_t k = 0; k < p->n_dialed; k++) {
        if (strcmp(p->dialed[k].host, name) == 0 || strcmp(p->dialed[k].host, i->host) == 0) {
            i->dialed = p->dialed[k].ips;
            i->n_dialed = p->dialed[k].n;
            return;
        }
    }
}

/* Starts a host. Without an MX the host is the next-hop domain itself. Then its aliases and its
 * addresses are one chain (RFC 7672 2.2.2), so the addresses are looked up at the beginning of
 * that chain. */
static void start_host(struct nh_plan *p, struct nh_plan_host *h, const char *name, int pref)
{
    const char *first = p->dest.have_mx ? name : p->domain;

    h->plan = p;
    h->name = name;
    h->pref = pref;
    nh_copy(h->ips.host, sizeof h->ips.host, first);
    h->ips.literal = p->literal;
    h->ips.network = p->network;
    h->ips.max_links = p->dest.have_mx ? NH_IPS_LINKS : NH_DEST_LINKS;
    if (p->op.trace)
        h->ips.op.trace = &h->trace;
    set_dialed(p, &h->ips, name);
    h->tlsa.port = p->port;
    h->tlsa.assumed = p->assumed;
    h->tlsa.n_assumed = p->n_assumed;
    nh_copy(h->tlsa.protocol, sizeof h->tlsa.protocol, "tcp");
    if (may_have_dane(p))
        h->ips.on_secure = on_secure;
    /* Behind a secure MX the host is probably secure, too. So TLSA is looked up at the same time
     * as the addresses, which saves a round trip. RFC 7672 2.2.2 warns against using such an
     * answer, or failing because of it, before the addresses are known to be secure. Nothing
     * here does that. */
    if (p->dest.have_mx && p->dest.expanded_authentic &&
        !nh_resolver_knows_host(p->op.resolver, first))
        nh_tlsa_call_ask_early(&h->tlsa, p->op.resolver, first);
    h->ips.op.done = on_ips;
    h->ips.op.arg = h;
    nh_ips_type.start(&h->ips.op, p->op.resolver);
}

/* ---- the plan ------------------------------------------------------------------------------- */

static bool make_hosts(struct nh_plan *p, size_t n)
{
    p->hosts = calloc(n ? n : 1, sizeof(void *));
    for (; p->hosts && p->n_hosts < n; p->n_hosts++) {
        p->hosts[p->n_hosts] = nh_pool_take(p->pool, sizeof **p->hosts);
        if (!p->hosts[p->n_hosts])
            return false;
    }
    return p->hosts != NULL;
}

static void start_hosts(struct nh_plan *p)
{
    size_t k, n = p->bracketed ? 1 : p->dest.n_hosts;

    if (n > p->max_hosts) {
        p->truncated = n - p->max_hosts;
        n = p->max_hosts;
    }
    if (!make_hosts(p, n)) {
        nh_fail(&p->op.err, NH_NO_MEMORY, "%s: out of memory", p->domain);
        give_up_sts(p);
        nh_op_finish_later(&p->op);
        return;
    }
    p->open = n;
    for (k = 0; k < n; k++) {
        assert(p->hosts[k]);
        if (p->bracketed)
            start_host(p, p->hosts[k], p->domain, -1);
        else
            start_host(p, p->hosts[k], p->dest.hosts[k].name, p->dest.hosts[k].pref);
    }
}

static void on_dest(void *arg)
{
    struct nh_plan *p = arg;

    p->mx_authentic = p->dest.expanded_authentic;
    if (p->dest.op.err.code != NH_OK) {
        p->op.err = p->dest.op.err;
        plan_finish(p);
    } else if (p->dest.nxdomain) { /* RFC 5321 5.1: only an empty answer is an implicit MX */
        nh_fail(&p->op.err, NH_NXDOMAIN, "%s: %s does not exist", p->domain, p->dest.expanded);
        plan_finish(p);
    } else {
        start_hosts(p);
    }
}

static void plan_start(struct nh_op *op, struct nh_resolver *r)
{
    struct nh_plan *p = (struct nh_plan *)op;

    op->resolver = r;
    if (!start_sts(p)) {
        nh_op_finish_later(op);
        return;
    }
    if (p->bracketed) {
        start_hosts(p);
        return;
    }
    nh_copy(p->dest.domain, sizeof p->dest.domain, p->domain);
    p->dest.literal = p->literal;
    if (p->op.trace)
        p->dest.op.trace = &p->trace;
    p->dest.op.done = on_dest;
    p->dest.op.arg = p;
    nh_dest_type.start(&p->dest.op, r);
}

/* Ends a host with what is known about it when the deadline comes. */
static void expire_host(struct nh_plan_host *h)
{
    if (!h->asked_tlsa && nh_ips_expire(&h->ips))
        return;
    if (h->asked_tlsa)
        nh_tlsa_type.stop(&h->tlsa.op);
    h->tlsa.dane_required = h->asked_tlsa; /* as for any lookup that failed */
    nh_fail_expired(&h->tlsa.op.err, "%s: the deadline came before all of it was looked up",
                    h->ips.host);
    skip_host(h, &h->tlsa.op.err);
}

static void plan_expire(struct nh_op *op)
{
    struct nh_plan *p = (struct nh_plan *)op;

    if (op->task.is_queued) { /* it has failed, and only done() was not called yet */
        nh_op_stop(op);
        return;
    }
    p->expired = true;
    if (!p->hosts) {
        nh_dest_type.stop(&p->dest.op);
        give_up_sts(p);
        nh_fail_expired(&p->op.err, "%s: the deadline came before its mail hosts were known",
                        p->domain);
        return;
    }
    for (size_t k = 0; k < p->n_hosts; k++)
        if (!p->hosts[k]->done)
            expire_host(p->hosts[k]);
    if (p->sts_call) {
        nh_sts_type.expire(&p->sts_call->op);
        nh_sts_known_set(&p->policy, p->sts_call->known);
    }
    compare_policy(p);
    apply_policy(p);
    plan_set_ttl(p);
}

static void plan_stop(struct nh_op *op)
{
    struct nh_plan *p = (struct nh_plan *)op;

    nh_op_stop(op);
    nh_dest_type.stop(&p->dest.op);
    if (p->sts_call)
        nh_sts_type.stop(&p->sts_call->op);
    free(p->sts_call);
    p->sts_call = NULL;
    nh_sts_known_set(&p->policy, NULL);
    X509_STORE_free(p->anchors);
    p->anchors = NULL;
    nh_trace_free(&p->sts_trace);
    for (size_t k = 0; k < p->n_hosts; k++) {
        nh_ips_type.stop(&p->hosts[k]->ips.op);
        nh_tlsa_type.stop(&p->hosts[k]->tlsa.op);
        nh_trace_free(&p->hosts[k]->trace);
        free(p->hosts[k]->weaker);
        nh_pool_give(p->pool, p->hosts[k]);
    }
    nh_trace_free(&p->trace);
    free(p->hosts);
    p->hosts = NULL;
    p->n_hosts = 0;
}

const struct nh_op_type nh_plan_type = {
    .start = plan_start, .stop = plan_stop, .expire = plan_expire};
