/* signatures.c - the signatures in a DNS packet. */
#include "signatures.h"

#define FIXED 18 /* bytes of the rdata before the signer's name */

static bool read_signature(const struct nh_packet *v, const struct nh_packet_rr *rr,
                           struct nh_signature *s)
{
    const uint8_t *data = v->packet + rr->data;

    if (rr->type != NH_TYPE_RRSIG || rr->class != NH_CLASS_IN || rr->len < FIXED + 1)
        return false;
    s->covered = nh_get16(data);
    s->algorithm = data[2];
    s->original_ttl = nh_get_ttl(data + 4);
    s->expiration = nh_get32(data + 8);
    s->inception = nh_get32(data + 12);
    s->key_tag = nh_get16(data + 16);
    return nh_packet_read_name(v, rr->owner, s->owner) != 0 &&
           nh_packet_read_name(v, rr->data + FIXED, s->signer) != 0;
}

static void read_section(const struct nh_packet *v, size_t pos, unsigned n,
                         void (*each)(void *arg, const struct nh_signature *), void *arg)
{
    struct nh_signature s;
    struct nh_packet_rr rr;

    for (unsigned i = 0; i < n && nh_packet_next(v, &pos, &rr); i++)
        if (read_signature(v, &rr, &s))
            each(arg, &s);
}

void nh_signatures_read(const uint8_t *packet, size_t len, uint16_t qtype,
                        void (*each)(void *arg, const struct nh_signature *), void *arg)
{
    struct nh_packet v;

    if (!nh_packet_open(&v, packet, len, qtype))
        return;
    read_section(&v, v.answers, v.n_answers, each, arg);
    read_section(&v, v.authority, v.n_authority, each, arg);
}
