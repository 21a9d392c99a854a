/* name.c - host names, internationalised names and address literals.
 *
 * A name that is ASCII already does not go through IDNA. Its labels may have letters, digits,
 * underscores, and hyphens anywhere but at their ends. The DNS says whether it exists. So
 * "ab--c" is a label, although IDNA2008 registers no label of that form (RFC 5891 4.2.3.1). A
 * label that begins with "xn--" and decodes to nothing is one too (RFC 5890 2.3.1 calls it a
 * fake A-label): a resolver can ask for it, and what we refuse here is refused permanently. The
 * name is checked and lower-cased in one pass that allocates nothing.
 *
 * If a name is not ASCII, libidn2 sees only the labels that are not. It maps them (UTS #46,
 * non-transitional) and encodes them under IDNA2008. The other labels are treated as in any
 * ASCII name.
 *
 * libidn2's IDN2_USE_STD3_ASCII_RULES is not used, because it deletes what it should refuse
 * ("a_b" with a U-label beside it becomes "ab"). The ASCII part of such a label is checked
 * before, and the result is checked again: Punycode keeps the ASCII characters of a label as
 * they are. */
#include "name.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <string.h>
#include <sys/socket.h>

#define LABEL_MAX 63
#define NAME_MAX_TEXT 253

/* A U-label name longer than this cannot fit 253 bytes of A-labels in any sensible spelling. */
#define INPUT_MAX 1024

static const int idn_flags = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL;

static const char too_long[] = "a name longer than 253 bytes";
static const char label_too_long[] = "a label longer than 63 bytes";
static const char edge_hyphen[] = "a label that begins or ends with a hyphen";
const char nh_name_no_memory[] = "out of memory";
static const char idna_underscore[] = "an underscore in an internationalised name";

/* What libidn2's result means, in words that do not depend on the locale. */
static const char *idn_reason(int rc)
{
    static const struct {
        int rc;
        const char *reason;
    } known[] = {
        {IDN2_MALLOC, nh_name_no_memory},
        {IDN2_ENCODING_ERROR, "bytes that are not UTF-8"},
        {IDN2_ICONV_FAIL, "bytes that are not UTF-8"},
        {IDN2_TOO_BIG_DOMAIN, too_long},
        {IDN2_TOO_BIG_LABEL, label_too_long},
        {IDN2_PUNYCODE_BIG_OUTPUT, label_too_long},
        {IDN2_PUNYCODE_OVERFLOW, label_too_long},
        {IDN2_PUNYCODE_BAD_INPUT, "an invalid A-label (xn--)"},
        {IDN2_INVALID_ALABEL, "an invalid A-label (xn--)"},
        {IDN2_2HYPHEN, "a label with \"--\" at its third and fourth place"},
        {IDN2_HYPHEN_STARTEND, edge_hyphen},
        {IDN2_LEADING_COMBINING, "a label that begins with a combining character"},
        {IDN2_CONTEXTJ, "a joiner where IDNA2008 does not allow one"},
        {IDN2_CONTEXTJ_NO_RULE, "a joiner where IDNA2008 does not allow one"},
        {IDN2_BIDI, "a label that mixes right-to-left and left-to-right writing (RFC 5893)"},
        {IDN2_UNASSIGNED, "an unassigned Unicode character"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].rc == rc)
            return known[i].reason;
    }
    return "a character that IDNA2008 does not allow";
}

/* The rules for one label of a name: RFC 1123 2.1, but for underscores. */
static const char *check_label(const char *label, size_t len)
{
    if (len == 0)
        return "an empty label";
    if (len > LABEL_MAX)
        return label_too_long;
    if (label[0] == '-' || label[len - 1] == '-')
        return edge_hyphen;
    return NULL;
}

#define LETTERS(lower, upper) [lower] = (lower), [upper] = (lower)
#define SAME(c) [c] = (c)

