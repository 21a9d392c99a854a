/*
 * sts_policy_test.c - the texts of MTA-STS and TLSRPT.
 *
 * "mox" marks what the Go package mtasts (or tlsrpt) of the mail server mox has in its own tests or
 * says by its code (v0.0.14, mtasts/parse.go, parse_test.go, tlsrpt/parse.go). "RFC" names the section
 * that decides where mox has no such case, or where it differs.
 */
#include "sts_policy.h"

#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char longest_id[] = "v=STSv1; id=01234567890123456789012345678901";

static const struct {
    const char *text, *id; /* id NULL: it is invalid; "": it is a record of something else */
    const char *source;
} records[] = {
    {"v=STSv1; id=20160831085700Z;", "20160831085700Z", "mox, RFC 8461 3.1: the example"},
    {"v=STSv1; \t id=20160831085700Z  \t;", "20160831085700Z", "mox: white space around ;"},
    {"v=STSv1; id=a", "a", "mox"},
    {"v=STSv1;id=a", "a", "RFC 8461 3.1: white space is optional"},
    {"v=STSv1 ; id=a", "a", "mox: white space before the first ;"},
    {"v=STSv1; id=a; more=a; ext=2", "a", "mox: extensions"},
    {"v=STSv1; more=a; id=a", "a", "RFC 8461 3.1: the order does not matter"},
    {"v=STSv1; id=a; id=b", "a", "mox: the first of two ids"},
    {longest_id, "01234567890123456789012345678901", "RFC 8461 3.1: 32 characters"},
    {"v=STSv0", "", "mox: another version"},
    {"v=STSv10", "", "mox: another version"},
    {"v=STSv2", "", "mox: another version"},
    {"v=STSv1", "", "mox: no ; behind the version"},
    {"V=STSv1; id=a", "", "RFC 8461 3.1: case matters"},
    {" v=STSv1; id=a", "", "RFC 8461 3.1: it begins with the version"},
    {"id=a; v=STSv1", "", "RFC 8461 3.1: the version is first"},
    {"v=spf1 -all", "", "RFC 8461 3.1: other records are discarded"},
    {"", "", "RFC 8461 3.1: an empty record"},
    {"v=STSv1;", NULL, "mox: no id"},
    {"v=STSv1; ext=1", NULL, "mox: no id"},
    {"v=STSv1; id=", NULL, "mox: an empty id"},
    {"v=STSv1; id=012345678901234567890123456789012", NULL, "mox: 33 characters"},
    {"v=STSv1; id=test-123", NULL, "mox: a hyphen in the id"},
    {"v=STSv1; id=a; more=", NULL, "mox: an empty extension"},
    {"v=STSv1; id=a; a12345678901234567890123456789012=1", NULL, "mox: a name of 33 characters"},
    {"v=STSv1; id=a; 1%=a", NULL, "mox: a bad name"},
    {"v=STSv1; id=a; test==", NULL, "mox: = in a value"},
    {"v=STSv1; id=a;;", NULL, "mox: two ;"},
    {"v=STSv1; id=a b", NULL, "RFC 8461 3.1: a space in the id"},
    {"v=STSv1; ID=a", NULL, "RFC 8461 3.1: case matters"},
    {"v=STSv1; id = a", NULL, "RFC 8461 3.1: no white space around ="},
};

static void test_records(void)
{
    for (size_t k = 0; k < sizeof records / sizeof records[0]; k++) {
        char id[NH_STS_ID_MAX], reason[NH_STS_REASON] = "";
        enum nh_txt kind = nh_sts_record_parse(records[k].text, strlen(records[k].text), id,
                                               reason);

        if (!records[k].id)
            ok(kind == NH_TXT_INVALID && reason[0], "\"%s\" is invalid (%s)", records[k].text,
               records[k].source);
        else if (!records[k].id[0])
            ok(kind == NH_TXT_OTHER, "\"%s\" is another record (%s)", records[k].text,
               records[k].source);
        else
            ok(kind == NH_TXT_VALID && strcmp(id, records[k].id) == 0, "\"%s\" has an id (%s)",
               records[k].text, records[k].source);
    }
}

