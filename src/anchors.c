/* anchors.c - trust anchors for PKIX, read once. */
#include "anchors.h"

#include "host_errors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void set_free(struct nh_anchor_set *a)
{
    X509_STORE_free(a->store);
    free(a->file);
    free(a->path);
    memset(a, 0, sizeof *a);
}

/* Loads the anchors into a new store. Returns NULL and sets *err on failure. At the end of a file OpenSSL
 * empties its queue of errors. */
static X509_STORE *load_anchors(const char *file, const char *path, struct nh_err *err)
{
    struct nh_host_errors errors;
    X509_STORE *store;
    bool ok = false;

    nh_host_errors_take(&errors);
    store = X509_STORE_new();
    if (store && (file || path))
        ok = X509_STORE_load_locations(store, file, path) == 1;
    else if (store)
        ok = X509_STORE_set_default_paths(store) == 1;
    nh_host_errors_put(&errors);
    if (ok)
        return store;
    if (!store)
        nh_fail(err, NH_NO_MEMORY, "trust anchors: out of memory");
    else
        nh_fail(err, NH_CONFIG, "%s: no certificate could be read from it",
                file   ? file
                : path ? path
                       : "the trust anchors of the system");
    X509_STORE_free(store);
    return NULL;
}

/* Reads what the file is like. False: it cannot be read, and *err says so. */
static bool stat_anchors(const char *file, const char *path, struct stat *st, struct nh_err *err)
{
    const char *name = NULL;

    memset(st, 0, sizeof *st);
    if (path && stat(path, st) != 0)
        name = path;
    else if (file && stat(file, st) != 0)
        name = file;
    if (name)
        nh_fail(err, NH_CONFIG, "%s: %s", name, strerror(errno));
    return !name;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

X509_STORE *nh_anchors_get(struct nh_anchors *anchors, const char *file, const char *path,
                           struct nh_err *err)
{
    struct nh_anchor_set *a = NULL;
    struct stat st;
    unsigned k;

    if (!stat_anchors(file, path, &st, err))
        return NULL;
    for (k = 0; k < NH_ANCHORS_MAX; k++) {
        a = &anchors->sets[k];
        if (a->store && same_text(a->file, file) && same_text(a->path, path) &&
            same_file(&a->stat, &st)) {
            X509_STORE_up_ref(a->store);
            return a->store;
        }
    }
    a = &anchors->sets[anchors->next++ % NH_ANCHORS_MAX];
    set_free(a);
    a->store = load_anchors(file, path, err);
    if (!a->store)
        return NULL;
    a->stat = st;
    a->file = file ? strdup(file) : NULL;
    a->path = path ? strdup(path) : NULL;
    if ((file && !a->file) || (path && !a->path)) {
        set_free(a);
        nh_fail(err, NH_NO_MEMORY, "trust anchors: out of memory");
        return NULL;
    }
    X509_STORE_up_ref(a->store);
    return a->store;
}

void nh_anchors_clear(struct nh_anchors *anchors)
{
    for (unsigned k = 0; k < NH_ANCHORS_MAX; k++)
        set_free(&anchors->sets[k]);
}
