/*
 * sts_policy_fuzz.c - any bytes as the texts of MTA-STS and TLSRPT.
 * Input: which text (a byte: '0' a policy, '1' the record of MTA-STS, '2' that of TLSRPT, '3' the rdata
 * of a TXT record), then the text. What is accepted has the form that the header promises, and the same
 * text with CR LF in place of LF is the same policy.
 */
#include "sts_policy.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_pattern(const char *mx)
{
    char again[256];

    check(strlen(mx) <= 255 && nh_sts_pattern(mx, strlen(mx), again) && strcmp(mx, again) == 0);
    for (; *mx; mx++)
        check((*mx >= 'a' && *mx <= 'z') || (*mx >= '0' && *mx <= '9') || strchr("-.*", *mx));
}

static bool has_cr(const char *text, size_t len)
{
    return memchr(text, '\r', len) != NULL;
}

static void check_lines(const struct nh_sts_policy *policy, const char *text, size_t len)
{
    char *other = malloc(2 * len + 1), reason[NH_STS_REASON];
    struct nh_sts_policy same;
    size_t n = 0;

    for (size_t k = 0; k < len; k++) {
        if (text[k] == '\n')
            other[n++] = '\r';
        other[n++] = text[k];
    }
    check(n > NH_STS_TEXT_MAX || nh_sts_policy_parse(&same, other, n, reason));
    if (n <= NH_STS_TEXT_MAX) {
        check(same.mode == policy->mode && same.max_age == policy->max_age &&
              same.mx_len == policy->mx_len && memcmp(same.mx, policy->mx, same.mx_len) == 0);
        nh_sts_policy_free(&same);
    }
    free(other);
}

static void fuzz_policy(const char *text, size_t len)
{
    struct nh_sts_policy policy;
    char reason[NH_STS_REASON] = "";
    const char *mx;

    if (!nh_sts_policy_parse(&policy, text, len, reason)) {
        check(reason[0] && !policy.mx);
        return;
    }
    check(policy.max_age <= NH_STS_AGE_MAX && policy.mode <= NH_STS_ENFORCE);
    check(policy.n_mx > 0 || policy.mode == NH_STS_NONE);
    mx = policy.mx;
    for (size_t k = 0; k < policy.n_mx; k++, mx += strlen(mx) + 1)
        check_pattern(mx);
    check((size_t)(mx - policy.mx) == policy.mx_len);
    (void)nh_sts_policy_matches(&policy, "mx.example.com");
    if (!has_cr(text, len))
        check_lines(&policy, text, len);
    nh_sts_policy_free(&policy);
}

static void fuzz_record(const char *text, size_t len)
{
    char id[NH_STS_ID_MAX], reason[NH_STS_REASON] = "";
    enum nh_txt kind = nh_sts_record_parse(text, len, id, reason);

    check(kind != NH_TXT_VALID || (id[0] && strlen(id) < NH_STS_ID_MAX));
    check((kind == NH_TXT_INVALID) == (reason[0] != '\0'));
    check(kind == NH_TXT_OTHER || (len >= 8 && memcmp(text, "v=STSv1", 7) == 0));
}

static void fuzz_report(const char *text, size_t len)
{
    struct nh_tlsrpt report;
    enum nh_txt kind = nh_tlsrpt_parse(&report, text, len);
    const char *rua = report.rua;

    check(kind == NH_TXT_VALID || report.n_rua == 0);
    for (size_t k = 0; k < report.n_rua; k++, rua += strlen(rua) + 1)
        check(strlen(rua) > 7 && strchr(rua, ':') && !strpbrk(rua, " ,!;\t"));
    nh_tlsrpt_free(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[64];

    if (size < 1)
        return 0;
    switch (data[0]) {
    case '0':
        fuzz_policy((const char *)data + 1, size - 1);
        break;
    case '1':
        fuzz_record((const char *)data + 1, size - 1);
        break;
    case '2':
        fuzz_report((const char *)data + 1, size - 1);
        break;
    case '3':
        check(nh_txt_join(data + 1, size - 1, out, sizeof out) <= sizeof out);
        break;
    default:
        break;
    }
    return 0;
}
