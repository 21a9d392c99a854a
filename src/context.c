/* context.c - a libunbound context: configuration, initialisation, deletion. */
#include "context.h"

#include "answer.h"
#include "event_api.h"
#include "hash.h"
#include "system.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unbound.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Creation, first use and deletion of contexts race between threads (rule 10). This mutex
 * prevents that. */
static pthread_mutex_t context_mutex = PTHREAD_MUTEX_INITIALIZER;

/* ---- the configuration ------------------------------------------------------------- */

static char *copy(const char *s, bool *ok)
{
    char *text = s ? strdup(s) : NULL;

    *ok = *ok && (text || !s);
    return text;
}

/* A number that changes when a file that libunbound reads is written, replaced or removed. */
static uint64_t state_of_files(const struct nh_config *config)
{
    uint64_t state = 1;
    struct stat st;

    for (size_t k = 0; k < config->n_steps; k++) {
        const struct nh_step *step = &config->steps[k];

        if (step->kind != NH_STEP_CONFIG && step->kind != NH_STEP_ANCHOR_FILE &&
            step->kind != NH_STEP_FILE)
            continue;
        if (stat(step->a, &st) != 0)
            memset(&st, 0, sizeof st);
        state = nh_hash_word(nh_hash_word(nh_hash_word(state, st.st_dev), st.st_ino),
                             (uint64_t)st.st_size);
        state = nh_hash_word(nh_hash_word(state, (uint64_t)st.st_mtim.tv_sec),
                             (uint64_t)st.st_mtim.tv_nsec);
        state = nh_hash_word(nh_hash_word(state, (uint64_t)st.st_ctim.tv_sec),
                             (uint64_t)st.st_ctim.tv_nsec);
    }
    return state;
}

struct nh_config *nh_config_copy(const struct nh_config *config)
{
    struct nh_config *c = calloc(1, sizeof *c);
    struct nh_step *steps = calloc(config->n_steps + 1, sizeof *steps);
    bool ok = c && steps;

