/* contacts.h - the contacts of a resolver: one for each target, whoever asks for it, and not too
 * many at once. */
#pragma once

#include "anchors.h"
#include "contact.h"
#include "list.h"
#include "verdict.h"

struct nh_limits {
    double step;                      /* seconds for each stage of a contact */
    double reuse;                     /* seconds for which the result of a contact is used again */
    unsigned max_connections, per_ip; /* sockets that are open at once, in all and to one address */
};

/* Somebody who waits for a contact, and afterwards holds its result. It is zero before the first
 * use. */
struct nh_wait {
    struct nh_contact *contact; /* NULL: none */
    bool reused;                /* the contact had begun before */
    struct nh_task task;
    void (*done)(void *arg);
    void *arg;
    NH_LIST_LINK(nh_wait) link;
};

/* Returns NULL when memory runs out. */
struct nh_contacts *nh_contacts_new(struct nh_resolver *r);

/* Ends all contacts. Nobody may wait for one. Results that somebody holds stay. In a forked child
 * nothing is ended, because the sockets belong to the parent. */
void nh_contacts_free(struct nh_contacts *contacts);

/* Has a contact a socket, which may still have to be closed when nobody waits any more? */
bool nh_contacts_are_open(const struct nh_contacts *contacts);

/* Finds or makes the contact. done(arg) is called once when it has its result, from
 * nh_resolver_run() or nh_resolver_drain(). Returns false when memory runs out. */
bool nh_contacts_ask(struct nh_contacts *contacts, struct nh_wait *wait,
                     const struct nh_target *target, const struct nh_limits *limits,
                     void (*done)(void *arg), void *arg);

/* Gives up the contact or its result. A contact that nobody waits for ends. */
void nh_wait_stop(struct nh_wait *wait);

/* What judges the certificates. NULL: there is no memory, or OpenSSL has no DANE. */
struct nh_judge *nh_contacts_judge(struct nh_contacts *contacts);

/* The trust anchors out of these files, which may be NULL: then those of the system. A file is read
 * again when it has changed. The caller frees the store. Returns NULL and sets *err (NH_CONFIG,
 * NH_NO_MEMORY). */
X509_STORE *nh_contacts_anchors(struct nh_contacts *contacts, const char *file, const char *path,
                                struct nh_err *err);
