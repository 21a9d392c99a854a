/* err.h - errors as values. */
#pragma once

#include <stdbool.h>

enum nh_code {
    NH_OK,
    NH_NO_MAIL,
    NH_CNAME_LOOP,
    NH_CNAME_LIMIT,
    NH_NXDOMAIN,
    NH_NOT_FOUND,
    NH_NO_DANE,
    NH_BOGUS,
    NH_SERVFAIL,
    NH_TIMEOUT,
    NH_INVALID_NAME,
    NH_INVALID_MX,
    NH_CONFIG,
    NH_CLOSED,
    NH_FORKED,
    NH_NO_MEMORY,
    NH_STS_MISMATCH
};

/* An error as a value. It is copied by assignment and owns nothing. */
struct nh_err {
    enum nh_code code; /* NH_OK means no error */
    bool permanent;
    bool expired;      /* the deadline of the call caused it */
    char message[400]; /* one line */
};

/* Sets every field of *err. Control characters in the message become spaces. */
void nh_fail(struct nh_err *err, enum nh_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for an error that the deadline of the call has caused. The code is NH_TIMEOUT. */
void nh_fail_expired(struct nh_err *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
