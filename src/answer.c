/* answer.c - a DNS packet as an answer: the records of a question, and the CNAME chain that leads to
 * them.
 *
 * packet.c reads the packet. Its first pass finds where the records are and how much memory they need
 * at most. Then one block is allocated and filled. Names are compared as text: one byte sequence has one text,
 * and a dot is always a separator. */
#include "answer.h"

#include "hash.h"

#include <stdlib.h>
#include <string.h>

#define LINKS_MAX 64 /* a longer chain is an error; all our own limits are far below */

struct chain {
    size_t n_names;
    uint32_t ttl;
    bool loop;
    struct nh_packet_rr link; /* the last CNAME or DNAME that was followed */
    size_t dname;             /* where the owner of the first link's DNAME begins in text, or 0 */
    size_t names[LINKS_MAX + 1]; /* where each name begins in text */
    size_t used;
    char text[(LINKS_MAX + 1) * NH_HOST_MAX];
};

/* ---- the chain ------------------------------------------------------------ */

/* Is the name below this owner of a DNAME? The owner itself is not renamed (RFC 6672 2.2). */
static bool is_below(const char *name, const char *owner)
{
    size_t len = strlen(name), tail = strlen(owner);

    return len > tail && name[len - tail - 1] == '.' && strcmp(name + len - tail, owner) == 0;
}

bool nh_dname_rename(char out[NH_HOST_MAX], const char *name, size_t tail, const char *target)
{
    size_t prefix = strlen(name) - tail, len = strlen(target);

    if (prefix + len >= NH_HOST_MAX)
        return false;
    memcpy(out, name, prefix);
    memcpy(out + prefix, target, len + 1);
    if (target[0] == '.')
        out[prefix - 1] = '\0';
    return true;
}

/* Finds where the name leads. This is its CNAME, which may stand anywhere among the answers. If
 * it has none, a DNAME above the name makes the alias (RFC 6672 3.2: the synthesised CNAME may
 * be missing). Returns 1 with target and *link set, and 0 when the name is not an alias. Returns
 * -1 when the record is malformed or the resulting name is too long (YXDOMAIN). The limit is 253
 * bytes of text, with escapes counted as text. */
static int find_link(const struct nh_packet *v, const char *name, char target[NH_NAME_MAX],
                     struct nh_packet_rr *link)
{
    char text[NH_NAME_MAX];
    struct nh_packet_rr rr;
    size_t pos = v->answers, tail = 0;

    for (unsigned i = 0; i < v->n_answers && nh_packet_next(v, &pos, &rr); i++) {
        if (rr.class != NH_CLASS_IN)
            continue;
        if (rr.type == NH_TYPE_CNAME && nh_packet_is_name(v, rr.owner, name)) {
            *link = rr;
            return nh_packet_target(v, &rr, 0, target) ? 1 : -1;
        }
        if (rr.type == NH_TYPE_DNAME && tail == 0 && nh_packet_read_name(v, rr.owner, text) &&
            is_below(name, text)) {
            *link = rr;
            tail = strlen(text);
        }
    }
    if (tail == 0)
        return 0;
    return nh_packet_target(v, link, 0, text) && nh_dname_rename(target, name, tail, text) ? 1 : -1;
}

/* Returns the length of the owner of a DNAME above the name, or 0 when the packet has none. A
 * name below a DNAME exists only by that DNAME (RFC 6672 2.4), so its CNAME is a synthesised
 * one. Lowers *ttl to the TTL of the DNAME, because nobody has signed the TTL of the CNAME. */
static size_t dname_above(const struct nh_packet *v, const char *name, uint32_t *ttl)
{
    char owner[NH_NAME_MAX];
    struct nh_packet_rr rr;
    size_t pos = v->answers;

    for (unsigned i = 0; i < v->n_answers && nh_packet_next(v, &pos, &rr); i++) {
        if (rr.class == NH_CLASS_IN && rr.type == NH_TYPE_DNAME &&
            nh_packet_read_name(v, rr.owner, owner) && is_below(name, owner)) {
            *ttl = rr.ttl < *ttl ? rr.ttl : *ttl;
            return strlen(owner);
        }
    }
    return 0;
}

