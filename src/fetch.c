/* fetch.c - gets the policy of MTA-STS by libcurl's multi-socket interface.
 *
 * libcurl says which descriptors it waits for and when it wants to be called again. Our loop does
 * both. libcurl resolves no name: the addresses are given to it. It follows no redirect, uses no
 * proxy, and keeps no connection.
 *
 *   start       -> easy handle -> multi -> its first step
 *   on_socket, on_tick -> libcurl works on one transfer -> take_finished
 *   take_finished -> finish -> done() */
#include "fetch.h"

#ifdef NH_NO_STS

struct nh_fetcher *nh_fetcher_new(struct nh_resolver *r, struct nh_err *err)
{
    (void)r;
    nh_fail(err, NH_CONFIG, "sts: nexthop was built without libcurl (STS=no)");
    return NULL;
}

void nh_fetcher_free(struct nh_fetcher *fetcher)
{
    (void)fetcher;
}

void nh_fetch_start(struct nh_fetch *f, struct nh_fetcher *fetcher, const char *host,
                    const struct nh_ip *ips, size_t n_ips, uint16_t port, X509_STORE *anchors,
                    void (*done)(void *arg), void *arg)
{
    (void)f, (void)fetcher, (void)host, (void)ips, (void)n_ips, (void)port, (void)anchors;
    (void)done, (void)arg;
}

void nh_fetch_stop(struct nh_fetch *f)
{
    (void)f;
}

#else

#include "host_errors.h"
#include "libcurl.h"
#include "loop.h"
#include "sigpipe.h"
#include "timer.h"
#include "tls_limits.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER_MAX 65536 /* bytes */

/* Wildcards stand for a whole label, and the common name never counts (RFC 8461 3.3, RFC 6125). */
#define NAME_FLAGS (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

struct nh_fetcher {
    struct nh_resolver *resolver;
    CURLM *multi;
    struct nh_timer *timer;
    struct nh_task tick;
    bool wants_now; /* libcurl wants to be called at once */
    struct nh_sigpipe sigpipe;
    struct nh_host_errors errors;
    struct nh_fetcher *next_abandoned;
};

/* ---- calls of libcurl ------------------------------------------------------------------------ */

/* libcurl may write to a socket that the other side has closed, and it empties OpenSSL's queue of errors. */
static void enter(struct nh_fetcher *fetcher)
{
    nh_sigpipe_enter(&fetcher->sigpipe);
    nh_sigpipe_hold(&fetcher->sigpipe);
    fetcher->sigpipe.written = true;
    nh_host_errors_take(&fetcher->errors);
}

static void on_tick(void *arg);

static void leave(struct nh_fetcher *fetcher)
{
    nh_host_errors_put(&fetcher->errors);
    nh_sigpipe_leave(&fetcher->sigpipe);
    if (fetcher->wants_now && !fetcher->tick.is_queued)
        nh_resolver_later(fetcher->resolver, &fetcher->tick, on_tick, fetcher);
    fetcher->wants_now = false;
}

static void finish(struct nh_fetch *f);
static void take_finished(struct nh_fetcher *fetcher);

/* Lets libcurl work. It takes a step of its own at once where it wants to, so that one call is about
 * one transfer. */
