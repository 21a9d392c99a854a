/*
 * name.c - host names, internationalised names and address literals.
 *
 * Nearly every name is ASCII and has no A-label; it is checked and lower-cased in one pass that
 * allocates nothing. libidn2 sees the rest: U-labels, which it maps (UTS #46, non-transitional)
 * and encodes under IDNA2008, and A-labels, which must decode and encode back to themselves.
 *
 * libidn2's IDN2_USE_STD3_ASCII_RULES is not used: it deletes what it should refuse ("a_b" with
 * a U-label beside it becomes "ab"). The pass over the ASCII result does what STD3 asks for,
 * and nothing escapes it: Punycode keeps the ASCII characters of a label as they are.
 */
#include "nexthop.h"

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
static const char bad_alabel[] = "an invalid A-label (xn--)";
static const char edge_hyphen[] = "a label that begins or ends with a hyphen";
static const char inner_hyphens[] = "a label with \"--\" at its third and fourth place";

/* What libidn2's result means, in words that do not depend on the locale. */
static const char *idn_reason(int rc)
{
    switch (rc) {
    case IDN2_MALLOC:
        return "out of memory";
    case IDN2_ENCODING_ERROR:
    case IDN2_ICONV_FAIL:
        return "bytes that are not UTF-8";
    case IDN2_TOO_BIG_DOMAIN:
        return too_long;
    case IDN2_TOO_BIG_LABEL:
    case IDN2_PUNYCODE_BIG_OUTPUT:
    case IDN2_PUNYCODE_OVERFLOW:
        return label_too_long;
    case IDN2_PUNYCODE_BAD_INPUT:
    case IDN2_INVALID_ALABEL:
        return bad_alabel;
    case IDN2_2HYPHEN:
        return inner_hyphens;
    case IDN2_HYPHEN_STARTEND:
        return edge_hyphen;
    case IDN2_LEADING_COMBINING:
        return "a label that begins with a combining character";
    case IDN2_CONTEXTJ:
    case IDN2_CONTEXTJ_NO_RULE:
        return "a joiner where IDNA2008 does not allow one";
    case IDN2_BIDI:
        return "a label that mixes right-to-left and left-to-right writing (RFC 5893)";
    case IDN2_UNASSIGNED:
        return "an unassigned Unicode character";
    default:
        return "a character that IDNA2008 does not allow";
    }
}

/*
 * Is the lower-case label (starting "xn--") an A-label? It must decode, be what UTS #46 leaves
 * unchanged, and encode back to itself (RFC 5891 5.4). A symbol that is valid under UTS #46 but
 * not under IDNA2008 (IDN2_DISALLOWED, which libidn2 looks for after the UTS #46 checks) passes:
 * such names are registered and take mail, and Go's idna.Lookup takes them, so mox does.
 * Returns NULL or the reason.
 */
static const char *check_alabel(const char *label, size_t len)
{
    uint8_t text[LABEL_MAX + 1];
    uint8_t *back = NULL;
    const char *reason = NULL;
    int rc;

    memcpy(text, label, len);
    text[len] = '\0';
    rc = idn2_lookup_u8(text, &back, idn_flags);
    if (rc == IDN2_MALLOC)
        reason = idn_reason(rc);
    else if (rc != IDN2_DISALLOWED && (rc != IDN2_OK || strcmp((char *)back, (char *)text) != 0))
        reason = bad_alabel;
    idn2_free(back);
    return reason;
}

