/* cache.h - answers, kept until their TTL is over. */
#ifndef NEXTHOP_CACHE_H
#define NEXTHOP_CACHE_H

#include "answer.h"

#pragma GCC visibility push(hidden)

/* An answer to a question, shared by all who look at it: each holds a reference, and so does the
 * cache that has it. */
struct nh_cache_entry {
    struct nh_answer answer; /* with the TTL that it came with */
    bool secure;
    /* private */
    uint16_t type;
    unsigned references;
    uint32_t hash;
    int64_t since, until; /* seconds of the wall clock */
    size_t size;
    struct nh_cache_entry *next; /* of the same bucket */
    struct nh_cache_entry *newer, *older;
    char name[];
};

/* For the answer to a question, which is zeroed, with one reference, the caller's. NULL: no memory. */
struct nh_cache_entry *nh_cache_entry_new(const char *name, uint16_t type, bool secure);

/* Gives a reference back; the last one frees it. NULL may be given. */
void nh_cache_entry_drop(struct nh_cache_entry *entry);

/* limit: bytes; with 0 nothing is ever kept. seed: a random number, so that nobody can make
 * names that are hard to find. NULL: no memory. */
struct nh_cache *nh_cache_new(size_t limit, uint32_t seed);
void nh_cache_free(struct nh_cache *cache);

/* The answer with a reference for the caller, and the seconds that are left of its TTL; NULL when
 * there is none, or none any more. */
struct nh_cache_entry *nh_cache_find(struct nh_cache *cache, const char *name, uint16_t type,
                                     uint32_t *ttl);

/* Would nh_cache_find() find one? */
bool nh_cache_has(struct nh_cache *cache, const char *name, uint16_t type);

/* Keeps a parsed answer for as long as its TTL says, in place of an older one. What was asked for
 * longest ago makes room. When memory is out it is not kept. */
void nh_cache_put(struct nh_cache *cache, struct nh_cache_entry *entry);

#pragma GCC visibility pop

#endif