/* The bytes of a host name, each as it is written in lower case. 0 is for all other bytes. */
static const char lower_of[256] = {
    LETTERS('a', 'A'), LETTERS('b', 'B'), LETTERS('c', 'C'), LETTERS('d', 'D'), LETTERS('e', 'E'),
    LETTERS('f', 'F'), LETTERS('g', 'G'), LETTERS('h', 'H'), LETTERS('i', 'I'), LETTERS('j', 'J'),
    LETTERS('k', 'K'), LETTERS('l', 'L'), LETTERS('m', 'M'), LETTERS('n', 'N'), LETTERS('o', 'O'),
    LETTERS('p', 'P'), LETTERS('q', 'Q'), LETTERS('r', 'R'), LETTERS('s', 'S'), LETTERS('t', 'T'),
    LETTERS('u', 'U'), LETTERS('v', 'V'), LETTERS('w', 'W'), LETTERS('x', 'X'), LETTERS('y', 'Y'),
    LETTERS('z', 'Z'), SAME('0'),         SAME('1'),         SAME('2'),         SAME('3'),
    SAME('4'),         SAME('5'),         SAME('6'),         SAME('7'),         SAME('8'),
    SAME('9'),         SAME('-'),         SAME('_'),         SAME('.'),
};

/* Is c one of the bytes that a label consists of? */
static bool in_label(unsigned char c)
{
    return c != '.' && lower_of[c];
}

/* Why byte c has no place in a host name. */
static const char *byte_reason(unsigned char c)
{
    if (c == '\0')
        return "a NUL byte";
    if (c <= ' ' || c == 0x7f)
        return "a space or control character";
    if (c == '@')
        return "an \"@\" (a mail address, not a domain)";
    if (c == ':')
        return "a colon (an address or a port, not a host name)";
    if (c == '[' || c == ']')
        return "a bracket that belongs to no address literal";
    return "a byte that is not a letter, digit or hyphen, nor an underscore";
}

/* Does the text consist of digits and dots only? */
static bool is_numeric(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '.' && (text[i] < '0' || text[i] > '9'))
            return false;
    }
    return true;
}

/* Checks an ASCII name and writes it into out (which may be text itself), lower-case and without
 * the final dot. Returns NULL or the reason; out is then the empty string. */
static const char *parse_ascii(const char *text, size_t len, char out[NH_HOST_MAX])
{
    const char *reason = NULL, *label_reason = NULL; /* the second: of the first wrong label */
    size_t start = 0;

    if (len == 0)
        reason = "an empty name";
    else if (text[len - 1] == '.' && --len == 0)
        reason = "the root, which is no host name";
    for (size_t i = 0; i < len; i++) {
        char c = lower_of[(unsigned char)text[i]];

        if (!c) {
            reason = byte_reason((unsigned char)text[i]);
            break;
        }
        if (i < NAME_MAX_TEXT)
            out[i] = c;
        if (c == '.') {
            if (!label_reason)
                label_reason = check_label(text + start, i - start);
            start = i + 1;
        }
    }
    if (!reason && len > NAME_MAX_TEXT)
        reason = too_long;
    if (!reason)
        reason = label_reason ? label_reason : check_label(text + start, len - start);
    if (!reason && is_numeric(out, len))
        reason = "an IP address or a number, not a host name";
    else if (!reason && is_numeric(out + start, len - start))
        reason = "a last label that is all digits";
    out[reason ? 0 : len] = '\0';
    return reason;
}

/* A name that is being put together from its labels. */
struct joined {
    char text[2 * NH_HOST_MAX];
    size_t len;
};

/* Adds len bytes and returns NULL, or the reason why there is no room for them. */
static const char *add(struct joined *name, const char *text, size_t len)
{
    if (len > sizeof(name->text) - name->len)
        return too_long;
    memcpy(name->text + name->len, text, len);
    name->len += len;
    return NULL;
}

