/* name_test.c - host names, A- and U-labels, address literals. */
#include "name.h"

#include "tap.h"

#include <arpa/inet.h>

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10
#define L63 X60 "xxx"
#define N253 L63 "." L63 "." L63 "." X60 "x"

struct good {
    const char *text, *out;
};

static const struct good good[] = {
    {"example.org", "example.org"},
    {"Example.ORG.", "example.org"},
    {"localhost", "localhost"},
    {"a", "a"},
    {"1.example", "1.example"},
    {"3com.com", "3com.com"},
    {"1.2.3.4x", "1.2.3.4x"},
    {"0x7f.1a", "0x7f.1a"},
    {"a-b--c.example", "a-b--c.example"},
    {"a-b-c.example", "a-b-c.example"},
    {L63 ".org", L63 ".org"},
    {N253, N253},
    {N253 ".", N253},
    /* A-labels */
    {"XN--BCHER-KVA.Example", "xn--bcher-kva.example"},
    {"xn--strae-oqa.de", "xn--strae-oqa.de"},
    {"mail.xn--ls8h.la", "mail.xn--ls8h.la"}, /* a symbol: valid under UTS #46 */
    /* ASCII does not go through IDNA: the DNS says what exists */
    {"ab--c.org", "ab--c.org"},
    {"mx--in.example", "mx--in.example"},
    {"R3---sn-abc.org", "r3---sn-abc.org"},
    {"x---c.org", "x---c.org"},
    {"_a.org", "_a.org"},
    {"foo_bar.Example.org.", "foo_bar.example.org"},
    {"_", "_"},
    {"a_.b_", "a_.b_"},
    {"xn--0.org", "xn--0.org"},
    {"XN--0", "xn--0"},
    {"xn--a.org", "xn--a.org"},
    {"xn--abc.org", "xn--abc.org"},
    {"xn--a-ecp.ru", "xn--a-ecp.ru"},             /* decodes to what UTS #46 does not allow */
    {"xn--bcher-2pa.org", "xn--bcher-2pa.org"},   /* to a capital letter */
    {"xn--bucher-xyd.org", "xn--bucher-xyd.org"}, /* to what is not NFC */
    {"xn--ab-r13a.org", "xn--ab-r13a.org"},       /* to a label with a full stop in it */
    {"xn--99999999.org", "xn--99999999.org"},
    {"xn--_a-9ia.org", "xn--_a-9ia.org"},
    {"a_b.xn--bcher-kva", "a_b.xn--bcher-kva"},
    /* nor do the ASCII labels beside a U-label */
    {"r3---sn.b\u00fccher.example", "r3---sn.xn--bcher-kva.example"},
    {"_dmarc.b\u00fccher.example", "_dmarc.xn--bcher-kva.example"},
    {"b\u00fccher.xn--0", "xn--bcher-kva.xn--0"},
    /* U-labels */
    {"b\u00fccher.example", "xn--bcher-kva.example"},
    {"B\u00dcCHER.Example.", "xn--bcher-kva.example"},
    {"bu\u0308cher.example", "xn--bcher-kva.example"}, /* not NFC */
    {"stra\u00dfe.de", "xn--strae-oqa.de"},            /* non-transitional */
    {"\u03b2\u03cc\u03bb\u03bf\u03c2.com", "xn--nxasmm1c.com"},
    {"\u4f8b\u3048\u3002\u30c6\u30b9\u30c8\u3002", "xn--r8jz45g.xn--zckzah"},
    {"\u4f8b\u3048\uff0e\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"},
    {"\u4f8b\u3048\uff61\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"},
    {"\uff45\uff58ample.org", "example.org"}, /* full width */
    {"ex\u00adample.org", "example.org"},     /* a soft hyphen is ignored */
    {"\uff58\uff4e--bcher-kva.example", "xn--bcher-kva.example"},
    {"\u0646\u0627\u0645\u0647\u200c\u0627\u06cc",
     "xn--mgba3gch31f060k"}, /* a joiner in its place */
};

static const char root[] = "the root, which is no host name";
static const char empty_label[] = "an empty label";
static const char long_label[] = "a label longer than 63 bytes";
static const char long_name[] = "a name longer than 253 bytes";
static const char hyphen[] = "a label that begins or ends with a hyphen";
static const char hyphens[] = "a label with \"--\" at its third and fourth place";
static const char other_byte[] = "a byte that is not a letter, digit or hyphen, nor an underscore";
static const char blank[] = "a space or control character";
static const char number[] = "an IP address or a number, not a host name";
static const char digits[] = "a last label that is all digits";
static const char alabel[] = "an invalid A-label (xn--)";
static const char idna[] = "a character that IDNA2008 does not allow";
static const char underscore[] = "an underscore in an internationalised name";

