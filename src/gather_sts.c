/* gather_sts.c - a domain's MTA-STS policy and TLSRPT record.
 *
 *   start             TXT at _mta-sts.DOMAIN and _smtp._tls.DOMAIN, at the same time
 *   on_policy_record  no valid record: what is known counts. The known policy has that id and is
 *                     fresh: it counts. Else it is fetched (sts.c) -> on_policy
 *   on_policy         it came: it counts. It did not: what is known counts, and the failure is said
 *   on_report_record  the addresses of reports
 *   at once           the record was seen, its TTL is not over, and its policy is fresh; or it is in the
 *                     cache that there is no record: no lookup, no call
 *   recheck           the caller has seen a host that does not match -> fetched -> on_policy */
#include "gather_sts.h"

#include "loop.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define REFRESH_AGE 86400  /* seconds; RFC 8461 10.2: policies are to be refreshed every day */
#define SECONDS 60         /* for a fetch (RFC 8461 3.3) */
#define REFRESH_SECONDS 10 /* for one that only refreshes a policy which counts anyway */
#define TEXT_MAX 4096      /* bytes of a TXT record; what is longer is no record of ours */

static const char SECTION_POLICY[] = "RFC 8461 3.1", SECTION_REPORT[] = "RFC 8460 3";

static void limit_ttl(struct nh_sts_call *c, int64_t seconds)
{
    uint32_t ttl = seconds < 0 ? 0 : seconds > NH_STS_AGE_MAX ? NH_STS_AGE_MAX : (uint32_t)seconds;

    if (!c->op.has_ttl || ttl < c->op.ttl) {
        c->op.has_ttl = true;
        c->op.ttl = ttl;
    }
}

/* One part of the call has ended. */
static void part_done(struct nh_sts_call *c)
{
    if (--c->open > 0)
        return;
    if (c->known)
        limit_ttl(c, c->known->expires - (int64_t)time(NULL));
    if (c->err.code != NH_STS_OK)
        limit_ttl(c, NH_STS_RETRY);
    c->is_done = true;
    c->op.done(c->op.arg);
}

/* A name that would be too long cannot have a record. */
static bool make_name(char *name, const char *prefix, const char *domain)
{
    size_t n = strlen(prefix), len = strlen(domain);

    if (n + len >= NH_HOST_MAX)
        return false;
    nh_copy(name, NH_HOST_MAX, prefix);
    nh_copy(name + n, NH_HOST_MAX - n, domain);
    return true;
}

/* ---- the policy ------------------------------------------------------------------------------- */

/* Takes the policy that is known, if there is one. */
static void use_known(struct nh_sts_call *c)
{
    struct nh_sts_entry *e = nh_sts_store_find(nh_sts_store(c->sts), c->domain, false);

    nh_sts_known_set(&c->known, e ? e->known : NULL);
}

/* Is it time to fetch a known policy again, so that it does not expire while it is in use? */
static bool is_due(const struct nh_sts_known *known, int64_t now)
{
    int64_t age = now - known->fetched;

    return age < 0 || age >= REFRESH_AGE || age >= (int64_t)known->policy.max_age / 2;
}

static bool counts(const struct nh_sts_entry *e, const char *id)
{
    return e && e->known && strcmp(e->known->id, id) == 0 && !is_due(e->known, (int64_t)time(NULL));
}

static bool has_failed(const struct nh_sts_entry *e, const char *id)
{
    return e && e->err && strcmp(e->failed_id, id) == 0 && nh_now() - e->failed_at < NH_STS_RETRY;
}

/* Takes the result of the fetch, which has ended. */
static void take_fetched(struct nh_sts_call *c)
{
    if (c->wait.known) {
        nh_sts_known_set(&c->known, c->wait.known);
        c->is_fetched = true;
        memset(&c->err, 0, sizeof c->err);
    } else {
        c->err = c->wait.err;
        use_known(c);
    }
}

static void on_policy(void *arg)
{
    struct nh_sts_call *c = arg;

    take_fetched(c);
    nh_sts_wait_stop(&c->wait, false);
    part_done(c);
}

static void ask_policy(struct nh_sts_call *c, const char *id, double seconds)
{
    struct nh_sts_request request = {
        .domain = c->domain, .id = id, .anchors = c->anchors, .port = c->port, .seconds = seconds};

    nh_sts_ask(c->sts, &c->wait, &request, on_policy, c);
}

