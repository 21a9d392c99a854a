/*
 * answer.c - a DNS packet -> the records of a question and the CNAME chain that leads to them.
 *
 * Nothing in the packet is trusted: every read is checked against its end, compression pointers
 * only go back, and the header's counts are limits and no sizes. A first pass finds where the
 * records lie and what can be kept of them at most, then one block is allocated and filled.
 * Names are compared in wire form, uncompressed and in lower case (a length byte is below 64
 * and never mistaken for a capital).
 */
#include "nexthop.h"

#include <stdlib.h>
#include <string.h>

#define TYPE_DNAME 39
#define CLASS_IN 1
#define HEADER_LEN 12
#define FLAG_QR 0x80
#define FLAG_TC 0x02
#define WIRE_MAX 255
#define LABEL_MAX 63
#define JUMPS_MAX 127
#define LINKS_MAX 64 /* longer chains are an error; every limit of ours is far below */

struct wire {
    size_t len; /* with the root's zero byte */
    uint8_t data[WIRE_MAX];
};

/* A packet, where its sections begin and what its answer section may give. */
struct view {
    const uint8_t *packet;
    size_t len;
    size_t answers, authority;
    unsigned n_answers, n_authority;
    size_t n_wanted; /* records of the asked type, whoever owns them */
    size_t text_max; /* bytes that the names of MX records take at most */
    bool has_alias;  /* a CNAME or DNAME is there */
};

struct rr {
    size_t owner; /* offset of the name */
    size_t data;  /* offset of the rdata */
    uint16_t type, class, len;
    uint32_t ttl;
};

