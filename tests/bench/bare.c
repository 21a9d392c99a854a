/*
 * bare.c - the limit: libunbound's event API in a loop that asks the queries of a plan and looks at
 * nothing. The event base is the module's own (src/loop.c), the options are those it sets.
 *
 *   bare ANCHOR-FILE ADDRESS ZONE...    zones are stubs at ADDRESS
 *
 * Reads commands, one a line, and answers each with "CPU-seconds wall-seconds":
 *   quit                                     the end
 *   new                                      a new context with an empty cache
 *   plan HOSTS FIRST DOMAINS COUNT UNDERWAY  plans of domains with so many hosts, round and round
 *   mx HOSTS FIRST DOMAINS COUNT UNDERWAY    just their MX
 *   naive HOSTS FIRST DOMAINS COUNT UNDERWAY plans, one ub_resolve() after the other
 */
#include "../../src/event_api.h"
#include "../../src/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unbound.h>

#define CLASS_IN 1
#define MAX_HOSTS 20

enum { TYPE_A = 1, TYPE_MX = 15, TYPE_AAAA = 28, TYPE_TLSA = 52 };

struct domain {
    char name[64], host[MAX_HOSTS][64], tlsa[MAX_HOSTS][72];
};

/* One plan under way. */
struct plan {
    const struct domain *domain;
    int stage, left;
    struct plan *next; /* in the list of those whose answers are all there */
};

static char **arguments;
static struct nh_loop *loop;
static struct nh_base *base;
static struct ub_ctx *ctx, *naive;
static struct domain *domains;
static int n_hosts, n_domains, started, done, count;
static bool mx_only;
static struct plan *first_ready, **last_ready = &first_ready;

static void need(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bare: %s\n", what);
        exit(1);
    }
}

static void no_answer(void *arg, int rcode, void *packet, int len, int sec, char *why, int limited)
{
    (void)arg, (void)rcode, (void)packet, (void)len, (void)sec, (void)why, (void)limited;
}

static void configure(struct ub_ctx *c)
{
    static const char *const options[][2] = {
        {"infra-cache-min-rtt:", "50"},
        {"infra-cache-max-rtt:", "120000"},
        {"infra-host-ttl:", "10"},
        {"outbound-msg-retry:", "5"},
        {"max-sent-count:", "32"},
        {"trust-anchor-signaling:", "no"},
        {"outgoing-range:", "4000"},
        {"outgoing-num-tcp:", "1000"},
        {"do-not-query-localhost:", "no"},
        /* not the module's: what keeps 2,000 domains in the cache; the others set it too */
        {"msg-cache-size:", "64m"},
        {"rrset-cache-size:", "128m"},
    };
    char transparent[128];

    need(c != NULL, "no context");
    for (size_t k = 0; k < sizeof options / sizeof options[0]; k++)
        ub_ctx_set_option(c, options[k][0], options[k][1]);
    for (char **zone = arguments + 3; *zone; zone++) {
        need(ub_ctx_set_stub(c, *zone, arguments[2], 0) == 0, *zone);
        snprintf(transparent, sizeof transparent, "%s transparent", *zone);
        if (strcmp(*zone, ".") != 0)
            ub_ctx_set_option(c, "local-zone:", transparent);
    }
    need(ub_ctx_add_ta_file(c, arguments[1]) == 0, "the trust anchor");
    ub_ctx_debugout(c, NULL);
}

static void open_context(void)
{
    int id;

    if (ctx)
        ub_ctx_delete(ctx);
    nh_base_free(base);
    nh_loop_free(loop);
    loop = nh_loop_new();
    base = loop ? nh_base_new(loop) : NULL;
    need(base != NULL, "no loop");
    ctx = ub_ctx_create_ub_event(nh_base_events(base));
    configure(ctx);
    need(ub_resolve_event(ctx, "localhost.", TYPE_A, CLASS_IN, NULL, no_answer, &id) == 0,
         "libunbound does not start");
}

