/* tlsa.h - which TLSA records count, and for which names. */
#pragma once

#include "name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nh_tlsa {
    uint8_t usage, selector, match_type;
    uint16_t len;
    const uint8_t *data;
    /* why it is unusable: "usage 1 (PKIX-EE) is not for SMTP (RFC 7672 3.1.3)"; else "" */
    char reason[120];
};

/* To read a certificate or a key takes a tenth of a millisecond, and an answer has room for a thousand. */
#define NH_TLSA_FULL_MAX 16

/* Fills *t from rdata, into which it points, and judges it. The record is usable when t->reason
 * is "". Errors that OpenSSL adds to its error queue are removed again. rdata of less than 3
 * bytes is an unusable record. *n_full counts the records of an answer that have match type 0. Of those after
 * the first NH_TLSA_FULL_MAX only the form is looked at, so that they count even if OpenSSL could not read
 * their keys: a host has rather too much DANE than too little. NULL: all are read. */
void nh_tlsa_judge(struct nh_tlsa *t, const uint8_t *rdata, size_t len, unsigned *n_full);

struct nh_names_in {
    bool have_mx, next_hop_authentic, base_authentic;
    const char *orig_next_hop, *expanded_next_hop, *orig_base, *expanded_base;
};

/* The same as mox GatherTLSANames. Fills out with at most 4 of the names and returns how many. */
size_t nh_tlsa_names(const struct nh_names_in *in, const char *out[4]);

/* A record that counts as if it had been in the answer. */
struct nh_assumed {
    char name[NH_HOST_MAX + 32]; /* its owner */
    uint8_t *rdata;
    size_t len;
};
