/* lua_result.c - results and errors as Lua tables. lua/nexthop/meta/ describes their fields.
 * lua/nexthop/result_text.lua sets on the metatables how they print. */
#include "lua_core.h"

#include "signatures.h"

#include <string.h>

static const char *const metatables[] = {"error",  "destinations", "ips",       "tlsa",
                                         "plan",   "host",         "record",    "plan_host",
                                         "report", "report_host",  "connection"};

void nh_open_results(lua_State *L)
{
    lua_createtable(L, 0, sizeof metatables / sizeof metatables[0]);
    for (size_t k = 0; k < sizeof metatables / sizeof metatables[0]; k++) {
        luaL_newmetatable(L, lua_pushfstring(L, NH_PREFIX "%s", metatables[k]));
        lua_remove(L, -2);
        lua_setfield(L, -2, metatables[k]);
    }
}

void nh_set_metatable(lua_State *L, const char *name)
{
    luaL_getmetatable(L, name);
    lua_setmetatable(L, -2);
}

void nh_set_boolean(lua_State *L, const char *key, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, key);
}

void nh_set_integer(lua_State *L, const char *key, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, key);
}

void nh_set_string(lua_State *L, const char *key, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

void nh_set_ttl(lua_State *L, bool has, uint32_t ttl)
{
    if (has)
        nh_set_integer(L, "ttl", (lua_Integer)ttl);
}

/* ---- errors ------------------------------------------------------------------------------ */

static const char *code_name(enum nh_code code)
{
    static const char *const names[] = {
        [NH_OK] = "ok",
        [NH_NO_MAIL] = "no_mail",
        [NH_CNAME_LOOP] = "cname_loop",
        [NH_CNAME_LIMIT] = "cname_limit",
        [NH_NXDOMAIN] = "nxdomain",
        [NH_NOT_FOUND] = "not_found",
        [NH_NO_DANE] = "no_dane",
        [NH_BOGUS] = "bogus",
        [NH_SERVFAIL] = "servfail",
        [NH_TIMEOUT] = "timeout",
        [NH_INVALID_NAME] = "invalid_name",
        [NH_INVALID_MX] = "invalid_mx",
        [NH_CONFIG] = "config",
        [NH_CLOSED] = "closed",
        [NH_FORKED] = "forked",
        [NH_NO_MEMORY] = "no_memory",
        [NH_STS_MISMATCH] = "sts_mismatch",
    };
    return names[code];
}

static void set_error_fields(lua_State *L, const struct nh_err *err)
{
    nh_set_string(L, "code", code_name(err->code));
    nh_set_string(L, "message", err->message);
    nh_set_boolean(L, "permanent", err->permanent);
    if (err->expired)
        nh_set_boolean(L, "expired", true);
    nh_set_metatable(L, NH_PREFIX "error");
}

void nh_push_error_table(lua_State *L, const struct nh_err *err)
{
    lua_createtable(L, 0, 4);
    set_error_fields(L, err);
}

int nh_push_error(lua_State *L, const struct nh_err *err)
{
    lua_pushnil(L);
    nh_push_error_table(L, err);
    return 2;
}

/* ---- gather_destinations -------------------------------------------------------------------- */

/* Each of these functions sets its fields in the table at the top of the stack. */

static void set_dest(lua_State *L, const struct nh_dest_call *d)
{
    nh_set_boolean(L, "have_mx", d->have_mx);
    nh_set_boolean(L, "orig_next_hop_authentic", d->orig_authentic);
    nh_set_boolean(L, "expanded_next_hop_authentic", d->expanded_authentic);
    if (d->has_expanded)
        nh_set_string(L, "expanded_next_hop", d->expanded);
    if (d->nxdomain)
        nh_set_boolean(L, "nxdomain", true);
    nh_set_ttl(L, d->op.has_ttl, d->op.ttl);
}

void nh_set_dest_hosts(lua_State *L, const struct nh_request *request)
{
    const struct nh_dest_call *d = &request->dest;

    lua_createtable(L, (int)d->n_hosts, 0);
    for (size_t k = 0; k < d->n_hosts; k++) {
        lua_createtable(L, 0, 2);
        nh_set_string(L, "host", d->hosts[k].name);
        nh_set_integer(L, "pref", d->hosts[k].pref);
        nh_set_metatable(L, NH_PREFIX "host");
        lua_rawseti(L, -2, (int)k + 1);
    }
    lua_setfield(L, -2, "hosts");
    nh_set_boolean(L, "permanent", false);
}

void nh_set_dest(lua_State *L, const struct nh_request *request)
{
    set_dest(L, &request->dest);
}

/* ---- gather_ips ----------------------------------------------------------------------------- */

static void set_family(lua_State *L, const struct nh_family *f, const char *key)
{
    if (f->answered && f->n)
        nh_set_boolean(L, key, f->chain_secure);
}

/* Puts the error of a family whose lookup failed into the table below the top of the stack. */
static void set_failed(lua_State *L, const struct nh_ips_call *i, const struct nh_family *f,
                       const char *key)
{
    struct nh_err err;

    if (!nh_family_failed(f))
        return;
    nh_lookup_error(&err, i->host, &f->lookup);
    err.expired = f->expired;
    nh_push_error_table(L, &err);
    lua_setfield(L, -2, key);
}

static void set_ips(lua_State *L, const struct nh_ips_call *i)
{
    char text[NH_IP_TEXT];

    nh_set_boolean(L, "authentic", i->authentic);
    nh_set_boolean(L, "expanded_authentic", i->expanded_authentic);
    nh_set_boolean(L, "host_authentic", i->host_authentic);
    if (i->has_expanded)
        nh_set_string(L, "expanded_host", i->expanded);
    nh_set_boolean(L, "dualstack", i->dualstack);
    set_family(L, &i->v4, "ip4_authentic");
    set_family(L, &i->v6, "ip6_authentic");
    lua_createtable(L, (int)i->n_ips, 0);
    for (size_t k = 0; k < i->n_ips; k++) {
        nh_ip_text(&i->ips[k], text);
        lua_pushstring(L, text);
        lua_rawseti(L, -2, (int)k + 1);
    }
    lua_setfield(L, -2, "ips");
    if (nh_family_failed(&i->v4) || nh_family_failed(&i->v6)) {
        lua_createtable(L, 0, 2);
        set_failed(L, i, &i->v4, "ip4");
        set_failed(L, i, &i->v6, "ip6");
        lua_setfield(L, -2, "failed");
    }
    nh_set_ttl(L, i->op.has_ttl, i->op.ttl);
}

void nh_set_ips(lua_State *L, const struct nh_request *request)
{
    set_ips(L, &request->ips);
}

/* ---- gather_tlsa ---------------------------------------------------------------------------- */

void nh_push_record(lua_State *L, const struct nh_tlsa *r)
{
    lua_createtable(L, 0, 5);
    nh_set_integer(L, "usage", r->usage);
    nh_set_integer(L, "selector", r->selector);
    nh_set_integer(L, "match_type", r->match_type);
    lua_pushlstring(L, (const char *)r->data, r->len);
    lua_setfield(L, -2, "data");
    if (r->reason[0])
        nh_set_string(L, "reason", r->reason);
    nh_set_metatable(L, NH_PREFIX "record");
}

static void set_records(lua_State *L, const char *key, const struct nh_tlsa *records, size_t n)
{
    lua_createtable(L, (int)n, 0);
    for (size_t k = 0; k < n; k++) {
        nh_push_record(L, &records[k]);
        lua_rawseti(L, -2, (int)k + 1);
    }
    lua_setfield(L, -2, key);
}

static void set_tlsa(lua_State *L, const struct nh_tlsa_call *t)
{
    nh_set_boolean(L, "dane_required", t->dane_required);
    set_records(L, "records", t->records, t->n_records);
    set_records(L, "unusable", t->unusable, t->n_unusable);
    nh_set_string(L, "tlsa_base_domain", t->base);
}

void nh_set_tlsa(lua_State *L, const struct nh_request *request)
{
    set_tlsa(L, &request->tlsas);
    nh_set_ttl(L, request->op.has_ttl, request->op.ttl);
}

/* ---- plan ------------------------------------------------------------------------------------ */

const char *const nh_tls_names[] = {
    [NH_TLS_SKIP] = "skip", [NH_TLS_MAY] = "may", [NH_TLS_ENCRYPT] = "encrypt",
    [NH_TLS_DANE] = "dane", [NH_TLS_STS] = "sts",
};

static const char *const fit_names[] = {[NH_FIT_MATCH] = "match", [NH_FIT_MISMATCH] = "mismatch"};

void nh_set_texts(lua_State *L, const char *key, const char *text, size_t n)
{
    lua_createtable(L, (int)n, 0);
    for (size_t k = 0; k < n; k++, text += strlen(text) + 1) {
        lua_pushstring(L, text);
        lua_rawseti(L, -2, (int)k + 1);
    }
    lua_setfield(L, -2, key);
}

/* The name that a host which is `sts` must have in its certificate is its own. It stands below the
 * host's table. */
static void set_own_name(lua_State *L)
{
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "sni");
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -2, 1);
    lua_setfield(L, -2, "names");
}

