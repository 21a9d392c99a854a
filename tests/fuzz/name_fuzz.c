/*
 * name_fuzz.c - any bytes as a name, a name out of DNS and an address literal.
 * Input: a byte that is left aside (a stored input is then no text to editors and linters), the
 * name. A name that is taken must be a host name, parse to itself, and be no literal; an address must
 * come back from its text.
 */
#include "name.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

/* What was made of a name: out when reason is NULL. */
static void check_host(const char *reason, const char *out)
{
    char again[NH_HOST_MAX];
    struct nh_ip ip;
    size_t len = strnlen(out, NH_HOST_MAX);

    if (reason) {
        check(len == 0 && reason[0] != '\0');
        return;
    }
    check(len > 0 && len < NH_HOST_MAX && out[0] != '.' && out[len - 1] != '.');
    check(strspn(out, "abcdefghijklmnopqrstuvwxyz0123456789-._") == len);
    check(!strstr(out, ".."));
    check(out[0] != '-' && out[len - 1] != '-' && !strstr(out, ".-") && !strstr(out, "-."));
    check(!nh_name_parse(out, len, again) && strcmp(out, again) == 0);
    check(!nh_name_from_dns(out, again) && strcmp(out, again) == 0);
    check(nh_literal_parse(out, len, &ip) == NH_NOT_LITERAL);
}

static void check_literal(const char *text, size_t size)
{
    struct nh_ip ip = {0}, again = {0};
    char out[NH_IP_TEXT], brackets[NH_IP_TEXT + 10];

    if (nh_literal_parse(text, size, &ip) != NH_LITERAL)
        return;
    nh_ip_text(&ip, out);
    check(nh_ip_parse(out, &again) && memcmp(&ip, &again, sizeof(ip)) == 0);
    strcpy(brackets, ip.family == 4 ? "[" : "[IPv6:");
    strcat(strcat(brackets, out), "]");
    check(nh_literal_parse(brackets, strlen(brackets), &again) == NH_LITERAL);
    check(memcmp(&ip, &again, sizeof(ip)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;
    char name[NH_HOST_MAX], dns[NH_HOST_MAX];
    const char *reason;
    struct nh_ip ip;

    data += size > 0;
    size -= size > 0;
    text = malloc(size + 1); /* the name at its end, so that ASan sees a byte read behind it */
    check(text != NULL);
    memcpy(text + 1, data, size);
    memset(name, 'x', sizeof(name));
    memset(dns, 'x', sizeof(dns));
    reason = nh_name_parse(text + 1, size, name);
    check_host(reason, name);
    check_literal(text + 1, size);

    memmove(text, text + 1, size);
    text[size] = '\0';
    check_host(nh_name_from_dns(text, dns), dns);
    if (!reason && strlen(text) == size && dns[0])
        check(strcmp(dns, name) == 0);
    (void)nh_ip_parse(text, &ip);
    free(text);
    return 0;
}
