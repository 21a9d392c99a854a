/*
 * tlsa_test.c - which TLSA records are usable. Certificates and keys are made here; every record
 * that is judged usable is also given to OpenSSL's own SSL_dane_tlsa_add(), which must take it.
 */
#include "tlsa.h"

#include "tap.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

struct der {
    uint8_t *data;
    size_t len;
};

static SSL_CTX *context;
static struct nh_tlsa tlsa;
static bool taken; /* by SSL_dane_tlsa_add() */

/* Judges a record whose data lies at the end of a block of its own. Returns its reason. */
static const char *judge(unsigned usage, unsigned selector, unsigned match, const void *data,
                         size_t len)
{
    uint8_t *rdata = malloc(3 + len);
    SSL *ssl;

    rdata[0] = (uint8_t)usage;
    rdata[1] = (uint8_t)selector;
    rdata[2] = (uint8_t)match;
    if (len > 0)
        memcpy(rdata + 3, data, len);
    memset(&tlsa, 0xaa, sizeof(tlsa));
    nh_tlsa_judge(&tlsa, rdata, 3 + len, NULL);
    if (tlsa.usage != usage || tlsa.selector != selector || tlsa.match_type != match ||
        tlsa.len != len || tlsa.data != rdata + 3)
        abort();
    tlsa.data = NULL;

    ERR_set_mark();
    ssl = SSL_new(context);
    if (!ssl || SSL_dane_enable(ssl, "mx.example") <= 0)
        abort();
    taken = SSL_dane_tlsa_add(ssl, (uint8_t)usage, (uint8_t)selector, (uint8_t)match, rdata + 3,
                              len) == 1;
    SSL_free(ssl);
    ERR_pop_to_mark();
    free(rdata);
    return tlsa.reason;
}

/* Is it usable, for us and for OpenSSL? */
static bool usable(unsigned usage, unsigned selector, unsigned match, struct der der, size_t len)
{
    return judge(usage, selector, match, der.data, len)[0] == '\0' && taken;
}

