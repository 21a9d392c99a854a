/*
 * gather.h - the three lookups of the mail server mox (smtpclient/gather.go) and plan, as state
 * machines on a resolver. Start one, run the resolver, done(arg) is called once its fields are
 * there; for an address literal from inside the start function. Each owns its memory until it is
 * stopped; stopping one that is under way means that done() is not called.
 */
#ifndef NEXTHOP_GATHER_H
#define NEXTHOP_GATHER_H

#include "nexthop.h"
#include "pool.h"
#include "resolver.h"

#pragma GCC visibility push(hidden)

/* CNAMEs followed. mox looks up at most 16 names of a domain, follows 11 aliases of a host and 10
 * of a TLSA name. */
#define NH_DEST_LINKS 15
#define NH_IPS_LINKS 11
#define NH_TLSA_LINKS 10

/* DNAMEs that one walk asks for above bogus names. A name has up to 126 others above it; its server may be
 * slow on purpose. */
#define NH_DNAMES_ABOVE 24

/* ---- trace: what was asked and what came back -------------------------------- */

struct nh_trace_entry {
    char *name;
    const char *section; /* the RFC section the question stands under */
    uint16_t type;
    enum nh_code code; /* NH_OK: rcode and secure hold */
    uint8_t rcode;
    bool secure;
};

struct nh_trace {
    struct nh_trace_entry *entries;
    size_t n, size;
};

void nh_trace_free(struct nh_trace *trace);

/* ---- what all of them have ----------------------------------------------------- */

struct nh_op {
    struct nh_resolver *resolver;
    void (*done)(void *arg);
    void *arg;
    struct nh_trace *trace; /* NULL: not wanted */
    struct nh_err err;      /* code NH_OK: the result is whole */
    bool has_ttl;           /* false: rests on no answer */
    uint32_t ttl;           /* seconds */
};

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

/* ---- gather_destinations -------------------------------------------------------- */

struct nh_host {
    char *name;
    int pref; /* -1: no MX */
};

struct nh_dest {
    struct nh_op op;
    char domain[NH_HOST_MAX]; /* a host name or the text of an address */
    bool literal;
    bool have_mx, orig_authentic, expanded_authentic, nxdomain;
    bool has_expanded; /* false for a literal */
    char expanded[NH_HOST_MAX];
    struct nh_host *hosts;
    size_t n_hosts;
    /* private */
    struct nh_lookup mx, cname;
    struct nh_walk walk;
};

/* domain (and literal) are set by the caller. */
void nh_dest_start(struct nh_dest *d, struct nh_resolver *r, void (*done)(void *), void *arg);
void nh_dest_stop(struct nh_dest *d);

/* ---- gather_ips ------------------------------------------------------------------ */

enum nh_network { NH_IP, NH_IP4, NH_IP6 };

/* One address family's lookup. */
struct nh_family {
    bool wanted;
    bool answered; /* else the lookup says why not */
    bool whole;    /* secure as a whole: chain and addresses */
    bool own;      /* the status of the addresses (or their denial) alone */
    bool expired;  /* not answered: the deadline of the call came first */
    uint16_t n;    /* addresses, in the lookup's answer */
    struct nh_lookup lookup;
};

struct nh_ips {
    struct nh_op op;
    char host[NH_HOST_MAX]; /* a host name or the text of an address */
    bool literal;
    enum nh_network network;
    unsigned max_links;
    const struct nh_ip *dialed; /* earlier attempts, oldest first; the caller's, until done */
    size_t n_dialed;
    bool authentic, expanded_authentic, host_authentic, dualstack;
    bool alias; /* at least one CNAME */
    bool has_expanded;
    char expanded[NH_HOST_MAX];
    struct nh_ip *ips;
    size_t n_ips;
    struct nh_family v4, v6;
    /* private */
    struct nh_lookup cname;
    struct nh_walk walk;
    char *final; /* the end of the chain; NULL: the host itself */
    unsigned n_links;
    bool chain_secure;             /* every alias was; known after a walk or from a whole answer */
    unsigned waiting;              /* lookups under way */
    struct nh_family *first;       /* its answer begins at the host and holds the chain */
    struct nh_family *again;       /* the one that was asked a second time */
    void (*next)(struct nh_ips *); /* when they are back */
    /* NULL, or called when a family has secure addresses while the other is still out, with the name
     * that has them */
    void (*on_secure)(void *arg, const char *name);
};

/* Looked up and failed; not one that was stopped before. */
static inline bool nh_family_failed(const struct nh_family *f)
{
    return f->wanted && !f->answered && f->lookup.state == NH_DONE;
}

void nh_ips_start(struct nh_ips *i, struct nh_resolver *r, void (*done)(void *), void *arg);
void nh_ips_stop(struct nh_ips *i);

/* The deadline has come. Where one family has its answer and that is all there is to know, the call
 * ends now as if the other had failed: done() is called and true returned. Else all is stopped. */
bool nh_ips_expire(struct nh_ips *i);

/* ---- gather_tlsa ------------------------------------------------------------------- */

struct nh_tlsas {
    struct nh_op op;
    char host[NH_HOST_MAX], expanded_host[NH_HOST_MAX]; /* expanded_host may be "" */
    bool literal, expanded_authentic;
    uint16_t port;
    char protocol[16];
    bool dane_required;
    char base[NH_HOST_MAX];             /* the TLSA base domain */
    struct nh_tlsa *records, *unusable; /* one block; either has room for all */
    size_t n_records, n_unusable;
    /* private */
    struct nh_lookup lookup;
    struct nh_walk walk;
    char name[NH_HOST_MAX + 32]; /* _port._protocol.base */
    bool last;                   /* no other base domain to try */
    struct nh_lookup early;      /* asked for before it was known to be needed */
    char early_name[NH_HOST_MAX + 32];
    struct nh_lookup *asked; /* one of the two, whose answer is taken; NULL: none yet */
};

