/*
 * smtp_test.c - the SMTP dialogue: what a server may say at each step, in pieces of any size.
 */
#include "smtp.h"

#include "tap.h"

#include <stdlib.h>
#include <string.h>

#define is_int(got, want, ...) ok((long)(got) == (long)(want), __VA_ARGS__)

/* Passes the whole text, in pieces of `piece` bytes. Returns how many bytes were used. */
static size_t feed(struct nh_smtp *s, const char *text, size_t piece)
{
    size_t len = strlen(text), used = 0;

    while (used < len && !nh_smtp_is_over(s)) {
        size_t n = len - used < piece ? len - used : piece;

        used += nh_smtp_feed(s, text + used, n);
    }
    return used;
}

static void test_good_dialogue(void)
{
    static const char text[] =
        "220-mx.example ESMTP\r\n220 ready\r\n"
        "250-mx.example\r\n250-PIPELINING\r\n250-starttls\r\n250 SIZE 100\r\n"
        "220 go\r\nX";

    for (size_t piece = 1; piece < sizeof text; piece++) {
        struct nh_smtp s = {0};
        size_t used = feed(&s, text, piece);

        if (piece == 1 || piece == sizeof text - 1) {
            is_int(s.state, NH_SMTP_READY, "the server is ready for TLS");
            is_int(used, sizeof text - 2, "what follows the last reply is not used");
            is_text(s.greeting, "220-mx.example ESMTP\n220 ready", "the greeting");
            is_text(s.extensions, "PIPELINING\nstarttls\nSIZE 100", "the extensions");
            is_text(s.text, "220 go", "the last reply");
            is_int(s.code, 220, "its code");
        } else if (s.state != NH_SMTP_READY || used != sizeof text - 2) {
            ok(false, "in pieces of %zu bytes", piece);
        }
        nh_smtp_free(&s);
    }
}

/* One step at a time: the machine stops when its state changes, so that a command can be sent. */
static void test_steps(void)
{
    static const char both[] = "220 hi\r\n250 STARTTLS\r\n";
    struct nh_smtp s = {0};

    is_int(nh_smtp_feed(&s, both, strlen(both)), 8, "it stops behind the greeting");
    is_int(s.state, NH_SMTP_EHLO, "and waits for the reply to EHLO");
    nh_smtp_free(&s);
}

struct ending {
    const char *text;
    enum nh_smtp_state state, step;
    int code;
    const char *said; /* the last reply */
};