#define V "version: STSv1\n"
#define NONE "version:STSv1\nmode:none\nmax_age:0"
#define ENFORCE "version:STSv1\nmode:enforce\nmax_age:0\nmx:"

static const struct {
    const char *text;
    int mode; /* -1: it is invalid */
    uint32_t max_age;
    const char *mx; /* joined by spaces */
    const char *source;
} policies[] = {
    {"version: STSv1\nmode: testing\nmx: mx1.example.com\nmx: mx2.example.com\n"
     "mx: mx.backup-example.com\nmax_age: 1296000\n",
     NH_STS_TESTING, 1296000, "mx1.example.com mx2.example.com mx.backup-example.com", "mox"},
    {"version: STSv1\nmode: enforce\t\nmx: *.example.com \nmax_age: 0 \n", NH_STS_ENFORCE, 0,
     "*.example.com", "mox: white space at the ends of lines"},
    {"version:STSv1\r\nmode:\tenforce\r\nmx:  \t\t *.example.com\nmax_age: 1\nmore:ext e  ns ion",
     NH_STS_ENFORCE, 1, "*.example.com", "mox: CR LF and LF, an extension, no last newline"},
    {NONE, NH_STS_NONE, 0, "", "mox: none needs no mx"},
    {NONE "\nmx:a.example", NH_STS_NONE, 0, "a.example", "mox: none may have mx"},
    {"mode:none\nmax_age:7\nversion:STSv1", NH_STS_NONE, 7, "", "mox: any order"},
    {V "mode:none\nmode:enforce\nmax_age:1\nmax_age:2", NH_STS_NONE, 1, "",
     "mox, RFC 8461 3.2: the first of several"},
    {V "mode:none\nmax_age:1\nmax-age:\xc3\xb8 x", NH_STS_NONE, 1, "",
     "mox: UTF-8 in an extension"},
    {ENFORCE "MX.Example.COM", NH_STS_ENFORCE, 0, "mx.example.com", "mox: upper case"},
    {ENFORCE "mx.example.", NH_STS_ENFORCE, 0, "mx.example",
     "a final dot is accepted (mox refuses it)"},
    {ENFORCE "*.mx.example.", NH_STS_ENFORCE, 0, "*.mx.example", "the same behind a wildcard"},
    {ENFORCE "localhost", NH_STS_ENFORCE, 0, "localhost", "mox: one label"},
    {V "mode:none\nmax_age:31557600", NH_STS_NONE, 31557600, "", "RFC 8461 3.2: a year"},
    {V "mode:none\nmax_age:31557601", NH_STS_NONE, 31557600, "", "RFC 8461 3.2: longer is cut"},
    {V "mode:none\nmax_age:9999999999", NH_STS_NONE, 31557600, "",
     "RFC 8461 3.2: ten digits are valid (mox refuses more than 31 bits)"},
    {"", -1, 0, "", "mox: empty"},
    {"version:STSv0\nmode:none\nmax_age:0", -1, 0, "", "mox: another version"},
    {"version:STSv10\nmode:none\nmax_age:0", -1, 0, "", "mox: another version"},
    {"version:STSv2\nmode:none\nmax_age:0", -1, 0, "", "mox: another version"},
    {"version:STSv1\nmax_age:0\nmx:example.com", -1, 0, "", "mox: no mode"},
    {"version:STSv1\nmode:none", -1, 0, "", "mox: no max_age"},
    {"version:STSv1\nmax_age:0\nmode:enforce", -1, 0, "", "mox: enforce without mx"},
    {"version:STSv1\nmax_age:0\nmode:testing", -1, 0, "", "mox: testing without mx"},
    {"max_age:0\nmode:none", -1, 0, "", "mox: no version"},
    {"version:STSv1\nmode:none\nmax_age:01234567890", -1, 0, "", "mox: eleven digits"},
    {"version:STSv1\nmode:bad\nmax_age:1", -1, 0, "", "mox: another mode"},
    {"version:STSv1\nmode:Enforce\nmax_age:1\nmx:a.example", -1, 0, "", "mox: case matters"},
    {"version:STSv1\nmode:none\nmax_age:a", -1, 0, "", "mox: no number"},
    {"version:STSv1\nmode:none\nmax_age:-1", -1, 0, "", "mox: a negative number"},
    {"version:STSv1\nmode:none\nmax_age:", -1, 0, "", "mox: no number"},
    {ENFORCE, -1, 0, "", "mox: an empty mx"},
    {ENFORCE "*.*.example", -1, 0, "", "mox: two wildcards"},
    {ENFORCE "**.example", -1, 0, "", "mox: two stars"},
    {ENFORCE "**.example-", -1, 0, "", "mox"},
    {ENFORCE "test.example-", -1, 0, "", "mox: a hyphen at the end of a label"},
    {ENFORCE "-test.example", -1, 0, "", "mox: a hyphen at the start of a label"},
    {ENFORCE "*", -1, 0, "", "mox: a star alone"},
    {ENFORCE "*.", -1, 0, "", "mox: a star without a domain"},
    {ENFORCE "mail*.example", -1, 0, "", "mox: a star in a label"},
    {ENFORCE "mx..example", -1, 0, "", "mox: an empty label"},
    {ENFORCE "mx_1.example", -1, 0, "", "mox, RFC 5321 4.1.2: an underscore"},
    {ENFORCE "192.0.2.1", -1, 0, "", "an IPv4 address is no domain name"},
    {ENFORCE "[192.0.2.1]", -1, 0, "", "mox: an address literal"},
    {ENFORCE "2001:db8::1", -1, 0, "", "mox: an IPv6 address"},
    {ENFORCE "a.example b.example", -1, 0, "", "mox: two names in a line"},
    {ENFORCE "a.example, b.example", -1, 0, "", "mox: two names in a line"},
    {NONE "\nmx: m\xc3\xb8x.example", -1, 0, "", "mox: a U-label"},
    {NONE "\next:", -1, 0, "", "mox: an empty extension"},
    {NONE "\next:a\tb", -1, 0, "", "mox: a tab inside a value"},
    {NONE "\na12345678901234567890123456789012:123", -1, 0, "", "mox: a name of 33 characters"},
    {NONE "\n_bad:test", -1, 0, "", "mox: a bad name"},
    {NONE "\nbad name:test", -1, 0, "", "mox: a space in a name"},
    {NONE "\nbad :test", -1, 0, "", "mox: a space before the colon"},
    {NONE "\nbad", -1, 0, "", "mox: no colon"},
    {NONE "\n\n", -1, 0, "", "mox, RFC 8461 3.2: an empty line at the end"},
    {"\n" NONE, -1, 0, "", "mox: an empty line at the start"},
    {NONE "\n mode:none", -1, 0, "", "mox: a line that begins with a space"},
    {"version:STSv1\rmode:none\rmax_age:0", -1, 0, "", "mox: CR alone"},
    {V "mode:none\nmode:bad\nmax_age:1", -1, 0, "", "mox: what does not count must be valid, too"},
    {"\xef\xbb\xbf" NONE, -1, 0, "", "mox: a byte order mark"},
    {"<html><body>404</body></html>", -1, 0, "", "mox: a page"},
};

