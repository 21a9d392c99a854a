/* sts_policy.c - the texts of MTA-STS (RFC 8461) and TLSRPT (RFC 8460), read by their grammars. */
#include "sts_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *const nh_sts_mode_names[] = {
    [NH_STS_NONE] = "none", [NH_STS_TESTING] = "testing", [NH_STS_ENFORCE] = "enforce"};

/* A text that is read from its front. */
struct cursor {
    const char *at, *end;
};

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_wsp(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_wsp(struct cursor *c)
{
    while (c->at < c->end && is_wsp(*c->at))
        c->at++;
}

static bool take(struct cursor *c, const char *text)
{
    size_t len = strlen(text);

    if ((size_t)(c->end - c->at) < len || memcmp(c->at, text, len) != 0)
        return false;
    c->at += len;
    return true;
}

/* The name of a field: a letter or digit, then at most 31 of these, '_', '-' and '.'. Returns its
 * length, 0 when there is none. */
static size_t take_name(struct cursor *c)
{
    const char *start = c->at;

    if (c->at < c->end && is_alnum(*c->at))
        while (c->at < c->end && c->at - start < 32 &&
               (is_alnum(*c->at) || *c->at == '_' || *c->at == '-' || *c->at == '.'))
            c->at++;
    return (size_t)(c->at - start);
}

static bool is(const char *start, size_t len, const char *text)
{
    return strlen(text) == len && memcmp(start, text, len) == 0;
}

/* ---- patterns ----------------------------------------------------------------------------- */

/* Domain of RFC 5321 4.1.2. Underscores are no part of it, and an address in digits is none. */
static bool is_domain(const char *s, size_t len)
{
    size_t label = 0, k;
    bool digits = true; /* the last label has only digits */

    if (len == 0 || len > 253)
        return false;
    for (k = 0; k < len; k++) {
        if (s[k] == '.') {
            if (label == 0 || s[k - 1] == '-')
                return false;
            label = 0;
            digits = true;
        } else {
            if (!is_alnum(s[k]) && (s[k] != '-' || label == 0))
                return false;
            digits = digits && s[k] >= '0' && s[k] <= '9';
            if (++label > 63)
                return false;
        }
    }
    return label > 0 && s[len - 1] != '-' && !digits;
}

bool nh_sts_pattern(const char *text, size_t len, char *out)
{
    size_t stars = len > 2 && text[0] == '*' && text[1] == '.' ? 2 : 0, k;

    if (len > 0 && text[len - 1] == '.')
        len--;
    if (len < stars || !is_domain(text + stars, len - stars))
        return false;
    for (k = 0; k < len; k++)
        out[k] = (char)(text[k] >= 'A' && text[k] <= 'Z' ? text[k] + 32 : text[k]);
    out[len] = '\0';
    return true;
}

bool nh_sts_policy_matches(const struct nh_sts_policy *policy, const char *host)
{
    const char *above = strchr(host, '.'), *mx = policy->mx;
    size_t k;

    for (k = 0; k < policy->n_mx; k++, mx += strlen(mx) + 1) {
        if (mx[0] != '*') {
            if (strcmp(mx, host) == 0)
                return true;
        } else if (above && above != host && strcmp(mx + 1, above) == 0) {
            return true; /* the wildcard is one label */
        }
    }
    return false;
}

/* ---- the policy ----------------------------------------------------------------------------- */

/* Which fields were there. */
struct seen {
    bool version, mode, max_age;
};

static bool fail(char *reason, unsigned line, const char *what)
{
    snprintf(reason, NH_STS_REASON, "line %u: %s", line, what);
    return false;
}

static bool read_mode(struct nh_sts_policy *policy, const char *value, size_t len, bool first)
{
    int mode;

    for (mode = NH_STS_NONE; mode <= NH_STS_ENFORCE; mode++) {
        if (is(value, len, nh_sts_mode_names[mode])) {
            if (first)
                policy->mode = (enum nh_sts_mode)mode;
            return true;
        }
    }
    return false;
}

/* 1*10(DIGIT) */
static bool read_max_age(struct nh_sts_policy *policy, const char *value, size_t len, bool first)
{
    uint64_t age = 0;
    size_t k;

    if (len == 0 || len > 10)
        return false;
    for (k = 0; k < len; k++) {
        if (value[k] < '0' || value[k] > '9')
            return false;
        age = age * 10 + (uint64_t)(value[k] - '0');
    }
    if (first)
        policy->max_age = age > NH_STS_AGE_MAX ? NH_STS_AGE_MAX : (uint32_t)age;
    return true;
}

static bool read_mx(struct nh_sts_policy *policy, const char *value, size_t len)
{
    char pattern[256];
    size_t size;

    if (len >= sizeof pattern || !nh_sts_pattern(value, len, pattern))
        return false;
    size = strlen(pattern) + 1;
    memcpy(policy->mx + policy->mx_len, pattern, size); /* not longer than its line */
    policy->mx_len += size;
    policy->n_mx++;
    return true;
}

/* The value of an unknown field: printable, with spaces only inside. */
static bool is_extension(const char *value, size_t len)
{
    size_t k;

    for (k = 0; k < len; k++)
        if ((unsigned char)value[k] < 0x20 || value[k] == 0x7f)
            return false;
    return len > 0;
}

/* Reads one line, without its end. Only the first of several equal fields counts (RFC 8461 3.2), but
 * for mx. Returns what is wrong, or NULL. */
static const char *read_field(struct nh_sts_policy *policy, struct seen *seen, struct cursor *c)
{
    const char *name = c->at, *value;
    size_t n = take_name(c), len;

    if (n == 0)
        return "a line does not begin with the name of a field";
    if (!take(c, ":"))
        return "there is no colon behind the name of the field";
    skip_wsp(c);
    value = c->at;
    while (c->end > value && is_wsp(c->end[-1]))
        c->end--;
    len = (size_t)(c->end - value);
    if (is(name, n, "version")) {
        seen->version = true;
        return is(value, len, "STSv1") ? NULL : "the version is not STSv1";
    }
    if (is(name, n, "mode")) {
        bool ok = read_mode(policy, value, len, !seen->mode);

        seen->mode = true;
        return ok ? NULL : "the mode is none of enforce, testing and none";
    }
    if (is(name, n, "max_age")) {
        bool ok = read_max_age(policy, value, len, !seen->max_age);

        seen->max_age = true;
        return ok ? NULL : "max_age is no number of at most ten digits";
    }
    if (is(name, n, "mx"))
        return read_mx(policy, value, len) ? NULL : "mx is neither a host name nor *. and a domain";
    return is_extension(value, len) ? NULL : "an unknown field has no printable value";
}

static bool read_lines(struct nh_sts_policy *policy, const char *text, size_t len, char *reason)
{
    struct seen seen = {0};
    const char *end = text + len;
    unsigned line = 1;

    for (; line == 1 || text < end; line++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text)), *stop, *wrong;
        struct cursor c;

        stop = newline ? newline : end;
        c = (struct cursor){text, stop};
        if (newline && stop > text && stop[-1] == '\r')
            c.end--;
        wrong = read_field(policy, &seen, &c);
        if (wrong)
            return fail(reason, line, wrong);
        text = newline ? newline + 1 : end;
    }
    line--;
    if (!seen.version)
        return fail(reason, line, "the policy ends without a version");
    if (!seen.mode)
        return fail(reason, line, "the policy ends without a mode");
    if (!seen.max_age)
        return fail(reason, line, "the policy ends without max_age");
    if (policy->n_mx == 0 && policy->mode != NH_STS_NONE)
        return fail(reason, line, "the policy ends without mx");
    return true;
}