static const struct good bad[] = {
    {"", "an empty name"},
    {".", root},
    {"..", empty_label},
    {"example.org..", empty_label},
    {".example.org", empty_label},
    {"example..org", empty_label},
    {L63 "x.org", long_label},
    {N253 "x", long_name},
    {N253 "x.", long_name},
    {N253 "." N253, long_name},
    {"-a.org", hyphen},
    {"a-.org", hyphen},
    {"a.-", hyphen},
    {"a b.org", blank},
    {" a.org", blank},
    {"a.org ", blank},
    {"a\tb", blank},
    {"a.org\n", blank},
    {"a\177", blank},
    {"joe@example.org", "an \"@\" (a mail address, not a domain)"},
    {"example.org:25", "a colon (an address or a port, not a host name)"},
    {"2001:db8::1", "a colon (an address or a port, not a host name)"},
    {"[192.0.2.1]", "a bracket that belongs to no address literal"},
    {"a\\.b", other_byte},
    {"a\\046b", other_byte},
    {"a*b.org", other_byte},
    {"a/b", other_byte},
    {"192.0.2.1", number},
    {"192.0.2.1.", number},
    {"1", number},
    {"300.400", number},
    {"example.123", digits},
    {"1.2.3.x.4.", digits},
    {"_sip.4", digits},
    {"_-.org", hyphen},
    {"xn--", hyphen},
    {"xn--a-.org", hyphen},
    /* U-labels */
    {"\u2603.net", idna},
    {"b\u00fc_cher.example", underscore},
    {"_b\u00fccher.example", underscore},
    {"b\u00fc\uff3fcher.example", underscore}, /* a full width one */
    {"\uff45_a.org", underscore},              /* nor what only maps to ASCII */
    {"\uff45b--a.org", hyphens},
    {"\uff58\uff4e--0.org", alabel},
    {"b\u00fc cher.example", blank},
    {"b\u00fc\u3000cher.example", idna}, /* an ideographic space */
    {"b\u00fc@cher.example", "an \"@\" (a mail address, not a domain)"},
    {"-b\u00fccher.example", hyphen},
    {"b\u00fccher-.example", hyphen},
    {"ab--\u00fc.example", hyphens},
    {"b\u00fccher..example", empty_label},
    {"\u3002", root},
    {"\u00ad", "an empty name"},
    {"\u0308a.org", "a label that begins with a combining character"},
    {"a\u200db\u00fc.org", "a joiner where IDNA2008 does not allow one"},
    {"a\u05d0.org", "a label that mixes right-to-left and left-to-right writing (RFC 5893)"},
    {"\u2488com.example", idna}, /* "1." in one character */
    {"\uff11\uff12.\uff13", number},
    {"\u00fc.\uff11", digits},
    {"\u0378.org", idna},
    {"\xff\xfe.org", "bytes that are not UTF-8"},
    {"\xc0\xaf.org", "bytes that are not UTF-8"},
    {"\xed\xa0\x80.org", "bytes that are not UTF-8"},
    {"a\xc3", "bytes that are not UTF-8"},
    {"\u00fc" X60 "xx.org", long_label},
    {"\u00fc." N253, long_name},
    {"\u00fc" N253 N253 N253 N253 N253, long_name},
};

/* Keeps a name as a seed of the fuzzer, whose first byte means nothing. */
static void keep(const char *name, const char *text)
{
    char data[2000] = {0};
    size_t len = strlen(text);

    memcpy(data + 1, text, len);
    seed(name, data, 1 + len);
}