static void test_policies(void)
{
    for (size_t k = 0; k < sizeof policies / sizeof policies[0]; k++) {
        struct nh_sts_policy policy;
        char reason[NH_STS_REASON] = "", joined[300] = "";
        const char *text = policies[k].text, *mx;
        bool good = nh_sts_policy_parse(&policy, text, strlen(text), reason);

        if (policies[k].mode < 0) {
            ok(!good && strncmp(reason, "line ", 5) == 0, "invalid: %s", policies[k].source);
            nh_sts_policy_free(&policy);
            continue;
        }
        mx = policy.mx;
        for (size_t n = 0; good && n < policy.n_mx; n++, mx += strlen(mx) + 1) {
            strcat(joined, n ? " " : "");
            strcat(joined, mx);
        }
        if (!ok(good && (int)policy.mode == policies[k].mode &&
                    policy.max_age == policies[k].max_age && strcmp(joined, policies[k].mx) == 0,
                "valid: %s", policies[k].source))
            printf("#   %s; mode %d, max_age %u, mx %s\n", reason, policy.mode, policy.max_age,
                   joined);
        nh_sts_policy_free(&policy);
    }
}

static void test_nul(void)
{
    static const char text[] = "version:STSv1\nmode:none\nmax_age:0\next:a\0b";
    struct nh_sts_policy policy;
    char reason[NH_STS_REASON];

    ok(!nh_sts_policy_parse(&policy, text, sizeof text - 1, reason), "a NUL is no text");
    is_text(reason, "line 4: an unknown field has no printable value", "and it is said where");
}