/* Adds a name to the chain. Returns false when the chain is too long. */
static bool packet_add_name(struct chain *c, const char *name)
{
    size_t size = strlen(name) + 1;

    if (c->n_names > LINKS_MAX || size > sizeof(c->text) - c->used)
        return false;
    c->names[c->n_names++] = c->used;
    memcpy(c->text + c->used, name, size);
    c->used += size;
    return true;
}

/* The last name of the chain. */
static const char *last_name(const struct chain *c)
{
    return c->text + c->names[c->n_names - 1];
}

/* Begins the chain with qname. Returns false when qname cannot be a name. */
static bool start_chain(struct chain *c, const char *qname)
{
    size_t len = strlen(qname);

    c->n_names = c->used = c->dname = 0;
    c->ttl = UINT32_MAX;
    c->loop = false;
    if (len == 0 || len >= NH_NAME_MAX || !packet_add_name(c, qname))
        return false;
    if (len > 1 && qname[len - 1] == '.')
        c->text[--c->used - 1] = '\0';
    for (char *p = c->text; *p; p++)
        *p = (char)nh_lower((uint8_t)*p);
    return true;
}

/* Follows the CNAMEs from the first name of the chain as far as the packet holds them. For a
 * question of type CNAME it follows one link. A loop ends before the name that would occur
 * twice. Returns false when the chain is malformed or too long. */
static bool follow_chain(const struct nh_packet *v, struct chain *c, uint16_t qtype)
{
    char target[NH_NAME_MAX];
    int found;

    while ((found = find_link(v, last_name(c), target, &c->link)) > 0) {
        size_t tail = dname_above(v, last_name(c), &c->ttl);

        if (c->n_names == 1)
            c->dname = tail ? strlen(c->text) - tail : 0;
        c->ttl = c->link.ttl < c->ttl ? c->link.ttl : c->ttl;
        for (size_t i = 0; i < c->n_names; i++)
            c->loop = c->loop || strcmp(c->text + c->names[i], target) == 0;
        if (qtype == NH_TYPE_CNAME)
            return packet_add_name(c, target);
        if (c->loop)
            return true;
        if (!packet_add_name(c, target))
            return false;
    }
    return found == 0;
}

/* ---- the records ---------------------------------------------------------- */

/* Are these two the same record? Targets are compared as text, because a target may be
 * compressed. */