static void push_plan_host(lua_State *L, const struct nh_plan_host *h)
{
    const struct nh_ips_call *i = &h->ips;

    lua_pushstring(L, h->name);
    lua_createtable(L, 0, 20);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "host");
    nh_set_integer(L, "pref", h->pref);
    set_ips(L, i);
    if (h->asked_tlsa) {
        set_tlsa(L, &h->tlsa);
    } else {
        nh_set_boolean(L, "dane_required", false);
        set_records(L, "records", NULL, 0);
        set_records(L, "unusable", NULL, 0);
    }
    set_records(L, "weaker", h->weaker, h->n_weaker);
    nh_set_string(L, "tls", nh_tls_names[h->tls]);
    if (h->tls == NH_TLS_DANE) {
        lua_createtable(L, (int)h->n_names, 0);
        for (size_t k = 0; k < h->n_names; k++) {
            lua_pushstring(L, h->names[k]);
            lua_rawseti(L, -2, (int)k + 1);
        }
        lua_setfield(L, -2, "names");
    }
    if (h->tls == NH_TLS_DANE || h->tls == NH_TLS_ENCRYPT)
        nh_set_string(L, "sni", h->tlsa.base);
    if (h->tls == NH_TLS_STS)
        set_own_name(L);
    if (h->sts != NH_FIT_NO_POLICY)
        nh_set_string(L, "sts", fit_names[h->sts]);
    if (h->err) {
        nh_push_error_table(L, h->err);
        lua_setfield(L, -2, "err");
    }
    nh_set_ttl(L, h->has_ttl, h->ttl);
    nh_set_metatable(L, NH_PREFIX "plan_host");
    lua_remove(L, -2); /* the name */
}