static void test_long(void)
{
    struct nh_sts_policy policy;
    char reason[NH_STS_REASON], *text = malloc(NH_STS_TEXT_MAX + 2);
    size_t len = (size_t)sprintf(text, "%s\next:", NONE);

    memset(text + len, 'x', NH_STS_TEXT_MAX + 2 - len);
    ok(nh_sts_policy_parse(&policy, text, NH_STS_TEXT_MAX, reason), "64 KB are taken");
    nh_sts_policy_free(&policy);
    ok(!nh_sts_policy_parse(&policy, text, NH_STS_TEXT_MAX + 1, reason), "a byte more is not");
    is_text(reason, "it is longer than 65536 bytes", "and it is said");
    free(text);
}

static const struct {
    const char *pattern, *host;
    bool matches;
    const char *source;
} matches[] = {
    {"mail.example.com", "mail.example.com", true, "RFC 8461 4.1, mox"},
    {"mail.example.com", "mail2.example.com", false, "mox"},
    {"mail.example.com", "example.com", false, "mox"},
    {"mail.example.com", "a.mail.example.com", false, "mox"},
    {"*.example.com", "mail.example.com", true, "RFC 8461 4.1, mox"},
    {"*.example.com", "example.com", false, "RFC 8461 4.1, mox"},
    {"*.example.com", "foo.bar.example.com", false, "RFC 8461 4.1, mox: one label"},
    {"*.example.com", "xexample.com", false, "mox"},
    {"*.example.com", "mail.example.com.evil.example", false, "mox"},
    {"*.com", "example.com", true, "mox"},
    {"example.com", "*.example.com", false, "a host is no pattern"},
};

static void test_matches(void)
{
    for (size_t k = 0; k < sizeof matches / sizeof matches[0]; k++) {
        char text[300], reason[NH_STS_REASON];
        struct nh_sts_policy policy;

        snprintf(text, sizeof text, "%sother.example\nmx:%s", ENFORCE, matches[k].pattern);
        ok(nh_sts_policy_parse(&policy, text, strlen(text), reason) &&
               nh_sts_policy_matches(&policy, matches[k].host) == matches[k].matches,
           "%s %s %s (%s)", matches[k].pattern, matches[k].matches ? "matches" : "does not match",
           matches[k].host, matches[k].source);
        nh_sts_policy_free(&policy);
    }
}

