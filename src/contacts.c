/*
 * contacts.c - the contacts of a resolver.
 *
 *   ask -> the target is under way, or its result is fresh -> wait for it, or done at once
 *       -> a new contact -> queued -> a place is free: begins -> result -> remembered for a while
 *
 * A contact lives as long as the table, the queue, its socket or a wait refers to it.
 */
#include "contacts.h"

#include "loop.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BUCKETS 1024
#define REMEMBERED 2000 /* results that are remembered; some 20 KB each */
#define STORES 4        /* sets of trust anchors that are remembered */

TAILQ_HEAD(contact_list, nh_contact);
SLIST_HEAD(bucket, nh_contact);

/* A set of trust anchors, and what its file was like when it was read. */
struct anchors {
    char *file, *path;
    struct stat stat;
    X509_STORE *store;
};

struct nh_contacts {
    struct nh_resolver *resolver;
    struct nh_tls_contexts tls;
    struct nh_judge *judge;
    struct anchors anchors[STORES];
    unsigned next_anchors;
    struct contact_list queued, open, remembered; /* open: those with a socket */
    unsigned n_open, n_remembered;
    bool is_starting;
    struct bucket table[BUCKETS];
    struct nh_contacts *next_abandoned;
};

struct nh_contacts *nh_contacts_new(struct nh_resolver *r)
{
    struct nh_contacts *contacts = calloc(1, sizeof *contacts);

    if (!contacts)
        return NULL;
    contacts->resolver = r;
    TAILQ_INIT(&contacts->queued);
    TAILQ_INIT(&contacts->open);
    TAILQ_INIT(&contacts->remembered);
    return contacts;
}

struct nh_judge *nh_contacts_judge(struct nh_contacts *contacts)
{
    if (!contacts->judge)
        contacts->judge = nh_judge_new();
    return contacts->judge;
}

/* ---- the table ---------------------------------------------------------------------------- */

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *p = data;

    for (; len; p++, len--)
        hash = (hash ^ *p) * UINT64_C(1099511628211);
    return hash;
}

static struct bucket *bucket_of(struct nh_contacts *contacts, const struct nh_target *t)
{
    uint64_t hash = UINT64_C(14695981039346656037);

    hash = hash_bytes(hash, t->ip.addr, t->ip.family == 6 ? 16 : 4);
    hash = hash_bytes(hash, &t->port, sizeof t->port);
    hash = hash_bytes(hash, t->sni, strlen(t->sni));
    hash ^= (uint64_t)t->kind;
    return &contacts->table[(hash ^ hash >> 32) % BUCKETS];
}

static bool same_ip(const struct nh_ip *a, const struct nh_ip *b)
{
    return a->family == b->family && memcmp(a->addr, b->addr, a->family == 6 ? 16 : 4) == 0;
}

static bool same_target(const struct nh_target *a, const struct nh_target *b)
{
    return same_ip(&a->ip, &b->ip) && a->port == b->port && a->kind == b->kind &&
           a->implicit_tls == b->implicit_tls && strcmp(a->sni, b->sni) == 0 &&
           strcmp(a->helo, b->helo) == 0 && same_ip(&a->source, &b->source);
}

static struct nh_contact *find(struct nh_contacts *contacts, const struct nh_target *target)
{
    struct nh_contact *c;

    SLIST_FOREACH (c, bucket_of(contacts, target), table_link)
        if (same_target(&c->target, target))
            return c;
    return NULL;
}

static void unref(struct nh_contact *c)
{
    if (--c->refs == 0)
        nh_contact_free(c);
}

/* Removes the contact from the table and from those that are remembered. */
static void forget(struct nh_contacts *contacts, struct nh_contact *c)
{
    if (c->in_memory) {
        c->in_memory = false;
        TAILQ_REMOVE(&contacts->remembered, c, memory_link);
        contacts->n_remembered--;
    }
    if (c->in_table) {
        c->in_table = false;
        SLIST_REMOVE(bucket_of(contacts, &c->target), c, nh_contact, table_link);
        unref(c);
    }
}

/* ---- the queue --------------------------------------------------------------------------------- */

/* Is there a place for one more connection to that address? */
static bool has_place(const struct nh_contacts *contacts, const struct nh_contact *c)
{
    const struct nh_contact *other;
    unsigned n = 0;

    if (contacts->n_open >= c->max_connections)
        return false;
    TAILQ_FOREACH (other, &contacts->open, link)
        if (same_ip(&other->target.ip, &c->target.ip))
            n++;
    return n < c->per_ip;
}