/* Adds the form that libidn2 makes of a label that is not all ASCII (RFC 5891 5, UTS #46
 * non-transitional). libidn2 also folds case and the full stops of other scripts, so one label
 * may become several. The ASCII part of the label is checked first, because this gives a better
 * reason. What libidn2 allocates is freed here. */
static const char *add_ulabel(struct joined *name, const char *label, size_t len)
{
    uint8_t copy[INPUT_MAX + 1];
    uint8_t *ascii = NULL;
    const char *reason;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)label[i];

        if (c == '_')
            return idna_underscore;
        if (c < 0x80 && !in_label(c))
            return byte_reason(c);
    }
    memcpy(copy, label, len);
    copy[len] = '\0';
    int rc = idn2_lookup_u8(copy, &ascii, idn_flags);
    if (rc != IDN2_OK)
        reason = idn_reason(rc);
    else if (strchr((char *)ascii, '_'))
        reason = idna_underscore;
    else
        reason = add(name, (char *)ascii, strlen((char *)ascii));
    idn2_free(ascii);
    return reason;
}

/* Checks a name that is not all ASCII. Each label is made ASCII, and then the whole name is
 * checked. */
static const char *parse_idna(const char *text, size_t len, char out[NH_HOST_MAX])
{
    struct joined name = {.len = 0};
    const char *reason = len > INPUT_MAX ? too_long : NULL;
    bool ascii = true;
    size_t start = 0;

    for (size_t i = 0; !reason && i <= len; i++) {
        if (i < len && text[i] != '.') {
            ascii = ascii && (unsigned char)text[i] < 0x80;
            continue;
        }
        reason = ascii ? add(&name, text + start, i - start)
                       : add_ulabel(&name, text + start, i - start);
        if (!reason && i < len)
            reason = add(&name, ".", 1);
        start = i + 1;
        ascii = true;
    }
    out[0] = '\0';
    return reason ? reason : parse_ascii(name.text, name.len, out);
}

/* See name.h. text need not end in a NUL, and a NUL in it is refused. */
const char *nh_name_parse(const char *text, size_t len, char out[NH_HOST_MAX])
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] >= 0x80)
            return parse_idna(text, len, out);
    }
    return parse_ascii(text, len, out);
}

/* See name.h. An escape stands for a byte that no host name has. It is refused because of its
 * backslash. */
const char *nh_name_from_dns(const char *text, char out[NH_HOST_MAX])
{
    return parse_ascii(text, strlen(text), out);
}

/* Parses len bytes as an address of one family, without brackets, into ip. On failure ip is
 * unchanged. */
static bool parse_family(int family, const char *text, size_t len, struct nh_ip *ip)
{
    char copy[NH_IP_TEXT];
    uint8_t addr[16] = {0};

    if (len >= sizeof(copy) || memchr(text, '\0', len))
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (inet_pton(family, copy, addr) != 1)
        return false;
    ip->family = family == AF_INET ? 4 : 6;
    memcpy(ip->addr, addr, sizeof(addr));
    return true;
}

/* See name.h. ip is written for NH_LITERAL only. */
enum nh_literal nh_literal_parse(const char *text, size_t len, struct nh_ip *ip)
{
    static const uint8_t tag[] = "ipv6:";
    bool tagged = true;

    if (len == 0)
        return NH_NOT_LITERAL;
    if (text[0] != '[') {
        if (memchr(text, ':', len))
            return parse_family(AF_INET6, text, len, ip) ? NH_LITERAL : NH_BAD_LITERAL;
        return parse_family(AF_INET, text, len, ip) ? NH_LITERAL : NH_NOT_LITERAL;
    }
    if (len < 3 || text[len - 1] != ']')
        return NH_BAD_LITERAL;
    text++;
    len -= 2;
    if (!memchr(text, ':', len)) {
        if (parse_family(AF_INET, text, len, ip))
            return NH_LITERAL;
        return is_numeric(text, len) ? NH_BAD_LITERAL : NH_NOT_LITERAL;
    }
    for (size_t i = 0; i < sizeof(tag) - 1; i++)
        tagged = tagged && i < len && nh_lower((uint8_t)text[i]) == tag[i];
    if (tagged) {
        text += sizeof(tag) - 1;
        len -= sizeof(tag) - 1;
    }
    return parse_family(AF_INET6, text, len, ip) ? NH_LITERAL : NH_BAD_LITERAL;
}

