/* hash.h - the hash of the keys of tables.
 *
 * Servers and domains choose most keys. So that they cannot choose keys which share a bucket, the seed is a
 * number that they do not know: a random one, or the address of the table. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t nh_hash_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 29;
}

/* Hashes bytes, eight a step. seed may be the hash of what comes before them. */
static inline uint64_t nh_hash(uint64_t seed, const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t word, hash = seed ^ len;

    for (; len >= sizeof word; p += sizeof word, len -= sizeof word) {
        memcpy(&word, p, sizeof word);
        hash = nh_hash_word(hash, word);
    }
    for (word = 0; len > 0; len--)
        word = word << 8 | p[len - 1];
    return nh_hash_word(hash, word);
}