static void act(struct nh_fetcher *fetcher, curl_socket_t fd)
{
    int running;

    enter(fetcher);
    nh_task_stop(fetcher->resolver, &fetcher->tick);
    nh_libcurl.multi_socket_action(fetcher->multi, fd, 0, &running);
    if (fetcher->wants_now) {
        fetcher->wants_now = false;
        nh_libcurl.multi_socket_action(fetcher->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    leave(fetcher);
    take_finished(fetcher);
}

static void on_tick(void *arg)
{
    act(arg, CURL_SOCKET_TIMEOUT);
}

static void on_socket(int fd, short bits, void *arg)
{
    (void)bits; /* libcurl looks itself */
    act(arg, fd);
}

/* Runs inside the loop. */
static void on_timer(void *arg)
{
    struct nh_fetcher *fetcher = arg;

    fetcher->timer = NULL;
    if (!fetcher->tick.is_queued)
        nh_resolver_later(fetcher->resolver, &fetcher->tick, on_tick, fetcher);
}

/* libcurl says when it wants to be called. Without memory for a timer, the end of the fetch's time
 * ends what waits for it. */
static int set_timeout(CURLM *multi, long ms, void *arg)
{
    struct nh_fetcher *fetcher = arg;

    (void)multi;
    nh_timer_stop(fetcher->timer);
    fetcher->timer = NULL;
    fetcher->wants_now = ms == 0; /* act() or leave() does it */
    if (ms > 0)
        fetcher->timer = nh_timer_start(nh_resolver_loop(fetcher->resolver), (double)ms / 1000,
                                        on_timer, fetcher);
    return 0;
}

static void on_no_memory(void *arg)
{
    struct nh_fetch *f = arg;

    nh_sts_fail(&f->err, NH_STS_FETCH_ERROR, "%s: out of memory", f->host);
    finish(f);
}

/* libcurl says which descriptor it waits for. A fetch whose descriptor cannot be watched ends, when the
 * resolver runs next. libcurl closes the descriptor after CURL_POLL_REMOVE. */
static int set_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
    struct nh_fetcher *fetcher = arg;
    struct nh_watch *watch = of_socket;

    if (what == CURL_POLL_REMOVE) {
        nh_watch_free(watch);
        nh_libcurl.multi_assign(fetcher->multi, fd, NULL);
        return 0;
    }
    if (!watch) {
        watch = nh_watch_new(nh_resolver_loop(fetcher->resolver), fd, on_socket, fetcher);
        nh_libcurl.multi_assign(fetcher->multi, fd, watch);
    }
    if (!watch || !nh_watch_set(watch, what & CURL_POLL_IN, what & CURL_POLL_OUT)) {
        struct nh_fetch *f = NULL;

        nh_libcurl.easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&f);
        if (f && !f->task.is_queued)
            nh_resolver_later(fetcher->resolver, &f->task, on_no_memory, f);
    }
    return 0;
}

/* ---- the result ---------------------------------------------------------------------------------- */

static bool is_plain_text(const char *type)
{
    static const char plain[] = "text/plain";
    size_t len = sizeof plain - 1;

    return type && strncasecmp(type, plain, len) == 0 && strchr("; \t", type[len]);
}

/* Says why the transfer has failed. */
static void set_failure(struct nh_fetch *f, CURLcode code)
{
    long verified = 0, status = 0;
    char *type = NULL;

    nh_libcurl.easy_getinfo(f->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    nh_libcurl.easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    nh_libcurl.easy_getinfo(f->easy, CURLINFO_CONTENT_TYPE, &type);
    if (f->is_too_long)
        nh_sts_fail(&f->err, NH_STS_FETCH_ERROR, "%s sends more than %d bytes", f->host,
                    NH_STS_TEXT_MAX);
    else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_ISSUER_ERROR ||
             (code == CURLE_SSL_CONNECT_ERROR && verified != X509_V_OK))
        nh_sts_fail(&f->err, NH_STS_WEBPKI_INVALID, "the certificate of %s cannot be verified: %s",
                    f->host,
                    verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                                          : nh_libcurl.easy_strerror(code));
    else if (code != CURLE_OK)
        nh_sts_fail(&f->err, NH_STS_FETCH_ERROR, "%s: %s", f->host, nh_libcurl.easy_strerror(code));
    else if (status != 200)
        nh_sts_fail(&f->err, NH_STS_FETCH_ERROR, "%s answers with HTTP status %ld", f->host,
                    status);
    else if (!is_plain_text(type))
        nh_sts_fail(&f->err, NH_STS_FETCH_ERROR, "%s sends \"%.60s\", not text/plain", f->host,
                    type ? type : "");
}

static void take_finished(struct nh_fetcher *fetcher)
{
    CURLMsg *message;
    int left;

    while ((message = nh_libcurl.multi_info_read(fetcher->multi, &left)) != NULL) {
        struct nh_fetch *f = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        nh_libcurl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        set_failure(f, message->data.result);
        finish(f);
    }
}

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
    struct nh_fetch *f = arg;
    size_t len = size * n;
    char *body;

    if (len > NH_STS_TEXT_MAX - f->len) {
        f->is_too_long = true;
        return 0;
    }
    body = realloc(f->body, f->len + len + 1);
    if (!body)
        return 0;
    memcpy(body + f->len, data, len);
    f->body = body;
    f->len += len;
    return len;
}

