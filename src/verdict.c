/*
 * verdict.c - judges a chain of certificates, by DANE and by PKIX.
 *
 * OpenSSL verifies by DANE inside X509_verify_cert() when the context has the records of an SSL
 * object. The SSL object here never connects: it only holds the records.
 */
#include "verdict.h"

#include "tls_limits.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* Wildcards stand for a whole label (RFC 6125 6.4.3). OpenSSL never looks at the common name
 * when the certificate has DNS names. */
#define NAME_FLAGS X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS

/* Records of usage 2 with full data that are tried one by one. Each takes a verification. */
#define UNSENT_MAX 3

struct nh_judge {
    SSL_CTX *ctx;
    X509_STORE *empty; /* DANE needs no trust anchors of the system */
};

#ifdef LIBRESSL_VERSION_NUMBER

bool nh_has_dane(void)
{
    return false;
}

#else

bool nh_has_dane(void)
{
    return true;
}

#endif

void nh_judge_free(struct nh_judge *judge)
{
    if (!judge)
        return;
    SSL_CTX_free(judge->ctx);
    X509_STORE_free(judge->empty);
    free(judge);
}

/* ---- names and time -------------------------------------------------------------------- */

static bool set_names(X509_VERIFY_PARAM *param, const struct nh_criteria *c)
{
    size_t k;

    if (c->is_address)
        return X509_VERIFY_PARAM_set1_ip_asc(param, c->names[0]);
    X509_VERIFY_PARAM_set_hostflags(
        param, NAME_FLAGS | (c->no_common_name ? X509_CHECK_FLAG_NEVER_CHECK_SUBJECT : 0));
    for (k = 0; k < c->n_names; k++)
        if (!(k ? X509_VERIFY_PARAM_add1_host : X509_VERIFY_PARAM_set1_host)(param, c->names[k], 0))
            return false;
    return true;
}

/* Returns a context that is ready for X509_verify_cert(), or NULL. */
static X509_STORE_CTX *new_context(X509_STORE *anchors, STACK_OF(X509) * chain,
                                   const struct nh_criteria *c, bool with_names)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509_VERIFY_PARAM *param;

    if (!ctx)
        return NULL;
    if (!X509_STORE_CTX_init(ctx, anchors, sk_X509_value(chain, 0), chain) ||
        !X509_STORE_CTX_set_default(ctx, "ssl_server")) {
        X509_STORE_CTX_free(ctx);
        return NULL;
    }
    param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_depth(param, NH_CHAIN_DEPTH);
    if (with_names && !set_names(param, c)) {
        X509_STORE_CTX_free(ctx);
        return NULL;
    }
    if (!with_names)
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
    else if (c->has_time)
        X509_VERIFY_PARAM_set_time(param, c->time);
    return ctx;
}

/* ---- PKIX -------------------------------------------------------------------------------- */

static enum nh_pkix pkix_of(int error)
{
    switch (error) {
    case X509_V_OK:
        return NH_PKIX_OK;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return NH_PKIX_WRONG_NAME;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return NH_PKIX_EXPIRED;
    default:
        return NH_PKIX_UNTRUSTED;
    }
}

bool nh_judge_pkix(X509_STORE *anchors, STACK_OF(X509) * chain, const struct nh_criteria *c,
                   struct nh_pkix_verdict *verdict)
{
    X509_STORE_CTX *ctx;
    int error = X509_V_ERR_OUT_OF_MEM;

    ERR_set_mark();
    ctx = new_context(anchors, chain, c, true);
    if (ctx) {
        verdict->ok = X509_verify_cert(ctx) == 1;
        error = X509_STORE_CTX_get_error(ctx);
        verdict->reason = verdict->ok ? NULL : X509_verify_cert_error_string(error);
        verdict->kind = verdict->ok ? NH_PKIX_OK : pkix_of(error);
        X509_STORE_CTX_free(ctx);
    }
    ERR_pop_to_mark();
    return error != X509_V_ERR_OUT_OF_MEM;
}

#ifdef LIBRESSL_VERSION_NUMBER

struct nh_judge *nh_judge_new(void)
{
    return NULL;
}

bool nh_judge_matches(struct nh_judge *judge, STACK_OF(X509) * chain, const struct nh_criteria *c,
                      enum nh_matches *matches)
{
    (void)judge, (void)chain, (void)c, (void)matches;
    return false;
}

bool nh_judge_dane(struct nh_judge *judge, STACK_OF(X509) * chain, const struct nh_criteria *c,
                   const enum nh_matches *matches, struct nh_dane_verdict *verdict)
{
    (void)judge, (void)chain, (void)c, (void)matches, (void)verdict;
    return false;
}

#else

struct nh_judge *nh_judge_new(void)
{
    struct nh_judge *judge = calloc(1, sizeof *judge);

