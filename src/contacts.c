/*
 * contacts.c - the contacts of a resolver.
 *
 *   ask -> the target is under way, or its result is fresh -> wait for it, or done at once
 *       -> a new contact -> queued -> a place is free: begins -> result -> remembered for a while
 *
 * A contact lives as long as the table, a queue, its socket or a wait refers to it. Each address has a
 * queue of its own, so that what one address cannot take now is not looked at again and again.
 */
#include "contacts.h"

#include "hash.h"
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUCKETS 1024
#define ADDRESS_BUCKETS 256
#define REMEMBERED 2000              /* results that are remembered ... */
#define REMEMBERED_BYTES (64u << 20) /* ... and the memory of all of them */
#define CERTIFICATE_BYTES                                                                          \
    ((size_t)8192) /* the memory of one certificate, or of a contact without */

NH_LIST_HEAD(contact_list, nh_contact);
NH_LIST_HEAD(bucket, nh_contact);
NH_LIST_HEAD(address_list, nh_address);
NH_LIST_HEAD(address_bucket, nh_address);

/* An IP address that has contacts in its queue or with a socket. */
struct nh_address {
    struct nh_ip ip;
    struct contact_list queued;
    unsigned n_open;
    bool has_turn; /* it is in the list `turns` */
    NH_LIST_LINK(nh_address) turn_link;
    NH_LIST_LINK(nh_address) table_link;
};

struct nh_contacts {
    struct nh_resolver *resolver;
    struct nh_tls_contexts tls;
    struct nh_judge *judge;
    struct nh_anchors anchors;
    struct contact_list open, remembered; /* open: those with a socket */
    struct address_list turns; /* of the addresses where the first in the queue may begin */
    unsigned n_open, n_remembered, most; /* most: the largest max_connections of all callers */
    size_t bytes;                        /* of those that are remembered */
    bool is_ending;
    struct bucket table[BUCKETS];
    struct address_bucket addresses[ADDRESS_BUCKETS];
    struct nh_contacts *next_abandoned;
};

struct nh_contacts *nh_contacts_new(struct nh_resolver *r)
{
    struct nh_contacts *contacts = calloc(1, sizeof *contacts);

    if (!contacts)
        return NULL;
    contacts->resolver = r;
    NH_LIST_INIT(&contacts->turns);
    NH_LIST_INIT(&contacts->open);
    NH_LIST_INIT(&contacts->remembered);
    return contacts;
}

bool nh_contacts_are_open(const struct nh_contacts *contacts)
{
    return contacts && contacts->n_open > 0;
}

struct nh_judge *nh_contacts_judge(struct nh_contacts *contacts)
{
    if (!contacts->judge)
        contacts->judge = nh_judge_new();
    return contacts->judge;
}

/* ---- the table ---------------------------------------------------------------------------- */

static struct bucket *bucket_of(struct nh_contacts *contacts, const struct nh_target *t)
{
    uint64_t hash = (uintptr_t)contacts ^ (uint64_t)t->kind << 16 ^ t->port;

    hash = nh_hash(hash, t->ip.addr, t->ip.family == 6 ? 16 : 4);
    hash = nh_hash(hash, t->sni, strlen(t->sni));
    hash = nh_hash(hash, t->helo, strlen(t->helo));
    return &contacts->table[hash % BUCKETS];
}

static bool same_target(const struct nh_target *a, const struct nh_target *b)
{
    return nh_ip_same(&a->ip, &b->ip) && a->port == b->port && a->kind == b->kind &&
           a->implicit_tls == b->implicit_tls && strcmp(a->sni, b->sni) == 0 &&
           strcmp(a->helo, b->helo) == 0 && nh_ip_same(&a->source, &b->source);
}

static struct nh_contact *find(struct nh_contacts *contacts, const struct nh_target *target)
{
    struct nh_contact *c;

    NH_LIST_FOREACH (c, bucket_of(contacts, target), table_link)
        if (same_target(&c->target, target))
            return c;
    return NULL;
}

static void unref(struct nh_contact *c)
{
    if (--c->refs == 0)
        nh_contact_free(c);
}

static size_t length_of(const char *text)
{
    return text ? strlen(text) : 0;
}

/* About the memory that the result of the contact takes. */
static size_t size_of(const struct nh_contact *c)
{
    return CERTIFICATE_BYTES * (size_t)(1 + (c->chain ? sk_X509_num(c->chain) : 0)) +
           length_of(c->smtp.greeting) + length_of(c->smtp.extensions) + length_of(c->smtp.text);
}

