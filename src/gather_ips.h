/* gather_ips.h - gather_ips: the addresses of a host. */
#pragma once

#include "op.h"
#include "walk.h"

enum nh_network { NH_IP, NH_IP4, NH_IP6 };

/* The lookup for one address family. */
struct nh_family {
    bool wanted;
    bool answered;     /* otherwise the lookup has the reason */
    bool chain_secure; /* the chain and the addresses are secure */
    bool leaf_secure;  /* the addresses (or their denial) are secure, whatever the chain is */
    bool expired;      /* not answered: the deadline of the call came first */
    uint16_t n;        /* number of addresses in the answer of the lookup */
    struct nh_lookup lookup;
};

struct nh_ips_call {
    struct nh_op op;
    char host[NH_HOST_MAX]; /* a host name or the text of an address */
    bool literal;
    enum nh_network network;
    unsigned max_links;
    const struct nh_ip
        *dialed; /* earlier attempts, oldest first; owned by the caller until done() */
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
    struct nh_walk *walk; /* NULL: there is none */
    char *final;          /* the end of the chain; NULL: the host itself */
    unsigned n_links;
    bool aliases_secure;     /* all aliases are secure; from a walk or a complete answer */
    unsigned waiting;        /* lookups that are under way */
    struct nh_family *first; /* its answer begins at the host and holds the chain */
    struct nh_family *again; /* the family that was asked a second time */
    void (*next)(struct nh_ips_call *); /* runs when all lookups have ended */
    /* May be NULL. It is called when one family has secure addresses and the other has no answer
     * yet. name has them. */
    void (*on_secure)(void *arg, const char *name);
};

/* Was the family looked up, and did the lookup fail? A lookup that was stopped before does not
 * count. */
static inline bool nh_family_failed(const struct nh_family *f)
{
    return f->wanted && !f->answered && f->lookup.state == NH_DONE;
}

extern const struct nh_op_type nh_ips_type;

/* Handles the deadline of the call. If one family has its answer and nothing else must be known,
 * the call ends now as if the other family had failed: done() is called, and true is returned.
 * Otherwise the call is stopped. */
bool nh_ips_expire(struct nh_ips_call *i);