    if (!judge)
        return NULL;
    ERR_set_mark();
    judge->empty = X509_STORE_new();
    judge->ctx = SSL_CTX_new(TLS_client_method());
    if (judge->ctx && SSL_CTX_dane_enable(judge->ctx) == 1)
        SSL_CTX_dane_set_flags(judge->ctx, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    else
        judge->empty = (X509_STORE_free(judge->empty), NULL);
    ERR_pop_to_mark();
    if (!judge->empty) {
        nh_judge_free(judge);
        return NULL;
    }
    return judge;
}

/* ---- DANE ---------------------------------------------------------------------------------- */

/* Verifies with these records. Returns the SSL object, which tells what has matched and which the
 * caller frees; NULL when memory runs out. *error is OpenSSL's X509_V_ERR_..., or X509_V_OK. */
static SSL *verify(struct nh_judge *judge, STACK_OF(X509) * chain, const struct nh_criteria *c,
                   const struct nh_tlsa *records, size_t n, bool with_names, int *error)
{
    SSL *ssl = SSL_new(judge->ctx);
    X509_STORE_CTX *ctx = NULL;
    bool ok = ssl && SSL_dane_enable(ssl, NULL) == 1;
    size_t k;

    /* A record that OpenSSL refuses (0) matches nothing. With no record at all nothing is verified. */
    for (k = 0; ok && k < n; k++)
        ok = SSL_dane_tlsa_add(ssl, records[k].usage, records[k].selector, records[k].match_type,
                               records[k].data, records[k].len) >= 0;
    if (ok)
        ctx = new_context(judge->empty, chain, c, with_names);
    if (!ctx) {
        SSL_free(ssl);
        return NULL;
    }
    X509_STORE_CTX_set0_dane(ctx, SSL_get0_dane(ssl));
    *error = X509_V_OK;
    if (X509_verify_cert(ctx) != 1) {
        *error = X509_STORE_CTX_get_error(ctx);
        if (*error == X509_V_OK)
            *error = X509_V_ERR_UNSPECIFIED;
    }
    X509_STORE_CTX_free(ctx);
    if (*error == X509_V_ERR_OUT_OF_MEM) {
        SSL_free(ssl);
        return NULL;
    }
    return ssl;
}

/* A certificate as records may hold it, by selector and matching type. Each form is made once, when the
 * first record asks for it: a domain may have a thousand records. */
struct forms {
    X509 *cert;
    bool no_memory; /* for one of the forms */
    struct {
        unsigned char *bytes; /* NULL: not made, or there is no memory */
        size_t len;
    } form[2][3];
};

static void make_full(struct forms *f, unsigned selector)
{
    unsigned char *der = NULL;
    int len = selector ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(f->cert), &der)
                       : i2d_X509(f->cert, &der);

    if (len <= 0)
        return;
    f->form[selector][0].bytes = der;
    f->form[selector][0].len = (size_t)len;
}

static void make_digest(struct forms *f, unsigned selector, unsigned match_type)
{
    const EVP_MD *md = match_type == 1 ? EVP_sha256() : EVP_sha512();
    unsigned char *digest = OPENSSL_malloc(EVP_MAX_MD_SIZE);
    unsigned len = 0;

    if (!digest ||
        !EVP_Digest(f->form[selector][0].bytes, f->form[selector][0].len, digest, &len, md, NULL)) {
        OPENSSL_free(digest);
        return;
    }
    f->form[selector][match_type].bytes = digest;
    f->form[selector][match_type].len = len;
}

static void free_forms(struct forms *f)
{
    for (unsigned k = 0; k < 6; k++)
        OPENSSL_free(f->form[k / 3][k % 3].bytes);
}

/* Does the record hold this certificate, its key, or the digest of one of them? */
static bool fits(const struct nh_tlsa *r, struct forms *f)
{
    if (!f->form[r->selector][0].bytes)
        make_full(f, r->selector);
    if (f->form[r->selector][0].bytes && !f->form[r->selector][r->match_type].bytes)
        make_digest(f, r->selector, r->match_type);
    if (!f->form[r->selector][r->match_type].bytes) {
        f->no_memory = true;
        return false;
    }
    return f->form[r->selector][r->match_type].len == r->len &&
           memcmp(f->form[r->selector][r->match_type].bytes, r->data, r->len) == 0;
}

/* Marks the records that hold the certificate in that place of the chain. Returns false when memory runs
 * out. */
static bool match(X509 *cert, int place, const struct nh_criteria *c, enum nh_matches *matches)
{
    struct forms f = {.cert = cert};
    uint8_t usage = place == 0 ? 3 : 2;

    for (size_t k = 0; k < c->n_records; k++)
        if (c->records[k].usage == usage && matches[k] == NH_MATCHES_NONE &&
            fits(&c->records[k], &f))
            matches[k] = place == 0 ? NH_MATCHES_LEAF : NH_MATCHES_ISSUER;
    free_forms(&f);
    return !f.no_memory;
}

