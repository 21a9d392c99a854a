/* packet.h - reads a DNS packet: its sections, records and names. */
#pragma once

#include "name.h"

#define NH_CLASS_IN 1

#define NH_TYPE_A 1
#define NH_TYPE_NS 2
#define NH_TYPE_CNAME 5
#define NH_TYPE_SOA 6
#define NH_TYPE_MX 15
#define NH_TYPE_TXT 16
#define NH_TYPE_AAAA 28
#define NH_TYPE_DNAME 39
#define NH_TYPE_DS 43
#define NH_TYPE_RRSIG 46
#define NH_TYPE_NSEC 47
#define NH_TYPE_DNSKEY 48
#define NH_TYPE_NSEC3 50
#define NH_TYPE_TLSA 52

/* A packet: where its sections begin, and what its answer section can hold. */
struct nh_packet {
    const uint8_t *packet;
    size_t len;
    size_t answers, authority;
    unsigned n_answers, n_authority;
    size_t n_wanted; /* records of the asked type, at any owner */
    size_t room;     /* bytes that the targets (MX) or the rdata of these records take */
    bool has_alias;  /* there is a CNAME or a DNAME */
    uint8_t rcode;
};

struct nh_packet_rr {
    size_t owner; /* offset of the owner's name */
    size_t data;  /* offset of the rdata */
    uint16_t type, class, len;
    uint32_t ttl;
};

uint16_t nh_get16(const uint8_t *p);
uint32_t nh_get32(const uint8_t *p);

/* Reads a TTL. A TTL with its top bit set counts as zero (RFC 2181 8). */
uint32_t nh_get_ttl(const uint8_t *p);

/* Returns the offset behind the name at pos, or 0 when the name goes beyond the end. Follows no
 * pointer. */
size_t nh_packet_skip_name(const struct nh_packet *v, size_t pos);

/* Reads the name at pos as text (RFC 1035 4.1.4). A pointer must lead to a place before the part
 * of the name that it ends, so there is no loop. Returns the offset behind the name. Returns 0
 * when the name is malformed or longer than RFC 1035 3.1 allows. That limit also bounds its
 * text. */
size_t nh_packet_read_name(const struct nh_packet *v, size_t pos, char out[NH_NAME_MAX]);

/* Is this the name at pos? A malformed name is never equal. */
bool nh_packet_is_name(const struct nh_packet *v, size_t pos, const char *name);

/* Reads the record at *pos and moves *pos behind it. Returns false when the record is cut off. */
bool nh_packet_next(const struct nh_packet *v, size_t *pos, struct nh_packet_rr *rr);

/* Reads a name that must fill the rdata from offset skip to its end. */
bool nh_packet_target(const struct nh_packet *v, const struct nh_packet_rr *rr, size_t skip,
                      char out[NH_NAME_MAX]);

/* Is the content of these records a name? nh_target_at() says where in the rdata it begins. */
bool nh_has_target(uint16_t qtype);

size_t nh_target_at(uint16_t qtype);

/* Finds the sections of the packet and fills *v. Returns false when the packet is not a complete
 * answer: it is cut short (TC), it is a query, or its answer section, an MX or a DNAME record is
 * malformed. A section that holds fewer records than the header says is malformed. Bytes behind
 * the last section do not matter. */
bool nh_packet_open(struct nh_packet *v, const uint8_t *packet, size_t len, uint16_t qtype);