void nh_tlsas_start(struct nh_tlsas *t, struct nh_resolver *r, void (*done)(void *), void *arg);
void nh_tlsas_stop(struct nh_tlsas *t);

/* Asks for the TLSA of base, a candidate base domain, before it is known whether they are needed
 * (port and protocol are set). nh_tlsas_start() takes the answer when it comes to ask for that name.
 * Without it, nothing of the answer counts, and no failure. Only the first call asks. */
void nh_tlsas_ask_early(struct nh_tlsas *t, struct nh_resolver *r, const char *base);

/* The result is there: a lookup that was asked for early and is no part of it ends, as it may be under
 * way. */
void nh_tlsas_stop_early(struct nh_tlsas *t);

/* In place of nh_tlsas_start(), when the deadline has come: takes what was asked for early if it is
 * there and all that is needed, else fails with NH_TIMEOUT. Never calls done(). */
void nh_tlsas_expire(struct nh_tlsas *t, struct nh_resolver *r);

/* ---- one lookup as data ------------------------------------------------------------- */

struct nh_raw {
    struct nh_op op;
    char name[NH_HOST_MAX];
    uint16_t type;
    struct nh_lookup lookup; /* holds the answer until it is stopped */
};

/* name and type are set by the caller. */
void nh_raw_start(struct nh_raw *raw, struct nh_resolver *r, void (*done)(void *), void *arg);
void nh_raw_stop(struct nh_raw *raw);

/* ---- plan ---------------------------------------------------------------------------- */

enum nh_tls { NH_TLS_SKIP, NH_TLS_MAY, NH_TLS_ENCRYPT, NH_TLS_DANE };

struct nh_plan_host {
    struct nh_plan *plan;
    int pref;
    bool done, asked_tlsa;
    enum nh_tls tls;
    const struct nh_err *err; /* NULL: none; else that of ips.op or tlsa.op */
    struct nh_ips ips;
    struct nh_tlsas tlsa;
    struct nh_tlsa *weaker; /* dropped by digest agility; the tail of tlsa.records */
    size_t n_weaker;
    struct nh_trace trace;
    const char *names[4]; /* reference identifiers */
    size_t n_names;
    bool has_ttl;
    uint32_t ttl;
};

struct nh_plan {
    struct nh_op op;
    char domain[NH_HOST_MAX];
    bool literal, bracketed; /* bracketed: that host itself, no MX */
    enum nh_network network;
    uint16_t port;
    size_t max_hosts;
    bool dane_behind_insecure_mx, require_dane;
    uint8_t digests[8]; /* strongest first */
    size_t n_digests;
    /* per host: earlier attempts; the caller's, until done */
    const struct nh_dialed *dialed;
    size_t n_dialed;
    struct nh_pool *pool; /* of struct nh_plan_host; the caller's, outlives the plan */

    struct nh_dest dest;
    struct nh_plan_host **hosts;
    size_t n_hosts, truncated, open;
    bool mx_authentic;
    bool expired;          /* the deadline came before all of it was known */
    struct nh_trace trace; /* of the destinations */
};

struct nh_dialed {
    char host[NH_HOST_MAX];
    struct nh_ip *ips;
    size_t n;
};

void nh_plan_start(struct nh_plan *p, struct nh_resolver *r, void (*done)(void *), void *arg);
void nh_plan_stop(struct nh_plan *p);

/* The deadline has come: hosts that are not done become `skip`; without destinations the plan
 * fails. */
void nh_plan_expire(struct nh_plan *p);

/* ---- gather_tlsa_names ----------------------------------------------------------------- */

struct nh_names_in {
    bool have_mx, next_hop_authentic, base_authentic;
    const char *orig_next_hop, *expanded_next_hop, *orig_base, *expanded_base;
};

/* mox GatherTLSANames. Fills out with at most 4 of the names, returns how many. */
size_t nh_tlsa_names(const struct nh_names_in *in, const char *out[4]);

/* ---- for the state machines ---------------------------------------------------------------- */

const char *nh_type_name(uint16_t type);
/* The error of a lookup that did not succeed, told for subject (the caller's domain or host). */
void nh_lookup_error(struct nh_err *err, const char *subject, const struct nh_lookup *l);
/* Counts an answer in: trace and ttl. */
void nh_note(struct nh_op *op, const struct nh_lookup *l, const char *section);
double nh_grace(const struct nh_op *op, enum nh_code code);
/* Looks up the first alias of an answer on its own, for its status. */
void nh_alias_start(struct nh_op *op, struct nh_lookup *l, const struct nh_answer *a,
                    void (*done)(void *arg, struct nh_lookup *), void *arg);

/* Is there an alias, of which this answer to CNAME or DNAME tells the status? Not where the name that was
 * asked for a DNAME is an alias itself: what is at its end says nothing of the names below it. */
bool nh_alias_is_there(const struct nh_lookup *l);

void nh_walk_start(struct nh_walk *w, const char *name);
const char *nh_walk_end(const struct nh_walk *w);
void nh_walk_error(const struct nh_walk *w, struct nh_err *err, const char *subject);
/* Of a lookup that failed and the walk after it that came no further: the one that says why. */
const struct nh_lookup *nh_walk_culprit(const struct nh_walk *w, const struct nh_lookup *l);
void nh_walk_stop(struct nh_walk *w);

#pragma GCC visibility pop

#endif
