/* lua_certificate.c - certificates, keys and records for the program: certificates(text),
 * digest(bytes, match_type), judge{...}. */
#include "lua_core.h"

#include "certificate.h"
#include "host_errors.h"
#include "verdict.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ----------------------------------------------------------------------------- */

/* Appends the table at the top of the stack to the list below it. */
static void append(lua_State *L)
{
    lua_rawseti(L, -2, (int)nh_rawlen(L, -2) + 1);
}

static bool add_key(lua_State *L, EVP_PKEY *key)
{
    unsigned char *spki = NULL;
    int len = key ? i2d_PUBKEY(key, &spki) : 0;
    uint8_t digest[32];
    bool ok = len > 0 && EVP_Digest(spki, (size_t)len, digest, NULL, EVP_sha256(), NULL);

    if (ok) {
        lua_createtable(L, 0, 6);
        nh_set_string(L, "kind", "key");
        lua_pushlstring(L, (const char *)spki, (size_t)len);
        lua_setfield(L, -2, "spki");
        nh_set_hex(L, "spki_sha256", digest);
        nh_set_string(L, "key", nh_certificate_key_name(key));
        nh_set_integer(L, "bits", EVP_PKEY_bits(key));
        append(L);
    }
    OPENSSL_free(spki);
    return ok;
}

static bool add_certificate(lua_State *L, X509 *cert)
{
    unsigned char *spki = NULL;
    struct nh_certificate c;
    bool ok = nh_certificate_read(&c, cert);
    int len = ok ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki) : 0;

    if (len > 0) {
        nh_push_certificate(L, &c);
        nh_set_string(L, "kind", "certificate");
        lua_pushlstring(L, (const char *)spki, (size_t)len);
        lua_setfield(L, -2, "spki");
        append(L);
    }
    OPENSSL_free(spki);
    nh_certificate_free(&c);
    return len > 0;
}

/* Reads one DER block of this PEM label. */
static bool add_block(lua_State *L, const char *label, const unsigned char *der, long len)
{
    const unsigned char *p = der;
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    bool ok;

    if (strstr(label, "CERTIFICATE"))
        cert = d2i_X509(NULL, &p, len);
    else if (strstr(label, "PRIVATE KEY"))
        key = d2i_AutoPrivateKey(NULL, &p, len);
    else if (strcmp(label, "PUBLIC KEY") == 0)
        key = d2i_PUBKEY(NULL, &p, len);
    else
        return true; /* the parameters of a curve, for example */
    ok = cert ? add_certificate(L, cert) : add_key(L, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ok;
}

/* Reads all blocks of PEM. Returns how many, or -1 when one cannot be read. */
static int add_pem(lua_State *L, const char *text, size_t len)
{
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    char *label = NULL, *header = NULL;
    unsigned char *der = NULL;
    long der_len = 0;
    int n = 0;

    while (n >= 0 && bio && PEM_read_bio(bio, &label, &header, &der, &der_len) == 1) {
        n = add_block(L, label, der, der_len) ? n + 1 : -1;
        OPENSSL_free(label);
        OPENSSL_free(header);
        OPENSSL_free(der);
    }
    BIO_free(bio);
    return n;
}

/* Reads DER: a certificate, a public or a private key. */
static bool add_der(lua_State *L, const char *text, size_t len)
{
    static const char *const labels[] = {"CERTIFICATE", "PUBLIC KEY", "PRIVATE KEY"};

    for (size_t k = 0; k < sizeof labels / sizeof labels[0]; k++)
        if (add_block(L, labels[k], (const unsigned char *)text, (long)len))
            return true;
    return false;
}

/* certificates(text): a list of what a file holds, PEM or DER; or nil and the reason. */
int nh_lua_certificates(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len), *reason = NULL;
    struct nh_host_errors errors;
    int n;

    luaL_argcheck(L, len <= 1 << 24, 1, "it is too long");
    lua_settop(L, 1);
    lua_newtable(L);
    nh_host_errors_take(&errors);
    n = add_pem(L, text, len);
    if (n < 0)
        reason = "a certificate or key in it cannot be read";
    else if (n == 0 && !add_der(L, text, len))
        reason = "there is no certificate and no key in it";
    nh_host_errors_put(&errors);
    if (!reason)
        return 1;
    lua_pushnil(L);
    lua_pushstring(L, reason);
    return 2;
}

/* ---- digests --------------------------------------------------------------------------------- */

/* digest(bytes, match_type): the data of a TLSA record (RFC 6698 2.1.3). */
int nh_lua_digest(lua_State *L)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len = 0;
    size_t len;
    const char *bytes = luaL_checklstring(L, 1, &len);
    lua_Integer match_type = luaL_checkinteger(L, 2);

    luaL_argcheck(L, match_type >= 0 && match_type <= 2, 2, "0, 1 or 2 expected");
    if (match_type == 0) {
        lua_pushvalue(L, 1);
        return 1;
    }
    if (!EVP_Digest(bytes, len, digest, &digest_len, match_type == 1 ? EVP_sha256() : EVP_sha512(),
                    NULL))
        return luaL_error(L, "out of memory");
    lua_pushlstring(L, (const char *)digest, digest_len);
    return 1;
}

/* ---- verdicts ---------------------------------------------------------------------------------- */

/* What judge{} has read. It has a collector, because reading may raise. */
struct judging {
    STACK_OF(X509) * chain;
    struct nh_judge *judge;
};

#define JUDGING "nexthop judging"

