/*
 * verify.c - verify: from a domain to its plan, to a contact with each address of each host, and to
 * what that is worth (RFC 7672, RFC 7671, RFC 8460 4.3).
 *
 *   start       plan -> on_plan
 *   on_plan     failed: done. Else a contact for each host that is not skip, address and key kind
 *   on_contact  judges what came by the records and names of the plan
 *   finish      the last contact that ends also ends the call: verdicts of the hosts
 *   expire      the deadline: connections that have no result get `timeout`
 */
#include "verify.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- results of hosts ------------------------------------------------------------------ */

/* Has a connection with another kind of key reached TLS at the same address? */
static bool works_otherwise(const struct nh_verify_host *h, const struct nh_connection *conn)
{
    for (size_t k = 0; k < h->n_connections; k++)
        if (h->connections[k].judged && nh_ip_same(&h->connections[k].ip, &conn->ip))
            return true;
    return false;
}

/* A server need not have a certificate of every kind. */
static void find_absent(struct nh_verify_host *h)
{
    for (size_t k = 0; k < h->n_connections; k++) {
        struct nh_connection *conn = &h->connections[k];

        if (conn->result == NH_RESULT_TLS && conn->wait.contact && conn->wait.contact->refused &&
            conn->kind != NH_KEY_ANY && works_otherwise(h, conn)) {
            conn->absent = conn->ok = true;
            conn->result = NH_RESULT_OK;
        }
    }
}

/* The result of a host without a connection. */
static void judge_skipped(struct nh_verify_host *h)
{
    const struct nh_err *err = h->plan->err ? h->plan->err : &h->err;

    h->temporary = err->code == NH_SERVFAIL || err->code == NH_TIMEOUT || err->code == NH_NO_MEMORY;
    if (err->code == NH_BOGUS)
        h->result = NH_RESULT_DNSSEC;
    else if (err->code == NH_NO_DANE)
        h->result = NH_RESULT_DANE_REQUIRED;
    else if (err->code == NH_STS_MISMATCH)
        h->result = NH_RESULT_VALIDATION;
}

static void judge_host(struct nh_verify_host *h)
{
    assert(h->plan);
    find_absent(h);
    if (h->n_connections == 0) {
        judge_skipped(h);
        return;
    }
    h->ok = h->temporary = true;
    for (size_t k = 0; k < h->n_connections; k++) {
        const struct nh_connection *conn = &h->connections[k];

        if (conn->ok)
            continue;
        if (h->ok)
            h->result = conn->result;
        h->ok = false;
        h->temporary = h->temporary && conn->temporary;
    }
    h->temporary = h->temporary && !h->ok;
}

/* The domain has a record of MTA-STS, and a sender does not get the policy. */
static void judge_sts(struct nh_verify *v)
{
    enum nh_sts_code code = v->plan.sts_call ? v->plan.sts_call->err.code : NH_STS_OK;

    if (code == NH_STS_OK)
        return;
    v->result = NH_RESULT_STS_FETCH + (code - NH_STS_FETCH_ERROR); /* both have the same order */
    v->ok = false;
}

static void judge_hosts(struct nh_verify *v)
{
    v->ok = v->n_hosts > 0;
    for (size_t k = 0; k < v->n_hosts; k++) {
        judge_host(&v->hosts[k]);
        v->ok = v->ok && v->hosts[k].ok;
    }
    judge_sts(v);
}

static void verify_finish(struct nh_verify *v)
{
    judge_hosts(v);
    v->op.done(v->op.arg);
}

/* ---- one connection ---------------------------------------------------------------------- */

/* The name that is sent, or "". */
static const char *sni_of(const struct nh_plan_host *p)
{
    if (p->ips.literal)
        return "";
    return p->tls == NH_TLS_MAY || p->tls == NH_TLS_STS ? p->name : p->tlsa.base;
}

static void set_criteria(const struct nh_verify_host *h, struct nh_criteria *c, const char **own)
{
    const struct nh_plan_host *p = h->plan;

    memset(c, 0, sizeof *c);
    c->has_time = h->verify->has_time;
    c->time = h->verify->time;
    if (p->tls == NH_TLS_DANE) {
        c->records = p->tlsa.records;
        c->n_records = p->tlsa.n_records;
        c->names = p->names;
        c->n_names = p->n_names;
    } else {
        *own = p->ips.literal ? p->name : sni_of(p);
        c->names = own;
        c->n_names = 1;
        c->is_address = p->ips.literal;
        c->no_common_name = p->tls == NH_TLS_STS;
    }
}