    if (!ok) {
        free(c);
        free(steps);
        return NULL;
    }
    *c = *config;
    c->steps = steps;
    for (size_t k = 0; k < c->n_steps; k++) {
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
    c->files = state_of_files(c);
    return c;
}

void nh_config_free(struct nh_config *c)
{
    if (!c)
        return;
    for (size_t k = 0; k < c->n_steps; k++) {
        free((char *)c->steps[k].a);
        free((char *)c->steps[k].b);
        free((char *)c->steps[k].label);
    }
    free((struct nh_step *)c->steps);
    free((char *)c->forwarders);
    free((char *)c->anchor_zone);
    free(c);
}

/* The number of UDP sockets that libunbound may have open at once. There are two for each young
 * lookup, and as many again for lookups that have waited for long and no longer keep others from
 * starting. When no socket is left, a query waits. libunbound counts this time as the time of
 * the server, and in the end it takes good servers for dead ones. The sockets and the TCP
 * connections together use at most three quarters of the descriptors that are left under the
 * limit, because EMFILE causes an immediate SERVFAIL (rule 4). */
unsigned nh_context_range(unsigned max_pending, unsigned more)
{
    struct rlimit limit;
    unsigned want = max_pending < 256 ? 1024 : 4 * max_pending;
    rlim_t used = nh_open_descriptors() + more, room;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return want;
    room = limit.rlim_cur > used ? (limit.rlim_cur - used) / 2 : 0;
    if (room < want)
        want = (unsigned)room;
    return want < 4 ? 4 : want;
}

/* The number of TCP connections, which serve answers that are too large for UDP. There is one
 * for each lookup while the memory for that is reasonable: each reserves 64 KB and uses 5 KB, or
 * more after large answers. When all are in use, libunbound closes the oldest one. The queries
 * of that one fail and are sent anew, which closes another one, until all have failed. As a
 * library it has two by default (rule 4). */
static unsigned outgoing_tcp(unsigned range)
{
    return range < 2000 ? range / 2 : 1000;
}

/* Reads a file with the text "server:", which is correct wherever the parser expects a file to
 * begin. */
static int read_nothing(struct ub_ctx *ctx)
{
    static const char text[] = "server:\n";
    char path[32];
    int fds[2], rc = NH_UB_NOT_READ;

    if (pipe(fds) != 0)
        return rc;
    ssize_t written = write(fds[1], text, sizeof text - 1);
    close(fds[1]);
    if (written == (ssize_t)sizeof text - 1) {
        snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
        rc = ub_ctx_config(ctx, path);
    }
    close(fds[0]);
    return rc;
}

/* The parser is global. After a syntax error it may go on from that place when it reads the next
 * file. A part of that file is then lost, which can be its trust anchor (rule 15). The parser
 * cannot be reset. If it no longer reads a correct text, this process reads no further file. */
static int parse(struct ub_ctx *ctx, const char *path, const char **broken)
{
    static bool stuck;
    struct ub_ctx *other;

    if (stuck) {
        *broken = "libunbound reads no unbound.conf after a syntax error in another: start anew";
        return NH_UB_SYNTAX;
    }
    int rc = ub_ctx_config(ctx, path);
    if (rc == NH_UB_SYNTAX) {
        other = ub_ctx_create();
        stuck = !other || read_nothing(other) != 0;
        if (other)
            ub_ctx_delete(other);
    }
    return rc;
}

/* libunbound writes errors of the parser to stderr, even if another log is set. Where stderr is
 * a variable, we catch this output, and its first line is the reason. The caller frees *why with
 * free(). */
static int read_config(struct ub_ctx *ctx, const char *path, char **why)
{
    const char *broken = NULL;
#ifdef __GLIBC__
    FILE *old = stderr, *caught;
    size_t size = 0;

    caught = open_memstream(why, &size);
    if (caught)
        stderr = caught;
    int rc = parse(ctx, path, &broken);
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

/* Sets *why to the reason of a failure when there is a better one than the status. The caller
 * frees it. */
static int apply(struct ub_ctx *ctx, const struct nh_step *step, char **why)
{
    switch (step->kind) {
    case NH_STEP_OPTION:
    case NH_STEP_DEFAULT:
        return ub_ctx_set_option(ctx, step->a, step->b);
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
        return ub_ctx_set_tls(ctx, 1);
    case NH_STEP_FILE:
        return 0;
    }
    return NH_UB_SYNTAX;
}

/* Two defaults depend on the process; lua/nexthop/config/defaults.lua has all others, as the first steps. */
static bool configure(struct ub_ctx *ctx, const struct nh_config *config, uint32_t without,
                      struct nh_err *err)
{
    unsigned range = nh_context_range(config->max_pending, 0);
    char number[16], *why = NULL;
    int rc;

    snprintf(number, sizeof number, "%u", range);
    ub_ctx_set_option(ctx, "outgoing-range:", number);
    snprintf(number, sizeof number, "%u", outgoing_tcp(range));
    ub_ctx_set_option(ctx, "outgoing-num-tcp:", number);
    for (size_t i = 0; i < config->n_steps; i++) {
        const struct nh_step *step = &config->steps[i];

        if (step->kind == NH_STEP_FORWARD) {
            bool leave = without & 1;

            without >>= 1;
            if (leave)
                continue;
        }
        rc = apply(ctx, step, &why);
        if (rc != 0 && step->kind != NH_STEP_DEFAULT) {
            nh_fail(err, rc == NH_UB_NO_MEMORY ? NH_NO_MEMORY : NH_CONFIG, "%s: %s", step->label,
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

/* The first line of libunbound's log, which names the cause of the lines that follow it. Its
 * beginning, "[time] program[pid:0] error: ", is left out. */
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
    for (size_t i = 0; i < config->n_steps; i++)
        if (config->steps[i].kind == NH_STEP_TLS)
            return true;
    return false;
}

/* libunbound reads and checks its configuration only at the first resolve. It answers
 * "localhost." at once. After a failure the context must be deleted at once, because a second
 * resolve would end the process (rule 6). We catch the log to find the reason, and then switch
 * it off permanently (rule 11). */
static bool initialise(struct ub_ctx *ctx, const struct nh_config *config, struct nh_err *err)
{
    char *log = NULL, what[64];
    size_t size = 0;
    FILE *stream = open_memstream(&log, &size);
    int rc, id = 0;

    if (stream)
        ub_ctx_debugout(ctx, stream);
    rc = ub_resolve_event(ctx, "localhost.", NH_TYPE_A, NH_CLASS_IN, NULL, no_result, &id);
    if (rc == 0 && id)
        ub_cancel(ctx, id);
    ub_ctx_debugout(ctx, NULL);
    if (stream)
        fclose(stream);
    bool ok = rc == 0;
    if (!ok) {
        snprintf(what, sizeof what, "libunbound does not start (%s)", ub_strerror(rc));
        nh_fail(err, rc == NH_UB_NO_MEMORY ? NH_NO_MEMORY : NH_CONFIG, "%s: %s", what,
                log && *log ? first_line(log) : "it gives no reason");
    } else if (wants_tls(config) && log && strstr(log, "no name verification")) {
        /* libunbound would go on and use TLS with any server that answers */
        nh_fail(err, NH_CONFIG, "tls: this libunbound cannot check the names in certificates");
        ok = false;
    }
    free(log);
    return ok;
}

/* Are the files that libunbound has read the same files that were checked before? */
static bool files_are_the_same(const struct nh_config *config, struct nh_err *err)
{
    if (state_of_files(config) == config->files)
        return true;
    nh_fail(err, NH_CONFIG, "a file of the configuration has changed since it was checked");
    return false;
}

struct ub_ctx *nh_context_open(struct nh_ub_base *base, const struct nh_config *config,
                               uint32_t without, struct nh_err *err)
{
    static bool checked;
    struct ub_ctx *ctx = NULL;

    pthread_mutex_lock(&context_mutex);
    checked = checked || nh_event_api_check(err);
    if (checked)
        ctx = ub_ctx_create_ub_event(base);
    if (!checked) {
        /* *err says it */
    } else if (!ctx) {
        nh_fail(err, NH_NO_MEMORY, "libunbound: no context could be created");
    } else {
        ub_ctx_debugout(ctx, NULL);
        if (!configure(ctx, config, without, err) || !initialise(ctx, config, err) ||
            !files_are_the_same(config, err)) {
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

void nh_context_return_memory(void)
{
#ifdef __GLIBC__
    malloc_trim(0); /* few of the 65 MB for TCP were touched; the next context would touch others */
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