static void test_endings(void)
{
    static const struct ending endings[] = {
        {"554 no\r\n", NH_SMTP_REFUSED, NH_SMTP_GREETING, 554, "554 no"},
        {"421-busy\r\n421 later\r\n", NH_SMTP_REFUSED, NH_SMTP_GREETING, 421,
         "421-busy\n421 later"},
        {"220 a\n502 what\n", NH_SMTP_REFUSED, NH_SMTP_EHLO, 502, "502 what"},
        {"220 a\r\n250 mx\r\n", NH_SMTP_NO_TLS, NH_SMTP_EHLO, 250, "250 mx"},
        {"220 a\r\n250-mx\r\n250 XSTARTTLS\r\n", NH_SMTP_NO_TLS, NH_SMTP_EHLO, 250,
         "250-mx\n250 XSTARTTLS"},
        {"220 a\r\n250-mx\r\n250 STARTTLSX\r\n", NH_SMTP_NO_TLS, NH_SMTP_EHLO, 250,
         "250-mx\n250 STARTTLSX"},
        {"220 a\r\n250-STARTTLS\r\n250 mx\r\n", NH_SMTP_NO_TLS, NH_SMTP_EHLO, 250,
         "250-STARTTLS\n250 mx"},
        {"220 a\r\n250-mx\r\n250 STARTTLS\r\n454 no key\r\n", NH_SMTP_REFUSED, NH_SMTP_STARTTLS,
         454, "454 no key"},
        {"220\r\n250-mx\r\n250 STARTTLS \r\n220\r\n", NH_SMTP_READY, NH_SMTP_STARTTLS, 220, "220"},
        {"220-a\r\n221 b\r\n250-mx\r\n250-STARTTLS\r\n250 x\r\n200 c\r\n", NH_SMTP_READY,
         NH_SMTP_STARTTLS, 200, "200 c"},
        {"354 go on\r\n", NH_SMTP_BROKEN, NH_SMTP_GREETING, 354, "354 go on"},
        {"099 hm\r\n", NH_SMTP_BROKEN, NH_SMTP_GREETING, 99, "099 hm"},
        {"hello\r\n", NH_SMTP_BROKEN, NH_SMTP_GREETING, 0, "hello"},
        {"\r\n", NH_SMTP_BROKEN, NH_SMTP_GREETING, 0, ""},
        {"22\r\n", NH_SMTP_BROKEN, NH_SMTP_GREETING, 0, "22"},
        {"220x\r\n", NH_SMTP_BROKEN, NH_SMTP_GREETING, 0, "220x"},
        {"220 a\r\n* OK IMAP\r\n", NH_SMTP_BROKEN, NH_SMTP_EHLO, 220, "* OK IMAP"},
    };

    for (size_t k = 0; k < sizeof endings / sizeof endings[0]; k++) {
        const struct ending *e = &endings[k];
        struct nh_smtp s = {0};

        (void)feed(&s, e->text, 3);
        is_int(s.state, e->state, "state after ending %zu", k);
        is_int(s.step, e->step, "its step");
        is_int(s.code, e->code, "its code");
        is_text(s.text, e->said, "what the server said");
        ok((s.wrong != NULL) == (e->state == NH_SMTP_BROKEN),
           "it says what is wrong, or nothing is");
        is_int(nh_smtp_feed(&s, "220 more\r\n", 10), e->state == NH_SMTP_BROKEN ? 10 : 0,
               "nothing is read after the end");
        nh_smtp_free(&s);
    }
}

static char *repeated(const char *line, size_t n)
{
    size_t len = strlen(line);
    char *text = malloc(len * n + 1);

    for (size_t k = 0; text && k < n; k++)
        memcpy(text + k * len, line, len);
    if (text)
        text[len * n] = '\0';
    return text;
}

static void test_limits(void)
{
    char *hundred = repeated("220-x\r\n", NH_SMTP_LINES_MAX - 1),
         *more = repeated("220-x\r\n", 101);
    char *endless = repeated("x", NH_SMTP_REPLY_MAX + 1), *line = repeated("y", 1500);
    struct nh_smtp s = {0};

    (void)feed(&s, hundred, 1000);
    (void)feed(&s, "220 x\r\n", 1000);
    is_int(s.state, NH_SMTP_EHLO, "a reply of 100 lines is read");
    nh_smtp_free(&s);

    (void)feed(&s, more, 1000);
    is_int(s.state, NH_SMTP_BROKEN, "a reply of more lines is not");
    is_text(s.wrong, "the reply has more than 100 lines", "and why");
    nh_smtp_free(&s);

    (void)feed(&s, endless, 1000);
    is_int(s.state, NH_SMTP_BROKEN, "a line without an end is not read");
    is_text(s.wrong, "the reply is longer than 64 KB", "and why");
    ok(s.size <= 2 * NH_SMTP_REPLY_MAX, "little memory is used");
    nh_smtp_free(&s);

    (void)feed(&s, "220 ", 4);
    (void)feed(&s, line, 1500);
    (void)feed(&s, "\r\n", 2);
    is_int(strlen(s.greeting), NH_SMTP_LINE_SHOWN, "1,000 bytes of a line are shown");
    nh_smtp_free(&s);
    free(hundred);
    free(more);
    free(endless);
    free(line);
}

static void test_quotes(void)
{
    static const char bytes[] = "a\\b\x1b[1m\xc3\xa4\0\x7f\n";
    char *text = nh_smtp_quote(bytes, sizeof bytes - 1);

    is_text(text, "a\\\\b\\x1b[1m\\xc3\\xa4\\x00\\x7f\n", "bytes that are not printable");
    free(text);
}

int main(void)
{
    test_good_dialogue();
    test_steps();
    test_endings();
    test_limits();
    test_quotes();
    return tap_done();
}
