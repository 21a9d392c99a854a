/* libcurl.c - loads libcurl, and no earlier than somebody asks for MTA-STS. libcurl is linked with some
 * thirty libraries, which a program without MTA-STS shall not have in its memory. */
#include "libcurl.h"

#ifdef NH_NO_STS

bool nh_libcurl_load(struct nh_err *err)
{
    nh_fail(err, NH_CONFIG, "sts: nexthop was built without libcurl (STS=no)");
    return false;
}

#else

#include <dlfcn.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct nh_libcurl nh_libcurl;

static char library_fault[200]; /* "": the library can be used */

/* Fills the table of functions. Returns the name of one that is missing, or NULL. */
static const char *find_functions(void *library)
{
    const struct {
        const char *name;
        void *place;
    } list[] = {
        {"curl_global_init", &nh_libcurl.global_init},
        {"curl_version_info", &nh_libcurl.version_info},
        {"curl_easy_init", &nh_libcurl.easy_init},
        {"curl_easy_setopt", &nh_libcurl.easy_setopt},
        {"curl_easy_getinfo", &nh_libcurl.easy_getinfo},
        {"curl_easy_strerror", &nh_libcurl.easy_strerror},
        {"curl_easy_cleanup", &nh_libcurl.easy_cleanup},
        {"curl_multi_init", &nh_libcurl.multi_init},
        {"curl_multi_setopt", &nh_libcurl.multi_setopt},
        {"curl_multi_add_handle", &nh_libcurl.multi_add_handle},
        {"curl_multi_remove_handle", &nh_libcurl.multi_remove_handle},
        {"curl_multi_assign", &nh_libcurl.multi_assign},
        {"curl_multi_socket_action", &nh_libcurl.multi_socket_action},
        {"curl_multi_info_read", &nh_libcurl.multi_info_read},
        {"curl_multi_cleanup", &nh_libcurl.multi_cleanup},
        {"curl_share_init", &nh_libcurl.share_init},
        {"curl_share_setopt", &nh_libcurl.share_setopt},
        {"curl_share_cleanup", &nh_libcurl.share_cleanup},
        {"curl_slist_append", &nh_libcurl.slist_append},
        {"curl_slist_free_all", &nh_libcurl.slist_free_all},
    };

    for (size_t k = 0; k < sizeof list / sizeof list[0]; k++) {
        void *function = dlsym(library, list[k].name);

        if (!function)
            return list[k].name;
        memcpy(list[k].place, &function, sizeof function); /* ISO C has no cast for this */
    }
    return NULL;
}

/* We pass objects of OpenSSL to libcurl, so both must use the same one. */
static bool has_our_openssl(void)
{
    const char *used = nh_libcurl.version_info(CURLVERSION_NOW)->ssl_version;
    char ours[32];

#ifdef LIBRESSL_VERSION_NUMBER
    snprintf(ours, sizeof ours, "LibreSSL/");
#else
    snprintf(ours, sizeof ours, "OpenSSL/%lu.", OpenSSL_version_num() >> 28);
#endif
    return used && strncmp(used, ours, strlen(ours)) == 0;
}

static void load_library(void)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    const char *missing;

    if (!library)
        library = dlopen("libcurl.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(library_fault, sizeof library_fault, "libcurl cannot be loaded: %s", dlerror());
        return;
    }
    missing = find_functions(library);
    if (missing)
        snprintf(library_fault, sizeof library_fault, "this libcurl has no %s()", missing);
    else if (nh_libcurl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(library_fault, sizeof library_fault, "libcurl does not start");
    else if (!has_our_openssl())
        snprintf(library_fault, sizeof library_fault,
                 "this libcurl uses %.60s, not the OpenSSL of "
                 "nexthop",
                 nh_libcurl.version_info(CURLVERSION_NOW)->ssl_version);
}

bool nh_libcurl_load(struct nh_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load_library);
    if (library_fault[0])
        nh_fail(err, NH_CONFIG, "sts: %s", library_fault);
    return !library_fault[0];
}

#endif
