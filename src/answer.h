/* answer.h - a DNS packet as records and the chain of aliases. TTLs are whole seconds. */
#ifndef NEXTHOP_ANSWER_H
#define NEXTHOP_ANSWER_H

#include "err.h"
#include "name.h"

#pragma GCC visibility push(hidden)

#define NH_TYPE_A 1
#define NH_TYPE_NS 2
#define NH_TYPE_CNAME 5
#define NH_TYPE_SOA 6
#define NH_TYPE_MX 15
#define NH_TYPE_AAAA 28
#define NH_TYPE_DNAME 39
#define NH_TYPE_DS 43
#define NH_TYPE_RRSIG 46
#define NH_TYPE_NSEC 47
#define NH_TYPE_DNSKEY 48
#define NH_TYPE_NSEC3 50
#define NH_TYPE_TLSA 52

/* "MX"; "?" for types that nobody here asks for. */
const char *nh_type_name(uint16_t type);

struct nh_rr {
    const char *name;    /* MX, CNAME, DNAME: the target as text */
    const uint8_t *data; /* the others: their rdata */
    uint16_t len;
    uint16_t pref; /* MX: preference */
};

struct nh_answer {
    uint8_t rcode;       /* the header's: 0 or 3 (NXDOMAIN) */
    bool loop;           /* the packet's chain comes back to a name it had */
    uint16_t n_links;    /* CNAMEs from the question to the final name */
    uint16_t n_records;  /* records of the asked type at the final name */
    uint16_t iterations; /* of the NSEC3 records that came as proof; 0 without any, too */
    uint32_t ttl;        /* smallest of what was used; of a denial the SOA's (RFC 2308 5) */
    bool optout;         /* one of those has the opt-out flag (RFC 5155 6) */
    const char **chain;  /* n_links + 1 names, the question's first, the final name last */
    const char
        *dname; /* the DNAME above the question that makes it an alias; NULL: a CNAME's own */
    struct nh_rr *records;
    void *memory; /* one block holds it all */
    size_t size;  /* of the block */
};

/* Reads packet, of which *a holds copies, as the answer to qname (text) / qtype. A CNAME question
 * is answered by the CNAME records at qname: chain of one link and one record whose name is the
 * target. Returns NH_OK, NH_SERVFAIL (malformed: no byte outside packet is ever read, no loop
 * without end), NH_NO_MEMORY. On error *a is zeroed. */
enum nh_code nh_answer_parse(struct nh_answer *a, const uint8_t *packet, size_t len,
                             const char *qname, uint16_t qtype);
void nh_answer_free(struct nh_answer *a);

/* Does the answer section hold DNSKEY with RRSIG? (for the probe of a forwarder) */
bool nh_answer_has_dnssec(const uint8_t *packet, size_t len);

#pragma GCC visibility pop

#endif
