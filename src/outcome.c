/* outcome.c - the names of stages and results. */
#include "outcome.h"

const char *const nh_stage_names[NH_STAGES] = {"connect", "greeting", "ehlo", "starttls",
                                               "handshake"};

const char *const nh_result_names[NH_RESULTS] = {
    [NH_RESULT_NO_STARTTLS] = "starttls-not-supported",
    [NH_RESULT_HOST_MISMATCH] = "certificate-host-mismatch",
    [NH_RESULT_EXPIRED] = "certificate-expired",
    [NH_RESULT_NOT_TRUSTED] = "certificate-not-trusted",
    [NH_RESULT_VALIDATION] = "validation-failure",
    [NH_RESULT_DNSSEC] = "dnssec-invalid",
    [NH_RESULT_DANE_REQUIRED] = "dane-required",
    [NH_RESULT_STS_FETCH] = "sts-policy-fetch-error",
    [NH_RESULT_STS_INVALID] = "sts-policy-invalid",
    [NH_RESULT_STS_WEBPKI] = "sts-webpki-invalid",
    [NH_RESULT_CONNECT] = "connect-failed",
    [NH_RESULT_GREETING] = "greeting-refused",
    [NH_RESULT_PROTOCOL] = "protocol-error",
    [NH_RESULT_INJECTED] = "plaintext-injected",
    [NH_RESULT_TLS] = "tls-failed",
    [NH_RESULT_TIMEOUT] = "timeout",
};
