/* gather_dest.h - gather_destinations: the mail hosts of a domain. */
#pragma once

#include "op.h"
#include "walk.h"

struct nh_host {
    char *name;
    int pref; /* -1: there is no MX */
};

struct nh_dest_call {
    struct nh_op op;
    char domain[NH_HOST_MAX]; /* a host name or the text of an address */
    bool literal;
    bool have_mx, orig_authentic, expanded_authentic, nxdomain;
    bool has_expanded; /* false for an address literal */
    char expanded[NH_HOST_MAX];
    struct nh_host *hosts;
    size_t n_hosts;
    /* private */
    struct nh_lookup mx, cname;
    struct nh_walk *walk; /* NULL: there is none */
};

/* The caller has set domain and literal. */
extern const struct nh_op_type nh_dest_type;
