/* host_errors.h - keeps the errors that the host program has left in OpenSSL's queue.
 *
 * The queue belongs to the thread, so that the host program and all libraries share it. A handshake
 * of OpenSSL, and libcurl, empty it. */
#pragma once

#include <stddef.h>

#define NH_HOST_ERRORS 16 /* OpenSSL keeps fewer */

struct nh_host_errors {
    size_t n;
    struct nh_host_error {
        unsigned long code;
        int line;
        const char *file;              /* file_copy, or a text that nobody frees */
        char file_copy[80], data[160]; /* cut at the end */
    } list[NH_HOST_ERRORS];
};

/* Takes all errors out of the queue. */
void nh_host_errors_take(struct nh_host_errors *errors);

/* Removes what we have left in the queue, and puts back what was taken. */
void nh_host_errors_put(const struct nh_host_errors *errors);
