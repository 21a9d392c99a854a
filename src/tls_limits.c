/* tls_limits.c - what a server may make a TLS client do.
 *
 * OpenSSL reads the keys of all certificates before it verifies anything. So we look at the message before
 * OpenSSL reads it. OpenSSL calls a function of ours for each message, but this function cannot refuse one.
 * Instead it overwrites a message that OpenSSL must not read, and the handshake fails at its first byte. */
#include "tls_limits.h"

#include "key_limits.h"
#include "libressl.h"

#include <string.h>

#define DH_BITS_MAX 4096
#define HEADER 4 /* bytes: the type and the length of a message (RFC 8446 4) */

/* Takes a number of that many bytes, and then so many bytes. Returns false when there are not so many. */
static bool take(const unsigned char **at, const unsigned char *end, unsigned size,
                 const unsigned char **content, size_t *len)
{
    *len = 0;
    if ((size_t)(end - *at) < size)
        return false;
    while (size-- > 0)
        *len = *len << 8 | *(*at)++;
    if ((size_t)(end - *at) < *len)
        return false;
    *content = *at;
    *at += *len;
    return true;
}

/* The first key that is not allowed, in the certificates of this message (RFC 8446 4.4.2, RFC 5246 7.4.2). */
static enum nh_key_limit limit_of(const unsigned char *at, const unsigned char *end, bool is_tls13)
{
    const unsigned char *list, *content;
    enum nh_key_limit limit = NH_KEY_ALLOWED;
    size_t len;

    if ((is_tls13 && !take(&at, end, 1, &content, &len)) || !take(&at, end, 3, &list, &len))
        return NH_KEY_MALFORMED;
    end = list + len;
    while (list < end && limit == NH_KEY_ALLOWED) {
        if (!take(&list, end, 3, &content, &len))
            return NH_KEY_MALFORMED;
        limit = nh_certificate_limit(content, len);
        if (is_tls13 && !take(&list, end, 2, &content, &len))
            return NH_KEY_MALFORMED;
    }
    return limit;
}

static void on_message(int is_ours, int version, int content_type, const void *data, size_t len,
                       SSL *ssl, void *arg)
{
    const unsigned char *message = data;
    enum nh_key_limit limit;
    bool *is_costly = arg;

    (void)version;
    if (is_ours || content_type != SSL3_RT_HANDSHAKE || len <= HEADER ||
        message[0] != SSL3_MT_CERTIFICATE)
        return;
    limit = limit_of(message + HEADER, message + len, SSL_version(ssl) == TLS1_3_VERSION);
    if (limit == NH_KEY_ALLOWED)
        return;
    memset((unsigned char *)(uintptr_t)message + HEADER, 0xff, len - HEADER);
    if (is_costly)
        *is_costly = limit != NH_KEY_MALFORMED; /* OpenSSL itself names that one */
}

int nh_tls_allow_all_but_large_primes(const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid,
                                      void *other, void *arg)
{
    (void)ssl, (void)ctx, (void)bits, (void)nid, (void)arg;
    return op != SSL_SECOP_TMP_DH || !other || EVP_PKEY_bits(other) <= DH_BITS_MAX;
}

#ifndef LIBRESSL_VERSION_NUMBER

typedef int security_callback(const SSL *, const SSL_CTX *, int, int, int, void *, void *);

/* What OpenSSL itself allows. It is the same function for all contexts. */
static security_callback *allowed_by_openssl;

static int allows(const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid, void *other,
                  void *arg)
{
    return nh_tls_allow_all_but_large_primes(ssl, ctx, op, bits, nid, other, arg) &&
           allowed_by_openssl(ssl, ctx, op, bits, nid, other, arg);
}

static void limit_primes(SSL_CTX *ctx)
{
    if (SSL_CTX_get_security_callback(ctx) == allows)
        return;
    allowed_by_openssl = SSL_CTX_get_security_callback(ctx);
    SSL_CTX_set_security_callback(ctx, allows);
}

#else

static void limit_primes(SSL_CTX *ctx)
{
    (void)ctx; /* the largest prime is LibreSSL's own */
}

#endif

void nh_tls_limit(SSL_CTX *ctx)
{
    limit_primes(ctx);
    SSL_CTX_set_msg_callback(ctx, on_message);
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION /* a compressed list is another message */
    SSL_CTX_set_options(ctx, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
#endif
}

void nh_tls_limit_report(SSL *ssl, bool *is_costly)
{
    SSL_set_msg_callback_arg(ssl, is_costly);
}