/* Appends the entries of a trace. host is the number of the host, from 1; 0 is for the
 * destinations. */
static int append_trace(lua_State *L, int n, const struct nh_trace *trace, size_t host)
{
    static const char *const rcodes[] = {"NOERROR",  "FORMERR", "SERVFAIL",
                                         "NXDOMAIN", "NOTIMP",  "REFUSED"};

    for (size_t k = 0; k < trace->n; k++) {
        const struct nh_trace_entry *e = &trace->entries[k];

        lua_createtable(L, 0, 6);
        if (host)
            nh_set_integer(L, "host", (lua_Integer)host);
        nh_set_string(L, "name", e->name);
        nh_set_string(L, "type", nh_type_name(e->type));
        nh_set_string(L, "rcode",
                      e->code == NH_TIMEOUT ? "TIMEOUT"
                      : e->rcode < 6        ? rcodes[e->rcode]
                                            : "SERVFAIL");
        nh_set_string(L, "security",
                      e->code == NH_BOGUS ? "bogus"
                      : e->code != NH_OK  ? "failed"
                      : e->secure         ? "secure"
                                          : "insecure");
        nh_set_string(L, "section", e->section);
        lua_rawseti(L, -2, ++n);
    }
    return n;
}

static void set_plan(lua_State *L, const struct nh_plan *p, struct nh_lua_resolver *self)
{
    int n;

    nh_set_string(L, "domain", p->domain);
    set_dest(L, &p->dest);
    if (p->bracketed && p->n_hosts) { /* the host itself is the next hop */
        nh_set_boolean(L, "orig_next_hop_authentic", p->hosts[0]->ips.host_authentic);
        nh_set_boolean(L, "expanded_next_hop_authentic", p->hosts[0]->ips.expanded_authentic);
        if (p->hosts[0]->ips.has_expanded)
            nh_set_string(L, "expanded_next_hop", p->hosts[0]->ips.expanded);
    }
    nh_set_boolean(L, "mx_authentic", p->mx_authentic);
    if (p->expired)
        nh_set_boolean(L, "expired", true);
    if (p->truncated)
        nh_set_integer(L, "truncated", (lua_Integer)p->truncated);
    nh_set_ttl(L, p->op.has_ttl, p->op.ttl);
    nh_set_sts(L, p, self);
    if (p->op.trace) {
        lua_newtable(L);
        n = append_trace(L, 0, &p->trace, 0);
        n = append_trace(L, n, &p->sts_trace, 0);
        for (size_t k = 0; k < p->n_hosts; k++)
            n = append_trace(L, n, &p->hosts[k]->trace, k + 1);
        lua_setfield(L, -2, "trace");
    }
}