static void test_parse(void)
{
    char out[NH_HOST_MAX];
    char what[1400];
    char name[] = "example.org";

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        const char *reason = nh_name_parse(good[i].text, strlen(good[i].text), out);

        (void)snprintf(what, sizeof(what), "\"%s\" is a host name%s%s", good[i].text,
                       reason ? ": " : "", reason ? reason : "");
        is_text(out, good[i].out, what);
        ok(!reason && nh_name_parse(out, strlen(out), out) == NULL && strcmp(out, good[i].out) == 0,
           "and parses to itself");
        keep(good[i].out, good[i].text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const char *reason;

        memset(out, 'x', sizeof(out));
        reason = nh_name_parse(bad[i].text, strlen(bad[i].text), out);
        (void)snprintf(what, sizeof(what), "\"%s\" is none", bad[i].text);
        for (char *p = what; *p; p++)
            *p = *p == '\n' ? ' ' : *p;
        is_text(reason, bad[i].out, what);
        ok(out[0] == '\0', "and nothing is written");
        (void)snprintf(what, sizeof(what), "bad-%zu", i);
        keep(what, bad[i].text);
    }
    is_text(nh_name_parse("exa\0mple.org", 12, out), "a NUL byte", "a NUL in the name");
    is_text(nh_name_parse("example.org\0", 12, out), "a NUL byte", "a NUL at its end");
    is_text(nh_name_parse("b\u00fc\0cher", 8, out), "a NUL byte", "a NUL with a U-label");
    name[7] = '!';
    ok(!nh_name_parse(name, 7, out) && strcmp(out, "example") == 0, "no NUL is needed");
}

/* Every byte there is, alone between two letters. */
static void test_bytes(void)
{
    char out[NH_HOST_MAX];
    int taken = 0;

    for (int c = 0; c < 256; c++) {
        char text[] = {'a', (char)c, 'b'};

        if (!nh_name_parse(text, sizeof(text), out))
            taken++;
    }
    ok(taken == 26 + 26 + 10 + 3, "letters, digits, hyphen, underscore and dot are all there is");
}

static void test_from_dns(void)
{
    char out[NH_HOST_MAX];

    is_text(nh_name_from_dns("mx1.example.org", out), NULL, "a host out of an answer");
    is_text(out, "mx1.example.org", "as it is");
    is_text(nh_name_from_dns(".", out), root, "the root");
    is_text(nh_name_from_dns("a\\032b.example.org", out), other_byte, "an escape");
    is_text(nh_name_from_dns("a\\046b.example.org", out), other_byte, "an escaped dot");
    is_text(nh_name_from_dns("192.0.2.1", out), number, "an address as MX");
    is_text(nh_name_from_dns("mx_1.example.org", out), NULL, "an underscore");
    is_text(nh_name_from_dns("mx--in.example.org", out), NULL, "two hyphens");
    is_text(nh_name_from_dns("mx.xn--bcher-kva", out), NULL, "an A-label");
    is_text(nh_name_from_dns("mx.xn--0", out), NULL, "what decodes to nothing");
    is_text(nh_name_from_dns("b\u00fccher.example", out), other_byte, "no UTF-8 in DNS");
}