/* What the module's caller has at hand: names. Here the hosts' too, since no answer is read. */
static void name_domains(int first)
{
    free(domains);
    domains = calloc((size_t)n_domains, sizeof *domains);
    need(domains != NULL, "no memory");
    for (int i = 0; i < n_domains; i++) {
        struct domain *d = &domains[i];

        snprintf(d->name, sizeof d->name, "d%d-%d.bench.example", first + i, n_hosts);
        for (int k = 0; k < n_hosts; k++) {
            snprintf(d->host[k], sizeof d->host[k], "mx%d.%.50s", k + 1, d->name);
            snprintf(d->tlsa[k], sizeof d->tlsa[k], "_25._tcp.%s", d->host[k]);
        }
    }
}

static void on_answer(void *arg, int rcode, void *packet, int len, int sec, char *why, int limited)
{
    struct plan *p = arg;

    (void)packet, (void)len, (void)why, (void)limited;
    need(rcode == 0 && sec == 2, p->domain->name);
    if (--p->left == 0) {
        p->next = NULL;
        *last_ready = p;
        last_ready = &p->next;
    }
}

static void ask(struct plan *p, const char *name, int type)
{
    int id;

    need(ub_resolve_event(ctx, name, type, CLASS_IN, p, on_answer, &id) == 0, name);
}

static void next_stage(struct plan *p)
{
    if (p->stage == 2 || (p->stage == 1 && mx_only)) {
        done++;
        p->stage = 0;
    }
    if (p->stage == 0) {
        if (started == count)
            return;
        p->domain = &domains[started++ % n_domains];
    }
    p->left = p->stage == 0 ? 1 : 3 * n_hosts;
    if (p->stage++ == 0) {
        ask(p, p->domain->name, TYPE_MX);
        return;
    }
    for (int k = 0; k < n_hosts; k++) {
        ask(p, p->domain->tlsa[k], TYPE_TLSA);
        ask(p, p->domain->host[k], TYPE_AAAA);
        ask(p, p->domain->host[k], TYPE_A);
    }
}

static void run(int under_way)
{
    struct plan *plans = calloc((size_t)under_way, sizeof *plans), *p;

    need(plans != NULL, "no memory");
    started = done = 0;
    for (int k = 0; k < under_way; k++)
        next_stage(&plans[k]);
    while (done < count) {
        while ((p = first_ready) != NULL) {
            first_ready = p->next;
            if (!first_ready)
                last_ready = &first_ready;
            next_stage(p);
        }
        if (done < count && !nh_loop_dispatch(loop))
            nh_loop_collect(loop, true);
    }
    free(plans);
}

static void resolve(const char *name, int type)
{
    struct ub_result *result;

    need(ub_resolve(naive, name, type, CLASS_IN, &result) == 0 && result->secure, name);
    ub_resolve_free(result);
}

static void run_naive(void)
{
    if (!naive) {
        naive = ub_ctx_create();
        configure(naive);
    }
    for (int i = 0; i < count; i++) {
        const struct domain *d = &domains[i % n_domains];

        resolve(d->name, TYPE_MX);
        for (int k = 0; k < n_hosts; k++) {
            resolve(d->host[k], TYPE_AAAA);
            resolve(d->host[k], TYPE_A);
            resolve(d->tlsa[k], TYPE_TLSA);
        }
    }
}

static double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    char line[256], what[16];
    int first, under_way;
    double cpu, wall;

    need(argc > 3, "usage: bare ANCHOR-FILE ADDRESS ZONE...");
    arguments = argv;
    setvbuf(stdout, NULL, _IOLBF, 0);
    open_context();
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "quit\n") == 0)
            return 0;
        if (strcmp(line, "new\n") == 0) {
            open_context();
            puts("0 0");
            continue;
        }
        need(sscanf(line, "%15s %d %d %d %d %d", what, &n_hosts, &first, &n_domains, &count,
                    &under_way) == 6 &&
                 n_hosts <= MAX_HOSTS,
             line);
        name_domains(first);
        mx_only = strcmp(what, "mx") == 0;
        cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        wall = seconds(CLOCK_MONOTONIC);
        if (strcmp(what, "naive") == 0)
            run_naive();
        else
            run(under_way);
        printf("%.9f %.9f\n", seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu,
               seconds(CLOCK_MONOTONIC) - wall);
    }
    return 0;
}
