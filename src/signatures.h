/* signatures.h - the signatures (RRSIG, RFC 4034 3.1) in a DNS packet. */
#pragma once

#include "packet.h"

struct nh_signature {
    char owner[NH_NAME_MAX], signer[NH_NAME_MAX];
    uint16_t covered; /* the type of the records that are signed */
    uint8_t algorithm;
    uint16_t key_tag;
    uint32_t original_ttl;          /* seconds */
    uint32_t inception, expiration; /* seconds since 1970 */
};

/* Calls each(arg, signature) for every signature in the answer and authority sections of a packet
 * that answers a question of this type. One that is malformed is left out. */
void nh_signatures_read(const uint8_t *packet, size_t len, uint16_t qtype,
                        void (*each)(void *arg, const struct nh_signature *), void *arg);