static const struct {
    const char *text, *rua; /* rua NULL: invalid; "-": another record; joined by spaces */
    const char *source;
} reports[] = {
    {"v=TLSRPTv1; rua=mailto:tlsrpt@mox.example;", "mailto:tlsrpt@mox.example", "mox"},
    {"v=TLSRPTv1;rua=mailto:reports@example.com", "mailto:reports@example.com", "RFC 8460 3.1.1"},
    {"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt",
     "https://reporting.example.com/v1/tlsrpt", "RFC 8460 3.1.2"},
    {"v=TLSRPTv1; rua=mailto:a@b.example , \thttps://c.example/d",
     "mailto:a@b.example https://c.example/d", "mox: two URIs"},
    {"v=TLSRPTv1; rua=mailto:a@b.example; rua=mailto:c@d.example",
     "mailto:a@b.example mailto:c@d.example", "mox: two fields"},
    {"v=TLSRPTv1; ext=1; rua=MAILTO:a@b.example", "MAILTO:a@b.example", "RFC 3986 3.1: any case"},
    {"v=TLSRPTv1; rua=ftp://c.example/,mailto:a@b.example", "mailto:a@b.example",
     "RFC 8460 3: mailto and https alone"},
    {"v=TLSRPTv1; rua=http://c.example/", "", "RFC 8460 3: mailto and https alone"},
    {"v=TLSRPTv1", "-", "mox: no ;"},
    {"v=TLSRPTv2; rua=mailto:a@b.example", "-", "mox: another version"},
    {"v=tlsrptv1; rua=mailto:a@b.example", "-", "RFC 8460 3: case matters"},
    {"v=TLSRPTv1;", NULL, "mox: no rua"},
    {"v=TLSRPTv1; rua=", NULL, "mox: an empty URI"},
    {"v=TLSRPTv1; rua=nocolon", NULL, "mox: no scheme"},
    {"v=TLSRPTv1; rua=mailto:a@b.example!10m", NULL, "mox: no ! in a URI"},
    {"v=TLSRPTv1; rua=mailto:a@b.example,", NULL, "mox: a comma and nothing"},
    {"v=TLSRPTv1; rua=mailto:a b", NULL, "mox: a space in a URI"},
};

static void test_reports(void)
{
    for (size_t k = 0; k < sizeof reports / sizeof reports[0]; k++) {
        struct nh_tlsrpt report;
        char joined[300] = "", *text = malloc(strlen(reports[k].text)); /* its end is watched */
        size_t len = strlen(reports[k].text);
        const char *rua;
        enum nh_txt kind;

        memcpy(text, reports[k].text, len);
        kind = nh_tlsrpt_parse(&report, text, len);
        rua = report.rua;
        for (size_t n = 0; n < report.n_rua; n++, rua += strlen(rua) + 1) {
            strcat(joined, n ? " " : "");
            strcat(joined, rua);
        }
        if (!reports[k].rua)
            ok(kind == NH_TXT_INVALID, "\"%s\" is invalid (%s)", reports[k].text,
               reports[k].source);
        else if (reports[k].rua[0] == '-')
            ok(kind == NH_TXT_OTHER, "\"%s\" is another record (%s)", reports[k].text,
               reports[k].source);
        else
            ok(kind == NH_TXT_VALID && strcmp(joined, reports[k].rua) == 0, "\"%s\" (%s)",
               reports[k].text, reports[k].source);
        nh_tlsrpt_free(&report);
        free(text);
    }
}

static void test_join(void)
{
    static const uint8_t rdata[] = "\3abc\0\2de\5f";
    char out[8] = "", small[4];

    ok(nh_txt_join(rdata, 8, out, sizeof out) == 5 && memcmp(out, "abcde", 5) == 0,
       "the strings of a record are one text");
    ok(nh_txt_join(rdata, 10, out, sizeof out) == 6 && out[5] == 'f',
       "a string that is cut off ends with the record");
    ok(nh_txt_join(rdata, 8, small, sizeof small) == 4, "what does not fit is cut off");
    ok(nh_txt_join(rdata, 0, out, sizeof out) == 0, "an empty record");
}

int main(void)
{
    test_records();
    test_policies();
    test_nul();
    test_long();
    test_matches();
    test_reports();
    test_join();
    return tap_done();
}
