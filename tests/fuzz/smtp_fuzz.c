/*
 * smtp_fuzz.c - any bytes as what a server says.
 * Input: the size of the pieces (a byte; 0 counts as 1), then the bytes. Whatever comes, the machine
 * stays within its limits, shows printable text alone, and comes to the same end in pieces of any size.
 */
#include "smtp.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_text(const char *text)
{
    for (; text && *text; text++)
        check(*text == '\n' || (*text >= 0x20 && *text < 0x7f));
}

static size_t feed(struct nh_smtp *s, const uint8_t *data, size_t size, size_t piece)
{
    size_t used = 0;

    while (used < size && !nh_smtp_is_over(s)) {
        size_t n = size - used < piece ? size - used : piece, now;

        now = nh_smtp_feed(s, (const char *)data + used, n);
        check(now <= n);
        check(now > 0);
        used += now;
    }
    return used;
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nh_smtp s = {0}, whole = {0};
    size_t used;

    if (size < 1)
        return 0;
    used = feed(&s, data + 1, size - 1, data[0] ? data[0] : 1);
    check(s.len <= NH_SMTP_REPLY_MAX && s.size <= 4 * NH_SMTP_REPLY_MAX);
    check(s.n_lines <= NH_SMTP_LINES_MAX && s.code >= 0 && s.code <= 999);
    check((s.state == NH_SMTP_BROKEN) == (s.wrong != NULL));
    check(s.state != NH_SMTP_READY || (s.greeting && s.extensions && s.code / 100 == 2));
    check(s.state != NH_SMTP_REFUSED || s.code / 100 >= 4);
    check_text(s.greeting);
    check_text(s.extensions);
    check_text(s.text);

    check(s.state == NH_SMTP_BROKEN || feed(&whole, data + 1, size - 1, size) == used);
    if (s.state != NH_SMTP_BROKEN)
        check(whole.state == s.state && whole.code == s.code && same(whole.text, s.text) &&
              same(whole.greeting, s.greeting) && same(whole.extensions, s.extensions));
    nh_smtp_free(&s);
    nh_smtp_free(&whole);
    return 0;
}
