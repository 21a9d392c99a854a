/* key_limits.h - public keys of others that would keep the processor busy for too long. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nh_key_limit {
    NH_KEY_ALLOWED,
    NH_KEY_COSTLY, /* to read it, or to verify with it, takes milliseconds: too long for a hundred */
    NH_KEY_UNREADABLE, /* it describes its own curve (RFC 5480 2.1.1 forbids that): 0.1 s to read it */
    NH_KEY_MALFORMED, /* this is no DER */
};

/* What a SubjectPublicKeyInfo is (RFC 5280 4.1.2.7), and the one in a certificate. Bytes behind the
 * end are ignored. OpenSSL's queue of errors stays as it is. */
enum nh_key_limit nh_key_limit(const uint8_t *der, size_t len);
enum nh_key_limit nh_certificate_limit(const uint8_t *der, size_t len);

/* The bytes of the first element of DER. 0: there is none. */
size_t nh_der_size(const uint8_t *der, size_t len);
