/* outcome.h - the stages of a contact, and the results that it or a host may have. */
#pragma once

enum nh_stage {
    NH_STAGE_CONNECT,
    NH_STAGE_GREETING,
    NH_STAGE_EHLO,
    NH_STAGE_STARTTLS,
    NH_STAGE_HANDSHAKE,
    NH_STAGES
};
extern const char *const nh_stage_names[NH_STAGES];

/* How a connection, or what was decided of it, has ended. RFC 8460 4.3 has the names of the first
 * ten failures. */
enum nh_result {
    NH_RESULT_OK,
    NH_RESULT_NO_STARTTLS,
    NH_RESULT_HOST_MISMATCH,
    NH_RESULT_EXPIRED,
    NH_RESULT_NOT_TRUSTED,
    NH_RESULT_VALIDATION,
    NH_RESULT_DNSSEC,
    NH_RESULT_DANE_REQUIRED,
    NH_RESULT_STS_FETCH,
    NH_RESULT_STS_INVALID,
    NH_RESULT_STS_WEBPKI,
    NH_RESULT_CONNECT,
    NH_RESULT_GREETING,
    NH_RESULT_PROTOCOL,
    NH_RESULT_INJECTED,
    NH_RESULT_TLS,
    NH_RESULT_TIMEOUT,
    NH_RESULTS
};
extern const char *const nh_result_names[NH_RESULTS]; /* NULL for NH_RESULT_OK */