static void test_literals(void)
{
    static const struct {
        const char *text;
        enum nh_literal want;
        const char *ip;
    } cases[] = {
        {"192.0.2.1", NH_LITERAL, "192.0.2.1"},
        {"[192.0.2.1]", NH_LITERAL, "192.0.2.1"},
        {"0.0.0.0", NH_LITERAL, "0.0.0.0"},
        {"2001:DB8:0:0::0001", NH_LITERAL, "2001:db8::1"},
        {"[IPv6:2001:db8::1]", NH_LITERAL, "2001:db8::1"},
        {"[ipV6:::1]", NH_LITERAL, "::1"},
        {"[IPV6:::]", NH_LITERAL, "::"},
        {"[2001:db8::1]", NH_LITERAL, "2001:db8::1"},
        {"::ffff:192.0.2.1", NH_LITERAL, "::ffff:192.0.2.1"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", NH_LITERAL,
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"", NH_NOT_LITERAL, NULL},
        {"example.org", NH_NOT_LITERAL, NULL},
        {"[example.org]", NH_NOT_LITERAL, NULL},
        {"[example.org.]", NH_NOT_LITERAL, NULL},
        {"192.0.2", NH_NOT_LITERAL, NULL},
        {"192.0.2.1.", NH_NOT_LITERAL, NULL},
        {"192.0.2.01", NH_NOT_LITERAL, NULL},
        {"192.0.2.256", NH_NOT_LITERAL, NULL},
        {"0x7f.0.0.1", NH_NOT_LITERAL, NULL},
        {"2130706433", NH_NOT_LITERAL, NULL},
        {"192.0.2.1 ", NH_NOT_LITERAL, NULL},
        {"[]", NH_BAD_LITERAL, NULL},
        {"[", NH_BAD_LITERAL, NULL},
        {"[192.0.2.1", NH_BAD_LITERAL, NULL},
        {"[192.0.2]", NH_BAD_LITERAL, NULL},
        {"[192.0.2.256]", NH_BAD_LITERAL, NULL},
        {"[192.0.2.1]x", NH_BAD_LITERAL, NULL},
        {"[[192.0.2.1]]", NH_NOT_LITERAL, NULL},
        {"[IPv6:]", NH_BAD_LITERAL, NULL},
        {"[IPv6:192.0.2.1]", NH_BAD_LITERAL, NULL},
        {"[IPv6:IPv6:::1]", NH_BAD_LITERAL, NULL},
        {"[IPv4:192.0.2.1]", NH_BAD_LITERAL, NULL},
        {"[tag:content]", NH_BAD_LITERAL, NULL},
        {"IPv6:::1", NH_BAD_LITERAL, NULL},
        {"fe80::1%eth0", NH_BAD_LITERAL, NULL},
        {"[fe80::1%1]", NH_BAD_LITERAL, NULL},
        {"::1::", NH_BAD_LITERAL, NULL},
        {"1:2:3:4:5:6:7:8:9", NH_BAD_LITERAL, NULL},
        {"00001::", NH_BAD_LITERAL, NULL},
        {"example.org:25", NH_BAD_LITERAL, NULL},
        {"192.0.2.1:25", NH_BAD_LITERAL, NULL},
        {":", NH_BAD_LITERAL, NULL},
        {"ffff:ffff:ffff:ffff:ffff:ffff:0255.255.255.255", NH_BAD_LITERAL, NULL},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NH_BAD_LITERAL, NULL},
    };
    struct nh_ip ip;
    char text[NH_IP_TEXT];

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        enum nh_literal got;

        memset(&ip, 0xaa, sizeof(ip));
        got = nh_literal_parse(cases[i].text, strlen(cases[i].text), &ip);
        (void)snprintf(text, sizeof(text), "literal-%zu", i);
        keep(text, cases[i].text);
        ok(got == cases[i].want, "literal \"%s\": %d", cases[i].text, got);
        if (got == NH_LITERAL) {
            nh_ip_text(&ip, text);
            is_text(text, cases[i].ip, "and its canonical text");
        } else {
            ok(ip.family == 0xaa, "and the address is left alone");
        }
    }
    ok(nh_literal_parse("192.0.2.1\0", 10, &ip) == NH_NOT_LITERAL, "a NUL behind an address");
    ok(nh_literal_parse("::1\0", 4, &ip) == NH_BAD_LITERAL, "a NUL behind IPv6");
    ok(nh_literal_parse("192.0.2.1234", 9, &ip) == NH_LITERAL && ip.addr[3] == 1 && ip.addr[4] == 0,
       "no NUL is needed");
    ok(nh_ip_parse("192.0.2.1", &ip) && ip.family == 4, "a bare IPv4 address");
    ok(nh_ip_parse("::1", &ip) && ip.family == 6 && ip.addr[15] == 1, "a bare IPv6 address");
    ok(!nh_ip_parse("[::1]", &ip), "no brackets there");
    ok(!nh_ip_parse("", &ip), "nothing is no address");
}

static void test_numbers(void)
{
    struct nh_ip ip = {.family = 4};
    char want[NH_IP_TEXT], got[NH_IP_TEXT];
    unsigned wrong = 0;

    for (unsigned n = 0; n <= UINT16_MAX; n++) {
        *nh_write_number(got, (uint16_t)n) = '\0';
        (void)snprintf(want, sizeof want, "%u", n);
        wrong += strcmp(got, want) != 0;
    }
    ok(wrong == 0, "all numbers of 16 bits: %u are wrong", wrong);
    wrong = 0;
    for (unsigned k = 0; k < 4 * 256; k++) {
        memset(ip.addr, (int)(k % 7 * 41), 4);
        ip.addr[k / 256] = (uint8_t)k;
        nh_ip_text(&ip, got);
        wrong += !inet_ntop(AF_INET, ip.addr, want, sizeof want) || strcmp(got, want) != 0;
    }
    ok(wrong == 0, "IPv4 addresses are written as inet_ntop() does: %u are not", wrong);
}

int main(void)
{
    test_parse();
    test_numbers();
    test_bytes();
    test_from_dns();
    test_literals();
    return tap_done();
}
