/*
 * nexthop.h - the map: the types that pass between the files.
 *
 *   lua_*.c  ->  plan.c, gather.c  ->  resolver.c, lookup.c  ->  loop.c, cache.c, sigpipe.c
 *                        |-> answer.c, tlsa.c, name.c
 *   core.c   ->  descriptors.c
 *
 * Nothing here knows Lua. Functions that cross files carry nh_. Times are
 * seconds as double on the monotonic clock, TTLs are whole seconds. Names are
 * text: lower-case, no final dot (the root is "."), bytes that are not
 * letters, digits, '-' or '_' written as \DDD or \C as in RFC 1035 5.1.
 */
#ifndef NEXTHOP_H
#define NEXTHOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Also where the compiler was not told so: only luaopen_nexthop_core is for others. */
#pragma GCC visibility push(hidden)

#define NH_HOST_MAX 254  /* a host name as text, with its NUL */
#define NH_NAME_MAX 1024 /* any DNS name as text (253 bytes, all escaped), with its NUL */
#define NH_IP_TEXT 46    /* an IP address as text, with its NUL */

#define NH_TYPE_A 1
#define NH_TYPE_CNAME 5
#define NH_TYPE_SOA 6
#define NH_TYPE_MX 15
#define NH_TYPE_AAAA 28
#define NH_TYPE_DNAME 39
#define NH_TYPE_RRSIG 46
#define NH_TYPE_NSEC 47
#define NH_TYPE_DNSKEY 48
#define NH_TYPE_NSEC3 50
#define NH_TYPE_TLSA 52

/* ---- errors -------------------------------------------------------------- */

enum nh_code {
    NH_OK,
    NH_NO_MAIL,
    NH_CNAME_LOOP,
    NH_CNAME_LIMIT,
    NH_NXDOMAIN,
    NH_NOT_FOUND,
    NH_NO_DANE,
    NH_BOGUS,
    NH_SERVFAIL,
    NH_TIMEOUT,
    NH_INVALID_NAME,
    NH_INVALID_MX,
    NH_CONFIG,
    NH_CLOSED,
    NH_FORKED,
    NH_NO_MEMORY
};

/* An error as a value: copied by assignment, owns nothing. */
struct nh_err {
    enum nh_code code; /* NH_OK: no error */
    bool permanent;
    char message[400]; /* one line */
};

/* Copies text that is known to fit; cut off if it should not. */
static inline void nh_copy(char *out, size_t size, const char *text)
{
    size_t len = strnlen(text, size - 1);

    memcpy(out, text, len);
    out[len] = '\0';
}

/* ---- name.c: names, literals, IDNA (libidn2) ------------------------------ */

struct nh_ip {
    uint8_t family; /* 4 or 6 */
    uint8_t addr[16];
};

/* Parses a host or domain name as a person writes it (U- or A-labels in UTF-8,
 * any case, perhaps a final dot) into out: a lower-case A-label without the
 * final dot. lax lets '_' through in a name that is ASCII and not IDNA. Returns NULL, or the
 * reason why it is no host name (a static string, "an empty label"). A name of nothing but
 * digits and dots, or with an all-numeric last label, is no host name. */
const char *nh_name_parse(const char *text, size_t len, bool lax, char out[NH_HOST_MAX]);

/* A name out of a DNS answer (the text form above): NULL when it is a host name, else the
 * reason. out as above. */
const char *nh_name_from_dns(const char *text, bool lax, char out[NH_HOST_MAX]);

enum nh_literal { NH_NOT_LITERAL, NH_LITERAL, NH_BAD_LITERAL };

/* The address literals 192.0.2.1, [192.0.2.1], 2001:db8::1, [IPv6:2001:db8::1] (RFC 5321
 * 4.1.3; the tag in any case; [2001:db8::1] is let through too). NH_BAD_LITERAL: in brackets (or with a colon) but no
 * address; "[host.example]" is NH_NOT_LITERAL here: plan() handles the brackets of a host. */
enum nh_literal nh_literal_parse(const char *text, size_t len, struct nh_ip *ip);

/* The bare address, no brackets. */
bool nh_ip_parse(const char *text, struct nh_ip *ip);
void nh_ip_text(const struct nh_ip *ip, char out[NH_IP_TEXT]);

/* ---- answer.c: a packet -> records and the CNAME chain -------------------- */

struct nh_rr {
    const char *name;    /* MX, CNAME: the target as text */
    const uint8_t *data; /* the others: their rdata */
    uint16_t len;
    uint16_t pref; /* MX: preference */
};

struct nh_answer {
    uint8_t rcode;      /* the header's: 0 or 3 (NXDOMAIN) */
    bool loop;          /* the packet's chain comes back to a name it had */
    uint16_t n_links;   /* CNAMEs from the question to the final name */
    uint16_t n_records; /* records of the asked type at the final name */
    uint32_t ttl;       /* smallest of what was used; of a denial the SOA's (RFC 2308 5) */
    const char **chain; /* n_links + 1 names, the question's first, the final name last */
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

/* ---- tlsa.c: which records count (OpenSSL) -------------------------------- */

struct nh_tlsa {
    uint8_t usage, selector, match_type;
    uint16_t len;
    const uint8_t *data;
    char reason
        [120]; /* "" when usable, else why not: "usage 1 (PKIX-EE) is not for SMTP (RFC 7672 3.1.3)" */
};

/* Fills *t from rdata (points into it) and judges it: usable when t->reason is "". Errors of
 * OpenSSL are taken from its queue, which is left as it was found. rdata of under 3 bytes is an unusable record. */
void nh_tlsa_judge(struct nh_tlsa *t, const uint8_t *rdata, size_t len);

#pragma GCC visibility pop

#endif
