/* err.c - errors as values. */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>

static void set_error(struct nh_err *err, enum nh_code code, const char *format, va_list args)
{
    err->code = code;
    err->permanent = code == NH_NO_MAIL || code == NH_NXDOMAIN || code == NH_INVALID_NAME ||
                     code == NH_INVALID_MX;
    err->expired = false;
    vsnprintf(err->message, sizeof err->message, format, args);
    for (char *s = err->message; *s; s++) /* text from outside may hold control characters */
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = ' ';
}

void nh_fail(struct nh_err *err, enum nh_code code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_error(err, code, format, args);
    va_end(args);
}

void nh_fail_expired(struct nh_err *err, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set_error(err, NH_TIMEOUT, format, args);
    va_end(args);
    err->expired = true;
}
