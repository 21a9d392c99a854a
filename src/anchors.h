/* anchors.h - trust anchors for PKIX, read once. */
#pragma once

#include "err.h"

#include <openssl/x509.h>
#include <sys/stat.h>

#define NH_ANCHORS_MAX 4 /* sets that are remembered */

/* The sets of anchors that were read. It is zero before the first use. */
struct nh_anchors {
    struct nh_anchor_set {
        char *file, *path;
        struct stat stat; /* what the file was like when it was read */
        X509_STORE *store;
    } sets[NH_ANCHORS_MAX];
    unsigned next;
};

/* The trust anchors out of these files, which may be NULL: then those of the system. A file is read
 * again when it has changed. The caller frees the store. Returns NULL and sets *err (NH_CONFIG,
 * NH_NO_MEMORY). OpenSSL's error queue is left as it was found. */
X509_STORE *nh_anchors_get(struct nh_anchors *anchors, const char *file, const char *path,
                           struct nh_err *err);

void nh_anchors_clear(struct nh_anchors *anchors);
