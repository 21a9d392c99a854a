/*
 * cache.c - answers, read and kept until their TTL is over.
 *
 * libunbound has them too, but to hand one out it runs its modules over it and writes a packet
 * anew, which is then read once more: that is most of what a lookup costs. Kept here is what it
 * answered, secure or not, for the TTL that it gave and never longer; failures are not kept.
 * The clock is the wall clock, as libunbound's: a machine that slept has older answers.
 */
#include "cache.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUCKETS_MIN 64

struct nh_cache {
    size_t limit, size, n;
    uint32_t seed;
    size_t n_buckets; /* a power of two */
    struct nh_kept **buckets;
    struct nh_kept *newest, *oldest; /* by their last use */
};

/* FNV-1a */
static uint32_t hash_of(const struct nh_cache *cache, const char *name, uint16_t type)
{
    uint32_t hash = cache->seed ^ type;

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

/* ---- one answer -------------------------------------------------------------------- */

struct nh_kept *nh_kept_new(const char *name, uint16_t type, bool secure)
{
    size_t text = strlen(name) + 1;
    struct nh_kept *kept = malloc(sizeof *kept + text);

    if (!kept)
        return NULL;
    *kept = (struct nh_kept){.secure = secure, .type = type, .references = 1};
    memcpy(kept->name, name, text);
    kept->size = sizeof *kept + text;
    return kept;
}

void nh_kept_drop(struct nh_kept *kept)
{
    if (!kept || --kept->references > 0)
        return;
    nh_answer_free(&kept->answer);
    free(kept);
}

/* ---- all of them --------------------------------------------------------------------- */

/* The order of their use. */
static void link_newest(struct nh_cache *cache, struct nh_kept *kept)
{
    kept->newer = NULL;
    kept->older = cache->newest;
    if (cache->newest)
        cache->newest->newer = kept;
    else
        cache->oldest = kept;
    cache->newest = kept;
}

static void unlink_used(struct nh_cache *cache, struct nh_kept *kept)
{
    if (kept == cache->newest)
        cache->newest = kept->older;
    else
        kept->newer->older = kept->older;
    if (kept == cache->oldest)
        cache->oldest = kept->newer;
    else
        kept->older->newer = kept->newer;
}

struct nh_cache *nh_cache_new(size_t limit, uint32_t seed)
{
    struct nh_cache *cache = calloc(1, sizeof *cache);

    if (!cache)
        return NULL;
    cache->limit = limit;
    cache->seed = seed;
    return cache;
}

static void take_out(struct nh_cache *cache, struct nh_kept *kept)
{
    struct nh_kept **at = &cache->buckets[kept->hash & (cache->n_buckets - 1)];

    while (*at != kept)
        at = &(*at)->next;
    *at = kept->next;
    unlink_used(cache, kept);
    cache->size -= kept->size;
    cache->n--;
    nh_kept_drop(kept);
}

void nh_cache_free(struct nh_cache *cache)
{
    if (!cache)
        return;
    while (cache->oldest)
        take_out(cache, cache->oldest);
    free(cache->buckets);
    free(cache);
}

static struct nh_kept *find(struct nh_cache *cache, uint32_t hash, const char *name, uint16_t type)
{
    struct nh_kept *kept;

    if (cache->n == 0)
        return NULL;
    kept = cache->buckets[hash & (cache->n_buckets - 1)];
    while (kept && (kept->hash != hash || kept->type != type || strcmp(kept->name, name) != 0))
        kept = kept->next;
    return kept;
}

struct nh_kept *nh_cache_find(struct nh_cache *cache, const char *name, uint16_t type,
                              uint32_t *ttl)
{
    struct nh_kept *kept = find(cache, hash_of(cache, name, type), name, type);
    int64_t now;

    if (!kept)
        return NULL;
    now = (int64_t)time(NULL);
    if (now < kept->since || now >= kept->until) { /* before: the clock was set back */
        take_out(cache, kept);
        return NULL;
    }
    *ttl = (uint32_t)(kept->until - now);
    unlink_used(cache, kept);
    link_newest(cache, kept);
    kept->references++;
    return kept;
}

/* Twice the buckets once half as many answers are there: most of what is looked for is not there,
 * and then reads no answer. False when there are none at all. */
static bool grow(struct nh_cache *cache)
{
    size_t n = cache->n_buckets ? 2 * cache->n_buckets : BUCKETS_MIN;
    struct nh_kept **buckets, *kept;

    if (cache->n < cache->n_buckets / 2)
        return true;
    buckets = calloc(n, sizeof(struct nh_kept *));
    if (!buckets)
        return cache->n_buckets > 0;
    free(cache->buckets);
    cache->buckets = buckets;
    cache->n_buckets = n;
    for (kept = cache->newest; kept; kept = kept->older) {
        kept->next = buckets[kept->hash & (n - 1)];
        buckets[kept->hash & (n - 1)] = kept;
    }
    return true;
}

void nh_cache_put(struct nh_cache *cache, struct nh_kept *kept)
{
    struct nh_kept *former, **bucket;

    kept->size += kept->answer.size;
    if (kept->answer.ttl == 0 || kept->size > cache->limit || !grow(cache))
        return;
    kept->hash = hash_of(cache, kept->name, kept->type);
    former = find(cache, kept->hash, kept->name, kept->type);
    if (former)
        take_out(cache, former);
    while (cache->oldest && cache->size + kept->size > cache->limit)
        take_out(cache, cache->oldest);
    kept->since = (int64_t)time(NULL);
    kept->until = kept->since + kept->answer.ttl;
    kept->references++;
    bucket = &cache->buckets[kept->hash & (cache->n_buckets - 1)];
    kept->next = *bucket;
    *bucket = kept;
    link_newest(cache, kept);
    cache->size += kept->size;
    cache->n++;
}
