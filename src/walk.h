/* walk.h - a walk: it follows a chain of aliases one at a time. */
#pragma once

#include "op.h"

/* The number of CNAMEs that are followed. mox looks up at most 16 names of a domain, follows 11
 * aliases of a host and 10 of a TLSA name. */
#define NH_DEST_LINKS 15
#define NH_IPS_LINKS 11
#define NH_TLSA_LINKS 10

/* The number of DNAMEs that one walk looks up above bogus names. A name may have up to 126 names
 * above it, and its server may be slow on purpose. */
#define NH_DNAMES_ABOVE 24

struct nh_walk {
    struct nh_op *op;
    struct nh_lookup lookup;
    void (*done)(void *arg);
    void *arg;
    const char *section;
    double seconds;              /* the time for each lookup; 0: the resolver's default */
    unsigned max_links, n_links; /* at the limit n_links may be max_links + 1 */
    bool hosts_only;             /* every name must be a host name (mox: ParseDomain) */
    bool stop_insecure;          /* end at an insecure alias */
    bool first_secure, all_secure;
    struct nh_lookup dname;         /* for the status of an alias that a DNAME makes */
    const char *target;             /* the name that the alias leads to */
    char made[NH_HOST_MAX];         /* the same, when a DNAME above was looked up for it */
    unsigned n_above;               /* DNAMEs that were looked up above bogus names */
    const struct nh_lookup *failed; /* the one of the two lookups that has failed */
    enum nh_code code;  /* NH_OK, _CNAME_LOOP, _CNAME_LIMIT, _INVALID_NAME, or of the lookup */
    const char *reason; /* the reason for NH_INVALID_NAME */
    char *names[NH_DEST_LINKS + 2]; /* names[0] is not set: it is in first */
    const char *first;
};

/* Makes *place a new walk of the call op, and returns it, or NULL when memory runs out. A walk that was there is
 * freed. The caller sets section, seconds, max_links, hosts_only and stop_insecure, which are zero at first. Then
 * it starts the walk. done(arg) is called when the walk has ended. A walk is no part of its call, because few
 * calls need one and it takes a kilobyte. */
struct nh_walk *nh_walk_new(struct nh_walk **place, struct nh_op *op, void (*done)(void *arg),
                            void *arg);
void nh_walk_start(struct nh_walk *w, const char *name);
const char *nh_walk_end(const struct nh_walk *w);
void nh_walk_error(const struct nh_walk *w, struct nh_err *err, const char *subject);
/* Returns the lookup that explains the failure: l, which has failed, or the lookup that ended
 * the walk after it. w may be NULL. */
const struct nh_lookup *nh_walk_culprit(const struct nh_walk *w, const struct nh_lookup *l);
/* Ends and frees the walk, if there is one, and sets *place to NULL. */
void nh_walk_free(struct nh_walk **place);