bool nh_sts_policy_parse(struct nh_sts_policy *policy, const char *text, size_t len,
                         char reason[NH_STS_REASON])
{
    memset(policy, 0, sizeof *policy);
    if (len > NH_STS_TEXT_MAX) {
        snprintf(reason, NH_STS_REASON, "it is longer than %d bytes", NH_STS_TEXT_MAX);
        return false;
    }
    policy->mx = malloc(len + 1);
    if (!policy->mx) {
        snprintf(reason, NH_STS_REASON, NH_STS_NO_MEMORY);
        return false;
    }
    if (read_lines(policy, text, len, reason)) {
        char *shorter = realloc(policy->mx, policy->mx_len + 1);

        if (shorter)
            policy->mx = shorter;
        return true;
    }
    nh_sts_policy_free(policy);
    return false;
}

void nh_sts_policy_free(struct nh_sts_policy *policy)
{
    free(policy->mx);
    memset(policy, 0, sizeof *policy);
}

/* ---- TXT records ------------------------------------------------------------------------------ */

size_t nh_txt_join(const uint8_t *rdata, size_t len, char *out, size_t size)
{
    size_t n = 0;

    while (len > 0) {
        size_t piece = rdata[0] < len ? rdata[0] : len - 1;
        size_t fits = piece < size - n ? piece : size - n;

        memcpy(out + n, rdata + 1, fits);
        n += fits;
        rdata += piece + 1;
        len -= piece + 1;
    }
    return n;
}

/* *WSP ";" *WSP */
static bool take_delimiter(struct cursor *c)
{
    struct cursor start = *c;

    skip_wsp(c);
    if (!take(c, ";")) {
        *c = start;
        return false;
    }
    skip_wsp(c);
    return true;
}