/* Begins a contact that is out of the queue. Returns false when there is no descriptor for it, and
 * another contact will free one: then it waits at the head of the queue. */
static bool begin(struct nh_contacts *contacts, struct nh_contact *c)
{
    int error = nh_contact_begin(c);

    if (error && contacts->n_open > 0 && (error == EMFILE || error == ENFILE)) {
        TAILQ_INSERT_HEAD(&contacts->queued, c, link);
        return false;
    }
    TAILQ_INSERT_TAIL(&contacts->open, c, link);
    contacts->n_open++;
    if (error)
        nh_contact_fail(c, NH_RESULT_CONNECT, "%s", strerror(error));
    return true;
}

static void start_queued(struct nh_contacts *contacts)
{
    struct nh_contact *c, *next;

    if (contacts->is_starting)
        return;
    contacts->is_starting = true;
    for (c = TAILQ_FIRST(&contacts->queued); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (!has_place(contacts, c))
            continue;
        TAILQ_REMOVE(&contacts->queued, c, link);
        if (!begin(contacts, c))
            break;
    }
    contacts->is_starting = false;
}

static void on_result(struct nh_contact *c)
{
    struct nh_contacts *contacts = c->owner;
    struct nh_wait *wait;

    while ((wait = TAILQ_FIRST(&c->waits)) != NULL) {
        TAILQ_REMOVE(&c->waits, wait, link);
        nh_resolver_later(contacts->resolver, &wait->task, wait->done, wait->arg);
    }
    if (!c->in_table)
        return;
    c->in_memory = true;
    TAILQ_INSERT_TAIL(&contacts->remembered, c, memory_link);
    if (++contacts->n_remembered > REMEMBERED)
        forget(contacts, TAILQ_FIRST(&contacts->remembered));
}

static void on_closed(struct nh_contact *c)
{
    struct nh_contacts *contacts = c->owner;

    TAILQ_REMOVE(&contacts->open, c, link);
    contacts->n_open--;
    unref(c);
    start_queued(contacts);
}

/* Ends a contact that nobody waits for any more. */
static void give_up(struct nh_contacts *contacts, struct nh_contact *c)
{
    forget(contacts, c);
    if (c->state == NH_CONTACT_QUEUED) {
        TAILQ_REMOVE(&contacts->queued, c, link);
        unref(c);
    } else {
        nh_contact_abort(c);
        on_closed(c);
    }
}

/* ---- asking --------------------------------------------------------------------------------------- */

static struct nh_contact *new_contact(struct nh_contacts *contacts, const struct nh_target *target,
                                      const struct nh_limits *limits)
{
    struct nh_contact *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->target = *target;
    c->target.helo = strdup(target->helo);
    if (!c->target.helo) {
        free(c);
        return NULL;
    }
    TAILQ_INIT(&c->waits);
    c->fd = -1;
    c->step = limits->step;
    c->max_connections = limits->max_connections;
    c->per_ip = limits->per_ip;
    c->owner = contacts;
    c->resolver = contacts->resolver;
    c->tls = &contacts->tls;
    c->on_result = on_result;
    c->on_closed = on_closed;
    c->refs = 2; /* of the queue and of the table */
    c->in_table = true;
    SLIST_INSERT_HEAD(bucket_of(contacts, target), c, table_link);
    TAILQ_INSERT_TAIL(&contacts->queued, c, link);
    return c;
}

bool nh_contacts_ask(struct nh_contacts *contacts, struct nh_wait *wait,
                     const struct nh_target *target, const struct nh_limits *limits,
                     void (*done)(void *arg), void *arg)
{
    struct nh_contact *c = find(contacts, target);

    if (c && c->has_result && nh_now() - c->ended >= limits->reuse) {
        forget(contacts, c);
        c = NULL;
    }
    wait->reused = c != NULL;
    if (!c)
        c = new_contact(contacts, target, limits);
    if (!c)
        return false;
    c->refs++;
    wait->contact = c;
    wait->done = done;
    wait->arg = arg;
    if (c->has_result) {
        nh_resolver_later(contacts->resolver, &wait->task, done, arg);
        return true;
    }
    TAILQ_INSERT_TAIL(&c->waits, wait, link);
    start_queued(contacts);
    return true;
}

