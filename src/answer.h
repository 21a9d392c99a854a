/* answer.h - a DNS packet as records and the chain of aliases. TTLs are whole seconds. */
#pragma once

#include "err.h"
#include "name.h"
#include "packet.h"

/* The name of the type, as "MX". It is "?" for types that nexthop does not ask for. */
const char *nh_type_name(uint16_t type);

struct nh_rr {
    const char *name;    /* MX, NS, CNAME, DNAME: the target as text */
    const uint8_t *data; /* other types: the rdata */
    uint16_t len;
    uint16_t pref; /* MX: the preference */
};

struct nh_answer {
    uint8_t rcode;       /* of the header: 0 or 3 (NXDOMAIN) */
    bool loop;           /* the chain of the packet returns to a name that it had before */
    uint16_t n_links;    /* CNAMEs from the question to the final name */
    uint16_t n_records;  /* records of the asked type at the final name */
    uint16_t iterations; /* of the NSEC3 records that are the proof; 0 also when there are none */
    uint32_t ttl;        /* smallest TTL of what was used; of a denial the SOA's (RFC 2308 5) */
    bool optout;         /* one of the NSEC3 records has the opt-out flag (RFC 5155 6) */
    const char **chain;  /* n_links + 1 names, from the question's to the final one */
    const char *dname;   /* owner of the DNAME that makes the question an alias; NULL: none */
    struct nh_rr *records;
    void *memory; /* one block that holds everything */
    size_t size;  /* size of the block */
};

/* Reads the packet as the answer to qname (as text) and qtype. *a holds copies and does not
 * point into the packet. A question of type CNAME is answered by the CNAME record at qname: the
 * chain has one link, and there is one record whose name is the target. Returns NH_OK,
 * NH_SERVFAIL (the packet is malformed) or NH_NO_MEMORY. No byte outside the packet is read, and
 * there is no endless loop. On error *a is zeroed. */
enum nh_code nh_answer_parse(struct nh_answer *a, const uint8_t *packet, size_t len,
                             const char *qname, uint16_t qtype);
void nh_answer_free(struct nh_answer *a);

/* Writes the name that results when a DNAME renames name, whose last `tail` bytes are the owner
 * of the DNAME (RFC 6672 2.2). Returns false when the result would be too long. */
bool nh_dname_rename(char out[NH_HOST_MAX], const char *name, size_t tail, const char *target);

/* Does the answer section hold DNSKEY and RRSIG records? The probe of a forwarder asks this. */
bool nh_answer_has_dnssec(const uint8_t *packet, size_t len);
