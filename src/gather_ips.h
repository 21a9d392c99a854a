/* gather_ips.h - gather_ips: the addresses of a host. */
#ifndef NEXTHOP_GATHER_IPS_H
#define NEXTHOP_GATHER_IPS_H

#include "op.h"
#include "walk.h"

#pragma GCC visibility push(hidden)

enum nh_network { NH_IP, NH_IP4, NH_IP6 };

/* One address family's lookup. */
struct nh_family {
    bool wanted;
    bool answered;     /* else the lookup says why not */
    bool chain_secure; /* secure as a whole: chain and addresses */
    bool leaf_secure;  /* the status of the addresses (or their denial) alone */
    bool expired;      /* not answered: the deadline of the call came first */
    uint16_t n;        /* addresses, in the lookup's answer */
    struct nh_lookup lookup;
};

struct nh_ips_call {
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
    bool aliases_secure;     /* every alias was; known after a walk or from a whole answer */
    unsigned waiting;        /* lookups under way */
    struct nh_family *first; /* its answer begins at the host and holds the chain */
    struct nh_family *again; /* the one that was asked a second time */
    void (*next)(struct nh_ips_call *); /* when they are back */
    /* NULL, or called when a family has secure addresses while the other is still out, with the name
     * that has them */
    void (*on_secure)(void *arg, const char *name);
};

/* Looked up and failed; not one that was stopped before. */
static inline bool nh_family_failed(const struct nh_family *f)
{
    return f->wanted && !f->answered && f->lookup.state == NH_DONE;
}

extern const struct nh_op_type nh_ips_type;

/* The deadline has come. Where one family has its answer and that is all there is to know, the call
 * ends now as if the other had failed: done() is called and true returned. Else all is stopped. */
bool nh_ips_expire(struct nh_ips_call *i);

#pragma GCC visibility pop

#endif
