/* sts_policy.h - the texts of MTA-STS (RFC 8461) and TLSRPT (RFC 8460). Nothing here does I/O. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NH_STS_ID_MAX 33         /* an id, with its NUL */
#define NH_STS_TEXT_MAX 65536    /* bytes of a policy's text */
#define NH_STS_AGE_MAX 31557600u /* seconds; RFC 8461 3.2: the longest max_age that counts */
#define NH_STS_REASON 120        /* a reason, with its NUL */

enum nh_sts_mode { NH_STS_NONE, NH_STS_TESTING, NH_STS_ENFORCE };
extern const char *const nh_sts_mode_names[];

struct nh_sts_policy {
    enum nh_sts_mode mode;
    uint32_t max_age; /* seconds, at most NH_STS_AGE_MAX */
    size_t n_mx;
    size_t mx_len; /* bytes of mx */
    char *mx;      /* n_mx patterns, each with its NUL; lower-case, without a final dot */
};

#define NH_STS_NO_MEMORY "out of memory" /* the reason when memory runs out */

/* Parses the text of a policy (RFC 8461 3.2). Lines end with CR LF or LF. Returns false and writes
 * the reason when the text is no policy, or NH_STS_NO_MEMORY. */
bool nh_sts_policy_parse(struct nh_sts_policy *policy, const char *text, size_t len,
                         char reason[NH_STS_REASON]);
void nh_sts_policy_free(struct nh_sts_policy *policy);

/* Does the host match a pattern of the policy (RFC 8461 4.1)? host is as in results. */
bool nh_sts_policy_matches(const struct nh_sts_policy *policy, const char *host);

/* Is this what a line `mx` may have? Writes it as the policy holds it; out has room for
 * 256 bytes. */
bool nh_sts_pattern(const char *text, size_t len, char *out);

enum nh_txt { NH_TXT_OTHER, NH_TXT_VALID, NH_TXT_INVALID };

/* Joins the strings of a TXT record's rdata. Returns the length of the text, which is cut off at
 * size. */
size_t nh_txt_join(const uint8_t *rdata, size_t len, char *out, size_t size);

/* Parses the text of a TXT record as the record of MTA-STS (RFC 8461 3.1). NH_TXT_OTHER is a record
 * of something else. */
enum nh_txt nh_sts_record_parse(const char *text, size_t len, char id[NH_STS_ID_MAX],
                                char reason[NH_STS_REASON]);

struct nh_tlsrpt {
    size_t n_rua;
    char *rua; /* n_rua URIs, each with its NUL */
};

/* Parses the text of a TXT record as that of TLSRPT (RFC 8460 3). URIs of other schemes than mailto
 * and https are left out. Memory that runs out is NH_TXT_INVALID. */
enum nh_txt nh_tlsrpt_parse(struct nh_tlsrpt *report, const char *text, size_t len);
void nh_tlsrpt_free(struct nh_tlsrpt *report);
