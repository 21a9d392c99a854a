/*
 * context.c - a libunbound context: configuration, initialisation, deletion.
 */
#include "context.h"

#include "answer.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unbound-event.h>
#include <unbound.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#define CLASS_IN 1

/* Creation, first use and deletion of contexts race between threads (rule 10). */
static pthread_mutex_t context_mutex = PTHREAD_MUTEX_INITIALIZER;

/* ---- the configuration ------------------------------------------------------------- */

static char *copy(const char *s, bool *ok)
{
    char *text = s ? strdup(s) : NULL;

    *ok = *ok && (text || !s);
    return text;
}

struct nh_config *nh_config_copy(const struct nh_config *config)
{
    struct nh_config *c = calloc(1, sizeof *c);
    struct nh_step *steps = calloc(config->n_steps + 1, sizeof *steps);
    bool ok = c && steps;
    size_t k;

    if (!ok) {
        free(c);
        free(steps);
        return NULL;
    }
    *c = *config;
    c->steps = steps;
    for (k = 0; k < c->n_steps; k++) {
        steps[k].kind = config->steps[k].kind;
        steps[k].a = copy(config->steps[k].a, &ok);
        steps[k].b = copy(config->steps[k].b, &ok);
        steps[k].label = copy(config->steps[k].label, &ok);
    }
    c->forwarders = copy(config->forwarders, &ok);
    c->anchor_zone = copy(config->anchor_zone, &ok);
    if (!ok) {
        nh_config_free(c);
        return NULL;
    }
    return c;
}

void nh_config_free(struct nh_config *c)
{
    size_t k;

    if (!c)
        return;
    for (k = 0; k < c->n_steps; k++) {
        free((char *)c->steps[k].a);
        free((char *)c->steps[k].b);
        free((char *)c->steps[k].label);
    }
    free((struct nh_step *)c->steps);
    free((char *)c->forwarders);
    free((char *)c->anchor_zone);
    free(c);
}

static unsigned open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    if (!dir)
        return 64;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* The UDP sockets libunbound may have open at once. Two for each young lookup, and as many for those that
 * have waited for long and no longer keep others from starting. With none left a query waits,
 * which libunbound takes for the time that its server needs, until it takes good servers for dead
 * ones. With the TCP connections that is three quarters of what the limit on descriptors leaves, as
 * EMFILE is an instant SERVFAIL (rule 4). */
static unsigned outgoing_range(unsigned max_pending)
{
    struct rlimit limit;
    unsigned want = max_pending < 256 ? 1024 : 4 * max_pending;
    rlim_t used = open_descriptors(), room;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return want;
    room = limit.rlim_cur > used ? (limit.rlim_cur - used) / 2 : 0;
    if (room < want)
        want = (unsigned)room;
    return want < 4 ? 4 : want;
}

/* TCP connections, for answers that are too large for UDP: one for each lookup, as long as the memory
 * is reasonable (64 KB reserved; 5 KB used, more after large answers). When all are in use, libunbound closes the oldest one,
 * whose queries fail and are sent anew, which closes another one, until all have failed; as a library
 * it has two (rule 4). */
static unsigned outgoing_tcp(unsigned range)
{
    return range < 2000 ? range / 2 : 1000;
}

static int set_option(struct ub_ctx *ctx, const char *name, const char *value)
{
    return ub_ctx_set_option(ctx, name, value);
}

/* Not in every libunbound's header. */
static int set_tls(struct ub_ctx *ctx)
{
    return ub_ctx_set_tls(ctx, 1);
}

/* Reads "server:", which is right wherever a file may begin. */
static int read_nothing(struct ub_ctx *ctx)
{
    static const char text[] = "server:\n";
    char path[32];
    int fds[2], rc = UB_READFILE;

    if (pipe(fds) != 0)
        return rc;
    if (write(fds[1], text, sizeof text - 1) == (ssize_t)sizeof text - 1) {
        close(fds[1]);
        fds[1] = -1;
        snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
        rc = ub_ctx_config(ctx, path);
    }
    if (fds[1] >= 0)
        close(fds[1]);
    close(fds[0]);
    return rc;
}