static int judging_gc(lua_State *L)
{
    struct judging *j = lua_touserdata(L, 1);

    sk_X509_pop_free(j->chain, X509_free);
    nh_judge_free(j->judge);
    memset(j, 0, sizeof *j);
    return 0;
}

static struct judging *new_judging(lua_State *L)
{
    struct judging *j = lua_newuserdata(L, sizeof *j);

    memset(j, 0, sizeof *j);
    if (luaL_newmetatable(L, JUDGING)) {
        lua_pushcfunction(L, judging_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    j->chain = sk_X509_new_null();
    j->judge = nh_judge_new();
    if (!j->chain || !j->judge)
        luaL_error(L, "judge: there is no memory, or this OpenSSL has no DANE");
    return j;
}

/* Pushes the list in this field of the argument, and returns its length. */
static size_t push_list(lua_State *L, const char *key)
{
    lua_getfield(L, 1, key);
    if (!lua_istable(L, -1))
        luaL_error(L, "judge: '%s' must be a list", key);
    return nh_rawlen(L, -1);
}

static void read_chain(lua_State *L, struct judging *j)
{
    size_t n = push_list(L, "chain"), len;

    for (size_t k = 1; k <= n; k++) {
        const unsigned char *der;
        X509 *cert;

        lua_rawgeti(L, -1, (int)k);
        der = (const unsigned char *)luaL_checklstring(L, -1, &len);
        cert = d2i_X509(NULL, &der, (long)len);
        if (!cert || !sk_X509_push(j->chain, cert)) {
            X509_free(cert);
            luaL_error(L, "judge: certificate %d cannot be read", (int)k);
        }
        lua_pop(L, 1);
    }
    if (n == 0)
        luaL_error(L, "judge: the chain is empty");
    lua_pop(L, 1);
}

static uint8_t record_field(lua_State *L, const char *key)
{
    uint8_t value;

    lua_getfield(L, -1, key);
    value = (uint8_t)luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    return value;
}

/* Reads the records into a userdata, which it leaves on the stack. Their data stay in the list. */
static void read_records(lua_State *L, struct nh_criteria *c)
{
    size_t n = push_list(L, "records"), len;
    struct nh_tlsa *records = lua_newuserdata(L, (n + 1) * sizeof *records);

    memset(records, 0, (n + 1) * sizeof *records);
    lua_insert(L, -2);
    for (size_t k = 0; k < n; k++) {
        struct nh_tlsa *r = &records[k];

        lua_rawgeti(L, -1, (int)k + 1);
        luaL_checktype(L, -1, LUA_TTABLE);
        r->usage = record_field(L, "usage");
        r->selector = record_field(L, "selector");
        r->match_type = record_field(L, "match_type");
        lua_getfield(L, -1, "data");
        r->data = (const uint8_t *)luaL_checklstring(L, -1, &len);
        r->len = (uint16_t)len;
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    c->records = records;
    c->n_records = n;
}

static void read_names(lua_State *L, struct nh_criteria *c)
{
    size_t n = push_list(L, "names");
    const char **names = lua_newuserdata(L, (n + 1) * sizeof *names);

    lua_insert(L, -2);
    for (size_t k = 0; k < n; k++) {
        lua_rawgeti(L, -1, (int)k + 1);
        names[k] = luaL_checkstring(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    c->names = names;
    c->n_names = n;
}

static void push_judgement(lua_State *L, const struct nh_criteria *c,
                           const enum nh_matches *matches, const struct nh_dane_verdict *verdict)
{
    static const char *const names[] = {"verified", "no-match", "wrong-name", "expired",
                                        "untrusted"};
    static const char *const places[] = {"none", "leaf", "issuer"};

    lua_createtable(L, 0, 6);
    nh_set_string(L, "dane", names[verdict->dane]);
    if (verdict->dane == NH_DANE_VERIFIED) {
        nh_set_integer(L, "depth", verdict->depth);
        nh_set_integer(L, "record", (lua_Integer)verdict->record + 1);
        if (verdict->name)
            nh_set_string(L, "name", verdict->name);
    } else {
        nh_set_string(L, "reason", verdict->reason);
    }
    lua_createtable(L, (int)c->n_records, 0);
    for (size_t k = 0; k < c->n_records; k++) {
        lua_pushstring(L, places[matches[k]]);
        append(L);
    }
    lua_setfield(L, -2, "matches");
}

/* judge{ chain, records, names, at }: what a chain (DER, the leaf first) is worth. The records
 * must be usable ones. */
int nh_lua_judge(lua_State *L)
{
    struct nh_dane_verdict verdict;
    struct nh_criteria c = {0};
    enum nh_matches *matches;
    struct judging *j;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    j = new_judging(L);
    read_chain(L, j);
    read_records(L, &c);
    read_names(L, &c);
    luaL_argcheck(L, c.n_names > 0, 1, "judge: there are no names");
    lua_getfield(L, 1, "at");
    c.has_time = !lua_isnil(L, -1);
    if (c.has_time)
        c.time = (time_t)luaL_checknumber(L, -1);
    matches = lua_newuserdata(L, (c.n_records + 1) * sizeof *matches);
    if (!nh_judge_matches(j->judge, j->chain, &c, matches) ||
        !nh_judge_dane(j->judge, j->chain, &c, matches, &verdict))
        return luaL_error(L, "judge: a record is not usable, or there is no memory");
    push_judgement(L, &c, matches, &verdict);
    return 1;
}