static size_t on_header(char *data, size_t size, size_t n, void *arg)
{
    struct nh_fetch *f = arg;

    (void)data;
    f->header_len += size * n;
    if (f->header_len > HEADER_MAX)
        f->is_too_long = true;
    return f->is_too_long ? 0 : size * n;
}

/* ---- one fetch -------------------------------------------------------------------------------------- */

/* Gives back what libcurl has of the fetch. The result stays. */
static void release(struct nh_fetch *f)
{
    struct nh_fetcher *fetcher = f->fetcher;

    enter(fetcher);
    if (f->easy) {
        nh_libcurl.multi_remove_handle(fetcher->multi, f->easy);
        nh_libcurl.easy_cleanup(f->easy);
    }
    if (f->share)
        nh_libcurl.share_cleanup(f->share);
    nh_libcurl.slist_free_all(f->addresses);
    leave(fetcher);
    f->easy = f->share = f->addresses = NULL;
}

static void on_over(void *arg)
{
    struct nh_fetch *f = arg;

    f->done(f->arg);
}

/* Ends the fetch with its result. done() is called when the resolver runs next. */
static void finish(struct nh_fetch *f)
{
    release(f);
    nh_task_stop(f->fetcher->resolver, &f->task);
    nh_resolver_later(f->fetcher->resolver, &f->task, on_over, f);
}

/* OpenSSL verifies chain and name in the handshake. */
static CURLcode set_context(CURL *easy, void *ssl_ctx, void *arg)
{
    struct nh_fetch *f = arg;
    SSL_CTX *ctx = ssl_ctx;
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);

    (void)easy;
    nh_tls_limit(ctx);
    SSL_CTX_set1_cert_store(ctx, f->anchors);
    X509_VERIFY_PARAM_set_hostflags(param, NAME_FLAGS);
    X509_VERIFY_PARAM_set_depth(param, NH_CHAIN_DEPTH);
    return X509_VERIFY_PARAM_set1_host(param, f->host, 0) ? CURLE_OK : CURLE_OUT_OF_MEMORY;
}

/* Tells libcurl the addresses of the host, in a cache of names that is only of this fetch. */
static bool set_addresses(struct nh_fetch *f, const struct nh_ip *ips, size_t n_ips, uint16_t port)
{
    char text[NH_HOST_MAX + 20 + NH_FETCH_IPS * (NH_IP_TEXT + 3)];
    size_t n = (size_t)snprintf(text, sizeof text, "%s:%u:", f->host, port);

    for (size_t k = 0; k < n_ips && k < NH_FETCH_IPS; k++) {
        char ip[NH_IP_TEXT];

        nh_ip_text(&ips[k], ip);
        n += (size_t)snprintf(text + n, sizeof text - n, ips[k].family == 6 ? "%s[%s]" : "%s%s",
                              k ? "," : "", ip);
    }
    f->addresses = nh_libcurl.slist_append(NULL, text);
    f->share = nh_libcurl.share_init();
    return f->addresses && f->share &&
           nh_libcurl.share_setopt(f->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK;
}

/* How long libcurl waits before it also tries the other family, in milliseconds. With one family there
 * is nothing to wait for, and libcurl shall not work on all transfers when those times are up. */
static long family_delay(const struct nh_ip *ips, size_t n_ips)
{
    for (size_t k = 1; k < n_ips && k < NH_FETCH_IPS; k++)
        if (ips[k].family != ips[0].family)
            return 200;
    return 3600000;
}

static bool set_options(struct nh_fetch *f, uint16_t port, long delay)
{
    char url[NH_HOST_MAX + 64];
    CURL *easy = f->easy;
    CURLcode bad = 0;

    snprintf(url, sizeof url, "https://%s:%u/.well-known/mta-sts.txt", f->host, port);
    if (port == 443)
        snprintf(url, sizeof url, "https://%s/.well-known/mta-sts.txt", f->host);
#define SET(option, value) bad |= nh_libcurl.easy_setopt(easy, CURLOPT_##option, value)
    SET(URL, url);
    SET(PRIVATE, (char *)f);
    SET(SHARE, f->share);
    SET(RESOLVE, f->addresses);
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(PROTOCOLS_STR, "https");
#else
    SET(PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2); /* RFC 8461 3.3 */
    SET(SSL_VERIFYPEER, 1L);
    SET(SSL_VERIFYHOST, 2L);
    SET(CAINFO, NULL); /* set_context() has the anchors */
    SET(CAPATH, NULL);
#if LIBCURL_VERSION_NUM >= 0x075700
    SET(CA_CACHE_TIMEOUT, 0L);
#endif
    SET(SSL_CTX_FUNCTION, set_context);
    SET(SSL_CTX_DATA, f);
    SET(FOLLOWLOCATION, 0L);
    SET(PROXY, "");
    SET(NOSIGNAL, 1L);
    SET(FRESH_CONNECT, 1L);
    SET(FORBID_REUSE, 1L);
    SET(SSL_SESSIONID_CACHE, 0L);
    SET(USERAGENT, "nexthop");
    SET(HAPPY_EYEBALLS_TIMEOUT_MS, delay);
    SET(CONNECTTIMEOUT, 3600L); /* the caller ends it much earlier */
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, f);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, f);
#undef SET
    return bad == CURLE_OK;
}

