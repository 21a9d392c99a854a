/* hash_test.c - keys that a stranger has chosen share no bucket. */
#include "hash.h"

#include "tap.h"

#define KEYS 4000u
#define BUCKETS 8192u

/* The addresses that FNV-1a without a seed puts into one bucket. */
static void choose(uint8_t keys[KEYS][4])
{
    unsigned n = 0;

    for (uint32_t ip = 0x01000000; n < KEYS; ip++) {
        uint8_t key[4] = {(uint8_t)(ip >> 24), (uint8_t)(ip >> 16), (uint8_t)(ip >> 8),
                          (uint8_t)ip};
        uint32_t hash = 2166136261u;

        for (unsigned k = 0; k < 4; k++)
            hash = (hash ^ key[k]) * 16777619u;
        if (hash % BUCKETS == 5)
            memcpy(keys[n++], key, 4);
    }
}

/* The most keys in one bucket. */
static unsigned fullest(uint64_t seed, const void *keys, size_t size)
{
    static unsigned counts[BUCKETS];
    const uint8_t *key = keys;
    unsigned most = 0;

    memset(counts, 0, sizeof counts);
    for (unsigned k = 0; k < KEYS; k++, key += size) {
        unsigned n = ++counts[nh_hash(seed, key, size) % BUCKETS];

        most = n > most ? n : most;
    }
    return most;
}

int main(void)
{
    static uint8_t addresses[KEYS][4];
    static char names[KEYS][32];
    static uint8_t sparse[KEYS][40];
    unsigned most = 0;

    choose(addresses);
    for (unsigned k = 0; k < KEYS; k++) {
        snprintf(names[k], sizeof names[k], "mx%u.domain-%04u.example", k % 7, k);
        /* They differ in the highest bits of their words, which a multiplication moves nowhere. */
        for (unsigned bit = 0; bit < 12; bit++)
            sparse[k][7 + 8 * (bit % 5)] |= (uint8_t)((k >> bit & 1) << (7 - bit / 5));
    }
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t seeds[] = {seed, seed << 32, UINT64_C(0x7f3a00000000) + seed * 4096};

        for (unsigned k = 0; k < 3; k++) {
            unsigned found[] = {fullest(seeds[k], addresses, sizeof addresses[0]),
                                fullest(seeds[k], names, sizeof names[0]),
                                fullest(seeds[k], sparse, sizeof sparse[0])};

            for (unsigned i = 0; i < 3; i++)
                most = found[i] > most ? found[i] : most;
        }
    }
    /* Of 4,000 keys at random the fullest of 8,192 buckets has 4 to 9. */
    ok(most <= 12, "chosen keys are spread: %u in the fullest bucket", most);

    ok(nh_hash(1, "example.org", 11) == nh_hash(1, "example.org", 11),
       "the same key, the same hash");
    ok(nh_hash(1, "example.org", 11) != nh_hash(2, "example.org", 11), "another seed");
    ok(nh_hash(1, "a\0", 1) != nh_hash(1, "a\0", 2), "the length counts");
    ok(nh_hash(1, "", 0) != nh_hash(2, "", 0), "no byte at all");
    for (size_t len = 1; len <= 24; len++) {
        char a[25] = "abcdefghijklmnopqrstuvwx", b[25];

        memcpy(b, a, sizeof b);
        b[len - 1] ^= 1;
        ok(nh_hash(1, a, len) != nh_hash(1, b, len), "byte %zu counts", len);
        ok(nh_hash(1, a, len - 1) == nh_hash(1, b, len - 1), "no byte behind the end is read");
    }
    return tap_done();
}