/* Removes the contact from the table and from those that are remembered. */
static void forget(struct nh_contacts *contacts, struct nh_contact *c)
{
    if (c->in_memory) {
        c->in_memory = false;
        NH_LIST_REMOVE(&contacts->remembered, c, memory_link);
        contacts->n_remembered--;
        contacts->bytes -= size_of(c);
    }
    if (c->in_table) {
        c->in_table = false;
        NH_LIST_REMOVE(bucket_of(contacts, &c->target), c, table_link);
        unref(c);
    }
}

/* ---- addresses and their queues ------------------------------------------------------------------ */

static struct address_bucket *address_bucket_of(struct nh_contacts *contacts,
                                                const struct nh_ip *ip)
{
    uint64_t hash = nh_hash((uintptr_t)contacts, ip->addr, ip->family == 6 ? 16 : 4);

    return &contacts->addresses[hash % ADDRESS_BUCKETS];
}

/* Returns the address of that IP, a new one if there is none. NULL: there is no memory. */
static struct nh_address *address_get(struct nh_contacts *contacts, const struct nh_ip *ip)
{
    struct address_bucket *bucket = address_bucket_of(contacts, ip);
    struct nh_address *a;

    NH_LIST_FOREACH (a, bucket, table_link)
        if (nh_ip_same(&a->ip, ip))
            return a;
    a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->ip = *ip;
    NH_LIST_INIT(&a->queued);
    NH_LIST_INSERT_FIRST(bucket, a, table_link);
    return a;
}

/* Call this after each change of the address. It gets or loses its turn, and it is freed when nothing
 * uses it any more. */
static void address_changed(struct nh_contacts *contacts, struct nh_address *a)
{
    const struct nh_contact *first = NH_LIST_FIRST(&a->queued);
    bool may_begin = first && a->n_open < first->per_ip;

    if (may_begin && !a->has_turn)
        NH_LIST_INSERT_LAST(&contacts->turns, a, turn_link);
    else if (!may_begin && a->has_turn)
        NH_LIST_REMOVE(&contacts->turns, a, turn_link);
    a->has_turn = may_begin;
    if (!first && a->n_open == 0) {
        NH_LIST_REMOVE(address_bucket_of(contacts, &a->ip), a, table_link);
        free(a);
    }
}

static void leave_queue(struct nh_contacts *contacts, struct nh_contact *c)
{
    NH_LIST_REMOVE(&c->address->queued, c, link);
    address_changed(contacts, c->address);
}

/* Begins the first contact in the queue of the address. Returns false when there is no descriptor for
 * it, and another contact will free one: then it stays where it is. */
static bool begin_first(struct nh_contacts *contacts, struct nh_address *a)
{
    struct nh_contact *c = NH_LIST_FIRST(&a->queued);
    int error = nh_contact_begin(c);

    if (error && contacts->n_open > 0 && (error == EMFILE || error == ENFILE))
        return false;
    NH_LIST_REMOVE(&a->queued, c, link);
    NH_LIST_INSERT_LAST(&contacts->open, c, link);
    contacts->n_open++;
    a->n_open++;
    address_changed(contacts, a);
    if (error)
        nh_contact_fail(c, NH_RESULT_CONNECT, "%s", strerror(error));
    return true;
}

/* The addresses take turns. Those whose contact wants fewer connections than there are, in all, are
 * passed over. */
static void start_queued(struct nh_contacts *contacts)
{
    struct nh_address *a, *next;

    for (a = NH_LIST_FIRST(&contacts->turns); a && contacts->n_open < contacts->most; a = next) {
        next = NH_LIST_NEXT(a, turn_link);
        if (contacts->n_open >= NH_LIST_FIRST(&a->queued)->max_connections)
            continue;
        NH_LIST_REMOVE(&contacts->turns, a, turn_link);
        a->has_turn = false;
        if (!begin_first(contacts, a)) {
            a->has_turn = true;
            NH_LIST_INSERT_FIRST(&contacts->turns, a, turn_link);
            break;
        }
        if (!next && a->has_turn)
            next = a;
    }
}

static void on_result(struct nh_contact *c)
{
    struct nh_contacts *contacts = c->owner;
    struct nh_wait *wait;

    while ((wait = NH_LIST_FIRST(&c->waits)) != NULL) {
        NH_LIST_REMOVE(&c->waits, wait, link);
        nh_resolver_later(contacts->resolver, &wait->task, wait->done, wait->arg);
    }
    if (!c->in_table)
        return;
    if (c->no_memory) {
        forget(contacts, c);
        return;
    }
    c->in_memory = true;
    NH_LIST_INSERT_LAST(&contacts->remembered, c, memory_link);
    contacts->bytes += size_of(c);
    contacts->n_remembered++;
    while (contacts->n_remembered > REMEMBERED || contacts->bytes > REMEMBERED_BYTES)
        forget(contacts, NH_LIST_FIRST(&contacts->remembered));
}