void nh_fetch_start(struct nh_fetch *f, struct nh_fetcher *fetcher, const char *host,
                    const struct nh_ip *ips, size_t n_ips, uint16_t port, X509_STORE *anchors,
                    void (*done)(void *arg), void *arg)
{
    bool ok;

    memset(f, 0, sizeof *f);
    f->fetcher = fetcher;
    nh_copy(f->host, sizeof f->host, host);
    X509_STORE_up_ref(anchors);
    f->anchors = anchors;
    f->done = done;
    f->arg = arg;
    enter(fetcher);
    f->easy = nh_libcurl.easy_init();
    ok = f->easy && set_addresses(f, ips, n_ips, port) &&
         set_options(f, port, family_delay(ips, n_ips)) &&
         nh_libcurl.multi_add_handle(fetcher->multi, f->easy) == CURLM_OK;
    leave(fetcher);
    if (!ok) {
        nh_sts_fail(&f->err, NH_STS_FETCH_ERROR, "%s: out of memory", host);
        finish(f);
        return;
    }
    act(fetcher, CURL_SOCKET_TIMEOUT);
}

void nh_fetch_stop(struct nh_fetch *f)
{
    if (!f->fetcher)
        return;
    nh_task_stop(f->fetcher->resolver, &f->task);
    if (nh_resolver_mine(f->fetcher->resolver))
        release(f);
    X509_STORE_free(f->anchors);
    free(f->body);
    memset(f, 0, sizeof *f);
}

/* ---- its life ------------------------------------------------------------------------------------------ */

struct nh_fetcher *nh_fetcher_new(struct nh_resolver *r, struct nh_err *err)
{
    struct nh_fetcher *fetcher;

    if (!nh_libcurl_load(err))
        return NULL;
    fetcher = calloc(1, sizeof *fetcher);
    if (fetcher)
        fetcher->multi = nh_libcurl.multi_init();
    if (!fetcher || !fetcher->multi) {
        free(fetcher);
        nh_fail(err, NH_NO_MEMORY, "sts: out of memory");
        return NULL;
    }
    fetcher->resolver = r;
    nh_libcurl.multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    nh_libcurl.multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
    nh_libcurl.multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, set_timeout);
    nh_libcurl.multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
    return fetcher;
}

/* What a forked child has left behind, so that a leak checker finds it. */
static struct nh_fetcher *abandoned;

void nh_fetcher_free(struct nh_fetcher *fetcher)
{
    if (!fetcher)
        return;
    if (!nh_resolver_mine(fetcher->resolver)) {
        fetcher->next_abandoned = abandoned;
        abandoned = fetcher;
        return;
    }
    enter(fetcher);
    nh_libcurl.multi_cleanup(fetcher->multi);
    leave(fetcher);
    nh_timer_stop(fetcher->timer);
    nh_task_stop(fetcher->resolver, &fetcher->tick);
    free(fetcher);
}

#endif
