/* sts_store.h - the policies of MTA-STS that a resolver knows, and the fetches that have failed. */
#pragma once

#include "err.h"
#include "list.h"
#include "name.h"
#include "sts_policy.h"

#include <stdint.h>

/* A policy that was fetched. All its readers share it, each with a reference. */
struct nh_sts_known {
    struct nh_sts_policy policy;
    char id[NH_STS_ID_MAX];
    int64_t fetched, expires; /* seconds since 1970 */
    unsigned serial;          /* from 1; no other policy of the store has it */
    unsigned references;
};

struct nh_sts_known *nh_sts_known_use(struct nh_sts_known *known);
void nh_sts_known_drop(struct nh_sts_known *known); /* known may be NULL */
/* Puts a policy, with a reference, in the place of another. Each of the two may be NULL. */
void nh_sts_known_set(struct nh_sts_known **place, struct nh_sts_known *known);

/* The error codes are result types of RFC 8460 4.3. */
enum nh_sts_code { NH_STS_OK, NH_STS_FETCH_ERROR, NH_STS_INVALID, NH_STS_WEBPKI_INVALID };
extern const char *const nh_sts_code_names[];

struct nh_sts_err {
    enum nh_sts_code code;
    bool expired; /* the deadline of the call came first: that says nothing about the domain */
    char message[300];
};
void nh_sts_fail(struct nh_sts_err *err, enum nh_sts_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What is known of a domain. */
struct nh_sts_entry {
    struct nh_sts_known *known; /* NULL: no policy */
    struct nh_sts_err *err;     /* of the last fetch; NULL: it did not fail */
    char failed_id[NH_STS_ID_MAX];
    /* In this time (seconds since 1970) the domain's record is known to have the id of the policy, as its
     * TTL is not over. 0: that is not known. */
    int64_t record_since, record_until;
    double failed_at; /* nh_now(); when err is set */
    double
        rechecked_at; /* nh_now(): the last fetch because of a host that does not match; 0: none */
    /* private */
    char *domain;
    uint32_t hash;
    size_t size;
    bool is_unsaved; /* the file has not taken its policy yet */
    struct nh_sts_entry *next;
    NH_LIST_LINK(nh_sts_entry) link; /* in the order of the last use */
};

/* seed is a random number, so that nobody can choose names that are slow to find. Returns NULL when
 * memory runs out. */
struct nh_sts_store *nh_sts_store_new(uint32_t seed);
void nh_sts_store_free(struct nh_sts_store *store);

/* Sets how many bytes the entries may use; 0 leaves the default, 64 MB. Above, the entries that
 * were not used for longest are removed. */
void nh_sts_store_limit(struct nh_sts_store *store, size_t bytes);

/* Shares the policies with other processes in a file. Returns false and sets *err. */
bool nh_sts_store_open(struct nh_sts_store *store, const char *path, struct nh_err *err);

/* Returns what is known of the domain, or NULL. An expired policy is not known. With `fresh` that
 * is also what another process has just added; else a known policy may be a second old. The entry may
 * be gone after the next call of the store. */
struct nh_sts_entry *nh_sts_store_find(struct nh_sts_store *store, const char *domain, bool fresh);

/* Returns what the memory has of a domain whose policy is known, or NULL. It does not look into the file,
 * and returns NULL when it is time to do so. */
struct nh_sts_entry *nh_sts_store_recent(struct nh_sts_store *store, const char *domain);

/* Makes an entry if there is none. Returns NULL when memory runs out. */
struct nh_sts_entry *nh_sts_store_make(struct nh_sts_store *store, const char *domain);

/* Keeps a policy that was fetched now, for its max_age, and takes it over. Returns it with a
 * reference, or NULL (and frees it) when memory runs out. */
struct nh_sts_known *nh_sts_store_put(struct nh_sts_store *store, const char *domain,
                                      struct nh_sts_policy *policy, const char *id);

/* Forgets the policy of a domain, in the file too. Returns false when there was none. */
bool nh_sts_store_forget(struct nh_sts_store *store, const char *domain);

/* Tries again to write what the file has not taken. Returns false when something is left. */
bool nh_sts_store_save(struct nh_sts_store *store);

/* What a person should know of the file. NULL: nothing. */
const char *nh_sts_store_notice(const struct nh_sts_store *store);
