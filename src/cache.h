/* cache.h - the cache: an answer stays in it until its TTL is over. */
#pragma once

#include "answer.h"
#include "list.h"

/* An answer to a question. All its readers share it: each of them holds a reference, and so does
 * the cache while the entry is in it. */
struct nh_cache_entry {
    /* private */
    NH_LIST_LINK(nh_cache_entry) link; /* about in the order of the last use */
    size_t size;
    struct nh_answer answer; /* public; with the TTL that it had when it came */
    /* What a search reads stands together, for the caches of the CPU. */
    int64_t since, until;        /* seconds of the wall clock */
    struct nh_cache_entry *next; /* in the same bucket */
    unsigned references;
    uint32_t hash;
    uint16_t type;
    bool is_used; /* since it came to its place in the list */
    bool secure;  /* public */
    char name[];
};

/* Makes an entry for the answer to a question. The answer is zeroed, and the caller has the one
 * reference. Returns NULL when memory runs out. */
struct nh_cache_entry *nh_cache_entry_new(const char *name, uint16_t type, bool secure);

/* Drops one reference. The last one frees the entry. entry may be NULL. */
void nh_cache_entry_drop(struct nh_cache_entry *entry);

/* limit is in bytes; with 0 the cache stays empty. seed is a random number, so that nobody can
 * choose names that are slow to find. Returns NULL when memory runs out. */
struct nh_cache *nh_cache_new(size_t limit, uint32_t seed);
void nh_cache_free(struct nh_cache *cache);

/* Returns the entry with a reference for the caller, and sets *ttl to the seconds that are left
 * of its TTL. Returns NULL when there is no entry or its time is over. */
struct nh_cache_entry *nh_cache_find(struct nh_cache *cache, const char *name, uint16_t type,
                                     uint32_t *ttl);

/* Would nh_cache_find() return an entry? */
bool nh_cache_has(struct nh_cache *cache, const char *name, uint16_t type);

/* Puts a parsed answer into the cache for its TTL, in place of an older one for the same
 * question. When room is needed, old entries that nobody has used lately are removed first. When memory runs
 * out, the entry is not put in. */
void nh_cache_put(struct nh_cache *cache, struct nh_cache_entry *entry);