/* The parser is global, and after a syntax error it may read on where that was, whatever file comes
 * next: a part of that file is lost then, which can be its trust anchor (rule 15). There is no way to
 * reset it: when it no longer reads what is right, no further file is read in this process. */
static int parse(struct ub_ctx *ctx, const char *path, const char **broken)
{
    static bool stuck;
    struct ub_ctx *other;
    int rc;

    if (stuck) {
        *broken = "libunbound reads no unbound.conf after a syntax error in another: start anew";
        return UB_SYNTAX;
    }
    rc = ub_ctx_config(ctx, path);
    if (rc == UB_SYNTAX) {
        other = ub_ctx_create();
        stuck = !other || read_nothing(other) != 0;
        if (other)
            ub_ctx_delete(other);
    }
    return rc;
}

/* It writes to stderr whatever log is set; where stderr is a variable, that is caught and the first
 * line is the reason. *why: free() it. */
static int read_config(struct ub_ctx *ctx, const char *path, char **why)
{
    const char *broken = NULL;
#ifdef __GLIBC__
    FILE *old = stderr, *caught;
    size_t size = 0;
    int rc;

    caught = open_memstream(why, &size);
    if (caught)
        stderr = caught;
    rc = parse(ctx, path, &broken);
    stderr = old;
    if (caught)
        fclose(caught);
    if (*why)
        (*why)[strcspn(*why, "\n")] = '\0';
#else
    int rc = parse(ctx, path, &broken);

    *why = NULL;
#endif
    if (broken) {
        free(*why);
        *why = strdup(broken);
    }
    return rc;
}

/* *why: the reason of a failure if there is a better one than the status; free() it. */
static int apply(struct ub_ctx *ctx, const struct nh_step *step, char **why)
{
    switch (step->kind) {
    case NH_STEP_OPTION:
    case NH_STEP_DEFAULT:
        return set_option(ctx, step->a, step->b);
    case NH_STEP_CONFIG:
        return read_config(ctx, step->a, why);
    case NH_STEP_FORWARD:
        return ub_ctx_set_fwd(ctx, step->a);
    case NH_STEP_STUB:
        return ub_ctx_set_stub(ctx, step->a, step->b, 0);
    case NH_STEP_ANCHOR:
        return ub_ctx_add_ta(ctx, step->a);
    case NH_STEP_ANCHOR_FILE:
        return ub_ctx_add_ta_file(ctx, step->a);
    case NH_STEP_TLS:
        return set_tls(ctx);
    }
    return UB_SYNTAX;
}

/* Two defaults depend on the process; lua/nexthop/config/defaults.lua has all others, as the first steps. */
static bool configure(struct ub_ctx *ctx, const struct nh_config *config, uint32_t without,
                      struct nh_err *err)
{
    unsigned range = outgoing_range(config->max_pending);
    char number[16], *why = NULL;
    size_t i;
    int rc;

    snprintf(number, sizeof number, "%u", range);
    set_option(ctx, "outgoing-range:", number);
    snprintf(number, sizeof number, "%u", outgoing_tcp(range));
    set_option(ctx, "outgoing-num-tcp:", number);
    for (i = 0; i < config->n_steps; i++) {
        const struct nh_step *step = &config->steps[i];

        if (step->kind == NH_STEP_FORWARD) {
            bool leave = without & 1;

            without >>= 1;
            if (leave)
                continue;
        }
        rc = apply(ctx, step, &why);
        if (rc != 0 && step->kind != NH_STEP_DEFAULT) {
            nh_fail(err, rc == UB_NOMEM ? NH_NO_MEMORY : NH_CONFIG, "%s: %s", step->label,
                    why && *why ? why : ub_strerror(rc));
            free(why);
            return false;
        }
        free(why);
        why = NULL;
    }
    return true;
}

static void no_result(void *arg, int rcode, void *packet, int len, int sec, char *why, int limited)
{
    (void)arg, (void)rcode, (void)packet, (void)len, (void)sec, (void)why, (void)limited;
}