void nh_wait_stop(struct nh_wait *wait)
{
    struct nh_contact *c = wait->contact;

    if (!c)
        return;
    wait->contact = NULL;
    if (wait->task.is_queued)
        nh_task_stop(c->resolver, &wait->task);
    if (!c->has_result) {
        TAILQ_REMOVE(&c->waits, wait, link);
        if (TAILQ_EMPTY(&c->waits) && nh_resolver_mine(c->resolver))
            give_up(c->owner, c);
    }
    unref(c);
}

/* ---- trust anchors ---------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void anchors_free(struct anchors *a)
{
    X509_STORE_free(a->store);
    free(a->file);
    free(a->path);
    memset(a, 0, sizeof *a);
}

/* Loads the anchors into a new store. Returns NULL and sets *err on failure. */
static X509_STORE *load_anchors(const char *file, const char *path, struct nh_err *err)
{
    X509_STORE *store;
    bool ok = false;

    ERR_set_mark();
    store = X509_STORE_new();
    if (store && (file || path))
        ok = X509_STORE_load_locations(store, file, path) == 1;
    else if (store)
        ok = X509_STORE_set_default_paths(store) == 1;
    ERR_pop_to_mark();
    if (ok)
        return store;
    if (!store)
        nh_fail(err, NH_NO_MEMORY, "trust anchors: out of memory");
    else
        nh_fail(err, NH_CONFIG, "%s: no certificate could be read from it",
                file   ? file
                : path ? path
                       : "the trust anchors of the system");
    X509_STORE_free(store);
    return NULL;
}

/* Reads what the file is like. False: it cannot be read, and *err says so. */
static bool stat_anchors(const char *file, const char *path, struct stat *st, struct nh_err *err)
{
    const char *name = NULL;

    memset(st, 0, sizeof *st);
    if (path && stat(path, st) != 0)
        name = path;
    else if (file && stat(file, st) != 0)
        name = file;
    if (name)
        nh_fail(err, NH_CONFIG, "%s: %s", name, strerror(errno));
    return !name;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

X509_STORE *nh_contacts_anchors(struct nh_contacts *contacts, const char *file, const char *path,
                                struct nh_err *err)
{
    struct anchors *a = NULL;
    struct stat st;
    unsigned k;

    if (!stat_anchors(file, path, &st, err))
        return NULL;
    for (k = 0; k < STORES; k++) {
        a = &contacts->anchors[k];
        if (a->store && same_text(a->file, file) && same_text(a->path, path) &&
            same_file(&a->stat, &st)) {
            X509_STORE_up_ref(a->store);
            return a->store;
        }
    }
    a = &contacts->anchors[contacts->next_anchors++ % STORES];
    anchors_free(a);
    a->store = load_anchors(file, path, err);
    if (!a->store)
        return NULL;
    a->stat = st;
    a->file = file ? strdup(file) : NULL;
    a->path = path ? strdup(path) : NULL;
    if ((file && !a->file) || (path && !a->path)) {
        anchors_free(a);
        nh_fail(err, NH_NO_MEMORY, "trust anchors: out of memory");
        return NULL;
    }
    X509_STORE_up_ref(a->store);
    return a->store;
}

/* ---- the end ------------------------------------------------------------------------------------------- */

/* The contacts that a forked child has left behind, so that a leak checker finds them. */
static struct nh_contacts *abandoned;

void nh_contacts_free(struct nh_contacts *contacts)
{
    struct nh_contact *c;
    unsigned k;

    if (!contacts)
        return;
    if (!nh_resolver_mine(contacts->resolver)) {
        contacts->next_abandoned = abandoned;
        abandoned = contacts;
        return;
    }
    contacts->is_starting = true; /* nothing begins any more */
    while ((c = TAILQ_FIRST(&contacts->queued)) != NULL)
        give_up(contacts, c);
    while ((c = TAILQ_FIRST(&contacts->open)) != NULL)
        give_up(contacts, c);
    while ((c = TAILQ_FIRST(&contacts->remembered)) != NULL)
        forget(contacts, c);
    for (k = 0; k < STORES; k++)
        anchors_free(&contacts->anchors[k]);
    nh_judge_free(contacts->judge);
    nh_tls_contexts_free(&contacts->tls);
    free(contacts);
}