struct chain {
    size_t n_names;
    uint32_t ttl;
    bool loop;
    struct rr link; /* the last CNAME or DNAME followed */
    struct wire names[LINKS_MAX + 1];
};

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* A TTL: with the top bit set it counts as zero (RFC 2181 8). */
static uint32_t get_ttl(const uint8_t *p)
{
    uint32_t ttl = (uint32_t)get16(p) << 16 | get16(p + 2);

    return ttl > INT32_MAX ? 0 : ttl;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* ---- names ---------------------------------------------------------------- */

/* Returns the offset behind the name at pos, 0 when it runs over the end. Follows no pointer. */
static size_t skip_name(const struct view *v, size_t pos)
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

/*
 * Reads the name at pos into out (RFC 1035 4.1.4). A pointer must lead to before the part of the
 * name it ends, so there is no loop. Returns the offset behind the name, 0 when it is malformed.
 */
static size_t read_name(const struct view *v, size_t pos, struct wire *out)
{
    size_t end = 0, part = pos, jumps = 0;

    out->len = 0;
    while (pos < v->len) {
        uint8_t n = v->packet[pos];

        if (n >= 0xc0) {
            if (v->len - pos < 2)
                return 0;
            end = end ? end : pos + 2;
            pos = get16(v->packet + pos) & 0x3fff;
            if (pos < HEADER_LEN || pos >= part || ++jumps > JUMPS_MAX)
                return 0;
            part = pos;
            continue;
        }
        if (n > LABEL_MAX || v->len - pos < n + 1u || out->len + n + 1u > WIRE_MAX)
            return 0;
        for (size_t i = 0; i <= n; i++)
            out->data[out->len++] = lower(v->packet[pos++]);
        if (n == 0)
            return end ? end : pos;
    }
    return 0;
}

static bool same_name(const struct wire *a, const struct wire *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Is the name at pos this one? A malformed one is not. */
static bool is_name(const struct view *v, size_t pos, const struct wire *name)
{
    struct wire other;

    return read_name(v, pos, &other) && same_name(&other, name);
}

/* Reads the byte that an escape stands for and moves *text behind it; -1: no escape. */
static int read_escape(const char **text)
{
    const char *p = *text;
    int c = (unsigned char)p[0];

    if (c < '0' || c > '9') {
        *text = p + 1;
        return c ? c : -1;
    }
    if (p[1] < '0' || p[1] > '9' || p[2] < '0' || p[2] > '9')
        return -1;
    *text = p + 3;
    c = (c - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
    return c > 255 ? -1 : c;
}

/*
 * Reads a name as text (escapes \DDD and \C, RFC 1035 5.1; the final dot may be missing) into
 * out. Returns false when it is no DNS name.
 */
static bool wire_from_text(const char *text, struct wire *out)
{
    size_t label = 0; /* where the length byte of the current label is */
    int c;

    out->data[0] = 0;
    out->len = 1;
    if (strcmp(text, ".") == 0)
        return true;
    do {
        c = (unsigned char)*text++;
        if (c == '.' || c == '\0') {
            if (out->len == label + 1 || out->len >= WIRE_MAX)
                return false;
            out->data[label] = (uint8_t)(out->len - label - 1);
            label = out->len++;
            out->data[label] = 0;
            continue;
        }
        if (c == '\\')
            c = read_escape(&text);
        if (c < 0 || out->len - label > LABEL_MAX || out->len >= WIRE_MAX)
            return false;
        out->data[out->len++] = lower((uint8_t)c);
    } while (c != '\0' && *text != '\0');
    if (out->len == label + 1)
        return true; /* the final dot was there */
    if (out->len >= WIRE_MAX)
        return false;
    out->data[label] = (uint8_t)(out->len - label - 1);
    out->data[out->len++] = 0;
    return true;
}

/* How many bytes the name takes as text at most: each is written as \DDD. */
static size_t text_max(const struct wire *name)
{
    return 4 * name->len;
}

/* Writes the name as text at p. Returns where the next may be written, behind its NUL. */
static char *write_text(const struct wire *name, char *p)
{
    size_t pos = 0;

    if (name->len == 1)
        *p++ = '.';
    while (name->data[pos] != 0) {
        if (pos > 0)
            *p++ = '.';
        for (uint8_t n = name->data[pos++]; n > 0; n--) {
            uint8_t c = name->data[pos++];

            if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
                *p++ = (char)c;
            } else {
                *p++ = '\\';
                *p++ = (char)('0' + c / 100);
                *p++ = (char)('0' + c / 10 % 10);
                *p++ = (char)('0' + c % 10);
            }
        }
    }
    *p++ = '\0';
    return p;
}

/* ---- the packet ----------------------------------------------------------- */

/* Reads the record at *pos and moves *pos behind it. Returns false when it is cut off. */
static bool next_rr(const struct view *v, size_t *pos, struct rr *rr)
{
    size_t fixed = skip_name(v, *pos);
    const uint8_t *p = v->packet + fixed;

    if (fixed == 0 || v->len - fixed < 10)
        return false;
    rr->owner = *pos;
    rr->type = get16(p);
    rr->class = get16(p + 2);
    rr->ttl = get_ttl(p + 4);
    rr->len = get16(p + 8);
    rr->data = fixed + 10;
    if (v->len - rr->data < rr->len)
        return false;
    *pos = rr->data + rr->len;
    return true;
}

/* Reads a name that must fill the rdata from offset skip to its end. */
static bool read_target(const struct view *v, const struct rr *rr, size_t skip, struct wire *out)
{
    return rr->len > skip && read_name(v, rr->data + skip, out) == rr->data + rr->len;
}

/*
 * Finds the sections of the packet into *v. Returns false when it is no whole answer: cut short
 * (TC), a query, or with a malformed answer section or MX record. A section that holds fewer
 * records than the header says is malformed; bytes behind the last section do not matter.
 */
static bool open_packet(struct view *v, const uint8_t *packet, size_t len, uint16_t qtype)
{
    struct wire target;
    struct rr rr;
    size_t pos = HEADER_LEN;

    *v = (struct view){.packet = packet, .len = len};
    if (len < HEADER_LEN || !(packet[2] & FLAG_QR) || (packet[2] & FLAG_TC))
        return false;
    if (get16(packet + 4) > 1)
        return false;
    if (get16(packet + 4) == 1) {
        pos = skip_name(v, pos);
        if (pos == 0 || len - pos < 4)
            return false;
        pos += 4;
    }
    v->n_answers = get16(packet + 6);
    v->n_authority = get16(packet + 8);
    v->answers = pos;
    for (unsigned i = 0; i < v->n_answers; i++) {
        if (!next_rr(v, &pos, &rr))
            return false;
        if (rr.type == NH_TYPE_CNAME || rr.type == TYPE_DNAME)
            v->has_alias = true;
        if (rr.type != qtype || rr.class != CLASS_IN)
            continue;
        v->n_wanted++;
        if (qtype == NH_TYPE_MX) {
            if (!read_target(v, &rr, 2, &target))
                return false;
            v->text_max += text_max(&target);
        }
    }
    v->authority = pos;
    return true;
}

/* ---- the chain ------------------------------------------------------------ */

/*
 * Is the name below the owner of this DNAME? Then *prefix is the length of what stands before
 * that owner in it (RFC 6672 2.2: the owner itself is not renamed).
 */
static bool is_below(const struct view *v, const struct rr *dname, const struct wire *name,
                     size_t *prefix)
{
    struct wire owner;

    if (!read_name(v, dname->owner, &owner))
        return false;
    for (size_t pos = 0; name->data[pos] != 0;) {
        pos += name->data[pos] + 1u;
        if (name->len - pos == owner.len) {
            *prefix = pos;
            return memcmp(name->data + pos, owner.data, owner.len) == 0;
        }
    }
    return false;
}

/*
 * Where does the name lead? Its CNAME, wherever it stands among the answers, or else one that is
 * made from a DNAME above it (RFC 6672 3.2: the synthesised CNAME may be missing). Returns 1
 * with *target and *link, 0 when the name is not an alias, -1 when what it has is malformed.
 */
static int find_link(const struct view *v, const struct wire *name, struct wire *target,
                     struct rr *link)
{
    struct wire tail;
    struct rr rr;
    size_t pos = v->answers, prefix = 0;
    bool dname = false;

    for (unsigned i = 0; i < v->n_answers && next_rr(v, &pos, &rr); i++) {
        if (rr.class != CLASS_IN)
            continue;
        if (rr.type == NH_TYPE_CNAME && is_name(v, rr.owner, name)) {
            *link = rr;
            return read_target(v, &rr, 0, target) ? 1 : -1;
        }
        if (rr.type == TYPE_DNAME && !dname && is_below(v, &rr, name, &prefix)) {
            *link = rr;
            dname = true;
        }
    }
    if (!dname)
        return 0;
    if (!read_target(v, link, 0, &tail) || prefix + tail.len > WIRE_MAX)
        return -1;
    memcpy(target->data, name->data, prefix);
    memcpy(target->data + prefix, tail.data, tail.len);
    target->len = prefix + tail.len;
    return 1;
}

/*
 * Follows the CNAMEs from c->names[0] as far as the packet holds them, one link for a question
 * about the CNAME itself. A loop ends before the name that would come twice. Returns false when
 * the chain is malformed or longer than LINKS_MAX.
 */
static bool follow_chain(const struct view *v, struct chain *c, uint16_t qtype)
{
    struct wire target;
    int found = 1;

    while (!c->loop && (found = find_link(v, &c->names[c->n_names - 1], &target, &c->link)) > 0) {
        c->ttl = c->link.ttl < c->ttl ? c->link.ttl : c->ttl;
        for (size_t i = 0; i < c->n_names; i++)
            c->loop = c->loop || same_name(&c->names[i], &target);
        if (c->loop && qtype != NH_TYPE_CNAME)
            break;
        if (c->n_names > LINKS_MAX)
            return false;
        c->names[c->n_names++] = target;
        if (qtype == NH_TYPE_CNAME)
            break;
    }
    return found >= 0;
}

/* ---- the records ---------------------------------------------------------- */

/* Are these two the same record? A target is compared as text: it may be compressed. */
static bool same_record(const struct nh_rr *a, const struct nh_rr *b)
{
    if (a->name)
        return a->pref == b->pref && strcmp(a->name, b->name) == 0;
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/*
 * Counts the record behind the last one of a in, unless a has it already. seen is an open hash
 * (FNV-1a over what same_record() compares) of indices + 1, its size mask + 1 a power of two.
 */
static void add_record(struct nh_answer *a, uint16_t *seen, size_t mask)
{
    const struct nh_rr *new = &a->records[a->n_records];
    const uint8_t *p = new->name ? (const uint8_t *)new->name : new->data;
    size_t len = new->name ? strlen(new->name) : new->len;
    uint32_t hash = 2166136261u ^ new->pref;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * 16777619u;
    for (; seen[hash & mask] != 0; hash++) {
        if (same_record(&a->records[seen[hash & mask] - 1], new))
            return;
    }
    seen[hash & mask] = ++a->n_records;
}

/*
 * Puts the records of the asked type at the final name into a, those aside whose length no such
 * record has. Their names are written at text.
 */
static void add_records(struct nh_answer *a, const struct view *v, const struct wire *name,
                        uint16_t qtype, uint16_t *seen, size_t mask, char *text)
{
    size_t want = qtype == NH_TYPE_A ? 4 : qtype == NH_TYPE_AAAA ? 16 : 0;
    struct wire target;
    struct rr rr;
    size_t pos = v->answers;

    for (unsigned i = 0; i < v->n_answers && next_rr(v, &pos, &rr); i++) {
        struct nh_rr *r = &a->records[a->n_records];

        if (rr.type != qtype || rr.class != CLASS_IN || (want && rr.len != want) ||
            !is_name(v, rr.owner, name))
            continue;
        *r = (struct nh_rr){.data = v->packet + rr.data, .len = rr.len};
        if (qtype == NH_TYPE_MX) {
            read_target(v, &rr, 2, &target);
            r->pref = get16(r->data);
            r->name = text;
            text = write_text(&target, text);
        }
        add_record(a, seen, mask);
        a->ttl = rr.ttl < a->ttl ? rr.ttl : a->ttl;
    }
}

/* Allocates a's block and fills a from the packet. Returns NH_OK or NH_NO_MEMORY. */
static enum nh_code build(struct nh_answer *a, const struct view *v, const struct chain *c,
                          uint16_t qtype)
{
    size_t n = qtype == NH_TYPE_CNAME ? c->n_names - 1 : c->loop ? 0 : v->n_wanted;
    size_t text_len = v->text_max, slots = 1;
    uint16_t *seen;
    char *text;

    while (slots < 2 * n)
        slots *= 2;
    for (size_t i = 0; i < c->n_names; i++)
        text_len += text_max(&c->names[i]);
    a->memory = malloc(n * sizeof(*a->records) + c->n_names * sizeof(*a->chain) +
                       slots * sizeof(*seen) + text_len);
    if (!a->memory)
        return NH_NO_MEMORY;
    a->records = a->memory;
    a->chain = (const char **)(a->records + n);
    seen = (uint16_t *)(a->chain + c->n_names);
    memset(seen, 0, slots * sizeof(*seen));
    text = (char *)(seen + slots);

    for (size_t i = 0; i < c->n_names; i++) {
        a->chain[i] = text;
        text = write_text(&c->names[i], text);
    }
    a->n_links = (uint16_t)(c->n_names - 1);
    a->loop = c->loop;
    a->ttl = c->ttl;
    a->rcode = v->packet[3] & 0x0f;
    if (qtype != NH_TYPE_CNAME && n > 0) {
        add_records(a, v, &c->names[c->n_names - 1], qtype, seen, slots - 1, text);
    } else if (n > 0) {
        a->n_records = 1;
        a->records[0] = (struct nh_rr){
            .data = v->packet + c->link.data, .len = c->link.len, .name = a->chain[1]};
    }
    return NH_OK;
}

/*
 * For how long a denial may be kept: the smaller of the SOA's TTL and its last field (RFC 2308
 * 5), 0 without an SOA. Returns false when the authority section or the SOA is malformed.
 */
static bool denial_ttl(const struct view *v, uint32_t *ttl)
{
    struct rr rr;
    size_t pos = v->authority;

    *ttl = 0;
    for (unsigned i = 0; i < v->n_authority; i++) {
        if (!next_rr(v, &pos, &rr))
            return false;
        if (rr.type == NH_TYPE_SOA && rr.class == CLASS_IN) {
            size_t end = skip_name(v, rr.data);
            uint32_t minimum;

            end = end ? skip_name(v, end) : 0;
            if (end == 0 || end + 20 != rr.data + rr.len)
                return false;
            minimum = get_ttl(v->packet + end + 16);
            *ttl = minimum < rr.ttl ? minimum : rr.ttl;
            return true;
        }
    }
    return true;
}

/*
 * See nexthop.h. What a reader of the result may rely on: the names of chain are all different,
 * but for a question about a CNAME that points to itself (loop is then set). With loop there
 * are no records else, and the chain ends before the name that would come again. A CNAME question
 * that only a DNAME answers has that record's rdata and the synthesised name. A chain of more
 * than 64 links, an rcode that is neither 0 nor 3, and a qname that is no name: NH_SERVFAIL.
 */
enum nh_code nh_answer_parse(struct nh_answer *a, const uint8_t *packet, size_t len,
                             const char *qname, uint16_t qtype)
{
    struct view v;
    struct chain c;
    uint32_t ttl;
    enum nh_code code;

    memset(a, 0, sizeof(*a));
    c.n_names = 1;
    c.ttl = UINT32_MAX;
    c.loop = false;
    if (!open_packet(&v, packet, len, qtype) || !wire_from_text(qname, &c.names[0]))
        return NH_SERVFAIL;
    if ((packet[3] & 0x0f) != 0 && (packet[3] & 0x0f) != 3)
        return NH_SERVFAIL;
    if (v.has_alias && !follow_chain(&v, &c, qtype))
        return NH_SERVFAIL;
    code = build(a, &v, &c, qtype);
    if (code != NH_OK || a->n_records > 0 || a->loop)
        return code;
    if (!denial_ttl(&v, &ttl)) {
        nh_answer_free(a);
        return NH_SERVFAIL;
    }
    a->ttl = ttl < a->ttl ? ttl : a->ttl;
    return NH_OK;
}

/* Frees what nh_answer_parse() allocated and zeroes *a; a zeroed one may be given. */
void nh_answer_free(struct nh_answer *a)
{
    free(a->memory);
    memset(a, 0, sizeof(*a));
}

/* See nexthop.h: an RRSIG that covers DNSKEY beside a DNSKEY (RFC 4034 3.1.1). */
bool nh_answer_has_dnssec(const uint8_t *packet, size_t len)
{
    struct view v;
    struct rr rr;
    bool key = false, sig = false;

    if (!open_packet(&v, packet, len, 0))
        return false;
    for (size_t pos = v.answers, i = 0; i < v.n_answers && next_rr(&v, &pos, &rr); i++) {
        if (rr.type == NH_TYPE_DNSKEY)
            key = true;
        else if (rr.type == NH_TYPE_RRSIG && rr.len >= 2)
            sig = sig || get16(packet + rr.data) == NH_TYPE_DNSKEY;
    }
    return key && sig;
}
