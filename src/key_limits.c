/* key_limits.c - finds public keys that would take too long, before OpenSSL reads them.
 *
 * OpenSSL takes 0.1 s and more to read a key that describes its own curve, and a server may send a hundred
 * of them. An RSA key with a large exponent takes milliseconds for each signature. No mail server needs such
 * keys. In TLS a point on a curve is not compressed (RFC 8422 5.1.2). */
#include "key_limits.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <string.h>

#define FINITE_FIELD_MAX 1200 /* bytes of a key of RSA, DSA or DH: 8192 bits of RSA */
#define EXPONENT_MAX 4        /* bytes of the public exponent of RSA */

/* What is left of some DER. */
struct der {
    const uint8_t *at, *end;
};

/* Takes the next element, which must have this tag. DER has no element of indefinite length, and no
 * string in pieces. */
static bool take(struct der *d, int class, int tag, struct der *content)
{
    const unsigned char *at = d->at;
    int found, found_class, flags;
    long len;

    if (d->at >= d->end)
        return false;
    flags = ASN1_get_object(&at, &len, &found, &found_class, (long)(d->end - d->at));
    if (flags & 0x81 || found != tag || found_class != class ||
        (class == V_ASN1_UNIVERSAL &&
         (flags & V_ASN1_CONSTRUCTED) != (tag == V_ASN1_SEQUENCE ? V_ASN1_CONSTRUCTED : 0)))
        return false;
    content->at = at;
    content->end = d->at = at + len;
    return true;
}

static bool take_universal(struct der *d, int tag, struct der *content)
{
    return take(d, V_ASN1_UNIVERSAL, tag, content);
}

static bool is_oid(const struct der *oid, const char *bytes, size_t len)
{
    return (size_t)(oid->end - oid->at) == len && memcmp(oid->at, bytes, len) == 0;
}

#define IS_OID(oid, literal) is_oid((oid), (literal), sizeof(literal) - 1)

/* Is its exponent a small one? Takes an RSAPublicKey (RFC 8017 A.1.1). */
static enum nh_key_limit limit_rsa(struct der key)
{
    struct der numbers, modulus, exponent;

    if (!take_universal(&key, V_ASN1_SEQUENCE, &numbers) ||
        !take_universal(&numbers, V_ASN1_INTEGER, &modulus) ||
        !take_universal(&numbers, V_ASN1_INTEGER, &exponent))
        return NH_KEY_MALFORMED;
    while (exponent.at < exponent.end && *exponent.at == 0)
        exponent.at++;
    return exponent.end - exponent.at <= EXPONENT_MAX ? NH_KEY_ALLOWED : NH_KEY_COSTLY;
}

/* A key of another algorithm. If it has the form of an RSA key, it may be one. */
static enum nh_key_limit limit_unknown(struct der key)
{
    size_t size = (size_t)(key.end - key.at);
    enum nh_key_limit limit = limit_rsa(key);

    if (limit == NH_KEY_MALFORMED)
        return NH_KEY_ALLOWED;
    return size <= FINITE_FIELD_MAX ? limit : NH_KEY_COSTLY;
}

static enum nh_key_limit limit_key(struct der *d)
{
    struct der info, algorithm, oid, bits;

    if (!take_universal(d, V_ASN1_SEQUENCE, &info))
        return NH_KEY_MALFORMED;
    size_t size = (size_t)(info.end - info.at);
    if (!take_universal(&info, V_ASN1_SEQUENCE, &algorithm) ||
        !take_universal(&algorithm, V_ASN1_OBJECT, &oid) ||
        !take_universal(&info, V_ASN1_BIT_STRING, &bits) || bits.at == bits.end)
        return NH_KEY_MALFORMED;
    bits.at++;                                          /* the number of unused bits */
    if (IS_OID(&oid, "\x2a\x86\x48\xce\x3d\x02\x01") || /* id-ecPublicKey */
        IS_OID(&oid,
               "\x2a\x81\x1c\xcf\x55\x01\x82\x2d")) { /* SM2, which OpenSSL reads as such a key */
        if (algorithm.at == algorithm.end || *algorithm.at != V_ASN1_OBJECT)
            return NH_KEY_UNREADABLE;
        return bits.at < bits.end && *bits.at == 4 ? NH_KEY_ALLOWED : NH_KEY_COSTLY;
    }
    if (IS_OID(&oid, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01") || /* rsaEncryption */
        IS_OID(&oid, "\x55\x08\x01\x01") ||                     /* rsa of X.500 */
        IS_OID(&oid, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07") || /* id-RSAES-OAEP */
        IS_OID(&oid, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"))   /* id-RSASSA-PSS */
        return size <= FINITE_FIELD_MAX ? limit_rsa(bits) : NH_KEY_COSTLY;
    if (IS_OID(&oid, "\x2a\x86\x48\xce\x38\x04\x01") ||       /* id-dsa */
        IS_OID(&oid, "\x2a\x86\x48\xce\x3e\x02\x01") ||       /* dhpublicnumber */
        IS_OID(&oid, "\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01")) /* dhKeyAgreement */
        return size <= FINITE_FIELD_MAX ? NH_KEY_ALLOWED : NH_KEY_COSTLY;
    /* OpenSSL may read a key under another OID as one of these. So a key of an unknown algorithm must not
     * describe parameters of its own. */
    return algorithm.at < algorithm.end && *algorithm.at == (V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED)
               ? NH_KEY_UNREADABLE
               : limit_unknown(bits);
}

/* Goes to the key of a certificate (RFC 5280 4.1). */
static bool find_key(struct der *d, struct der *fields)
{
    struct der certificate, content;

    if (!take_universal(d, V_ASN1_SEQUENCE, &certificate) ||
        !take_universal(&certificate, V_ASN1_SEQUENCE, fields))
        return false;
    if (fields->at < fields->end && *fields->at == 0xa0 &&
        !take(fields, V_ASN1_CONTEXT_SPECIFIC, 0, &content)) /* version */
        return false;
    return take_universal(fields, V_ASN1_INTEGER, &content) &&  /* serialNumber */
           take_universal(fields, V_ASN1_SEQUENCE, &content) && /* signature */
           take_universal(fields, V_ASN1_SEQUENCE, &content) && /* issuer */
           take_universal(fields, V_ASN1_SEQUENCE, &content) && /* validity */
           take_universal(fields, V_ASN1_SEQUENCE, &content);   /* subject */
}

enum nh_key_limit nh_key_limit(const uint8_t *der, size_t len)
{
    struct der d = {der, der + len};
    enum nh_key_limit limit;

    ERR_set_mark();
    limit = limit_key(&d);
    ERR_pop_to_mark();
    return limit;
}

enum nh_key_limit nh_certificate_limit(const uint8_t *der, size_t len)
{
    struct der d = {der, der + len}, fields;
    enum nh_key_limit limit = NH_KEY_MALFORMED;

    ERR_set_mark();
    if (find_key(&d, &fields))
        limit = limit_key(&fields);
    ERR_pop_to_mark();
    return limit;
}

size_t nh_der_size(const uint8_t *der, size_t len)
{
    const unsigned char *at = der;
    int tag, class, flags;
    long size;

    if (len == 0)
        return 0;
    ERR_set_mark();
    flags = ASN1_get_object(&at, &size, &tag, &class, (long)len);
    ERR_pop_to_mark();
    return flags & 0x81 ? 0 : (size_t)(at - der) + (size_t)size;
}
