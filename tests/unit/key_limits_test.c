/* key_limits_test.c - which public keys of others are read at all. */
#include "key_limits.h"

#include "tap.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static unsigned char der[20000];
static size_t der_len;

static EVP_PKEY *generate(EVP_PKEY_CTX *ctx)
{
    EVP_PKEY *key = NULL;

    if (EVP_PKEY_keygen(ctx, &key) != 1)
        abort();
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY_CTX *begin(int type)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(type, NULL);

    if (!ctx || EVP_PKEY_keygen_init(ctx) != 1)
        abort();
    return ctx;
}

static EVP_PKEY *ec(int curve, int encoding)
{
    EVP_PKEY_CTX *ctx = begin(EVP_PKEY_EC);

    if (EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, curve) != 1 ||
        EVP_PKEY_CTX_set_ec_param_enc(ctx, encoding) != 1)
        abort();
    return generate(ctx);
}

static EVP_PKEY *rsa(int bits, const char *exponent)
{
    EVP_PKEY_CTX *ctx = begin(EVP_PKEY_RSA);
    BIGNUM *e = NULL;

    if (!BN_hex2bn(&e, exponent) || EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, bits) != 1 ||
        EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) != 1)
        abort();
    BN_free(e);
    return generate(ctx);
}

static void take_key(EVP_PKEY *key)
{
    unsigned char *at = der;

    der_len = (size_t)i2d_PUBKEY(key, &at);
}

/* A certificate of version 1 or 3 with that key. */
static void take_certificate(EVP_PKEY *key, long version)
{
    EVP_PKEY *signer = ec(NID_X9_62_prime256v1, OPENSSL_EC_NAMED_CURVE);
    X509 *cert = X509_new();
    unsigned char *at = der;

    if (!X509_set_version(cert, version) || !ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) ||
        !X509_gmtime_adj(X509_getm_notBefore(cert), 0) ||
        !X509_gmtime_adj(X509_getm_notAfter(cert), 1000) || !X509_set_pubkey(cert, key) ||
        !X509_sign(cert, signer, EVP_sha256()))
        abort();
    der_len = (size_t)i2d_X509(cert, &at);
    X509_free(cert);
    EVP_PKEY_free(signer);
}

/* Takes the key, which is freed. */
static void check(EVP_PKEY *key, enum nh_key_limit want, const char *what)
{
    enum nh_key_limit limit;
    bool survives = true;

    take_key(key);
    ok(nh_key_limit(der, der_len) == want, "%s", what);
    ok(nh_der_size(der, der_len + 1) == der_len, "%s, its size", what);
    limit = nh_key_limit(der, der_len + 1);
    ok(limit == want, "%s, with a byte behind it", what);
    for (size_t len = 0; len < der_len; len++) {
        unsigned char *copy = malloc(len ? len : 1); /* ASan looks at its end */

        memcpy(copy, der, len);
        survives = survives && nh_key_limit(copy, len) == NH_KEY_MALFORMED;
        free(copy);
    }
    ok(survives, "%s, cut short anywhere", what);
    for (long version = 0; version <= 2; version += 2) {
        take_certificate(key, version);
        ok(nh_certificate_limit(der, der_len) == want, "a certificate v%ld: %s", version + 1, what);
    }
    ok(nh_certificate_limit(der, 60) == NH_KEY_MALFORMED, "a certificate, cut short: %s", what);
    EVP_PKEY_free(key);
}

static EVP_PKEY *compressed(void)
{
    EVP_PKEY *key = ec(NID_X9_62_prime256v1, OPENSSL_EC_NAMED_CURVE);

    if (EVP_PKEY_set_utf8_string_param(key, "point-format", "compressed") != 1)
        abort();
    return key;
}

/* Replaces the OID of the key in der, which is short enough for lengths of two bytes everywhere. Takes the
 * key, which is freed. */