/* Writes what a server has said as one line, cut at the end of out. */
static void one_line(const char *said, char *out, size_t size)
{
    size_t n = 0;

    for (; *said && n + 4 < size; said++) {
        if (*said == '\n') {
            memcpy(out + n, " / ", 3);
            n += 3;
        } else {
            out[n++] = *said;
        }
    }
    out[n] = '\0';
}

/* said: the text of the server that belongs to it, or NULL. */
static void set_message(struct nh_connection *conn, const char *what, const char *said)
{
    char ip[NH_IP_TEXT], line[200] = "";

    nh_ip_text(&conn->ip, ip);
    if (said)
        one_line(said, line, sizeof line);
    snprintf(conn->message, sizeof conn->message, "%s (%s, port %u): %s%s%s%s",
             conn->host->plan->name, ip, conn->host->verify->connect_port, what, said ? ": \"" : "",
             line, said ? "\"" : "");
}

static void fail_connection(struct nh_connection *conn, enum nh_result result, enum nh_stage stage,
                            const char *what, const char *said)
{
    conn->ok = false;
    conn->result = result;
    conn->stage = stage;
    set_message(conn, what, said);
}

/* The contact has ended without a handshake. A host that is `may` need not offer TLS. */
static void take_failure(struct nh_connection *conn)
{
    const struct nh_contact *c = conn->wait.contact;
    bool has_said = c->smtp.text && c->stage != NH_STAGE_HANDSHAKE && !c->offers_no_tls &&
                    c->result != NH_RESULT_TIMEOUT;

    if (c->offers_no_tls && conn->host->plan->tls == NH_TLS_MAY) {
        conn->ok = true;
        return;
    }
    fail_connection(conn, c->result, c->stage, c->reason, has_said ? c->smtp.text : NULL);
    conn->temporary = c->temporary;
}

/* Remembers which records fit a certificate of this chain. */
static void keep_matches(struct nh_verify_host *h, const struct nh_contact *c,
                         const enum nh_matches *matches)
{
    for (size_t k = 0; k < h->plan->tlsa.n_records; k++) {
        if (matches[k] != NH_MATCHES_NONE && h->matches[k] == NH_MATCHES_NONE) {
            h->matches[k] = matches[k];
            h->match_keys[k] = nh_tls_key_name(sk_X509_value(c->chain, 0));
        }
    }
}

/* Judges the chain by the records of the host. Returns false when memory runs out. */
static bool judge_by_dane(struct nh_connection *conn, const struct nh_criteria *c)
{
    static const struct {
        enum nh_result result;
        const char *what;
    } texts[] = {
        [NH_DANE_NO_MATCH] = {NH_RESULT_VALIDATION, "no TLSA record matches its certificates"},
        [NH_DANE_WRONG_NAME] = {NH_RESULT_HOST_MISMATCH,
                                "a TLSA record of usage 2 matches, but the certificate has "
                                "another name"},
        [NH_DANE_EXPIRED] = {NH_RESULT_EXPIRED,
                             "a TLSA record of usage 2 matches, but a certificate has expired"},
        [NH_DANE_UNTRUSTED] = {NH_RESULT_NOT_TRUSTED,
                               "a TLSA record of usage 2 matches, but the certificate cannot be "
                               "verified with it"},
    };
    struct nh_verify_host *h = conn->host;
    struct nh_judge *judge = nh_contacts_judge(h->verify->contacts);
    STACK_OF(X509) *chain = conn->wait.contact->chain;
    enum nh_matches *matches = calloc(c->n_records + 1, sizeof *matches);
    bool ok = judge && matches && nh_judge_matches(judge, chain, c, matches) &&
              nh_judge_dane(judge, chain, c, matches, &conn->dane);

    if (ok) {
        keep_matches(h, conn->wait.contact, matches);
        conn->has_dane = true;
        conn->ok = conn->dane.dane == NH_DANE_VERIFIED;
        if (!conn->ok) {
            const char *what = texts[conn->dane.dane].what;

            fail_connection(conn, texts[conn->dane.dane].result, NH_STAGE_HANDSHAKE, what, NULL);
        }
    }
    free(matches);
    return ok;
}

/* MTA-STS: PKIX with the host's name has failed (RFC 8461 4.2). */
static void judge_by_sts(struct nh_connection *conn)
{
    static const enum nh_result results[] = {[NH_PKIX_WRONG_NAME] = NH_RESULT_HOST_MISMATCH,
                                             [NH_PKIX_EXPIRED] = NH_RESULT_EXPIRED,
                                             [NH_PKIX_UNTRUSTED] = NH_RESULT_NOT_TRUSTED};
    char what[200];

    snprintf(what, sizeof what, "its certificate cannot be verified as MTA-STS asks: %s",
             conn->pkix.reason);
    fail_connection(conn, results[conn->pkix.kind], NH_STAGE_HANDSHAKE, what, NULL);
}

