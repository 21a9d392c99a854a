/*
 * cache_test.c - answers are kept for their TTL and never longer, within the limit, and freed when
 * nobody looks at them any more (the sanitizer says so). The clock is the test's.
 */
#include "cache.h"

#include "tap.h"

#include <time.h>

static int64_t now = 1000000;
static bool out_of_memory;

time_t __wrap_time(time_t *t);
void *__wrap_calloc(size_t n, size_t size);
void *__real_calloc(size_t n, size_t size);

time_t __wrap_time(time_t *t)
{
    (void)t;
    return (time_t)now;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return out_of_memory ? NULL : __real_calloc(n, size);
}

/* The parser's; here an answer is a block of the size that it says. */
void nh_answer_free(struct nh_answer *a)
{
    free(a->memory);
    memset(a, 0, sizeof *a);
}

/* An answer of so many bytes, as the parser leaves it. */
static struct nh_cache_entry *answer(const char *name, uint16_t type, uint32_t ttl, size_t bytes)
{
    struct nh_cache_entry *kept = nh_cache_entry_new(name, type, true);

    kept->answer = (struct nh_answer){.ttl = ttl, .memory = malloc(bytes), .size = bytes};
    return kept;
}

static void put(struct nh_cache *cache, const char *name, uint16_t type, uint32_t ttl, size_t bytes)
{
    struct nh_cache_entry *kept = answer(name, type, ttl, bytes);

    nh_cache_put(cache, kept);
    nh_cache_entry_drop(kept);
}

/* The TTL that is left, -1 when there is no answer. */
static int64_t left(struct nh_cache *cache, const char *name, uint16_t type)
{
    uint32_t ttl = 0;
    struct nh_cache_entry *kept = nh_cache_find(cache, name, type, &ttl);

    if (!kept)
        return -1;
    nh_cache_entry_drop(kept);
    return ttl;
}

static void test_ttl(void)
{
    struct nh_cache *cache = nh_cache_new(1 << 20, 1);

    ok(left(cache, "a.example", 1) == -1, "nothing is there at first");
    put(cache, "a.example", 1, 60, 10);
    ok(left(cache, "a.example", 1) == 60, "the whole TTL at once");
    ok(left(cache, "a.example", 28) == -1, "another type is another question");
    ok(left(cache, "b.example", 1) == -1, "and so is another name");
    ok(left(cache, "A.example", 1) == -1, "names are compared as they are");
    now += 59;
    ok(left(cache, "a.example", 1) == 1, "what is left of it");
    now += 1;
    ok(left(cache, "a.example", 1) == -1, "not when it is over");
    now -= 30;
    ok(left(cache, "a.example", 1) == -1, "nor afterwards, whatever the clock does");

    put(cache, "a.example", 1, 60, 10);
    now -= 1;
    ok(left(cache, "a.example", 1) == -1, "a clock that is set back ends it");
    put(cache, "a.example", 1, 0, 10);
    ok(left(cache, "a.example", 1) == -1, "a TTL of 0 is not kept");
    put(cache, "a.example", 1, UINT32_MAX, 10);
    ok(left(cache, "a.example", 1) == UINT32_MAX, "the longest TTL");
    put(cache, "a.example", 1, 5, 10);
    ok(left(cache, "a.example", 1) == 5, "a newer answer takes the place of an older one");
    nh_cache_free(cache);
}

static void test_content(void)
{
    struct nh_cache *cache = nh_cache_new(1 << 20, 1);
    struct nh_cache_entry *kept, *again;
    uint32_t ttl;

    put(cache, "a.example", 1, 60, 10);
    kept = nh_cache_find(cache, "a.example", 1, &ttl);
    ok(kept && kept->secure && kept->answer.size == 10 && strcmp(kept->name, "a.example") == 0,
       "what was put is found");
    again = nh_cache_find(cache, "a.example", 1, &ttl);
    ok(again == kept, "and shared");
    now += 60;
    ok(left(cache, "a.example", 1) == -1, "it is over");
    ok(strcmp(kept->name, "a.example") == 0 && kept->answer.size == 10,
       "and stays for who looks at it");
    nh_cache_entry_drop(kept);
    nh_cache_entry_drop(again);

    put(cache, "a.example", 1, 60, 10);
    kept = nh_cache_find(cache, "a.example", 1, &ttl);
    nh_cache_free(cache);
    ok(kept->answer.size == 10, "it outlives the cache");
    nh_cache_entry_drop(kept);
    nh_cache_entry_drop(NULL);
}

static void test_limit(void)
{
    struct nh_cache *cache = nh_cache_new(100000, 7);
    char name[32];
    int found = 0;

    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "n%d.example", i);
        put(cache, name, 1, 60, 1000);
        (void)left(cache, "n0.example", 1); /* used all the time */
    }
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "n%d.example", i);
        found += left(cache, name, 1) > 0;
    }
    ok(found > 70 && found < 100, "no more than fit are kept: %d of about 1.2 KB", found);
    ok(left(cache, "n0.example", 1) == 60, "what is in use stays");
    ok(left(cache, "n1.example", 1) == -1, "what is not goes");
    ok(left(cache, "n999.example", 1) == 60, "the last one is there");
    put(cache, "big.example", 1, 60, 100000);
    ok(left(cache, "big.example", 1) == -1, "one that does not fit is not kept");
    ok(left(cache, "n0.example", 1) == 60, "and drives nothing out");
    nh_cache_free(cache);

    cache = nh_cache_new(100000, 7);
    found = 0;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, sizeof name, "n%d.example", i);
        put(cache, name, 1, 60, 1000);
        for (int k = i < 100 ? 0 : i - 100; k <= i; k++) {
            (void)snprintf(name, sizeof name, "n%d.example", k);
            found += left(cache, name, 1) > 0 && i == 999;
        }
    }
    ok(found > 70 && found < 100, "no more than fit are kept when all are in use: %d", found);
    nh_cache_free(cache);

    cache = nh_cache_new(0, 1);
    put(cache, "a.example", 1, 60, 10);
    ok(left(cache, "a.example", 1) == -1, "a limit of 0 keeps nothing");
    nh_cache_free(cache);
    nh_cache_free(NULL);
}

static void test_many(void)
{
    struct nh_cache *cache = nh_cache_new(100 << 20, 99);
    char name[32];
    int found = 0;

    for (int i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "n%d.example", i);
        put(cache, name, (uint16_t)(i % 3), 60, 10);
    }
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "n%d.example", i);
        found += left(cache, name, (uint16_t)(i % 3)) == 60;
    }
    ok(found == 5000, "thousands are found again");
    nh_cache_free(cache);
}

static void test_memory(void)
{
    struct nh_cache *cache;

    out_of_memory = true;
    ok(nh_cache_new(1000, 1) == NULL, "no memory for a cache");
    out_of_memory = false;
    cache = nh_cache_new(1 << 20, 1);
    out_of_memory = true;
    put(cache, "a.example", 1, 60, 10);
    ok(left(cache, "a.example", 1) == -1, "no memory to keep an answer: it is not kept");
    out_of_memory = false;
    for (int i = 0; i < 200; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "n%d.example", i);
        out_of_memory = i > 64; /* more than the first buckets, which then stay as few */
        put(cache, name, 1, 60, 10);
    }
    ok(left(cache, "n0.example", 1) == 60 && left(cache, "n199.example", 1) == 60,
       "no memory for more buckets: all are kept");
    out_of_memory = false;
    nh_cache_free(cache);
}

int main(void)
{
    test_ttl();
    test_content();
    test_limit();
    test_many();
    test_memory();
    return tap_done();
}