/* See name.h. IPv4 is a dotted quad in decimal, IPv6 has no zone. */
bool nh_ip_parse(const char *text, struct nh_ip *ip)
{
    size_t len = strlen(text);

    return parse_family(memchr(text, ':', len) ? AF_INET6 : AF_INET, text, len, ip);
}

char *nh_write_number(char *out, uint16_t n)
{
    if (n >= 10)
        out = nh_write_number(out, n / 10);
    *out = (char)('0' + n % 10);
    return out + 1;
}

/* Writes an IPv4 address as inet_ntop() does, which prints with a format and takes much longer. */
static void write_ip4(const uint8_t addr[4], char *out)
{
    for (size_t k = 0; k < 4; k++) {
        out = nh_write_number(out, addr[k]);
        *out++ = k < 3 ? '.' : '\0';
    }
}

/* Writes the address in the canonical form of RFC 5952, as inet_ntop() does. */
void nh_ip_text(const struct nh_ip *ip, char out[NH_IP_TEXT])
{
    if (ip->family == 4)
        write_ip4(ip->addr, out);
    else if (!inet_ntop(AF_INET6, ip->addr, out, NH_IP_TEXT))
        out[0] = '\0';
}

const char *nh_name_above(const char *name)
{
    for (; *name; name++) {
        if (*name == '\\' && name[1])
            name++;
        else if (*name == '.' && name[1])
            return name + 1;
    }
    return NULL;
}

/* ---- global addresses ------------------------------------------------------------------ */

struct block {
    uint8_t prefix[4];
    unsigned bits;
};

static bool in_blocks(const uint8_t *addr, const struct block *blocks, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        unsigned bits = blocks[k].bits, bytes = bits / 8;
        uint8_t mask = (uint8_t)(0xff << (8 - bits % 8));

        if (memcmp(addr, blocks[k].prefix, bytes) == 0 &&
            (bits % 8 == 0 || (addr[bytes] & mask) == (blocks[k].prefix[bytes] & mask)))
            return true;
    }
    return false;
}

static bool is_global_v4(const uint8_t *addr)
{
    static const struct block special[] = {
        {{0}, 8},
        {{10}, 8},
        {{100, 64}, 10},
        {{127}, 8},
        {{169, 254}, 16},
        {{172, 16}, 12},
        {{192, 0, 0}, 24},
        {{192, 0, 2}, 24},
        {{192, 88, 99}, 24},
        {{192, 168}, 16},
        {{198, 18}, 15},
        {{198, 51, 100}, 24},
        {{203, 0, 113}, 24},
        {{224}, 3},
    };

    return !in_blocks(addr, special, sizeof special / sizeof special[0]);
}

bool nh_ip_is_global(const struct nh_ip *ip)
{
    static const struct block unicast[] = {{{0x20}, 3}};
    static const struct block special[] = {
        {{0x20, 0x01}, 23}, {{0x20, 0x01, 0x0d, 0xb8}, 32}, {{0x3f, 0xff}, 20}};
    static const struct block six_to_four[] = {{{0x20, 0x02}, 16}};
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};

    if (ip->family == 4)
        return is_global_v4(ip->addr);
    if (memcmp(ip->addr, mapped, 12) == 0 || memcmp(ip->addr, nat64, 12) == 0)
        return is_global_v4(ip->addr + 12);
    if (in_blocks(ip->addr, six_to_four, 1))
        return is_global_v4(ip->addr + 2);
    return in_blocks(ip->addr, unicast, 1) && !in_blocks(ip->addr, special, 3);
}