/* The domain has a valid record with that id, for ttl seconds. */
static void on_id(struct nh_sts_call *c, const char *id, uint32_t ttl)
{
    struct nh_sts_store *store = nh_sts_store(c->sts);
    struct nh_sts_entry *e = nh_sts_store_find(store, c->domain, false);

    if (!counts(e, id)) /* another process may have fetched it */
        e = nh_sts_store_find(store, c->domain, true);
    nh_sts_known_set(&c->known, e ? e->known : NULL);
    if (counts(e, id)) {
        e->record_since = (int64_t)time(NULL);
        e->record_until = e->record_since + ttl;
        part_done(c);
    } else if (has_failed(e, id)) {
        c->err = *e->err;
        part_done(c);
    } else {
        bool is_refresh = c->known && strcmp(c->known->id, id) == 0;

        ask_policy(c, id, is_refresh ? REFRESH_SECONDS : SECONDS);
    }
}

/* Looks for the one record among the TXT records. Returns true when it is there and valid; else sets
 * err unless there is none at all. */
static bool find_record(struct nh_sts_call *c, const struct nh_answer *a, char id[NH_STS_ID_MAX])
{
    char text[TEXT_MAX], other[NH_STS_ID_MAX] = "", reason[NH_STS_REASON];
    bool is_valid = false;
    unsigned n = 0;

    for (size_t k = 0; k < a->n_records; k++) {
        size_t len = nh_txt_join(a->records[k].data, a->records[k].len, text, sizeof text);
        enum nh_txt kind = nh_sts_record_parse(text, len, n ? other : id, reason);

        if (kind == NH_TXT_OTHER)
            continue;
        n++;
        is_valid = kind == NH_TXT_VALID;
        if (!is_valid)
            nh_sts_fail(&c->err, NH_STS_INVALID, "%s: TXT of %s is no record of MTA-STS: %s",
                        c->domain, c->policy_name, reason);
    }
    if (n > 1)
        nh_sts_fail(&c->err, NH_STS_INVALID, "%s: %s has %u records of MTA-STS, not one", c->domain,
                    c->policy_name, n);
    return n == 1 && is_valid;
}

static void on_policy_record(void *arg, struct nh_lookup *l)
{
    struct nh_sts_call *c = arg;
    char id[NH_STS_ID_MAX];
    uint32_t ttl = l->answer.ttl;
    bool is_valid = false;

    nh_op_record(&c->op, l, SECTION_POLICY);
    if (l->code == NH_OK) {
        is_valid = find_record(c, &l->answer, id);
    } else {
        struct nh_err err;

        nh_lookup_error(&err, c->domain, l);
        nh_sts_fail(&c->err, NH_STS_FETCH_ERROR, "%s", err.message);
        limit_ttl(c, 0);
    }
    nh_lookup_forget(l);
    if (is_valid) {
        on_id(c, id, ttl);
    } else {
        use_known(c); /* RFC 8461 3.1, 5.1: without a record a known policy still counts */
        part_done(c);
    }
}

static uint32_t at_most(uint32_t ttl, int64_t seconds)
{
    return seconds < (int64_t)ttl ? (uint32_t)seconds : ttl;
}

/* Is it in the cache that the domain has no record, and is no policy known that would still count? */
static bool has_none(struct nh_sts *sts, struct nh_resolver *r, const char *domain, uint32_t *ttl)
{
    char name[NH_HOST_MAX];
    struct nh_sts_entry *e;

    if (!make_name(name, "_mta-sts.", domain) || !nh_lookup_knows_none(r, name, NH_TYPE_TXT, ttl))
        return false;
    e = nh_sts_store_find(nh_sts_store(sts), domain, false);
    return !e || !e->known;
}

bool nh_sts_at_once(struct nh_sts *sts, struct nh_resolver *r, const char *domain,
                    struct nh_sts_known **known, uint32_t *ttl)
{
    struct nh_sts_entry *e = nh_sts_store_recent(nh_sts_store(sts), domain);
    int64_t now;

    *known = NULL;
    if (!e)
        return has_none(sts, r, domain, ttl);
    now = (int64_t)time(NULL);
    if (now < e->record_since || now >= e->record_until || is_due(e->known, now))
        return false;
    *ttl = at_most(at_most(NH_STS_AGE_MAX, e->record_until - now), e->known->expires - now);
    *known = nh_sts_known_use(e->known);
    return true;
}

enum nh_fit nh_sts_fit(const struct nh_sts_known *known, const char *host)
{
    if (!known || known->policy.mode == NH_STS_NONE)
        return NH_FIT_NO_POLICY;
    return nh_sts_policy_matches(&known->policy, host) ? NH_FIT_MATCH : NH_FIT_MISMATCH;
}

