/*
 * answer_fuzz.c - any bytes as the answer to any question.
 * Input: the question's type, the length of its name, the name as text, the packet.
 * Whatever is made of it must be sound: names canonical, rdata in a block of its own, no record
 * twice, and the same again when the packet is read a second time.
 */
#include "answer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

/* Is this a name as answer.c writes it: labels of lower-case letters, digits, '-', '_', \DDD? */
static bool is_canonical(const char *name)
{
    size_t label = 0, wire = 1;

    if (strcmp(name, ".") == 0)
        return true;
    for (;; name++) {
        if (*name == '.' || *name == '\0') {
            if (label == 0 || label > 63 || (wire += label + 1) > 255)
                return false;
            if (*name == '\0')
                return true;
            label = 0;
            continue;
        }
        label++;
        if (*name == '\\') {
            if (strspn(name + 1, "0123456789") < 3 || strncmp(name + 1, "255", 3) > 0)
                return false;
            name += 3;
        } else if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", *name)) {
            return false;
        }
    }
}

static void check_answer(const struct nh_answer *a, uint16_t type)
{
    const uint8_t *memory = a->memory;

    check(a->rcode == 0 || a->rcode == 3);
    check(a->n_links <= 64 && a->ttl <= INT32_MAX);
    for (size_t i = 1; i <= a->n_links; i++) {
        check(is_canonical(a->chain[i]) || !is_canonical(a->chain[0]));
        for (size_t j = 0; j < i; j++)
            check(strcmp(a->chain[i], a->chain[j]) != 0 || (type == NH_TYPE_CNAME && a->loop));
    }
    check(type == NH_TYPE_CNAME ? a->n_links == a->n_records : !a->loop || a->n_records == 0);
    for (size_t i = 0; i < a->n_records; i++) {
        const struct nh_rr *r = &a->records[i];

        check((r->data == NULL) == (r->name != NULL));
        check(!r->data || (r->data > memory && r->len <= (size_t)(memory + a->size - r->data)));
        check(type != NH_TYPE_A || r->len == 4);
        check(type != NH_TYPE_AAAA || r->len == 16);
        check((r->name != NULL) == (type == NH_TYPE_MX || type == NH_TYPE_CNAME));
        if (r->name)
            check(is_canonical(r->name) || !is_canonical(a->chain[0]));
        for (size_t j = 0; j < i && i < 300; j++) {
            const struct nh_rr *s = &a->records[j];

            if (r->name)
                check(r->pref != s->pref || strcmp(r->name, s->name) != 0);
            else
                check(r->len != s->len || memcmp(r->data, s->data, r->len) != 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nh_answer a, b;
    char qname[256];
    uint16_t type;
    size_t len;
    enum nh_code code;

    if (size < 2 || size - 2 < data[1])
        return 0;
    type = data[0];
    memcpy(qname, data + 2, data[1]);
    qname[data[1]] = '\0';
    len = size - 2 - data[1];
    data += 2 + data[1];

    (void)nh_answer_has_dnssec(data, len);
    memset(&a, 0xaa, sizeof(a));
    code = nh_answer_parse(&a, data, len, qname, type);
    if (code != NH_OK) {
        memset(&b, 0, sizeof(b));
        check(code == NH_SERVFAIL && memcmp(&a, &b, sizeof(a)) == 0);
        return 0;
    }
    check_answer(&a, type);
    check(nh_answer_parse(&b, data, len, a.chain[0], type) == NH_OK);
    check(a.n_links == b.n_links && a.n_records == b.n_records && a.ttl == b.ttl);
    nh_answer_free(&b);
    nh_answer_free(&a);
    return 0;
}