static void on_closed(struct nh_contact *c)
{
    struct nh_contacts *contacts = c->owner;

    NH_LIST_REMOVE(&contacts->open, c, link);
    contacts->n_open--;
    c->address->n_open--;
    address_changed(contacts, c->address);
    unref(c);
    if (!contacts->is_ending)
        start_queued(contacts);
}

/* Ends a contact that nobody waits for any more. */
static void give_up(struct nh_contacts *contacts, struct nh_contact *c)
{
    forget(contacts, c);
    if (c->state == NH_CONTACT_QUEUED) {
        leave_queue(contacts, c);
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
    c->address = c->target.helo ? address_get(contacts, &target->ip) : NULL;
    if (!c->address) {
        free((char *)c->target.helo);
        free(c);
        return NULL;
    }
    NH_LIST_INIT(&c->waits);
    c->fd = -1;
    c->step = limits->step;
    c->max_connections = limits->max_connections;
    c->per_ip = limits->per_ip;
    if (limits->max_connections > contacts->most)
        contacts->most = limits->max_connections;
    c->owner = contacts;
    c->resolver = contacts->resolver;
    c->tls = &contacts->tls;
    c->on_result = on_result;
    c->on_closed = on_closed;
    c->refs = 2; /* of the queue and of the table */
    c->in_table = true;
    NH_LIST_INSERT_FIRST(bucket_of(contacts, target), c, table_link);
    NH_LIST_INSERT_LAST(&c->address->queued, c, link);
    address_changed(contacts, c->address);
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
    if (c->state == NH_CONTACT_QUEUED && limits->step > c->step)
        c->step = limits->step;
    c->refs++;
    wait->contact = c;
    wait->done = done;
    wait->arg = arg;
    wait->task.is_heavy = true; /* it judges certificates */
    if (c->has_result) {
        nh_resolver_later(contacts->resolver, &wait->task, done, arg);
        return true;
    }
    NH_LIST_INSERT_LAST(&c->waits, wait, link);
    if (!wait->reused && c->address->has_turn && c == NH_LIST_FIRST(&c->address->queued) &&
        contacts->n_open < c->max_connections)
        (void)begin_first(contacts, c->address);
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
        NH_LIST_REMOVE(&c->waits, wait, link);
        if (NH_LIST_EMPTY(&c->waits) && nh_resolver_mine(c->resolver))
            give_up(c->owner, c);
    }
    unref(c);
}

X509_STORE *nh_contacts_anchors(struct nh_contacts *contacts, const char *file, const char *path,
                                struct nh_err *err)
{
    return nh_anchors_get(&contacts->anchors, file, path, err);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

/* The contacts that a forked child has left behind, so that a leak checker finds them. */
static struct nh_contacts *abandoned;

/* Gives up all that is queued for the addresses of the bucket. An address that has no contact with a
 * socket is freed with the last of its queue. */
static void give_up_queued(struct nh_contacts *contacts, struct address_bucket *bucket)
{
    struct nh_address *a, *next;
    struct nh_contact *c, *following;

    for (a = NH_LIST_FIRST(bucket); a; a = next) {
        next = NH_LIST_NEXT(a, table_link);
        for (c = NH_LIST_FIRST(&a->queued); c; c = following) {
            following = NH_LIST_NEXT(c, link);
            give_up(contacts, c);
        }
    }
}

void nh_contacts_free(struct nh_contacts *contacts)
{
    struct nh_contact *c;

    if (!contacts)
        return;
    if (!nh_resolver_mine(contacts->resolver)) {
        NH_LIST_FOREACH (c, &contacts->open, link) /* else the server would see no end of them */
            if (c->fd >= 0)
                close(c->fd);
        contacts->next_abandoned = abandoned;
        abandoned = contacts;
        return;
    }
    contacts->is_ending = true; /* nothing begins any more */
    for (size_t k = 0; k < ADDRESS_BUCKETS; k++)
        give_up_queued(contacts, &contacts->addresses[k]);
    while ((c = NH_LIST_FIRST(&contacts->open)) != NULL)
        give_up(contacts, c);
    while ((c = NH_LIST_FIRST(&contacts->remembered)) != NULL)
        forget(contacts, c);
    nh_anchors_clear(&contacts->anchors);
    nh_judge_free(contacts->judge);
    nh_tls_contexts_free(&contacts->tls);
    free(contacts);
}
