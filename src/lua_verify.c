/*
 * lua_verify.c - verify: its options, and its report as Lua tables. lua/nexthop/meta/ describes the
 * fields.
 */
#include "lua_core.h"

#include "certificate.h"

#include <string.h>

#define CHAIN_SHOWN 65536 /* bytes of certificates in one report of a connection */

/* ---- options --------------------------------------------------------------------------- */

/* Each of these functions reads the value at the top of the stack. */

static size_t list_length(lua_State *L, const char *key, const char *expected)
{
    if (!lua_istable(L, -1) || nh_rawlen(L, -1) == 0)
        nh_wrong_option(L, key, expected);
    return nh_rawlen(L, -1);
}

static enum nh_key_kind key_kind(lua_State *L)
{
    const char *name = nh_opt_string(L, "keys");

    for (int kind = 0; kind < NH_KEY_KINDS; kind++)
        if (strcmp(name, nh_key_kind_names[kind]) == 0)
            return (enum nh_key_kind)kind;
    nh_wrong_option(L, "keys", "'any', 'rsa', 'ecdsa' or 'ed25519'");
    return NH_KEY_ANY;
}

static void opt_keys(lua_State *L, struct nh_verify *v)
{
    size_t n = list_length(L, "keys", "list of 'any', 'rsa', 'ecdsa', 'ed25519'");

    v->n_keys = 0;
    for (size_t k = 1; k <= n; k++) {
        enum nh_key_kind kind;
        bool known = false;

        lua_rawgeti(L, -1, (int)k);
        kind = key_kind(L);
        for (size_t i = 0; i < v->n_keys; i++)
            known = known || v->keys[i] == kind;
        if (!known)
            v->keys[v->n_keys++] = kind;
        lua_pop(L, 1);
    }
}

static void opt_source(lua_State *L, struct nh_verify *v)
{
    size_t n = list_length(L, "source", "list of IP addresses, one a family,");

    for (size_t k = 1; k <= n; k++) {
        struct nh_ip ip, *place;

        lua_rawgeti(L, -1, (int)k);
        if (!nh_ip_parse(nh_opt_string(L, "source"), &ip))
            nh_wrong_option(L, "source", "IP address");
        place = ip.family == 4 ? &v->source4 : &v->source6;
        if (place->family)
            luaL_error(L, "bad option 'source' (two IPv%d addresses, one expected)", ip.family);
        *place = ip;
        lua_pop(L, 1);
    }
}

/* A name or an address literal. What could end the line of EHLO is refused. */
static const char *opt_helo(lua_State *L)
{
    const char *helo = nh_opt_string(L, "helo");
    size_t len = strlen(helo);
    bool ok = len > 0 && len < NH_HOST_MAX;

    for (size_t k = 0; ok && k < len; k++)
        ok = helo[k] > 0x20 && helo[k] < 0x7f;
    if (!ok)
        nh_wrong_option(L, "helo", "host name");
    return helo;
}

static void opt_at(lua_State *L, struct nh_verify *v)
{
    lua_Number at = -1;

    if (lua_type(L, -1) == LUA_TNUMBER)
        at = lua_tonumber(L, -1);
    if (!(at >= 0 && at < 253402300800.0)) /* to the end of the year 9999 */
        nh_wrong_option(L, "at", "seconds since 1970");
    v->has_time = true;
    v->time = (time_t)at;
}

static double opt_step(lua_State *L)
{
    double step = nh_opt_seconds(L, "step");

    if (step <= 0)
        nh_wrong_option(L, "step", "more than 0 seconds");
    return step;
}

static bool opt_ips(lua_State *L)
{
    const char *s = nh_opt_string(L, "ips");

    if (strcmp(s, "first") != 0 && strcmp(s, "all") != 0)
        nh_wrong_option(L, "ips", "'all' or 'first'");
    return s[0] == 'f';
}

