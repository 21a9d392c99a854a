/* cache.c - the cache: an answer stays in it until its TTL is over.
 *
 * libunbound has a cache, too. But to return a cached answer it runs its modules and writes a
 * new packet, and we must then read that packet again. This is most of the cost of a lookup.
 * This cache holds what libunbound answered, secure or not, for the TTL that libunbound gave and
 * never longer. It holds no failures. It uses the wall clock, as libunbound does, so that after
 * a sleep of the machine the entries are older. */
#include "cache.h"

#include "hash.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUCKETS_MIN 64
#define SPARED_MAX 16 /* used entries that one removal spares at most */

struct nh_cache {
    size_t limit, size, n;
    uint32_t seed;
    size_t n_buckets; /* a power of two */
    struct nh_cache_entry **buckets;
    NH_LIST_HEAD(entries, nh_cache_entry) entries; /* the last one is the next to be removed */
};

static uint32_t hash_of(const struct nh_cache *cache, const char *name, uint16_t type)
{
    return (uint32_t)nh_hash(((uint64_t)type << 32) ^ cache->seed, name, strlen(name));
}

struct nh_cache_entry *nh_cache_entry_new(const char *name, uint16_t type, bool secure)
{
    size_t text = strlen(name) + 1;
    struct nh_cache_entry *entry = malloc(sizeof *entry + text);

    if (!entry)
        return NULL;
    *entry = (struct nh_cache_entry){.secure = secure, .type = type, .references = 1};
    memcpy(entry->name, name, text);
    entry->size = sizeof *entry + text;
    return entry;
}

void nh_cache_entry_drop(struct nh_cache_entry *entry)
{
    if (!entry || --entry->references > 0)
        return;
    nh_answer_free(&entry->answer);
    free(entry);
}

struct nh_cache *nh_cache_new(size_t limit, uint32_t seed)
{
    struct nh_cache *cache = calloc(1, sizeof *cache);

    if (!cache)
        return NULL;
    cache->limit = limit;
    cache->seed = seed;
    NH_LIST_INIT(&cache->entries);
    return cache;
}

static void take_out(struct nh_cache *cache, struct nh_cache_entry *entry)
{
    struct nh_cache_entry **at = &cache->buckets[entry->hash & (cache->n_buckets - 1)];

    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    NH_LIST_REMOVE(&cache->entries, entry, link);
    cache->size -= entry->size;
    cache->n--;
    nh_cache_entry_drop(entry);
}

void nh_cache_free(struct nh_cache *cache)
{
    if (!cache)
        return;
    while (!NH_LIST_EMPTY(&cache->entries))
        take_out(cache, NH_LIST_FIRST(&cache->entries));
    free(cache->buckets);
    free(cache);
}

static struct nh_cache_entry *find(struct nh_cache *cache, uint32_t hash, const char *name,
                                   uint16_t type)
{
    if (cache->n == 0)
        return NULL;
    struct nh_cache_entry *entry = cache->buckets[hash & (cache->n_buckets - 1)];
    while (entry && (entry->hash != hash || entry->type != type || strcmp(entry->name, name) != 0))
        entry = entry->next;
    return entry;
}

struct nh_cache_entry *nh_cache_find(struct nh_cache *cache, const char *name, uint16_t type,
                                     uint32_t *ttl)
{
    struct nh_cache_entry *entry = find(cache, hash_of(cache, name, type), name, type);

    if (!entry)
        return NULL;
    int64_t now = (int64_t)time(NULL);
    if (now < entry->since || now >= entry->until) { /* before since: the clock was set back */
        take_out(cache, entry);
        return NULL;
    }
    *ttl = (uint32_t)(entry->until - now);
    entry->is_used = true;
    entry->references++;
    return entry;
}

bool nh_cache_has(struct nh_cache *cache, const char *name, uint16_t type)
{
    const struct nh_cache_entry *entry = find(cache, hash_of(cache, name, type), name, type);
    int64_t now = entry ? (int64_t)time(NULL) : 0;

    return entry && now >= entry->since && now < entry->until;
}

/* Doubles the buckets when there are half as many entries. Most of the questions that are
 * searched have no entry, and a search in an empty bucket reads no entry. Returns false when
 * there are no buckets at all. */
static bool grow(struct nh_cache *cache)
{
    size_t n = cache->n_buckets ? 2 * cache->n_buckets : BUCKETS_MIN;
    struct nh_cache_entry **buckets, *entry;

    if (cache->n < cache->n_buckets / 2)
        return true;
    buckets = calloc(n, sizeof(struct nh_cache_entry *));
    if (!buckets)
        return cache->n_buckets > 0;
    free(cache->buckets);
    cache->buckets = buckets;
    cache->n_buckets = n;
    NH_LIST_FOREACH (entry, &cache->entries, link) {
        entry->next = buckets[entry->hash & (n - 1)];
        buckets[entry->hash & (n - 1)] = entry;
    }
    return true;
}

/* Removes the last entry. Before that, up to SPARED_MAX entries at the end that were used move to the front, and
 * count as not used there. (If each use moved an entry, it would also read and write its two neighbours.) */
static void make_room(struct nh_cache *cache)
{
    struct nh_cache_entry *entry = NH_LIST_LAST(&cache->entries);

    for (unsigned k = 0; k < SPARED_MAX && entry->is_used; k++) {
        entry->is_used = false;
        NH_LIST_REMOVE(&cache->entries, entry, link);
        NH_LIST_INSERT_FIRST(&cache->entries, entry, link);
        entry = NH_LIST_LAST(&cache->entries);
    }
    take_out(cache, entry);
}

void nh_cache_put(struct nh_cache *cache, struct nh_cache_entry *entry)
{
    entry->size += entry->answer.size;
    if (entry->answer.ttl == 0 || entry->size > cache->limit || !grow(cache))
        return;
    entry->hash = hash_of(cache, entry->name, entry->type);
    struct nh_cache_entry *former = find(cache, entry->hash, entry->name, entry->type);
    if (former)
        take_out(cache, former);
    while (!NH_LIST_EMPTY(&cache->entries) && cache->size + entry->size > cache->limit)
        make_room(cache);
    entry->since = (int64_t)time(NULL);
    entry->until = entry->since + entry->answer.ttl;
    entry->references++;
    struct nh_cache_entry **bucket = &cache->buckets[entry->hash & (cache->n_buckets - 1)];
    entry->next = *bucket;
    *bucket = entry;
    NH_LIST_INSERT_FIRST(&cache->entries, entry, link);
    cache->size += entry->size;
    cache->n++;
}
