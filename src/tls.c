/*
 * tls.c - the client side of TLS on memory BIOs, so that the loop owns the socket.
 *
 * The contexts accept what a mail server of any age offers, down to TLS 1.0, because the report has
 * to say what the server does. They are used for nothing else.
 */
#include "tls.h"

#include "libressl.h"
#include "tls_limits.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

const char *const nh_key_kind_names[NH_KEY_KINDS] = {"any", "rsa", "ecdsa", "ed25519"};

/* Ciphers without encryption and without certificates are never offered: the names of OpenSSL for
 * kinds of keys include the first. TLS 1.2 asks for a kind of key by cipher and by signature algorithm, TLS 1.3 by the second
 * alone. In TLS 1.2 the ciphers of ECDSA are also those of Ed25519 (RFC 8422 5.10). */
static const struct {
    const char *ciphers, *algorithms;
} offers[NH_KEY_KINDS] = {
    [NH_KEY_ANY] = {"ALL:!aNULL:!PSK:!SRP", NULL},
    [NH_KEY_RSA] = {"aRSA:!eNULL:!PSK:!SRP",
                    "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
                    "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"
                    "RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA224:RSA+SHA1"},
    [NH_KEY_ECDSA] = {"aECDSA:!eNULL",
                      "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ECDSA+SHA224:ECDSA+SHA1"},
    [NH_KEY_ED25519] = {"aECDSA:!eNULL", "ed25519"},
};

static int accept_any(X509_STORE_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 1;
}

static SSL_CTX *context(struct nh_tls_contexts *contexts, enum nh_key_kind kind)
{
    SSL_CTX *ctx = contexts->kinds[kind];

    if (ctx)
        return ctx;
    ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return NULL;
    nh_tls_limit(ctx);
    SSL_CTX_set_security_level(ctx, 0);
    /* A server of any age: a small prime, too. */
    SSL_CTX_set_security_callback(ctx, nh_tls_allow_all_but_large_primes);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_cert_verify_callback(ctx, accept_any, NULL);
    if (!SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION) ||
        !SSL_CTX_set_max_proto_version(ctx, 0) ||
        !SSL_CTX_set_cipher_list(ctx, offers[kind].ciphers) ||
        (offers[kind].algorithms && !SSL_CTX_set1_sigalgs_list(ctx, offers[kind].algorithms))) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    contexts->kinds[kind] = ctx;
    return ctx;
}

void nh_tls_contexts_free(struct nh_tls_contexts *contexts)
{
    size_t k;

    for (k = 0; k < NH_KEY_KINDS; k++)
        SSL_CTX_free(contexts->kinds[k]);
    memset(contexts, 0, sizeof *contexts);
}

/* ---- the handshake -------------------------------------------------------------------- */

/* Does this error say that the server has no certificate of the kind that was asked for? Servers
 * answer with the alert handshake_failure (RFC 8446 4.4.2.2) or with a certificate of another kind. */
static bool is_refusal(unsigned long error)
{
    switch (ERR_GET_REASON(error)) {
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
    case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
    case SSL_R_WRONG_SIGNATURE_TYPE:
    case SSL_R_WRONG_CERTIFICATE_TYPE:
        return ERR_GET_LIB(error) == ERR_LIB_SSL;
    default:
        return false;
    }
}

static void tls_failed(struct nh_tls_session *t)
{
    unsigned long error = ERR_peek_last_error();
    const char *reason = error ? ERR_reason_error_string(error) : NULL;

    t->state = NH_SESSION_FAILED;
    t->refused = is_refusal(error);
    t->no_memory = ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE;
    if (t->is_costly)
        reason = "the server sends a certificate whose public key takes too long to use";
    snprintf(t->reason, sizeof t->reason, "%s", reason ? reason : "the handshake failed");
}

/* SSL_do_handshake() empties the queue of errors. nh_resolver_run() has taken what is not ours. */
static void handshake(struct nh_tls_session *t)
{
    int status;

    if (t->state != NH_SESSION_HANDSHAKE)
        return;
    status = SSL_do_handshake(t->ssl);
    if (status == 1)
        t->state = NH_SESSION_OPEN;
    else if (SSL_get_error(t->ssl, status) != SSL_ERROR_WANT_READ)
        tls_failed(t);
    ERR_clear_error();
}

