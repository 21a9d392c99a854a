/* walk.h - a chain of aliases, followed hop by hop. */
#ifndef NEXTHOP_WALK_H
#define NEXTHOP_WALK_H

#include "op.h"

#pragma GCC visibility push(hidden)

/* CNAMEs followed. mox looks up at most 16 names of a domain, follows 11 aliases of a host and 10
 * of a TLSA name. */
#define NH_DEST_LINKS 15
#define NH_IPS_LINKS 11
#define NH_TLSA_LINKS 10

/* DNAMEs that one walk asks for above bogus names. A name has up to 126 others above it; its server may be
 * slow on purpose. */
#define NH_DNAMES_ABOVE 24

/* Walks a chain of aliases hop by hop, with CNAME questions: where one answer can't tell. */
struct nh_walk {
    struct nh_op *op;
    struct nh_lookup lookup;
    void (*done)(void *arg);
    void *arg;
    const char *section;
    double seconds;              /* each lookup's deadline, 0: the resolver's */
    unsigned max_links, n_links; /* n_links may be max_links + 1 when the limit is hit */
    bool hosts_only;             /* every name must be a host name (mox: ParseDomain) */
    bool stop_insecure;          /* end at an insecure alias */
    bool first_secure, all_secure;
    struct nh_lookup dname;         /* for the status of an alias that a DNAME makes */
    const char *target;             /* that the alias leads to */
    char *made;                     /* the same, where a DNAME was asked for it */
    unsigned n_above;               /* DNAMEs asked for above bogus names */
    const struct nh_lookup *failed; /* which of the two lookups has failed */
    enum nh_code code;  /* NH_OK, _CNAME_LOOP, _CNAME_LIMIT, _INVALID_NAME, or the lookup's */
    const char *reason; /* of NH_INVALID_NAME */
    char *names[NH_DEST_LINKS + 2]; /* names[0] is not set: see first */
    const char *first;
};

void nh_walk_start(struct nh_walk *w, const char *name);
const char *nh_walk_end(const struct nh_walk *w);
void nh_walk_error(const struct nh_walk *w, struct nh_err *err, const char *subject);
/* Of a lookup that failed and the walk after it that came no further: the one that says why. */
const struct nh_lookup *nh_walk_culprit(const struct nh_walk *w, const struct nh_lookup *l);
void nh_walk_stop(struct nh_walk *w);

#pragma GCC visibility pop

#endif