/* The handshake has ended. */
static void judge_connection(struct nh_connection *conn)
{
    struct nh_verify *v = conn->host->verify;
    const char *own = NULL;
    struct nh_criteria c;
    bool ok;

    set_criteria(conn->host, &c, &own);
    conn->ok = true;
    ok = nh_judge_pkix(v->anchors, conn->wait.contact->chain, &c, &conn->pkix);
    conn->judged = ok;
    if (ok && conn->host->plan->tls == NH_TLS_DANE)
        ok = judge_by_dane(conn, &c);
    if (ok && conn->host->plan->tls == NH_TLS_STS && !conn->pkix.ok)
        judge_by_sts(conn);
    if (!ok) {
        fail_connection(conn, NH_RESULT_TLS, NH_STAGE_HANDSHAKE,
                        "its certificates could not be judged: out of memory", NULL);
        conn->temporary = true;
    }
}

static void on_contact(void *arg)
{
    struct nh_connection *conn = arg;
    struct nh_verify *v = conn->host->verify;

    conn->done = true;
    if (conn->wait.contact->result == NH_RESULT_OK)
        judge_connection(conn);
    else
        take_failure(conn);
    if (--v->open == 0)
        verify_finish(v);
}

/* Begins to wait for the contact. */
static void ask_contact(struct nh_connection *conn)
{
    struct nh_verify *v = conn->host->verify;
    struct nh_target target = {.ip = conn->ip,
                               .port = v->connect_port,
                               .kind = conn->kind,
                               .implicit_tls = v->implicit_tls,
                               .helo = v->own_helo};

    target.source = conn->ip.family == 4 ? v->source4 : v->source6;
    nh_copy(target.sni, sizeof target.sni, sni_of(conn->host->plan));
    if (nh_contacts_ask(v->contacts, &conn->wait, &target, &v->limits, on_contact, conn))
        return;
    conn->done = true;
    conn->temporary = true;
    fail_connection(conn, NH_RESULT_CONNECT, NH_STAGE_CONNECT, "there is no memory left", NULL);
    v->open--;
}

/* ---- the hosts of the plan ----------------------------------------------------------------- */

/* Chooses the addresses of a host that are contacted. Returns how many. */
static size_t choose_ips(struct nh_verify_host *h, struct nh_ip ips[NH_ADDRESSES_MAX])
{
    const struct nh_verify *v = h->verify;
    const struct nh_ips_call *i = &h->plan->ips;
    bool has4 = false, has6 = false;
    size_t n = 0;

    for (size_t k = 0; k < i->n_ips; k++) {
        bool *has = i->ips[k].family == 4 ? &has4 : &has6;

        if ((v->global_only && !nh_ip_is_global(&i->ips[k])) || (v->first_only && *has))
            continue;
        *has = true;
        if (n == NH_ADDRESSES_MAX)
            h->truncated++;
        else
            ips[n++] = i->ips[k];
    }
    return n;
}

/* Returns false when memory runs out. */
static bool make_host(struct nh_verify *v, struct nh_verify_host *h, const struct nh_plan_host *p)
{
    struct nh_ip ips[NH_ADDRESSES_MAX];
    size_t n, n_records = p->tls == NH_TLS_DANE ? p->tlsa.n_records : 0;

    h->verify = v;
    h->plan = p;
    if (p->tls == NH_TLS_SKIP)
        return true;
    n = choose_ips(h, ips);
    if (n == 0) {
        nh_fail(&h->err, NH_NOT_FOUND, "%s: none of its addresses is global", p->name);
        h->err.permanent = true;
        return true;
    }
    h->connections = calloc(n * v->n_keys, sizeof *h->connections);
    h->matches = calloc(n_records + 1, sizeof *h->matches);
    h->match_keys = calloc(n_records + 1, sizeof *h->match_keys);
    if (!h->connections || !h->matches || !h->match_keys)
        return false;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < v->n_keys; k++) {
            struct nh_connection *conn = &h->connections[h->n_connections++];

            conn->host = h;
            conn->ip = ips[i];
            conn->kind = v->keys[k];
        }
    }
    return true;
}

/* Makes the hosts and connections of the report. Returns false, with the error set, when memory
 * runs out. */