bool nh_sts_recheck(struct nh_sts_call *c)
{
    struct nh_sts_entry *e;
    double now = nh_now();
    char id[NH_STS_ID_MAX];

    if (!c->known || c->is_fetched || c->wait.err.code != NH_STS_OK)
        return false;
    e = nh_sts_store_make(nh_sts_store(c->sts), c->domain);
    if (!e || (e->rechecked_at > 0 && now - e->rechecked_at < NH_STS_RETRY) ||
        has_failed(e, c->known->id))
        return false;
    e->rechecked_at = now;
    c->is_done = false;
    c->open = 1;
    nh_copy(id, sizeof id, c->known->id);
    ask_policy(c, id, SECONDS);
    return true;
}

/* ---- reports ------------------------------------------------------------------------------------ */

static void on_report_record(void *arg, struct nh_lookup *l)
{
    struct nh_sts_call *c = arg;
    struct nh_tlsrpt report;
    char text[TEXT_MAX];
    unsigned n = 0;

    nh_op_record(&c->op, l, SECTION_REPORT);
    if (l->code != NH_OK) {
        nh_lookup_error(&c->report_err, c->domain, l);
        limit_ttl(c, 0);
    }
    for (size_t k = 0; l->code == NH_OK && k < l->answer.n_records; k++) {
        const struct nh_rr *r = &l->answer.records[k];
        enum nh_txt kind = nh_tlsrpt_parse(&report, text,
                                           nh_txt_join(r->data, r->len, text, sizeof text));

        if (kind == NH_TXT_OTHER)
            continue;
        nh_tlsrpt_free(&c->report);
        if (kind == NH_TXT_VALID && n == 0)
            c->report = report;
        else if (kind == NH_TXT_VALID)
            nh_tlsrpt_free(&report); /* RFC 8460 3: with two records there is none */
        n++;
    }
    nh_lookup_forget(l);
    part_done(c);
}

/* ---- the call -------------------------------------------------------------------------------------- */

static void sts_start(struct nh_op *op, struct nh_resolver *r)
{
    struct nh_sts_call *c = (struct nh_sts_call *)op;

    op->resolver = r;
    c->wants_policy = c->wants_policy && make_name(c->policy_name, "_mta-sts.", c->domain);
    c->wants_report = c->wants_report && make_name(c->report_name, "_smtp._tls.", c->domain);
    c->open = (unsigned)c->wants_policy + c->wants_report;
    if (c->wants_policy)
        nh_lookup_start(r, &c->policy_lookup, c->policy_name, NH_TYPE_TXT, 0, on_policy_record, c);
    if (c->wants_report)
        nh_lookup_start(r, &c->report_lookup, c->report_name, NH_TYPE_TXT, 0, on_report_record, c);
    if (c->open == 0) {
        c->is_done = true;
        nh_op_finish_later(op);
    }
}

/* The deadline has come: what is known counts, and no fetch is waited for. done() is not called. */
static void sts_expire(struct nh_op *op)
{
    struct nh_sts_call *c = (struct nh_sts_call *)op;
    bool is_open = c->wait.job || c->policy_lookup.state != NH_DONE;

    if (c->is_done)
        return;
    nh_op_stop(op);
    if (c->wait.task.is_queued) { /* it has ended, and only on_policy() has not run yet */
        take_fetched(c);
    } else if (c->wants_policy && is_open) {
        nh_sts_fail(&c->err, NH_STS_FETCH_ERROR,
                    "%s: the deadline came before its MTA-STS policy was known", c->domain);
        c->err.expired = true;
        use_known(c);
    }
    if (c->wants_report && c->report_lookup.state != NH_DONE)
        nh_fail_expired(&c->report_err, "%s: the deadline came before its TLSRPT record was known",
                        c->domain);
    nh_sts_wait_stop(&c->wait, true);
    nh_lookup_stop(&c->policy_lookup);
    nh_lookup_stop(&c->report_lookup);
    limit_ttl(c, 0);
    c->is_done = true;
}

void nh_sts_give_up(struct nh_sts_call *c)
{
    nh_op_stop(&c->op);
    nh_sts_wait_stop(&c->wait, false);
    nh_lookup_stop(&c->policy_lookup);
    nh_lookup_stop(&c->report_lookup);
}

static void sts_stop(struct nh_op *op)
{
    struct nh_sts_call *c = (struct nh_sts_call *)op;

    nh_sts_give_up(c);
    nh_sts_known_drop(c->known);
    c->known = NULL;
    nh_tlsrpt_free(&c->report);
    X509_STORE_free(c->anchors);
    c->anchors = NULL;
}

const struct nh_op_type nh_sts_type = {.start = sts_start, .stop = sts_stop, .expire = sts_expire};