bool nh_tls_start(struct nh_tls_session *t, struct nh_tls_contexts *contexts, enum nh_key_kind kind,
                  const char *sni)
{
    SSL_CTX *ctx;
    bool ok = false;

    memset(t, 0, sizeof *t);
    ERR_set_mark();
    ctx = context(contexts, kind);
    t->ssl = ctx ? SSL_new(ctx) : NULL;
    if (t->ssl) {
        t->in = BIO_new(BIO_s_mem());
        t->out = BIO_new(BIO_s_mem());
        if (t->in && t->out) {
            SSL_set_bio(t->ssl, t->in, t->out);
            SSL_set_connect_state(t->ssl);
            nh_tls_limit_report(t->ssl, &t->is_costly);
            ok = !sni || SSL_set_tlsext_host_name(t->ssl, sni);
        } else {
            BIO_free(t->in);
            BIO_free(t->out);
        }
    }
    ERR_pop_to_mark();
    if (!ok) {
        nh_tls_free(t);
        return false;
    }
    handshake(t);
    return true;
}

void nh_tls_feed(struct nh_tls_session *t, const void *data, size_t len)
{
    ERR_set_mark();
    if (BIO_write(t->in, data, (int)len) != (int)len)
        tls_failed(t);
    ERR_pop_to_mark();
    handshake(t);
}

size_t nh_tls_take(struct nh_tls_session *t, void *out, size_t size)
{
    int n;

    ERR_set_mark();
    n = BIO_read(t->out, out, (int)size);
    ERR_pop_to_mark();
    return n > 0 ? (size_t)n : 0;
}

size_t nh_tls_write(struct nh_tls_session *t, const void *data, size_t len)
{
    size_t n = 0;

    ERR_set_mark();
    if (SSL_write_ex(t->ssl, data, len, &n) != 1)
        n = 0;
    ERR_pop_to_mark();
    return n;
}

size_t nh_tls_read(struct nh_tls_session *t, void *out, size_t size)
{
    size_t n = 0;

    ERR_set_mark();
    if (SSL_read_ex(t->ssl, out, size, &n) != 1)
        n = 0;
    ERR_pop_to_mark();
    return n;
}

void nh_tls_close(struct nh_tls_session *t)
{
    ERR_set_mark();
    (void)SSL_shutdown(t->ssl);
    ERR_pop_to_mark();
}

void nh_tls_free(struct nh_tls_session *t)
{
    SSL_free(t->ssl);
    memset(t, 0, sizeof *t);
}

/* ---- what was negotiated ------------------------------------------------------------- */

/* The name of the group of the key exchange. OpenSSL 3 tells it for TLS 1.3 and for older
 * versions alike; before, the key itself must tell it. */
static void describe_group(SSL *ssl, char group[64])
{
    group[0] = '\0';
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
    {
        int id = (int)SSL_get_negotiated_group(ssl);
        const char *name = id ? SSL_group_to_name(ssl, id) : NULL;

        if (name)
            snprintf(group, 64, "%s", name);
    }
#else
    {
        EVP_PKEY *key = NULL;

        if (SSL_get_server_tmp_key(ssl, &key) && key)
            snprintf(group, 64, "%s", OBJ_nid2sn(EVP_PKEY_id(key)));
        EVP_PKEY_free(key);
    }
#endif
}

void nh_tls_describe(const struct nh_tls_session *t, const char **version, char cipher[64],
                     char group[64])
{
    ERR_set_mark();
    *version = SSL_get_version(t->ssl);
    snprintf(cipher, 64, "%s", SSL_get_cipher_name(t->ssl));
    describe_group(t->ssl, group);
    ERR_pop_to_mark();
}

const char *nh_tls_key_name(X509 *cert)
{
    const EVP_PKEY *key = X509_get0_pubkey(cert);

    switch (key ? EVP_PKEY_base_id(key) : EVP_PKEY_NONE) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        return "rsa";
    case EVP_PKEY_EC:
        return "ecdsa";
    case EVP_PKEY_ED25519:
        return "ed25519";
    case EVP_PKEY_ED448:
        return "ed448";
    default:
        return NULL;
    }
}
