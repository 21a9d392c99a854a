/*
 * context.c - a libunbound context: configuration, initialisation, deletion.
 */
#include "context.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unbound-event.h>
#include <unbound.h>

#define CLASS_IN 1

/* Creation, first use and deletion of contexts race between threads (rule 10). */
static pthread_mutex_t context_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Ours, set before anything of the user's (rule 4: dead servers cost 69 s and more without). */
static const struct nh_step defaults[] = {
    {NH_STEP_DEFAULT, "infra-cache-max-rtt:", "2000", NULL},
    {NH_STEP_DEFAULT, "infra-host-ttl:", "60", NULL},
    {NH_STEP_DEFAULT, "outbound-msg-retry:", "2", NULL},
    {NH_STEP_DEFAULT, "max-sent-count:", "12", NULL},
    {NH_STEP_DEFAULT, "trust-anchor-signaling:", "no", NULL},
};

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

/* The sockets libunbound may have open at once: the library's own 16 starve good lookups behind
 * stuck ones. One for each lookup and room for what validation asks, but below the limit on
 * descriptors: EMFILE is an instant SERVFAIL. */
static unsigned outgoing_range(unsigned max_pending)
{
    struct rlimit limit;
    unsigned want = max_pending < 1024 ? 1024 : max_pending + max_pending / 2;
    rlim_t used = open_descriptors(), room;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return want;
    room = limit.rlim_cur > used ? (limit.rlim_cur - used) * 3 / 4 : 0;
    if (room < want)
        want = (unsigned)room;
    return want < 4 ? 4 : want;
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

static int apply(struct ub_ctx *ctx, const struct nh_step *step)
{
    switch (step->kind) {
    case NH_STEP_OPTION:
    case NH_STEP_DEFAULT:
        return set_option(ctx, step->a, step->b);
    case NH_STEP_RESOLV_CONF:
        return ub_ctx_resolvconf(ctx, step->a);
    case NH_STEP_CONFIG:
        return ub_ctx_config(ctx, step->a);
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

static void fail(struct nh_err *err, enum nh_code code, const char *what, const char *why)
{
    err->code = code;
    err->permanent = false;
    snprintf(err->message, sizeof err->message, "%s: %s", what, why);
}

static bool configure(struct ub_ctx *ctx, const struct nh_config *config, struct nh_err *err)
{
    char range[16];
    size_t i;
    int rc;

    for (i = 0; i < sizeof defaults / sizeof defaults[0]; i++)
        apply(ctx, &defaults[i]);
    snprintf(range, sizeof range, "%u", outgoing_range(config->max_pending));
    set_option(ctx, "outgoing-range:", range);
    for (i = 0; i < config->n_steps; i++) {
        const struct nh_step *step = &config->steps[i];

        rc = apply(ctx, step);
        if (rc != 0 && step->kind != NH_STEP_DEFAULT) {
            fail(err, rc == UB_NOMEM ? NH_NO_MEMORY : NH_CONFIG, step->label, ub_strerror(rc));
            return false;
        }
    }
    return true;
}

static void no_result(void *arg, int rcode, void *packet, int len, int sec, char *why, int limited)
{
    (void)arg, (void)rcode, (void)packet, (void)len, (void)sec, (void)why, (void)limited;
}

/* The last line that libunbound logged, without its "[time] program[pid:0] error: ". */
static const char *last_line(char *log)
{
    char *end = log + strlen(log), *line;

    while (end > log && end[-1] == '\n')
        *--end = '\0';
    line = strrchr(log, '\n');
    line = line ? line + 1 : log;
    end = strstr(line, "] ");
    while (end && strncmp(end, "] ", 2) == 0) {
        line = end + 2;
        end = NULL;
    }
    end = strstr(line, ": ");
    return end ? end + 2 : line;
}

/* libunbound reads and checks its configuration at the first resolve only. "localhost." is
 * answered inline. After a failure the context must go at once: a second resolve would end the
 * process (rule 6). The log is caught for its reason, then switched off for good (rule 11). */
static bool initialise(struct ub_ctx *ctx, struct nh_err *err)
{
    char *log = NULL, what[64];
    size_t size = 0;
    FILE *stream = open_memstream(&log, &size);
    int rc, id = 0;

    if (stream)
        ub_ctx_debugout(ctx, stream);
    rc = ub_resolve_event(ctx, "localhost.", NH_TYPE_A, CLASS_IN, NULL, no_result, &id);
    if (rc == 0 && id)
        ub_cancel(ctx, id);
    ub_ctx_debugout(ctx, NULL);
    if (stream)
        fclose(stream);
    if (rc != 0) {
        snprintf(what, sizeof what, "libunbound does not start (%s)", ub_strerror(rc));
        fail(err, rc == UB_NOMEM ? NH_NO_MEMORY : NH_CONFIG, what,
             log && *log ? last_line(log) : "no reason given");
    }
    free(log);
    return rc == 0;
}

struct ub_ctx *nh_context_open(struct ub_event_base *base, const struct nh_config *config,
                               struct nh_err *err)
{
    struct ub_ctx *ctx;

    pthread_mutex_lock(&context_mutex);
    ctx = ub_ctx_create_ub_event(base);
    if (!ctx) {
        fail(err, NH_NO_MEMORY, "libunbound", "no context could be created");
    } else {
        ub_ctx_debugout(ctx, NULL);
        if (!configure(ctx, config, err) || !initialise(ctx, err)) {
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
}
