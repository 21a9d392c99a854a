/* sts_store.c - the policies of MTA-STS in memory, beside those in the file that processes share.
 *
 * The memory has all policies of the file, up to its limit. Then those that were not used for the longest
 * time are forgotten, and the file loses them when it is next written anew. Before a domain is called
 * unknown, and once in a while otherwise, the store reads what other processes have added. */
#include "sts_store.h"

#include "hash.h"
#include "sts_file.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIRST_BUCKETS 64u
#define MEMORY_MAX (64u << 20) /* bytes of all entries, if nothing else is asked for */
#define ENTRY_EXTRA 350u       /* bytes of an entry beside its struct: its name, its error */
#define LOOK_AGAIN 1.0 /* seconds after which the file is looked at, also for a known domain */

const char *const nh_sts_code_names[] = {
    [NH_STS_OK] = "ok",
    [NH_STS_FETCH_ERROR] = "sts-policy-fetch-error",
    [NH_STS_INVALID] = "sts-policy-invalid",
    [NH_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
};

struct nh_sts_store {
    struct nh_sts_entry **buckets;
    uint32_t n_buckets, seed; /* n_buckets is a power of two */
    size_t n_entries, n_known, n_unsaved, size, limit;
    NH_LIST_HEAD(nh_sts_entries, nh_sts_entry) used; /* the last used is last */
    struct nh_sts_file *file;
    double looked_at;
    unsigned serial; /* of the newest policy */
};

void nh_sts_fail(struct nh_sts_err *err, enum nh_sts_code code, const char *format, ...)
{
    va_list args;
    char *c;

    err->code = code;
    err->expired = false;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    for (c = err->message; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

struct nh_sts_known *nh_sts_known_use(struct nh_sts_known *known)
{
    known->references++;
    return known;
}

void nh_sts_known_drop(struct nh_sts_known *known)
{
    if (!known || --known->references > 0)
        return;
    nh_sts_policy_free(&known->policy);
    free(known);
}

void nh_sts_known_set(struct nh_sts_known **place, struct nh_sts_known *known)
{
    if (known)
        nh_sts_known_use(known);
    nh_sts_known_drop(*place);
    *place = known;
}

/* ---- the table ------------------------------------------------------------------------------ */

static uint32_t hash_of(const struct nh_sts_store *store, const char *domain)
{
    return (uint32_t)nh_hash(store->seed, domain, strlen(domain));
}

static struct nh_sts_entry **place_of(struct nh_sts_store *store, const char *domain, uint32_t hash)
{
    struct nh_sts_entry **place = &store->buckets[hash & (store->n_buckets - 1)];

    while (*place && ((*place)->hash != hash || strcmp((*place)->domain, domain) != 0))
        place = &(*place)->next;
    return place;
}

/* Makes room for more buckets. Without memory the table stays as it is. */
static void grow(struct nh_sts_store *store)
{
    uint32_t n = store->n_buckets * 2;
    struct nh_sts_entry **buckets = calloc(n, sizeof(void *)), *e;

    if (!buckets)
        return;
    free(store->buckets);
    store->buckets = buckets;
    store->n_buckets = n;
    NH_LIST_FOREACH (e, &store->used, link) {
        e->next = buckets[e->hash & (n - 1)];
        buckets[e->hash & (n - 1)] = e;
    }
}

static void set_known(struct nh_sts_store *store, struct nh_sts_entry *e,
                      struct nh_sts_known *known)
{
    size_t size = known ? sizeof *known + known->policy.mx_len : 0;

    if (e->is_unsaved)
        store->n_unsaved--;
    e->is_unsaved = false;
    store->n_known += (known != NULL);
    store->n_known -= (e->known != NULL);
    store->size += size - e->size;
    e->size = size;
    /* clang's analyzer does not count references. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    nh_sts_known_drop(e->known);
    e->known = known;
    e->record_since = e->record_until = 0;
}

static void free_entry(struct nh_sts_store *store, struct nh_sts_entry *e)
{
    set_known(store, e, NULL);
    store->n_entries--;
    store->size -= sizeof *e + ENTRY_EXTRA;
    NH_LIST_REMOVE(&store->used, e, link);
    free(e->err);
    free(e->domain);
    free(e);
}

static void remove_entry(struct nh_sts_store *store, struct nh_sts_entry *e)
{
    struct nh_sts_entry **place = place_of(store, e->domain, e->hash);

    *place = e->next;
    free_entry(store, e);
}

static struct nh_sts_entry *make_entry(struct nh_sts_store *store, const char *domain)
{
    uint32_t hash = hash_of(store, domain);
    struct nh_sts_entry **place = place_of(store, domain, hash), *e = *place;

    if (e) {
        NH_LIST_REMOVE(&store->used, e, link);
        NH_LIST_INSERT_LAST(&store->used, e, link);
        return e;
    }
    while (store->size > store->limit && !NH_LIST_EMPTY(&store->used))
        remove_entry(store, NH_LIST_FIRST(&store->used));
    place = place_of(store, domain, hash);
    e = calloc(1, sizeof *e);
    if (e)
        e->domain = strdup(domain);
    if (!e || !e->domain) {
        free(e);
        return NULL;
    }
    e->hash = hash;
    e->next = *place;
    *place = e;
    NH_LIST_INSERT_LAST(&store->used, e, link);
    store->size += sizeof *e + ENTRY_EXTRA;
    if (++store->n_entries > store->n_buckets)
        grow(store);
    return e;
}

/* ---- the file -------------------------------------------------------------------------------- */

static struct nh_sts_known *new_known(struct nh_sts_store *store, struct nh_sts_policy *policy,
                                      const char *id, int64_t fetched, int64_t expires)
{
    struct nh_sts_known *known = calloc(1, sizeof *known);

    if (!known)
        return NULL;
    known->policy = *policy;
    memset(policy, 0, sizeof *policy);
    nh_copy(known->id, sizeof known->id, id);
    known->fetched = fetched;
    known->expires = expires;
    known->serial = ++store->serial & INT_MAX;
    known->references = 1;
    return known;
}

/* Takes a line of the file. A policy of a time to come is not believed: the clock was wrong. */
static bool apply(void *arg, struct nh_sts_line *line)
{
    struct nh_sts_store *store = arg;
    int64_t now = (int64_t)time(NULL);
    bool counts = !line->is_dropped && line->expires > now &&
                  line->expires - now <= (int64_t)line->policy.max_age;
    struct nh_sts_entry *e = *place_of(store, line->domain, hash_of(store, line->domain));
    struct nh_sts_known *known = NULL;

    if ((!e && !counts) ||
        (e && e->is_unsaved && e->known && counts && e->known->fetched >= line->fetched))
        return true;
    if (counts) {
        known = new_known(store, &line->policy, line->id, line->fetched, line->expires);
        if (!known)
            return false; /* until then the policy that was known counts */
    }
    e = make_entry(store, line->domain);
    if (e)
        set_known(store, e, known);
    else
        nh_sts_known_drop(known);
    return e != NULL;
}

static void line_of(const struct nh_sts_entry *e, struct nh_sts_line *line)
{
    memset(line, 0, sizeof *line);
    line->domain = e->domain;
    line->is_dropped = !e->known;
    if (!e->known)
        return;
    nh_copy(line->id, sizeof line->id, e->known->id);
    line->fetched = e->known->fetched;
    line->expires = e->known->expires;
    line->policy = e->known->policy;
}

static bool add_all(void *arg, struct nh_sts_file *file)
{
    struct nh_sts_store *store = arg;
    int64_t now = (int64_t)time(NULL);
    struct nh_sts_entry *e;
    struct nh_sts_line line;

    NH_LIST_FOREACH (e, &store->used, link) {
        if (!e->known || e->known->expires <= now)
            continue;
        line_of(e, &line);
        if (!nh_sts_file_add(file, &line))
            return false;
    }
    return true;
}

/* Writes the policy of an entry to the file. While the file is locked and read, a line of another
 * process may replace it, and the entry may move. */
static void save(struct nh_sts_store *store, struct nh_sts_entry *e)
{
    struct nh_sts_known *known = e->known;
    char domain[NH_HOST_MAX];
    uint32_t hash = e->hash;
    struct nh_sts_line line;
    bool ok;

    if (!store->file)
        return;
    if (known)
        nh_sts_known_use(known);
    if (e->is_unsaved)
        store->n_unsaved--;
    e->is_unsaved = false;
    line_of(e, &line);
    nh_copy(domain, sizeof domain, e->domain);
    line.domain = domain;
    ok = nh_sts_file_write(store->file, &line);
    e = *place_of(store, domain, hash);
    if (e && e->known != known) /* ours is newer than what was read meanwhile */
        set_known(store, e, known ? nh_sts_known_use(known) : NULL);
    if (e && !ok) {
        e->is_unsaved = true;
        store->n_unsaved++;
    }
    nh_sts_known_drop(known);
    /* Not before: a line that was read may have put an older policy in the place of ours. */
    nh_sts_file_tidy(store->file, store->n_known);
}

bool nh_sts_store_save(struct nh_sts_store *store)
{
    while (store->n_unsaved > 0) {
        size_t before = store->n_unsaved;
        struct nh_sts_entry *e;

        NH_LIST_FOREACH (e, &store->used, link)
            if (e->is_unsaved)
                break;
        if (e)
            save(store, e);
        if (!e || store->n_unsaved >= before)
            return false; /* the file takes nothing now */
    }
    return true;
}

bool nh_sts_store_open(struct nh_sts_store *store, const char *path, struct nh_err *err)
{
    struct nh_sts_file_calls calls = {.arg = store, .apply = apply, .add_all = add_all};

    store->file = nh_sts_file_open(path, &calls, err);
    return store->file != NULL;
}

const char *nh_sts_store_notice(const struct nh_sts_store *store)
{
    return store->file ? nh_sts_file_notice(store->file) : NULL;
}

/* ---- the interface ------------------------------------------------------------------------------ */

static double now_monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct nh_sts_entry *find_in_memory(struct nh_sts_store *store, const char *domain)
{
    struct nh_sts_entry *e = *place_of(store, domain, hash_of(store, domain));

    if (!e)
        return NULL;
    if (e->known && e->known->expires <= (int64_t)time(NULL))
        set_known(store, e, NULL);
    NH_LIST_REMOVE(&store->used, e, link);
    NH_LIST_INSERT_LAST(&store->used, e, link);
    return e;
}

struct nh_sts_entry *nh_sts_store_find(struct nh_sts_store *store, const char *domain, bool fresh)
{
    struct nh_sts_entry *e = find_in_memory(store, domain);
    double now;

    if (!store->file)
        return e;
    now = now_monotonic();
    if (e && e->known && !fresh && now - store->looked_at < LOOK_AGAIN)
        return e;
    store->looked_at = now;
    nh_sts_file_read(store->file);
    return find_in_memory(store, domain);
}

struct nh_sts_entry *nh_sts_store_recent(struct nh_sts_store *store, const char *domain)
{
    struct nh_sts_entry *e = find_in_memory(store, domain);

    if (!e || !e->known || (store->file && now_monotonic() - store->looked_at >= LOOK_AGAIN))
        return NULL;
    return e;
}

struct nh_sts_entry *nh_sts_store_make(struct nh_sts_store *store, const char *domain)
{
    return make_entry(store, domain);
}

struct nh_sts_known *nh_sts_store_put(struct nh_sts_store *store, const char *domain,
                                      struct nh_sts_policy *policy, const char *id)
{
    int64_t now = (int64_t)time(NULL);
    struct nh_sts_known *known = new_known(store, policy, id, now, now + policy->max_age);
    struct nh_sts_entry *e;

    if (!known) {
        nh_sts_policy_free(policy);
        return NULL;
    }
    known->expires = now + known->policy.max_age;
    e = make_entry(store, domain);
    if (e) {
        free(e->err);
        e->err = NULL;
        set_known(store, e, nh_sts_known_use(known));
        save(store, e);
    }
    return known;
}

bool nh_sts_store_forget(struct nh_sts_store *store, const char *domain)
{
    struct nh_sts_entry *e;
    bool had;

    e = nh_sts_store_find(store, domain, true);
    if (!e)
        return false;
    had = e->known != NULL;
    set_known(store, e, NULL);
    free(e->err);
    e->err = NULL;
    e->rechecked_at = 0;
    if (had)
        save(store, e);
    return had;
}

/* ---- its life -------------------------------------------------------------------------------------- */

struct nh_sts_store *nh_sts_store_new(uint32_t seed)
{
    struct nh_sts_store *store = calloc(1, sizeof *store);

    if (!store)
        return NULL;
    NH_LIST_INIT(&store->used);
    store->seed = seed;
    store->limit = MEMORY_MAX;
    store->n_buckets = FIRST_BUCKETS;
    store->buckets = calloc(FIRST_BUCKETS, sizeof(void *));
    if (store->buckets)
        return store;
    free(store);
    return NULL;
}

void nh_sts_store_limit(struct nh_sts_store *store, size_t bytes)
{
    if (bytes > 0)
        store->limit = bytes;
}

void nh_sts_store_free(struct nh_sts_store *store)
{
    if (!store)
        return;
    (void)nh_sts_store_save(store);
    nh_sts_file_close(store->file);
    while (!NH_LIST_EMPTY(&store->used)) /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the same */
        free_entry(store, NH_LIST_FIRST(&store->used));
    free(store->buckets);
    free(store);
}