/* A record of usage 2 with full data may belong to an issuer that the server does not send.
 * OpenSSL takes it out of the record. */
static bool is_unsent_issuer(struct nh_judge *judge, STACK_OF(X509) * chain,
                             const struct nh_criteria *c, const struct nh_tlsa *r, bool *ok)
{
    int error = 0;
    SSL *ssl;

    if (r->usage != 2 || r->match_type != 0)
        return false;
    ssl = verify(judge, chain, c, r, 1, false, &error);
    *ok = ssl != NULL;
    SSL_free(ssl);
    return *ok && error == X509_V_OK;
}

bool nh_judge_matches(struct nh_judge *judge, STACK_OF(X509) * chain, const struct nh_criteria *c,
                      enum nh_matches *matches)
{
    unsigned n_unsent = 0;
    bool ok = true;
    size_t k;
    int i;

    ERR_set_mark();
    for (k = 0; k < c->n_records; k++)
        matches[k] = NH_MATCHES_NONE;
    for (i = 0; i < sk_X509_num(chain) && ok; i++)
        ok = match(sk_X509_value(chain, i), i, c, matches);
    for (k = 0; k < c->n_records && ok; k++) {
        const struct nh_tlsa *r = &c->records[k];

        if (r->usage == 2 && matches[k] == NH_MATCHES_NONE && r->match_type == 0 &&
            n_unsent++ < UNSENT_MAX && is_unsent_issuer(judge, chain, c, r, &ok))
            matches[k] = NH_MATCHES_ISSUER;
    }
    ERR_pop_to_mark();
    return ok;
}

/* Does the record, which holds a key, hold the key of this certificate? */
static bool is_key_of(const struct nh_tlsa *r, X509 *cert)
{
    struct forms f = {.cert = cert};
    bool same = fits(r, &f);

    free_forms(&f);
    return same;
}

/* Sets what a verification that succeeded has found. */
static void describe_match(SSL *ssl, STACK_OF(X509) * chain, const struct nh_criteria *c,
                           struct nh_dane_verdict *verdict)
{
    const unsigned char *data = NULL;
    uint8_t usage = 0, selector = 0, match_type = 0;
    size_t len = 0, k;

    verdict->depth = SSL_get0_dane_tlsa(ssl, &usage, &selector, &match_type, &data, &len);
    for (k = 0; k < c->n_records; k++) {
        const struct nh_tlsa *r = &c->records[k];

        if (r->usage == usage && r->selector == selector && r->match_type == match_type &&
            r->len == len && memcmp(r->data, data, len) == 0) {
            verdict->record = k;
            /* OpenSSL tells the certificate that a bare key has signed. */
            if (usage == 2 && match_type == 0 && selector == 1 &&
                !is_key_of(r, sk_X509_value(chain, verdict->depth)))
                verdict->depth++;
            break;
        }
    }
    for (k = 0; usage == 2 && k < c->n_names; k++) {
        if (X509_check_host(sk_X509_value(chain, 0), c->names[k], 0, NAME_FLAGS, NULL) == 1) {
            verdict->name = c->names[k];
            break;
        }
    }
}

static bool any_matches(const struct nh_criteria *c, const enum nh_matches *matches)
{
    size_t k;

    for (k = 0; k < c->n_records; k++)
        if (matches[k] != NH_MATCHES_NONE)
            return true;
    return false;
}

bool nh_judge_dane(struct nh_judge *judge, STACK_OF(X509) * chain, const struct nh_criteria *c,
                   const enum nh_matches *matches, struct nh_dane_verdict *verdict)
{
    int error = 0;
    SSL *ssl;

    memset(verdict, 0, sizeof *verdict);
    ERR_set_mark();
    ssl = verify(judge, chain, c, c->records, c->n_records, true, &error);
    if (ssl && error == X509_V_OK) {
        verdict->dane = NH_DANE_VERIFIED;
        describe_match(ssl, chain, c, verdict);
    } else if (ssl) {
        verdict->reason = X509_verify_cert_error_string(error);
        verdict->dane = !any_matches(c, matches)                ? NH_DANE_NO_MATCH
                        : error == X509_V_ERR_HOSTNAME_MISMATCH ? NH_DANE_WRONG_NAME
                        : error == X509_V_ERR_CERT_HAS_EXPIRED  ? NH_DANE_EXPIRED
                                                                : NH_DANE_UNTRUSTED;
    }
    SSL_free(ssl);
    ERR_pop_to_mark();
    return ssl != NULL;
}

#endif