static EVP_PKEY *new_key(const char *kind)
{
    if (strcmp(kind, "RSA") == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    if (strcmp(kind, "EC") == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    return EVP_PKEY_Q_keygen(NULL, NULL, kind);
}

static struct der key_der(EVP_PKEY *key)
{
    struct der der = {0};
    int len = i2d_PUBKEY(key, &der.data);

    if (len <= 0)
        abort();
    der.len = (size_t)len;
    return der;
}

/* A certificate of that key for mx.example, signed by itself. */
static struct der cert_der(EVP_PKEY *key, const EVP_MD *digest)
{
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    struct der der = {0};
    int len;

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"mx.example", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    if (!X509_sign(cert, key, digest) || (len = i2d_X509(cert, &der.data)) <= 0)
        abort();
    X509_free(cert);
    der.len = (size_t)len;
    return der;
}

/* Keeps a record as a seed of the fuzzer. */
static void keep(const char *kind, unsigned selector, struct der der)
{
    uint8_t data[3000] = {3, (uint8_t)selector, 0};
    char name[40];

    if (der.len > sizeof(data) - 3)
        abort();
    memcpy(data + 3, der.data, der.len);
    (void)snprintf(name, sizeof(name), "%s-%s", kind, selector ? "spki" : "cert");
    seed(name, data, 3 + der.len);
}

static void test_fields(void)
{
    static const uint8_t data[80] = {0x30};
    int right = 0;

    is_text(judge(0, 1, 1, data, 32), "usage PKIX-TA(0) is not for SMTP (RFC 7672 3.1.3)",
            "usage 0");
    is_text(judge(1, 1, 1, data, 32), "usage PKIX-EE(1) is not for SMTP (RFC 7672 3.1.3)",
            "usage 1");
    is_text(judge(2, 1, 1, data, 32), "", "usage 2");
    is_text(judge(3, 1, 1, data, 32), "", "usage 3");
    is_text(judge(4, 1, 1, data, 32), "usage 4 is neither DANE-TA(2) nor DANE-EE(3)", "usage 4");
    is_text(judge(255, 1, 1, data, 32), "usage 255 is neither DANE-TA(2) nor DANE-EE(3)",
            "usage 255");
    is_text(judge(3, 2, 1, data, 32), "selector 2 is neither Cert(0) nor SPKI(1)", "selector 2");
    is_text(judge(3, 1, 3, data, 32), "match type 3 is none of Full(0), SHA2-256(1), SHA2-512(2)",
            "match type 3");
    is_text(judge(3, 1, 1, data, 31), "SHA2-256(1) has 31 bytes, not 32", "a short digest");
    is_text(judge(3, 0, 2, data, 32), "SHA2-512(2) has 32 bytes, not 64", "a shorter one");
    for (unsigned match = 0; match < 3; match++)
        is_text(judge(3, 1, match, data, 0), "a record without data", "no data");

    /* Whatever the four fields are: what is usable is one of these, and OpenSSL takes it. */
    for (unsigned usage = 0; usage < 256; usage++) {
        for (unsigned selector = 0; selector < 4; selector++) {
            for (unsigned match = 0; match < 256; match += match < 5 ? 1 : 50) {
                bool want = (usage == 2 || usage == 3) && selector < 2 && match == 1;
                bool got = judge(usage, selector, match, data, 32)[0] == '\0';

                right += got == want && (!got || taken);
            }
        }
    }
    ok(right == 256 * 4 * 11, "every usage (%d)", right);
    right = 0;
    for (size_t len = 1; len <= sizeof(data); len++) {
        right += (judge(3, 1, 1, data, len)[0] == '\0') == (len == 32);
        right += (judge(3, 1, 2, data, len)[0] == '\0') == (len == 64);
    }
    ok(right == 160, "every length of a digest");

    nh_tlsa_judge(&tlsa, (const uint8_t *)"\3\1", 2, NULL);
    is_text(tlsa.reason, "a record of 2 bytes is no TLSA record (RFC 6698 2.1)", "two bytes");
    ok(tlsa.usage == 3 && tlsa.selector == 1 && tlsa.match_type == 0 && tlsa.len == 0,
       "have the fields that are there");
    nh_tlsa_judge(&tlsa, NULL, 0, NULL);
    is_text(tlsa.reason, "a record of 0 bytes is no TLSA record (RFC 6698 2.1)", "nothing");
}

static void test_full(const char *kind)
{
    EVP_PKEY *key = new_key(kind);
    bool own_digest = strcmp(kind, "ED25519") == 0;
    struct der cert = cert_der(key, own_digest ? NULL : EVP_sha256());
    struct der spki = key_der(key);
    uint8_t longer[3000];
    size_t right = 0;

    keep(kind, 0, cert);
    keep(kind, 1, spki);
    for (unsigned usage = 2; usage < 4; usage++) {
        ok(usable(usage, 0, 0, cert, cert.len), "%s: %u 0 0 and the certificate", kind, usage);
        ok(usable(usage, 1, 0, spki, spki.len), "%s: %u 1 0 and the key", kind, usage);
    }
    is_text(judge(0, 0, 0, cert.data, cert.len),
            "usage PKIX-TA(0) is not for SMTP (RFC 7672 3.1.3)", "a certificate of usage 0");
    ok(judge(3, 1, 0, cert.data, cert.len)[0] != '\0', "a certificate is no key");
    ok(judge(3, 0, 0, spki.data, spki.len)[0] != '\0', "a key is no certificate");

    memcpy(longer, cert.data, cert.len);
    memset(longer + cert.len, 0, 2);
    is_text(judge(3, 0, 0, longer, cert.len + 1),
            "Cert(0) Full(0): trailing bytes after the certificate: 1",
            "a byte behind the certificate");
    memcpy(longer, spki.data, spki.len);
    memset(longer + spki.len, 0, 2);
    is_text(judge(3, 1, 0, longer, spki.len + 2),
            "SPKI(1) Full(0): trailing bytes after the public key: 2", "two bytes behind the key");
    for (size_t len = 1; len < cert.len; len++)
        right += judge(3, 0, 0, cert.data, len)[0] != '\0';
    ok(right == cert.len - 1, "a certificate cut off at every byte");
    right = 0;
    for (size_t len = 1; len < spki.len; len++)
        right += judge(3, 1, 0, spki.data, len)[0] != '\0';
    ok(right == spki.len - 1, "a key cut off at every byte");

    /* Any byte changed: usable or not, OpenSSL must agree when it is. */
    right = 0;
    for (size_t i = 0; i < cert.len; i++) {
        cert.data[i] ^= 0xff;
        right += judge(3, 0, 0, cert.data, cert.len)[0] != '\0' || taken;
        cert.data[i] ^= 0xff;
    }
    ok(right == cert.len, "a certificate with every byte changed");
    right = 0;
    for (size_t i = 0; i < spki.len; i++) {
        spki.data[i] ^= 0xff;
        right += judge(3, 1, 0, spki.data, spki.len)[0] != '\0' || taken;
        spki.data[i] ^= 0xff;
    }
    ok(right == spki.len, "a key with every byte changed");
    OPENSSL_free(cert.data);
    OPENSSL_free(spki.data);
    EVP_PKEY_free(key);
}

/* A certificate that parses, but whose key does not: only its algorithm is changed. */
static void test_unreadable_key(void)
{
    static const uint8_t rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
    EVP_PKEY *key = new_key("RSA");
    struct der cert = cert_der(key, EVP_sha256());
    uint8_t *oid = memmem(cert.data, cert.len, rsa, sizeof(rsa));

    if (!oid)
        abort();
    oid[8] = 0x63;
    keep("unknown", 0, cert);
    is_text(judge(3, 0, 0, cert.data, cert.len),
            "Cert(0) Full(0): a certificate with an unreadable public key", "an unknown algorithm");
    ok(!taken, "which OpenSSL refuses too");
    oid[8] = 0x01;
    oid[sizeof(rsa) + 7]++; /* behind the NULL and the bit string's tag: the key's own tag */
    ok(judge(3, 0, 0, cert.data, cert.len)[0] != '\0', "a known one and a broken key");
    OPENSSL_free(cert.data);
    EVP_PKEY_free(key);
}

static void test_garbage(void)
{
    static uint8_t data[65532];

    is_text(judge(3, 0, 0, data, 10), "Cert(0) Full(0): 10 bytes that are no certificate in DER",
            "zeros as certificate");
    is_text(judge(3, 1, 0, data, 65532),
            "SPKI(1) Full(0): 65532 bytes that are no public key in DER", "64 KB of zeros as key");
    is_text(judge(3, 0, 0, "\x30\x84\xff\xff\xff\xff", 6),
            "Cert(0) Full(0): 6 bytes that are no certificate in DER",
            "a length beyond all bounds");
    is_text(judge(3, 1, 0, "\x30\x00", 2), "SPKI(1) Full(0): 2 bytes that are no public key in DER",
            "an empty sequence");
}

/* The queue of a host with some errors in it must look the same afterwards. */
static void test_error_queue(void)
{
    const char *text = NULL, *file = NULL;
    int line = 0, flags = 0;

    ERR_clear_error();
    judge(3, 0, 0, "xxxx", 4);
    judge(3, 1, 0, "xxxx", 4);
    ok(ERR_peek_error() == 0, "an empty error queue stays empty");
    for (int i = 0; i < 3; i++)
        ERR_raise_data(ERR_LIB_USER, 100 + i, "the host's %d", i);
    judge(3, 0, 0, "xxxx", 4);
    judge(2, 1, 0, "xxxx", 4);
    judge(1, 1, 1, "xxxx", 4);
    for (int i = 0; i < 3; i++) {
        unsigned long code = ERR_get_error_all(&file, &line, NULL, &text, &flags);
        char want[40];

        (void)snprintf(want, sizeof(want), "the host's %d", i);
        ok(ERR_GET_LIB(code) == ERR_LIB_USER && ERR_GET_REASON(code) == 100 + i, "error %d", i);
        is_text(text, want, "and its text are still there");
    }
    ok(ERR_get_error() == 0, "and nothing else is");

    ERR_raise(ERR_LIB_USER, 1);
    ERR_set_mark();
    ERR_raise(ERR_LIB_USER, 2);
    judge(3, 0, 0, "xxxx", 4);
    ERR_pop_to_mark();
    ok(ERR_GET_REASON(ERR_peek_last_error()) == 1, "a mark of the host's stays where it was");
    ERR_clear_error();
}

int main(void)
{
    context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_dane_enable(context) <= 0)
        abort();
    SSL_CTX_set_security_level(context, 0);
    test_fields();
    test_full("RSA");
    test_full("EC");
    test_full("ED25519");
    test_unreadable_key();
    test_garbage();
    test_error_queue();
    SSL_CTX_free(context);
    return tap_done();
}