/* Takes the value of a field: one or more printable characters other than '=' and ';'. */
static size_t take_value(struct cursor *c)
{
    const char *start = c->at;

    while (c->at<c->end && * c->at> 0x20 && *c->at < 0x7f && *c->at != '=' && *c->at != ';')
        c->at++;
    return (size_t)(c->at - start);
}

static bool take_id(struct cursor *c, char id[NH_STS_ID_MAX])
{
    const char *start = c->at;
    size_t len;

    while (c->at < c->end && is_alnum(*c->at))
        c->at++;
    len = (size_t)(c->at - start);
    if (len == 0 || len >= NH_STS_ID_MAX)
        return false;
    if (!id[0]) /* the first one counts */
        memcpy(id, start, len);
    return true;
}

static enum nh_txt invalid(char *reason, const char *what)
{
    snprintf(reason, NH_STS_REASON, "%s", what);
    return NH_TXT_INVALID;
}

enum nh_txt nh_sts_record_parse(const char *text, size_t len, char id[NH_STS_ID_MAX],
                                char reason[NH_STS_REASON])
{
    struct cursor c = {text, text + len};

    memset(id, 0, NH_STS_ID_MAX);
    if (!take(&c, "v=STSv1") || !take_delimiter(&c))
        return NH_TXT_OTHER;
    do {
        const char *name = c.at;
        size_t n = take_name(&c);

        if (n == 0 || !take(&c, "="))
            return invalid(reason, "it has something that is no field NAME=VALUE");
        if (is(name, n, "id")) {
            if (!take_id(&c, id))
                return invalid(reason, "its id is not 1 to 32 letters and digits");
        } else if (take_value(&c) == 0) {
            return invalid(reason, "one of its fields has no value");
        }
    } while (take_delimiter(&c) && c.at < c.end);
    if (c.at < c.end)
        return invalid(reason, "there is text that is no field");
    return id[0] ? NH_TXT_VALID : invalid(reason, "it has no id");
}

/* ---- TLSRPT ------------------------------------------------------------------------------------- */

static bool is_uri_char(char c)
{
    return (unsigned char)c > 0x20 && (unsigned char)c < 0x7f && c != ',' && c != '!' && c != ';';
}

/* Takes one URI. Keeps it when its scheme is one that reports go to (RFC 8460 3). */
static bool take_uri(struct cursor *c, struct nh_tlsrpt *report, size_t *used)
{
    const char *start = c->at;
    size_t len;

    while (c->at < c->end && is_uri_char(*c->at))
        c->at++;
    len = (size_t)(c->at - start);
    if (!memchr(start, ':', len))
        return false;
    if ((len > 7 && strncasecmp(start, "mailto:", 7) == 0) ||
        (len > 8 && strncasecmp(start, "https://", 8) == 0)) {
        memcpy(report->rua + *used, start, len);
        report->rua[*used + len] = '\0';
        *used += len + 1; /* "rua=", or the comma before it, was longer than the NUL */
        report->n_rua++;
    }
    return true;
}

static bool take_uris(struct cursor *c, struct nh_tlsrpt *report, size_t *used)
{
    for (;;) {
        struct cursor before;

        if (!take_uri(c, report, used))
            return false;
        before = *c;
        skip_wsp(c);
        if (!take(c, ",")) {
            *c = before;
            return true;
        }
        skip_wsp(c);
    }
}

static bool read_fields(struct cursor *c, struct nh_tlsrpt *report)
{
    bool has_rua = false;
    size_t used = 0;

    do {
        const char *name = c->at;
        size_t n = take_name(c);

        if (n == 0 || !take(c, "="))
            return false;
        if (is(name, n, "rua")) {
            if (!take_uris(c, report, &used))
                return false;
            has_rua = true;
        } else if (take_value(c) == 0) {
            return false;
        }
    } while (take_delimiter(c) && c->at < c->end);
    return has_rua && c->at == c->end;
}

enum nh_txt nh_tlsrpt_parse(struct nh_tlsrpt *report, const char *text, size_t len)
{
    struct cursor c = {text, text + len};

    memset(report, 0, sizeof *report);
    if (!take(&c, "v=TLSRPTv1") || !take_delimiter(&c))
        return NH_TXT_OTHER;
    report->rua = malloc(len);
    if (report->rua && read_fields(&c, report))
        return NH_TXT_VALID;
    nh_tlsrpt_free(report);
    return NH_TXT_INVALID;
}

void nh_tlsrpt_free(struct nh_tlsrpt *report)
{
    free(report->rua);
    memset(report, 0, sizeof *report);
}
