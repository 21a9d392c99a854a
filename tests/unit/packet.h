/* packet.h - builds DNS packets for the tests, as good or as bad as they ask for. */
#ifndef PACKET_H
#define PACKET_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS 0x8180 /* QR RD RA, rcode 0 */
#define NXDOMAIN 0x8183
#define ANSWER 6 /* where the section's count is */
#define AUTHORITY 8
#define ADDITIONAL 10

struct packet {
    size_t len;
    uint8_t data[80000];
};

static inline void put(struct packet *p, const void *data, size_t len)
{
    if (len > sizeof(p->data) - p->len)
        abort();
    memcpy(p->data + p->len, data, len);
    p->len += len;
}

static inline void put8(struct packet *p, unsigned value)
{
    put(p, &(uint8_t){(uint8_t)value}, 1);
}

static inline void put16(struct packet *p, unsigned value)
{
    put8(p, value >> 8);
    put8(p, value & 0xff);
}

static inline void put32(struct packet *p, uint32_t value)
{
    put16(p, value >> 16);
    put16(p, value & 0xffff);
}

static inline void set16(struct packet *p, size_t at, unsigned value)
{
    p->data[at] = (uint8_t)(value >> 8);
    p->data[at + 1] = (uint8_t)value;
}

/* A name, uncompressed; \DDD is one byte, and "@123" at a label's place a pointer to there. */
static inline void put_name(struct packet *p, const char *text)
{
    while (*text && strcmp(text, ".") != 0) {
        size_t at = p->len;

        if (*text == '@') {
            put16(p, 0xc000u | (unsigned)atoi(text + 1));
            return;
        }
        put8(p, 0);
        for (; *text && *text != '.'; text++) {
            char digits[4] = {0};

            if (*text != '\\') {
                put8(p, (unsigned char)*text);
                continue;
            }
            memcpy(digits, text + 1, 3);
            put8(p, (unsigned)atoi(digits));
            text += 3;
        }
        p->data[at] = (uint8_t)(p->len - at - 1);
        text += *text == '.';
    }
    put8(p, 0);
}

/* Begins a packet with a question. The first answer's owner may be given as "@12". */
static inline void begin(struct packet *p, unsigned flags, const char *qname, unsigned qtype)
{
    p->len = 0;
    put16(p, 0);
    put16(p, flags);
    put16(p, 1);
    put16(p, 0);
    put16(p, 0);
    put16(p, 0);
    put_name(p, qname);
    put16(p, qtype);
    put16(p, 1);
}

/* Begins a record of class IN; its rdata follows, then end_rr(). Returns what that needs. */
static inline size_t begin_rr(struct packet *p, size_t section, const char *owner, unsigned type,
                              uint32_t ttl)
{
    set16(p, section, (unsigned)(p->data[section] << 8 | p->data[section + 1]) + 1);
    put_name(p, owner);
    put16(p, type);
    put16(p, 1);
    put32(p, ttl);
    put16(p, 0);
    return p->len;
}

static inline void end_rr(struct packet *p, size_t at)
{
    set16(p, at - 2, (unsigned)(p->len - at));
}

static inline void rr(struct packet *p, const char *owner, unsigned type, uint32_t ttl,
                      const void *data, size_t len)
{
    size_t at = begin_rr(p, ANSWER, owner, type, ttl);

    put(p, data, len);
    end_rr(p, at);
}

/* A record whose rdata is a name. */
static inline void rr_name(struct packet *p, const char *owner, unsigned type, uint32_t ttl,
                           const char *target)
{
    size_t at = begin_rr(p, ANSWER, owner, type, ttl);

    put_name(p, target);
    end_rr(p, at);
}

static inline void rr_mx(struct packet *p, const char *owner, uint32_t ttl, unsigned pref,
                         const char *target)
{
    size_t at = begin_rr(p, ANSWER, owner, 15, ttl);

    put16(p, pref);
    put_name(p, target);
    end_rr(p, at);
}

static inline void rr_soa(struct packet *p, const char *owner, uint32_t ttl, uint32_t minimum)
{
    size_t at = begin_rr(p, AUTHORITY, owner, 6, ttl);

    put_name(p, "ns.example");
    put_name(p, "hostmaster.example");
    for (uint32_t i = 1; i < 5; i++)
        put32(p, i * 1000);
    put32(p, minimum);
    end_rr(p, at);
}

#endif