static void set_plan_hosts(lua_State *L, const struct nh_plan *p)
{

    lua_createtable(L, (int)p->n_hosts, 0);
    for (size_t k = 0; k < p->n_hosts; k++) {
        push_plan_host(L, p->hosts[k]);
        lua_rawseti(L, -2, (int)k + 1);
    }
    lua_setfield(L, -2, "hosts");
}

void nh_set_plan(lua_State *L, const struct nh_request *request)
{
    set_plan(L, &request->plan, request->owner);
}

void nh_set_plan_hosts(lua_State *L, const struct nh_request *request)
{
    set_plan_hosts(L, &request->plan);
}

void nh_push_plan(lua_State *L, const struct nh_plan *p, struct nh_lua_resolver *self)
{
    lua_createtable(L, 0, 12);
    set_plan(L, p, self);
    set_plan_hosts(L, p);
    nh_set_metatable(L, NH_PREFIX "plan");
}

/* ---- one lookup ---------------------------------------------------------------------------- */

static void push_signature(void *arg, const struct nh_signature *s)
{
    lua_State *L = arg;

    lua_createtable(L, 0, 8);
    nh_set_string(L, "owner", s->owner);
    nh_set_string(L, "signer", s->signer);
    nh_set_integer(L, "covered", s->covered);
    nh_set_integer(L, "algorithm", s->algorithm);
    nh_set_integer(L, "key_tag", s->key_tag);
    nh_set_integer(L, "original_ttl", (lua_Integer)s->original_ttl);
    nh_set_integer(L, "inception", (lua_Integer)s->inception);
    nh_set_integer(L, "expiration", (lua_Integer)s->expiration);
    lua_rawseti(L, -2, (int)nh_rawlen(L, -2) + 1);
}

/* Sets { rcode, secure, chain, dname, records, iterations, optout, ttl, signatures }. chain holds
 * the names from the one that was asked for to the one that the aliases lead to. dname is the
 * owner of the DNAME that makes the first name an alias. records holds the rdata, or for MX and NS
 * the hosts. */
void nh_set_raw(lua_State *L, const struct nh_request *request)
{
    const struct nh_raw *raw = &request->raw;
    const struct nh_answer *a = &raw->lookup.answer;

    nh_set_string(L, "rcode", a->rcode == 3 ? "NXDOMAIN" : "NOERROR");
    nh_set_boolean(L, "secure", raw->lookup.secure);
    nh_set_integer(L, "iterations", a->iterations);
    nh_set_boolean(L, "optout", a->optout);
    nh_set_integer(L, "ttl", (lua_Integer)a->ttl);
    lua_newtable(L);
    nh_signatures_read(raw->lookup.packet, raw->lookup.packet_len, raw->type, push_signature, L);
    lua_setfield(L, -2, "signatures");
    if (a->dname)
        nh_set_string(L, "dname", a->dname);
    lua_createtable(L, a->n_links + 1, 0);
    for (size_t k = 0; k <= a->n_links; k++) {
        lua_pushstring(L, a->chain[k]);
        lua_rawseti(L, -2, (int)k + 1);
    }
    lua_setfield(L, -2, "chain");
    lua_createtable(L, a->n_records, 0);
    for (size_t k = 0; k < a->n_records; k++) {
        const struct nh_rr *r = &a->records[k];

        if (r->name)
            lua_pushstring(L, r->name);
        else
            lua_pushlstring(L, (const char *)r->data, r->len);
        lua_rawseti(L, -2, (int)k + 1);
    }
    lua_setfield(L, -2, "records");
}

/* ---- all calls ------------------------------------------------------------------------------ */

int nh_push_result(lua_State *L, struct nh_request *request)
{
    const struct nh_call *call = request->call;
    const struct nh_err *err = &request->op.err;
    bool ok = err->code == NH_OK;

    if (!ok)
        lua_pushnil(L);
    lua_createtable(L, 0, ok ? 9 : 12);
    /* An error has what was known when it came. When the call was not begun, nothing is known. */
    if (call->set_partial && (ok || request->op.resolver))
        call->set_partial(L, request);
    if (!ok) {
        set_error_fields(L, err);
        return 2;
    }
    if (call->set_rest)
        call->set_rest(L, request);
    if (call->metatable)
        nh_set_metatable(L, call->metatable);
    return 1;
}