bool nh_verify_option(lua_State *L, struct nh_request *request, const char *key)
{
    struct nh_verify *v = &request->verify;

    if (strcmp(key, "ips") == 0)
        v->first_only = opt_ips(L);
    else if (strcmp(key, "keys") == 0)
        opt_keys(L, v);
    else if (strcmp(key, "connect_port") == 0)
        v->connect_port = (uint16_t)nh_opt_integer(L, key, 1, 65535);
    else if (strcmp(key, "implicit_tls") == 0)
        v->implicit_tls = nh_opt_boolean(L, key);
    else if (strcmp(key, "helo") == 0)
        v->helo = opt_helo(L);
    else if (strcmp(key, "step") == 0)
        v->limits.step = opt_step(L);
    else if (strcmp(key, "at") == 0)
        opt_at(L, v);
    else if (strcmp(key, "ca_path") == 0)
        v->plan.ca_path = nh_opt_string(L, key);
    else if (strcmp(key, "source") == 0)
        opt_source(L, v);
    else if (strcmp(key, "global_only") == 0)
        v->global_only = nh_opt_boolean(L, key);
    else if (strcmp(key, "max_connections") == 0)
        v->limits.max_connections = (unsigned)nh_opt_integer(L, key, 1, 100000);
    else if (strcmp(key, "per_ip") == 0)
        v->limits.per_ip = (unsigned)nh_opt_integer(L, key, 1, 100000);
    else if (strcmp(key, "reuse") == 0)
        v->limits.reuse = nh_opt_seconds(L, key);
    else
        return nh_set_plan_option(L, request, &v->plan, key);
    return true;
}

void nh_verify_defaults(struct nh_request *request, struct nh_lua_resolver *self)
{
    struct nh_verify *v = &request->verify;

    nh_set_plan_defaults(&v->plan, self);
    v->keys[0] = NH_KEY_ANY;
    v->n_keys = 1;
    v->limits = (struct nh_limits){.step = 30, .reuse = 300, .max_connections = 64, .per_ip = 2};
    if (!self->contacts && nh_usable(self) == NH_OK)
        self->contacts = nh_contacts_new(self->resolver);
    v->contacts = self->contacts;
}

void nh_verify_check(lua_State *L, struct nh_request *request)
{
    nh_set_plan_lists(request, &request->verify.plan);
    nh_prepare_sts(&request->verify.plan, nh_check_resolver(L));
}

/* ---- certificates -------------------------------------------------------------------------- */

