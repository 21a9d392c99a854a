/* name.h - names, address literals, IDNA.
 *
 * Names are text: lower-case, without a final dot (the root is "."). Bytes that are not letters,
 * digits, '-' or '_' are written as \DDD or \C, as in RFC 1035 5.1. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NH_HOST_MAX 254  /* a host name as text, with its NUL */
#define NH_NAME_MAX 1024 /* any DNS name as text (253 bytes, all escaped), with its NUL */
#define NH_IP_TEXT 46    /* an IP address as text, with its NUL */

/* Copies a text that is known to fit. A text that does not fit is cut off. */
static inline void nh_copy(char *out, size_t size, const char *text)
{
    size_t len = strnlen(text, size - 1);

    memcpy(out, text, len);
    out[len] = '\0';
}

static inline uint8_t nh_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

struct nh_ip {
    uint8_t family; /* 4 or 6 */
    uint8_t addr[16];
};

static inline bool nh_ip_same(const struct nh_ip *a, const struct nh_ip *b)
{
    return a->family == b->family && memcmp(a->addr, b->addr, a->family == 6 ? 16 : 4) == 0;
}

/* Parses a host or domain name as a person writes it: U-labels or A-labels in UTF-8, in any
 * case, with or without a final dot. Writes a lower-case A-label without the final dot into out.
 * A label that is ASCII does not go through IDNA: it may have letters, digits, '_', and hyphens
 * anywhere but at its ends. Returns NULL, or the reason why the text is no host name (a static
 * string such as "an empty label"). A name that has only digits and dots is no host name, nor is
 * one whose last label has only digits. */
const char *nh_name_parse(const char *text, size_t len, char out[NH_HOST_MAX]);
/* The reason, when it is not known whether the text is a host name. */
extern const char nh_name_no_memory[];

/* Checks a name out of a DNS answer, in the text form above. Returns NULL when it is a host
 * name, and otherwise the reason. out is as above. */
const char *nh_name_from_dns(const char *text, char out[NH_HOST_MAX]);

enum nh_literal { NH_NOT_LITERAL, NH_LITERAL, NH_BAD_LITERAL };

/* Parses the address literals 192.0.2.1, [192.0.2.1], 2001:db8::1 and [IPv6:2001:db8::1] (RFC
 * 5321 4.1.3). The tag may be in any case, and [2001:db8::1] is accepted too. NH_BAD_LITERAL is
 * a text in brackets or with a colon that is not an address. "[host.example]" is NH_NOT_LITERAL
 * here: plan() handles a host in brackets. */
enum nh_literal nh_literal_parse(const char *text, size_t len, struct nh_ip *ip);

/* Parses an address without brackets. */
bool nh_ip_parse(const char *text, struct nh_ip *ip);
void nh_ip_text(const struct nh_ip *ip, char out[NH_IP_TEXT]);

/* Writes the decimal digits of n, without a NUL. Returns their end. */
char *nh_write_number(char *out, uint16_t n);

/* Can the address be reached from everywhere (IANA's registries of special-purpose addresses, RFC
 * 6890)? An IPv6 address that holds an IPv4 address is judged by that one. */
bool nh_ip_is_global(const struct nh_ip *ip);

/* The name above this one, which is this name without its first label. NULL: there is none. */
const char *nh_name_above(const char *name);