/* What libunbound logged first, the cause of all that follows, without its "[time]
 * program[pid:0] error: ". */
static const char *first_line(char *log)
{
    char *line = log, *skip;

    log[strcspn(log, "\n")] = '\0';
    if ((skip = strstr(line, "] ")) != NULL) /* the time */
        line = skip + 2;
    if ((skip = strstr(line, ": ")) != NULL) /* the program */
        line = skip + 2;
    while (strncmp(line, "error: ", 7) == 0)
        line += 7;
    return line;
}

static bool wants_tls(const struct nh_config *config)
{
    size_t i;

    for (i = 0; i < config->n_steps; i++)
        if (config->steps[i].kind == NH_STEP_TLS)
            return true;
    return false;
}

/* libunbound reads and checks its configuration at the first resolve only. "localhost." is
 * answered inline. After a failure the context must go at once: a second resolve would end the
 * process (rule 6). The log is caught for its reason, then switched off for good (rule 11). */
static bool initialise(struct ub_ctx *ctx, const struct nh_config *config, struct nh_err *err)
{
    char *log = NULL, what[64];
    size_t size = 0;
    FILE *stream = open_memstream(&log, &size);
    bool ok;
    int rc, id = 0;

    if (stream)
        ub_ctx_debugout(ctx, stream);
    rc = ub_resolve_event(ctx, "localhost.", NH_TYPE_A, CLASS_IN, NULL, no_result, &id);
    if (rc == 0 && id)
        ub_cancel(ctx, id);
    ub_ctx_debugout(ctx, NULL);
    if (stream)
        fclose(stream);
    ok = rc == 0;
    if (!ok) {
        snprintf(what, sizeof what, "libunbound does not start (%s)", ub_strerror(rc));
        nh_fail(err, rc == UB_NOMEM ? NH_NO_MEMORY : NH_CONFIG, "%s: %s", what,
                log && *log ? first_line(log) : "it gives no reason");
    } else if (wants_tls(config) && log && strstr(log, "no name verification")) {
        /* it would go on without: TLS to whoever answers */
        nh_fail(err, NH_CONFIG, "tls: this libunbound cannot check the names in certificates");
        ok = false;
    }
    free(log);
    return ok;
}

struct ub_ctx *nh_context_open(struct ub_event_base *base, const struct nh_config *config,
                               uint32_t without, struct nh_err *err)
{
    struct ub_ctx *ctx;

    pthread_mutex_lock(&context_mutex);
    ctx = ub_ctx_create_ub_event(base);
    if (!ctx) {
        nh_fail(err, NH_NO_MEMORY, "libunbound: no context could be created");
    } else {
        ub_ctx_debugout(ctx, NULL);
        if (!configure(ctx, config, without, err) || !initialise(ctx, config, err)) {
            ub_ctx_delete(ctx);
            ctx = NULL;
        }
    }
    pthread_mutex_unlock(&context_mutex);
    return ctx;
}

void nh_context_close(struct ub_ctx *ctx)
{
    pthread_mutex_lock(&context_mutex);
    ub_ctx_delete(ctx);
    pthread_mutex_unlock(&context_mutex);
#ifdef __GLIBC__
    malloc_trim(0); /* of its 65 MB for TCP it has touched few pages; the next would touch others */
#endif
}

unsigned nh_context_sockets(struct ub_ctx *ctx)
{
    char *text = NULL;
    unsigned n = 0;

    if (ub_ctx_get_option(ctx, "outgoing-range", &text) == 0)
        n = (unsigned)strtoul(text, NULL, 10);
    free(text);
    return n;
}

size_t nh_context_cache_size(struct ub_ctx *ctx)
{
    char *turns = NULL, *bytes = NULL;
    size_t size = 0;

    if (ub_ctx_get_option(ctx, "rrset-roundrobin", &turns) == 0 && strcmp(turns, "no") == 0 &&
        ub_ctx_get_option(ctx, "msg-cache-size", &bytes) == 0)
        size = (size_t)strtoull(bytes, NULL, 10);
    free(turns);
    free(bytes);
    return size;
}