static void check_alias(EVP_PKEY *key, const char *oid, enum nh_key_limit want, const char *what)
{
    X509_ALGOR *algorithm = NULL;
    X509_PUBKEY *info = NULL;
    const unsigned char *bits;
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    int len, type;
    const void *parameter;
    unsigned char *copy, *at = der;

    if (X509_PUBKEY_set(&info, key) != 1 ||
        X509_PUBKEY_get0_param(NULL, &bits, &len, &algorithm, info) != 1)
        abort();
    X509_ALGOR_get0(NULL, &type, &parameter, algorithm);
    if (type == V_ASN1_SEQUENCE || type == V_ASN1_OBJECT)
        parameter = type == V_ASN1_OBJECT ? (void *)OBJ_dup(parameter)
                                          : (void *)ASN1_STRING_dup(parameter);
    else
        parameter = NULL;
    copy = OPENSSL_memdup(bits, (size_t)len);
    if (!copy ||
        X509_PUBKEY_set0_param(info, object, type, (void *)(uintptr_t)parameter, copy, len) != 1)
        abort();
    der_len = (size_t)i2d_X509_PUBKEY(info, &at);
    ok(nh_key_limit(der, der_len) == want, "%s", what);
    X509_PUBKEY_free(info);
    EVP_PKEY_free(key);
}

/* OpenSSL reads some keys under further OIDs. */
static void check_aliases(void)
{
    static const char sm2[] = "1.2.156.10197.1.301", rsa_x500[] = "2.5.8.1.1",
                      unknown[] = "1.2.3.4.5";

    check_alias(ec(NID_X9_62_prime256v1, OPENSSL_EC_EXPLICIT_CURVE), sm2, NH_KEY_UNREADABLE,
                "SM2 with a curve that the key describes");
    check_alias(ec(NID_X9_62_prime256v1, OPENSSL_EC_NAMED_CURVE), sm2, NH_KEY_ALLOWED, "SM2");
    check_alias(rsa(2048, "100000007"), rsa_x500, NH_KEY_COSTLY, "rsa of X.500, e of 33 bits");
    check_alias(rsa(2048, "10001"), rsa_x500, NH_KEY_ALLOWED, "rsa of X.500");
    check_alias(ec(NID_X9_62_prime256v1, OPENSSL_EC_EXPLICIT_CURVE), unknown, NH_KEY_UNREADABLE,
                "an unknown algorithm with parameters");
    check_alias(rsa(2048, "100000007"), unknown, NH_KEY_COSTLY,
                "an unknown algorithm with a key like that of RSA, e of 33 bits");
    check_alias(rsa(2048, "10001"), unknown, NH_KEY_ALLOWED,
                "an unknown algorithm with a key like that of RSA");
    check_alias(generate(begin(EVP_PKEY_ED25519)), unknown, NH_KEY_ALLOWED,
                "an unknown algorithm without parameters");
}

int main(void)
{
    static const unsigned char indefinite[] = "\x30\x80\x30\x0a\x06\x03\x2b\x65\x70\x00\x00";

    check(ec(NID_X9_62_prime256v1, OPENSSL_EC_NAMED_CURVE), NH_KEY_ALLOWED, "P-256");
    check(ec(NID_secp521r1, OPENSSL_EC_NAMED_CURVE), NH_KEY_ALLOWED, "P-521");
    check(ec(NID_X9_62_prime256v1, OPENSSL_EC_EXPLICIT_CURVE), NH_KEY_UNREADABLE,
          "P-256 as a curve that the key describes");
    check(compressed(), NH_KEY_COSTLY, "P-256 with a compressed point");
    check(generate(begin(EVP_PKEY_ED25519)), NH_KEY_ALLOWED, "Ed25519");
    check(generate(begin(EVP_PKEY_ED448)), NH_KEY_ALLOWED, "Ed448");
    check(rsa(2048, "10001"), NH_KEY_ALLOWED, "RSA 2048");
    check(rsa(2048, "3"), NH_KEY_ALLOWED, "RSA 2048, e = 3");
    check(rsa(2048, "FFFFFFFB"), NH_KEY_ALLOWED, "RSA 2048, e of 32 bits");
    check(rsa(2048, "100000007"), NH_KEY_COSTLY, "RSA 2048, e of 33 bits");
    check(rsa(4096, "10001"), NH_KEY_ALLOWED, "RSA 4096");
    check_aliases();
    ok(nh_key_limit(indefinite, sizeof indefinite - 1) == NH_KEY_MALFORMED,
       "an element of indefinite length");
    ok(nh_key_limit(NULL, 0) == NH_KEY_MALFORMED, "nothing");
    ok(nh_der_size(NULL, 0) == 0 && nh_der_size(indefinite, sizeof indefinite - 1) == 0,
       "they have no size");
    ok(nh_certificate_limit(NULL, 0) == NH_KEY_MALFORMED, "no certificate");
    ok(ERR_peek_error() == 0, "the queue of errors is as it was");
    return tap_done();
}
