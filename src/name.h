/* name.h - names, address literals, IDNA.
 *
 * Names are text: lower-case, without a final dot (the root is "."). Bytes that are not letters, digits,
 * '-' or '_' are written as \DDD or \C, as in RFC 1035 5.1. */
#ifndef NEXTHOP_NAME_H
#define NEXTHOP_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#pragma GCC visibility push(hidden)

#define NH_HOST_MAX 254  /* a host name as text, with its NUL */
#define NH_NAME_MAX 1024 /* any DNS name as text (253 bytes, all escaped), with its NUL */
#define NH_IP_TEXT 46    /* an IP address as text, with its NUL */

/* Copies text that is known to fit; cut off if it should not. */
static inline void nh_copy(char *out, size_t size, const char *text)
{
    size_t len = strnlen(text, size - 1);

    memcpy(out, text, len);
    out[len] = '\0';
}

struct nh_ip {
    uint8_t family; /* 4 or 6 */
    uint8_t addr[16];
};

/* Parses a host or domain name as a person writes it (U- or A-labels in UTF-8,
 * any case, perhaps a final dot) into out: a lower-case A-label without the
 * final dot. A label that is ASCII does not go through IDNA: letters, digits, '_', hyphens anywhere
 * but at its ends. Returns NULL, or the reason why it is no host name (a static string, "an empty
 * label"). A name of nothing but digits and dots, or with an all-numeric last label, is no host
 * name. */
const char *nh_name_parse(const char *text, size_t len, char out[NH_HOST_MAX]);

/* A name out of a DNS answer (the text form above): NULL when it is a host name, else the
 * reason. out as above. */
const char *nh_name_from_dns(const char *text, char out[NH_HOST_MAX]);

enum nh_literal { NH_NOT_LITERAL, NH_LITERAL, NH_BAD_LITERAL };

/* The address literals 192.0.2.1, [192.0.2.1], 2001:db8::1, [IPv6:2001:db8::1] (RFC 5321
 * 4.1.3; the tag in any case; [2001:db8::1] is let through too). NH_BAD_LITERAL: in brackets (or with a colon) but no
 * address; "[host.example]" is NH_NOT_LITERAL here: plan() handles the brackets of a host. */
enum nh_literal nh_literal_parse(const char *text, size_t len, struct nh_ip *ip);

/* The bare address, no brackets. */
bool nh_ip_parse(const char *text, struct nh_ip *ip);
void nh_ip_text(const struct nh_ip *ip, char out[NH_IP_TEXT]);

/* The name above this one: without its first label. NULL: it has none. */
const char *nh_name_above(const char *name);

/* What the DNAME of `above`, a name above `name`, makes of it (RFC 6672 2.2). NULL: it would be too
 * long, or there is no memory; free() it. */
char *nh_name_renamed(const char *name, const char *above, const char *target);

#pragma GCC visibility pop

#endif
