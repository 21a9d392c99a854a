/* packet.c - reads a DNS packet.
 *
 * Nothing in the packet is trusted: every read is checked against the end of the packet, compression
 * pointers only go back, and the counts in the header are limits and not sizes. */
#include "packet.h"

#include <string.h>

#define HEADER_LEN 12
#define FLAG_QR 0x80
#define FLAG_TC 0x02
#define WIRE_MAX 255
#define LABEL_MAX 63
#define JUMPS_MAX 127

uint16_t nh_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t nh_get32(const uint8_t *p)
{
    return (uint32_t)nh_get16(p) << 16 | nh_get16(p + 2);
}

uint32_t nh_get_ttl(const uint8_t *p)
{
    uint32_t ttl = nh_get32(p);

    return ttl > INT32_MAX ? 0 : ttl;
}

/* ---- names ---------------------------------------------------------------- */

size_t nh_packet_skip_name(const struct nh_packet *v, size_t pos)
{
    while (pos < v->len) {
        uint8_t n = v->packet[pos++];

        if (n == 0)
            return pos;
        if (n >= 0xc0)
            return pos < v->len ? pos + 1 : 0;
        if (n > LABEL_MAX)
            return 0;
        pos += n;
    }
    return 0;
}

/* Writes one byte of a label as text. Returns where the next byte goes. */
static char *put_byte(char *p, uint8_t c)
{
    c = nh_lower(c);
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
        *p++ = (char)c;
    } else {
        *p++ = '\\';
        *p++ = (char)('0' + c / 100);
        *p++ = (char)('0' + c / 10 % 10);
        *p++ = (char)('0' + c % 10);
    }
    return p;
}

size_t nh_packet_read_name(const struct nh_packet *v, size_t pos, char out[NH_NAME_MAX])
{
    size_t end = 0, part = pos, jumps = 0, wire = 0;
    char *p = out;

    while (pos < v->len) {
        uint8_t n = v->packet[pos];

        if (n >= 0xc0) {
            if (v->len - pos < 2)
                return 0;
            end = end ? end : pos + 2;
            pos = nh_get16(v->packet + pos) & 0x3fff;
            if (pos < HEADER_LEN || pos >= part || ++jumps > JUMPS_MAX)
                return 0;
            part = pos;
            continue;
        }
        wire += n + 1u;
        if (n > LABEL_MAX || wire > WIRE_MAX || v->len - pos <= n)
            return 0;
        pos++;
        if (n == 0) {
            if (p == out)
                *p++ = '.';
            *p = '\0';
            return end ? end : pos;
        }
        if (p != out)
            *p++ = '.';
        for (; n > 0; n--)
            p = put_byte(p, v->packet[pos++]);
    }
    return 0;
}

bool nh_packet_is_name(const struct nh_packet *v, size_t pos, const char *name)
{
    char other[NH_NAME_MAX];

    return nh_packet_read_name(v, pos, other) && strcmp(other, name) == 0;
}

/* ---- the packet ----------------------------------------------------------- */

bool nh_packet_next(const struct nh_packet *v, size_t *pos, struct nh_packet_rr *rr)
{
    size_t fixed = nh_packet_skip_name(v, *pos);
    const uint8_t *p = v->packet + fixed;

    if (fixed == 0 || v->len - fixed < 10)
        return false;
    *rr = (struct nh_packet_rr){
        *pos, fixed + 10, nh_get16(p), nh_get16(p + 2), nh_get16(p + 8), nh_get_ttl(p + 4)};
    if (v->len - rr->data < rr->len)
        return false;
    *pos = rr->data + rr->len;
    return true;
}

bool nh_packet_target(const struct nh_packet *v, const struct nh_packet_rr *rr, size_t skip,
                      char out[NH_NAME_MAX])
{
    return rr->len > skip && nh_packet_read_name(v, rr->data + skip, out) == rr->data + rr->len;
}

bool nh_has_target(uint16_t qtype)
{
    return qtype == NH_TYPE_MX || qtype == NH_TYPE_DNAME || qtype == NH_TYPE_NS;
}

size_t nh_target_at(uint16_t qtype)
{
    return qtype == NH_TYPE_MX ? 2 : 0;
}

bool nh_packet_open(struct nh_packet *v, const uint8_t *packet, size_t len, uint16_t qtype)
{
    char target[NH_NAME_MAX];
    struct nh_packet_rr rr;
    size_t pos = HEADER_LEN;

    *v = (struct nh_packet){.packet = packet, .len = len};
    if (len < HEADER_LEN || !(packet[2] & FLAG_QR) || (packet[2] & FLAG_TC))
        return false;
    if (nh_get16(packet + 4) != 0) {
        pos = nh_packet_skip_name(v, pos);
        if (nh_get16(packet + 4) > 1 || pos == 0 || len - pos < 4)
            return false;
        pos += 4;
    }
    v->n_answers = nh_get16(packet + 6);
    v->n_authority = nh_get16(packet + 8);
    v->answers = pos;
    v->rcode = packet[3] & 0x0f;
    for (unsigned i = 0; i < v->n_answers; i++) {
        if (!nh_packet_next(v, &pos, &rr))
            return false;
        if (rr.type == NH_TYPE_CNAME || rr.type == NH_TYPE_DNAME)
            v->has_alias = true;
        if (rr.type != qtype || rr.class != NH_CLASS_IN)
            continue;
        v->n_wanted++;
        if (nh_has_target(qtype)) {
            if (!nh_packet_target(v, &rr, nh_target_at(qtype), target))
                return false;
            v->room += strlen(target) + 1;
        } else {
            v->room += rr.len;
        }
    }
    v->authority = pos;
    return true;
}
