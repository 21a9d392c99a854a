/*
 * tlsa_fuzz.c - any bytes as a TLSA record.
 * What is judged usable must be taken by SSL_dane_tlsa_add(), and OpenSSL's error queue must be
 * left as it was.
 */
#include "tlsa.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_openssl(const struct nh_tlsa *t)
{
    static SSL_CTX *context;
    SSL *ssl;

    if (!context) {
        context = SSL_CTX_new(TLS_client_method());
        check(context && SSL_CTX_dane_enable(context) > 0);
    }
    ssl = SSL_new(context);
    check(ssl && SSL_dane_enable(ssl, "mx.example") > 0);
    check(SSL_dane_tlsa_add(ssl, t->usage, t->selector, t->match_type, t->data, t->len) == 1);
    SSL_free(ssl);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nh_tlsa t;

    ERR_clear_error();
    ERR_raise(ERR_LIB_USER, 7);
    memset(&t, 0xaa, sizeof(t));
    nh_tlsa_judge(&t, data, size, NULL);
    check(ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_USER);
    check(ERR_GET_REASON(ERR_get_error()) == 7 && ERR_get_error() == 0);
    check(memchr(t.reason, '\0', sizeof(t.reason)) != NULL);
    if (size >= 3 && size <= UINT16_MAX)
        check(t.data == data + 3 && t.len == size - 3 && t.match_type == data[2]);
    if (t.reason[0] == '\0')
        check_openssl(&t);
    return 0;
}