static bool make_hosts(struct nh_verify *v)
{
    size_t n = v->plan.n_hosts;
    bool ok;

    v->hosts = calloc(n + 1, sizeof *v->hosts);
    ok = v->hosts != NULL;
    while (ok && v->n_hosts < n) {
        ok = make_host(v, &v->hosts[v->n_hosts], v->plan.hosts[v->n_hosts]);
        v->open += v->hosts[v->n_hosts++].n_connections;
    }
    v->planned = ok;
    if (!ok)
        nh_fail(&v->op.err, NH_NO_MEMORY, "%s: out of memory", v->plan.domain);
    return ok;
}

static void verify_on_plan(void *arg)
{
    struct nh_verify *v = arg;

    v->op.has_ttl = v->plan.op.has_ttl;
    v->op.ttl = v->plan.op.ttl;
    v->op.err = v->plan.op.err;
    if (v->op.err.code != NH_OK || !make_hosts(v)) {
        v->op.done(v->op.arg);
        return;
    }
    v->open++; /* so that no contact ends the call before all are asked for */
    for (size_t i = 0; i < v->n_hosts; i++)
        for (size_t k = 0; k < v->hosts[i].n_connections; k++)
            ask_contact(&v->hosts[i].connections[k]);
    if (--v->open == 0)
        verify_finish(v);
}

/* ---- the call ---------------------------------------------------------------------------------- */

/* The name for EHLO: what the machine calls itself, if that is a host name. The caller frees it. */
static char *machine_name(void)
{
    char own[NH_HOST_MAX] = "", name[NH_HOST_MAX];

    if (gethostname(own, sizeof own - 1) != 0 || nh_name_parse(own, strlen(own), name))
        return strdup("localhost");
    return strdup(name);
}

static void verify_start(struct nh_op *op, struct nh_resolver *r)
{
    struct nh_verify *v = (struct nh_verify *)op;

    op->resolver = r;
    v->own_helo = v->helo ? strdup(v->helo) : machine_name();
    if (!nh_has_dane())
        nh_fail(&op->err, NH_CONFIG, "%s: this OpenSSL has no DANE", v->plan.domain);
    else if (!v->own_helo || !v->contacts)
        nh_fail(&op->err, NH_NO_MEMORY, "%s: out of memory", v->plan.domain);
    else
        v->anchors = nh_contacts_anchors(v->contacts, v->plan.ca_file, v->plan.ca_path, &op->err);
    if (!v->anchors) {
        nh_op_finish_later(op);
        return;
    }
    if (v->connect_port == 0)
        v->connect_port = v->plan.port;
    v->plan.op.done = verify_on_plan;
    v->plan.op.arg = v;
    nh_plan_type.start(&v->plan.op, r);
}

/* Ends a connection that is under way when the deadline comes. */
static void expire_connection(struct nh_connection *conn)
{
    enum nh_stage stage = NH_STAGE_CONNECT;

    if (conn->done)
        return;
    if (conn->wait.contact)
        stage = conn->wait.contact->stage;
    nh_wait_stop(&conn->wait);
    conn->done = conn->temporary = true;
    fail_connection(conn, NH_RESULT_TIMEOUT, stage, "the deadline came before it was verified",
                    NULL);
}

static void verify_expire(struct nh_op *op)
{
    struct nh_verify *v = (struct nh_verify *)op;

    if (!v->planned) {
        nh_plan_type.expire(&v->plan.op);
        op->err = v->plan.op.err;
        op->has_ttl = v->plan.op.has_ttl;
        op->ttl = v->plan.op.ttl;
        if (op->err.code != NH_OK || !make_hosts(v))
            return;
    }
    v->expired = true;
    for (size_t i = 0; i < v->n_hosts; i++)
        for (size_t k = 0; k < v->hosts[i].n_connections; k++)
            expire_connection(&v->hosts[i].connections[k]);
    judge_hosts(v);
}

static void verify_stop(struct nh_op *op)
{
    struct nh_verify *v = (struct nh_verify *)op;

    nh_op_stop(op);
    for (size_t i = 0; i < v->n_hosts; i++) {
        struct nh_verify_host *h = &v->hosts[i];

        for (size_t k = 0; k < h->n_connections; k++)
            nh_wait_stop(&h->connections[k].wait);
        free(h->connections);
        free(h->matches);
        free(h->match_keys);
    }
    free(v->hosts);
    v->hosts = NULL;
    v->n_hosts = 0;
    nh_plan_type.stop(&v->plan.op);
    X509_STORE_free(v->anchors);
    v->anchors = NULL;
    free(v->own_helo);
    v->own_helo = NULL;
}

const struct nh_op_type nh_verify_type = {
    .start = verify_start, .stop = verify_stop, .expire = verify_expire};
