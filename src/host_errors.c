/* host_errors.c - keeps the errors that the host program has left in OpenSSL's queue. */
#include "host_errors.h"

#include <openssl/err.h>
#include <stdio.h>

static unsigned long next_error(const char **file, int *line, const char **data, int *flags)
{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
    return ERR_get_error_all(file, line, NULL, data, flags);
#else
    return ERR_get_error_line_data(file, line, data, flags);
#endif
}

static void copy(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text ? text : "");
}

/* OpenSSL 3 frees the name of the file with the error, and copies it when an error is added. Before, and
 * in LibreSSL, only the pointer is kept, so that it must be the one that was there. */
static const char *keep_file(struct nh_host_error *e, const char *file)
{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
    copy(e->file_copy, sizeof e->file_copy, file);
    return e->file_copy;
#else
    (void)e;
    return file;
#endif
}

void nh_host_errors_take(struct nh_host_errors *errors)
{
    const char *file, *data;
    int line, flags;
    unsigned long code;

    errors->n = 0;
    if (ERR_peek_error() == 0)
        return;
    while (errors->n < NH_HOST_ERRORS && (code = next_error(&file, &line, &data, &flags)) != 0) {
        struct nh_host_error *e = &errors->list[errors->n++];

        e->code = code;
        e->line = line;
        e->file = keep_file(e, file);
        copy(e->data, sizeof e->data, flags & ERR_TXT_STRING ? data : NULL);
    }
}

void nh_host_errors_put(const struct nh_host_errors *errors)
{
    if (ERR_peek_error() != 0)
        ERR_clear_error();
    for (size_t k = 0; k < errors->n; k++) {
        const struct nh_host_error *e = &errors->list[k];

        ERR_put_error(ERR_GET_LIB(e->code), 0, ERR_GET_REASON(e->code), e->file, e->line);
        if (e->data[0])
            ERR_add_error_data(1, e->data);
    }
}