static void set_number(lua_State *L, const char *key, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

/* Sets a list of the lines of a text. */
static void set_lines(lua_State *L, const char *key, const char *text)
{
    int n = 0;

    lua_newtable(L);
    while (*text) {
        size_t len = strcspn(text, "\n");

        lua_pushlstring(L, text, len);
        lua_rawseti(L, -2, ++n);
        text += len + (text[len] == '\n');
    }
    lua_setfield(L, -2, key);
}

void nh_set_hex(lua_State *L, const char *key, const uint8_t digest[32])
{
    static const char digits[] = "0123456789abcdef";
    char text[64];

    for (size_t k = 0; k < 32; k++) {
        text[2 * k] = digits[digest[k] >> 4];
        text[2 * k + 1] = digits[digest[k] & 15];
    }
    lua_pushlstring(L, text, sizeof text);
    lua_setfield(L, -2, key);
}

void nh_push_certificate(lua_State *L, const struct nh_certificate *c)
{
    lua_createtable(L, 0, 10);
    nh_set_string(L, "subject", c->subject);
    nh_set_string(L, "issuer", c->issuer);
    set_lines(L, "names", c->names);
    nh_set_integer(L, "not_before", (lua_Integer)c->not_before);
    nh_set_integer(L, "not_after", (lua_Integer)c->not_after);
    if (c->key) {
        nh_set_string(L, "key", c->key);
        nh_set_integer(L, "bits", c->bits);
    }
    nh_set_hex(L, "cert_sha256", c->cert_sha256);
    nh_set_hex(L, "spki_sha256", c->spki_sha256);
    lua_pushlstring(L, (const char *)c->der, c->der_len);
    lua_setfield(L, -2, "der");
}

/* ---- connections ------------------------------------------------------------------------------ */

static int push_guarded(lua_State *L)
{
    nh_push_certificate(L, lua_touserdata(L, 1));
    return 1;
}

/* Pushes the table of a certificate, and adds its size to *shown. Returns false, and pushes nothing, when there is
 * no memory or *shown is too large then. Lua may have no memory either, so the certificate is freed before its
 * error goes on. */
static bool push_certificate_of(lua_State *L, X509 *cert, size_t *shown)
{
    struct nh_certificate certificate;
    int status = 0;

    lua_pushcfunction(L, push_guarded);
    lua_pushlightuserdata(L, &certificate);
    bool ok = nh_certificate_read(&certificate, cert);
    *shown += certificate.der_len;
    ok = ok && *shown <= CHAIN_SHOWN;
    if (ok)
        status = lua_pcall(L, 1, 1, 0);
    else
        lua_pop(L, 2);
    nh_certificate_free(&certificate);
    if (status)
        lua_error(L);
    return ok;
}

/* Sets tls, for a contact whose handshake has ended. */
static void set_session(lua_State *L, const struct nh_contact *c)
{
    size_t shown = 0;

    lua_createtable(L, 0, 4);
    nh_set_string(L, "version", c->version);
    nh_set_string(L, "cipher", c->cipher);
    if (c->group[0])
        nh_set_string(L, "group", c->group);
    lua_newtable(L);
    for (int k = 0; k < sk_X509_num(c->chain); k++) {
        if (!push_certificate_of(L, sk_X509_value(c->chain, k), &shown))
            break;
        lua_rawseti(L, -2, k + 1);
    }
    lua_setfield(L, -2, "chain");
    lua_setfield(L, -2, "tls");
}

static void set_contact(lua_State *L, const struct nh_contact *c)
{
    if (c->smtp.greeting)
        nh_set_string(L, "greeting", c->smtp.greeting);
    if (c->smtp.extensions)
        set_lines(L, "extensions", c->smtp.extensions);
    if (c->smtp.code)
        nh_set_integer(L, "reply", c->smtp.code);
    if (c->target.sni[0])
        nh_set_string(L, "sni", c->target.sni);
    lua_createtable(L, 0, NH_STAGES);
    for (size_t k = 0; k < NH_STAGES; k++)
        if (c->elapsed[k] >= 0)
            set_number(L, nh_stage_names[k], c->elapsed[k]);
    lua_setfield(L, -2, "elapsed");
    if (c->chain)
        set_session(L, c);
}

static void set_verdicts(lua_State *L, const struct nh_connection *conn)
{
    const struct nh_plan_host *plan = conn->host->plan;

    if (conn->judged) {
        lua_createtable(L, 0, 2);
        nh_set_boolean(L, "ok", conn->pkix.ok);
        if (conn->pkix.reason)
            nh_set_string(L, "reason", conn->pkix.reason);
        lua_setfield(L, -2, "pkix");
    }
    if (!conn->has_dane)
        return;
    nh_set_string(L, "dane", conn->dane.dane == NH_DANE_VERIFIED ? "verified" : "failed");
    if (conn->dane.dane != NH_DANE_VERIFIED)
        return;
    lua_createtable(L, 0, 3);
    nh_push_record(L, &plan->tlsa.records[conn->dane.record]);
    lua_setfield(L, -2, "record");
    nh_set_integer(L, "depth", conn->dane.depth);
    if (conn->dane.name)
        nh_set_string(L, "name", conn->dane.name);
    lua_setfield(L, -2, "matched");
}

static void push_connection(lua_State *L, const struct nh_connection *conn)
{
    char ip[NH_IP_TEXT];

    lua_createtable(L, 0, 16);
    nh_ip_text(&conn->ip, ip);
    nh_set_string(L, "ip", ip);
    nh_set_integer(L, "port", conn->host->verify->connect_port);
    nh_set_string(L, "keys", nh_key_kind_names[conn->kind]);
    nh_set_boolean(L, "ok", conn->ok);
    if (conn->result != NH_RESULT_OK) {
        nh_set_string(L, "result", nh_result_names[conn->result]);
        nh_set_string(L, "stage", nh_stage_names[conn->stage]);
        nh_set_string(L, "message", conn->message);
    }
    if (conn->absent)
        nh_set_boolean(L, "absent", true);
    if (conn->temporary && !conn->ok)
        nh_set_boolean(L, "temporary", true);
    if (conn->wait.reused)
        nh_set_boolean(L, "reused", true);
    if (conn->wait.contact)
        set_contact(L, conn->wait.contact);
    set_verdicts(L, conn);
    nh_set_metatable(L, "nexthop.connection");
}

/* ---- hosts and the report ------------------------------------------------------------------------ */

static void set_matches(lua_State *L, const struct nh_verify_host *h)
{
    static const char *const names[] = {
        [NH_MATCHES_NONE] = "none", [NH_MATCHES_LEAF] = "leaf", [NH_MATCHES_ISSUER] = "issuer"};
    size_t n = h->matches && h->plan->tls == NH_TLS_DANE ? h->plan->tlsa.n_records : 0;

    lua_createtable(L, (int)n, 0);
    for (size_t k = 0; k < n; k++) {
        lua_createtable(L, 0, 3);
        nh_push_record(L, &h->plan->tlsa.records[k]);
        lua_setfield(L, -2, "record");
        nh_set_string(L, "matches", names[h->matches[k]]);
        if (h->match_keys[k])
            nh_set_string(L, "key", h->match_keys[k]);
        lua_rawseti(L, -2, (int)k + 1);
    }
    lua_setfield(L, -2, "records");
}

static void push_host(lua_State *L, const struct nh_verify_host *h)
{
    lua_createtable(L, 0, 10);
    nh_set_string(L, "host", h->plan->name);
    nh_set_integer(L, "pref", h->plan->pref);
    nh_set_string(L, "tls", nh_tls_names[h->plan->tls]);
    nh_set_boolean(L, "ok", h->ok);
    if (h->result != NH_RESULT_OK)
        nh_set_string(L, "result", nh_result_names[h->result]);
    if (h->temporary)
        nh_set_boolean(L, "temporary", true);
    if (h->truncated)
        nh_set_integer(L, "truncated", (lua_Integer)h->truncated);
    if (h->plan->err || h->err.code != NH_OK) {
        nh_push_error_table(L, h->plan->err ? h->plan->err : &h->err);
        lua_setfield(L, -2, "err");
    }
    lua_createtable(L, (int)h->n_connections, 0);
    for (size_t k = 0; k < h->n_connections; k++) {
        push_connection(L, &h->connections[k]);
        lua_rawseti(L, -2, (int)k + 1);
    }
    lua_setfield(L, -2, "connections");
    set_matches(L, h);
    nh_set_metatable(L, "nexthop.report_host");
}

/* What an error has: the domain. */
void nh_set_verify_plan(lua_State *L, const struct nh_request *request)
{
    nh_set_string(L, "domain", request->verify.plan.domain);
    nh_set_ttl(L, request->op.has_ttl, request->op.ttl);
}

void nh_set_verify(lua_State *L, const struct nh_request *request)
{
    const struct nh_verify *v = &request->verify;

    nh_set_boolean(L, "ok", v->ok);
    if (v->result != NH_RESULT_OK)
        nh_set_string(L, "result", nh_result_names[v->result]);
    if (v->expired)
        nh_set_boolean(L, "expired", true);
    nh_push_plan(L, &v->plan, request->owner);
    lua_setfield(L, -2, "plan");
    lua_createtable(L, (int)v->n_hosts, 0);
    for (size_t k = 0; k < v->n_hosts; k++) {
        push_host(L, &v->hosts[k]);
        lua_rawseti(L, -2, (int)k + 1);
    }
    lua_setfield(L, -2, "hosts");
}
