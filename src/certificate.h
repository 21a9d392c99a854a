/* certificate.h - what a report says of a certificate. */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct nh_certificate {
    char *subject, *issuer; /* as RFC 2253 writes names, in printable ASCII */
    char *names; /* the DNS names, quoted as nh_smtp_quote() does; joined by LF; "": none */
    time_t not_before, not_after;
    const char
        *key; /* "rsa", "ec", "ed25519", "ed448", or OpenSSL's name; NULL: it is unreadable */
    int bits;
    uint8_t cert_sha256[32], spki_sha256[32];
    unsigned char *der;
    size_t der_len;
};

/* Returns false when memory runs out. Free *out in both cases. */
bool nh_certificate_read(struct nh_certificate *out, X509 *cert);

/* "rsa", "ec", "ed25519", "ed448", or OpenSSL's name. */
const char *nh_certificate_key_name(const EVP_PKEY *key);
void nh_certificate_free(struct nh_certificate *c);