/* The rules for one label of a lower-cased name: RFC 952, RFC 1123 2.1, RFC 5891 4.2.3.1. */
static const char *check_label(const char *label, size_t len, bool underscore)
{
    if (len == 0)
        return "an empty label";
    if (len > LABEL_MAX)
        return label_too_long;
    if (label[0] == '-' || label[len - 1] == '-')
        return edge_hyphen;
    if (len >= 4 && label[2] == '-' && label[3] == '-') {
        if (label[0] != 'x' || label[1] != 'n')
            return inner_hyphens;
        if (underscore)
            return "an underscore in an internationalised name";
        return check_alabel(label, len);
    }
    return NULL;
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
    return "a byte that is not a letter, digit or hyphen";
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

/*
 * Checks an ASCII name and writes it into out (which may be text itself), lower-case and without
 * the final dot. Returns NULL or the reason; out is then the empty string.
 */
static const char *parse_ascii(const char *text, size_t len, bool lax, char out[NH_HOST_MAX])
{
    const char *reason = NULL;
    bool underscore = false;
    size_t start = 0;

    if (len == 0)
        reason = "an empty name";
    else if (text[len - 1] == '.' && --len == 0)
        reason = "the root, which is no host name";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c >= 'A' && c <= 'Z')
            c = (unsigned char)(c + ('a' - 'A'));
        else if (c == '_')
            underscore = true;
        else if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.')
            reason = reason ? reason : byte_reason(c);
        if (i < NAME_MAX_TEXT)
            out[i] = (char)c;
    }
    if (!reason && len > NAME_MAX_TEXT)
        reason = too_long;
    else if (!reason && underscore && !lax)
        reason = "an underscore";
    for (size_t i = 0; !reason && i <= len; i++) {
        if (i == len || out[i] == '.') {
            reason = check_label(out + start, i - start, underscore);
            if (i < len)
                start = i + 1;
        }
    }
    if (!reason && is_numeric(out, len))
        reason = "an IP address or a number, not a host name";
    else if (!reason && is_numeric(out + start, len - start))
        reason = "a last label that is all digits";
    out[reason ? 0 : len] = '\0';
    return reason;
}

/*
 * Checks a name that is not all ASCII: libidn2 makes A-labels of it (RFC 5891 5, UTS #46
 * non-transitional, which also folds case and the full stops of other scripts), and the result
 * must be a host name like any other. The ASCII part of the input is looked at first, for the
 * sake of the reason. What libidn2 allocates is freed here.
 */
static const char *parse_idna(const char *text, size_t len, char out[NH_HOST_MAX])
{
    uint8_t copy[INPUT_MAX + 1];
    uint8_t *ascii = NULL;
    const char *reason = len > INPUT_MAX ? too_long : NULL;
    int rc;

    for (size_t i = 0; !reason && i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '_')
            reason = "an underscore in an internationalised name";
        else if (c < 0x80 && c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') &&
                 (c < 'a' || c > 'z'))
            reason = byte_reason(c);
    }
    if (reason) {
        out[0] = '\0';
        return reason;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    rc = idn2_lookup_u8(copy, &ascii, idn_flags);
    out[0] = '\0';
    reason = rc == IDN2_OK ? parse_ascii((char *)ascii, strlen((char *)ascii), false, out)
                           : idn_reason(rc);
    idn2_free(ascii);
    return reason;
}

/* See nexthop.h. text need not end in a NUL, and a NUL in it is refused. */
const char *nh_name_parse(const char *text, size_t len, bool lax, char out[NH_HOST_MAX])
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] >= 0x80)
            return parse_idna(text, len, out);
    }
    return parse_ascii(text, len, lax, out);
}

/*
 * See nexthop.h. An escape, which stands for a byte that no host name has, is refused for its
 * backslash, and so is an A-label that does not decode, as mox refuses it.
 */
const char *nh_name_from_dns(const char *text, bool lax, char out[NH_HOST_MAX])
{
    return parse_ascii(text, strlen(text), lax, out);
}

/* Parses len bytes as a bare address of one family into ip, which is left alone on failure. */
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

/* See nexthop.h. ip is written for NH_LITERAL only. */
enum nh_literal nh_literal_parse(const char *text, size_t len, struct nh_ip *ip)
{
    static const char tag[] = "ipv6:";
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
    for (size_t i = 0; tagged && i < sizeof(tag) - 1; i++) {
        char c = i < len ? text[i] : '\0';

        tagged = c == tag[i] || (c >= 'A' && c <= 'Z' && c + ('a' - 'A') == tag[i]);
    }
    if (tagged) {
        text += sizeof(tag) - 1;
        len -= sizeof(tag) - 1;
    }
    return parse_family(AF_INET6, text, len, ip) ? NH_LITERAL : NH_BAD_LITERAL;
}

/* See nexthop.h. IPv4 is a dotted quad in decimal, IPv6 has no zone. */
bool nh_ip_parse(const char *text, struct nh_ip *ip)
{
    size_t len = strlen(text);

    return parse_family(memchr(text, ':', len) ? AF_INET6 : AF_INET, text, len, ip);
}

/* Writes the address in canonical form (RFC 5952, as inet_ntop has it). */
void nh_ip_text(const struct nh_ip *ip, char out[NH_IP_TEXT])
{
    if (!inet_ntop(ip->family == 4 ? AF_INET : AF_INET6, ip->addr, out, NH_IP_TEXT))
        out[0] = '\0';
}