static bool same_record(const struct nh_rr *a, const struct nh_rr *b)
{
    if (a->name && b->name)
        return a->pref == b->pref && strcmp(a->name, b->name) == 0;
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Counts the record that stands behind the last one of a, unless a has the same record already.
 * seen is an open hash of indices + 1, over what same_record() compares. Its size is
 * mask + 1, a power of two. Its address, which no server knows, is the seed of the hash: 4,000 records in one
 * bucket would take 35 ms. */
static void add_record(struct nh_answer *a, uint16_t *seen, size_t mask)
{
    const struct nh_rr *new = &a->records[a->n_records];
    const uint8_t *p = new->name ? (const uint8_t *)new->name : new->data;
    size_t len = new->name ? strlen(new->name) : new->len;
    uint64_t hash = nh_hash((uintptr_t)seen ^ new->pref, p, len);

    for (; seen[hash & mask] != 0; hash++) {
        if (same_record(&a->records[seen[hash & mask] - 1], new))
            return;
    }
    seen[hash & mask] = ++a->n_records;
}

/* Puts the records of the asked type at the final name into a. Leaves out records whose length
 * is impossible for their type. Writes their targets or their rdata at room. */
static void add_records(struct nh_answer *a, const struct nh_packet *v, const char *name,
                        uint16_t qtype, uint16_t *seen, size_t mask, uint8_t *room)
{
    size_t want = qtype == NH_TYPE_A ? 4 : qtype == NH_TYPE_AAAA ? 16 : 0;
    struct nh_packet_rr rr;
    size_t pos = v->answers;

    for (unsigned i = 0; i < v->n_answers && nh_packet_next(v, &pos, &rr); i++) {
        struct nh_rr *r = &a->records[a->n_records];

        if (rr.type != qtype || rr.class != NH_CLASS_IN || (want && rr.len != want) ||
            !nh_packet_is_name(v, rr.owner, name))
            continue;
        *r = (struct nh_rr){0};
        if (nh_has_target(qtype)) {
            nh_packet_target(v, &rr, nh_target_at(qtype),
                             (char *)room); /* nh_packet_open() has counted it */
            r->pref = qtype == NH_TYPE_MX ? nh_get16(v->packet + rr.data) : 0;
            r->name = (char *)room;
            room += strlen(r->name) + 1;
        } else {
            r->data = memcpy(room, v->packet + rr.data, rr.len);
            r->len = rr.len;
            room += rr.len;
        }
        add_record(a, seen, mask);
        a->ttl = rr.ttl < a->ttl ? rr.ttl : a->ttl;
    }
}

/* Allocates a's block and fills a from the packet. Returns NH_OK or NH_NO_MEMORY. */
static enum nh_code build(struct nh_answer *a, const struct nh_packet *v, const struct chain *c,
                          uint16_t qtype)
{
    size_t n = qtype == NH_TYPE_CNAME ? c->n_names - 1 : c->loop ? 0 : v->n_wanted;
    size_t slots = 1;
    uint16_t *seen;

    while (slots < 2 * n)
        slots *= 2;
    a->size = n * sizeof(*a->records) + c->n_names * sizeof(*a->chain) + slots * sizeof(*seen) +
              c->used + v->room;
    a->memory = malloc(a->size);
    if (!a->memory) {
        a->size = 0;
        return NH_NO_MEMORY;
    }
    a->records = a->memory;
    a->chain = (const char **)(a->records + n);
    seen = memset(a->chain + c->n_names, 0, slots * sizeof(*seen));
    char *text = memcpy(seen + slots, c->text, c->used);

    for (size_t i = 0; i < c->n_names; i++)
        a->chain[i] = text + c->names[i];
    a->n_links = (uint16_t)(c->n_names - 1);
    a->dname = c->dname ? a->chain[0] + c->dname : NULL;
    a->loop = c->loop;
    a->ttl = c->ttl;
    a->rcode = v->rcode;
    if (qtype != NH_TYPE_CNAME && n > 0) {
        add_records(a, v, last_name(c), qtype, seen, slots - 1, (uint8_t *)text + c->used);
    } else if (n > 0) {
        a->n_records = 1;
        a->records[0] = (struct nh_rr){.name = a->chain[1]};
    }
    return NH_OK;
}

/* Records what an NSEC3 record of the proof says about its zone (RFC 5155 3.2). */
static void note_nsec3(const struct nh_packet *v, const struct nh_packet_rr *rr,
                       struct nh_answer *a)
{
    const uint8_t *p = v->packet + rr->data; /* hash algorithm, flags, iterations, salt */
    uint16_t iterations;

    if (rr->type != NH_TYPE_NSEC3 || rr->class != NH_CLASS_IN || rr->len < 5)
        return;
    iterations = nh_get16(p + 2);
    a->optout = a->optout || (p[1] & 1);
    a->iterations = iterations > a->iterations ? iterations : a->iterations;
}

/* Reads the proof of an answer that a wildcard has made: it shows that no closer name exists. */
static void read_proof(const struct nh_packet *v, struct nh_answer *a)
{
    struct nh_packet_rr rr;
    size_t pos = v->authority;

    for (unsigned i = 0; i < v->n_authority && nh_packet_next(v, &pos, &rr); i++)
        note_nsec3(v, &rr, a);
}

/* Lowers the TTL of a to the time for which a denial may be cached. This is the smallest of the
 * SOA's TTL, the SOA's last field (RFC 2308 5), and the TTLs of the records that prove the
 * denial (RFC 9077 3). It is 0 without an SOA. Returns false when the authority section or the
 * SOA is malformed. */
static bool limit_denial(const struct nh_packet *v, struct nh_answer *a)
{
    uint32_t *ttl = &a->ttl;
    struct nh_packet_rr rr;
    bool has_soa = false;
    size_t pos = v->authority;

    for (unsigned i = 0; i < v->n_authority; i++) {
        if (!nh_packet_next(v, &pos, &rr))
            return false;
        if (rr.class != NH_CLASS_IN)
            continue;
        note_nsec3(v, &rr, a);
        if (rr.type == NH_TYPE_SOA && !has_soa) {
            size_t mname = nh_packet_skip_name(v, rr.data),
                   rname = mname ? nh_packet_skip_name(v, mname) : 0;

            if (rname == 0 || rname + 20 != rr.data + rr.len)
                return false;
            uint32_t last = nh_get_ttl(v->packet + rname + 16);
            *ttl = last < *ttl ? last : *ttl;
            has_soa = true;
        } else if (rr.type != NH_TYPE_NSEC && rr.type != NH_TYPE_NSEC3) {
            continue;
        }
        *ttl = rr.ttl < *ttl ? rr.ttl : *ttl;
    }
    if (!has_soa)
        *ttl = 0;
    return true;
}

/* See answer.h. A reader of the result may rely on this: all names of the chain are different,
 * except for a question about a CNAME that points to itself (loop is then set). Any other loop
 * has no records, and its chain ends before the name that would occur again. A CNAME question
 * that only a DNAME answers has the synthesised name. qname is a valid name as name.c or this
 * file makes them, in any case, and may have a final dot. A chain of more than 64 links is
 * NH_SERVFAIL, and so is an rcode that is neither 0 nor 3. */
enum nh_code nh_answer_parse(struct nh_answer *a, const uint8_t *packet, size_t len,
                             const char *qname, uint16_t qtype)
{
    struct nh_packet v;
    struct chain c;

    memset(a, 0, sizeof(*a));
    if (!nh_packet_open(&v, packet, len, qtype) || (v.rcode != 0 && v.rcode != 3) ||
        !start_chain(&c, qname) || (v.has_alias && !follow_chain(&v, &c, qtype)))
        return NH_SERVFAIL;
    enum nh_code code = build(a, &v, &c, qtype);
    if (code != NH_OK || a->loop)
        return code;
    if (a->n_records > 0) {
        read_proof(&v, a);
    } else if (!limit_denial(&v, a)) {
        nh_answer_free(a);
        return NH_SERVFAIL;
    }
    return NH_OK;
}

/* Frees what nh_answer_parse() has allocated, and zeroes *a. *a may be zeroed already. */
void nh_answer_free(struct nh_answer *a)
{
    free(a->memory);
    memset(a, 0, sizeof(*a));
}

/* See answer.h. This needs a DNSKEY, and an RRSIG that covers DNSKEY (RFC 4034 3.1.1). */
bool nh_answer_has_dnssec(const uint8_t *packet, size_t len)
{
    struct nh_packet v;
    struct nh_packet_rr rr;
    bool key = false, sig = false;

    if (!nh_packet_open(&v, packet, len, 0))
        return false;
    for (size_t pos = v.answers, i = 0; i < v.n_answers && nh_packet_next(&v, &pos, &rr); i++) {
        key = key || rr.type == NH_TYPE_DNSKEY;
        sig = sig || (rr.type == NH_TYPE_RRSIG && rr.len >= 2 &&
                      nh_get16(packet + rr.data) == NH_TYPE_DNSKEY);
    }
    return key && sig;
}

const char *nh_type_name(uint16_t type)
{
    static const char *const names[] = {
        [NH_TYPE_A] = "A",         [NH_TYPE_NS] = "NS",  [NH_TYPE_CNAME] = "CNAME",
        [NH_TYPE_SOA] = "SOA",     [NH_TYPE_MX] = "MX",  [NH_TYPE_AAAA] = "AAAA",
        [NH_TYPE_DNAME] = "DNAME", [NH_TYPE_DS] = "DS",  [NH_TYPE_DNSKEY] = "DNSKEY",
        [NH_TYPE_TLSA] = "TLSA",   [NH_TYPE_TXT] = "TXT"};

    return type < sizeof names / sizeof names[0] && names[type] ? names[type] : "?";
}
