/* key_limits.h - public keys of others that would keep the processor busy for too long. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nh_key_limit {
    NH_KEY_ALLOWED,
    NH_KEY_COSTLY,    /* OpenSSL would need too long to read the key, or to verify with it */
    NH_KEY_MALFORMED, /* this is no DER */
};

/* What a SubjectPublicKeyInfo is (RFC 5280 4.1.2.7), and the one in a certificate. Bytes behind the
 * end are ignored. OpenSSL's queue of errors stays as it is. */
enum nh_key_limit nh_key_limit(const uint8_t *der, size_t len);
enum nh_key_limit nh_certificate_limit(const uint8_t *der, size_t len);
