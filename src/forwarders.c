/* forwarders.c - finds forwarders that strip DNSSEC (rule 13).
 *
 * Behind such a forwarder everything is bogus. The probe asks each forwarder alone, in a context that has
 * no other forwarder: does the DNSKEY of the anchor's zone come with its signatures?
 *
 *   nh_forwarders_probe   -> open_next, a heavy task for each forwarder, a few forwarders at a time
 *                         -> on_probed -> after the last one the lookups that wait go on */
#include "resolver_private.h"

#include "context.h"
#include "loop.h"

#include <stdio.h>
#include <stdlib.h>

#define PROBE_TIMEOUT 5.0 /* seconds for the probe: a lookup that waits for it has not much more */
#define PROBE_EVERY 60.0  /* seconds for which the result of the probe is valid */
#define AT_ONCE 4         /* contexts of a probe: each takes some megabytes and descriptors */
#define MAX_FORWARDERS 32 /* that are probed: one bit each */
#define FORWARDERS_SHOWN 300 /* bytes of their addresses in a message */

static unsigned count_forwarders(const struct nh_resolver *r)
{
    unsigned n = 0;
    size_t k;

    for (k = 0; k < r->config->n_steps; k++)
        n += r->config->steps[k].kind == NH_STEP_FORWARD;
    return n < MAX_FORWARDERS ? n : MAX_FORWARDERS;
}

uint32_t nh_forwarders_to_leave(const struct nh_resolver *r)
{
    unsigned n = count_forwarders(r);
    uint32_t all = n >= 32 ? UINT32_MAX : (UINT32_C(1) << n) - 1;

    if (r->probed_at <= 0 || nh_now() - r->probed_at >= PROBE_EVERY || (r->stripping & all) == all)
        return 0;
    return r->stripping;
}

/* ---- the probe --------------------------------------------------------------------------------- */

struct nh_forwarder_probe {
    struct nh_resolver *resolver;
    struct nh_task task;      /* opens the next one */
    unsigned n, next, asking; /* all, those that were begun, and those without an answer */
    bool has_asked;           /* at least one */
    uint32_t stripping;
    struct {
        struct nh_context *context; /* NULL: a context of the resolver is used */
        struct nh_lookup lookup;
    } forwarders[];
};

/* Ends the lookup at a forwarder. Its context is closed when it is not in use any more. */
static void end_lookup(struct nh_forwarder_probe *probe, unsigned k)
{
    struct nh_context *c = probe->forwarders[k].context;

    nh_lookup_stop(&probe->forwarders[k].lookup);
    probe->forwarders[k].context = NULL;
    if (c)
        NH_LIST_INSERT_LAST(&probe->resolver->draining, c, link);
}

void nh_forwarders_stop(struct nh_resolver *r)
{
    struct nh_forwarder_probe *probe = r->probe;

    if (!probe)
        return;
    r->probe = NULL;
    nh_task_stop(r, &probe->task);
    for (unsigned k = 0; k < probe->next; k++)
        end_lookup(probe, k);
    free(probe);
}

/* All forwarders were asked: the lookups that wait go on. */
static void probe_done(struct nh_forwarder_probe *probe)
{
    struct nh_resolver *r = probe->resolver;
    struct nh_lookup *l;

    if (probe->has_asked) {
        r->stripping = probe->stripping;
        r->probed_at = nh_now();
    }
    nh_forwarders_stop(r);
    while ((l = NH_LIST_FIRST(&r->awaiting)) != NULL) {
        NH_LIST_REMOVE(&r->awaiting, l, link);
        nh_lookup_ready(l, NH_BOGUS);
    }
}

static void open_next(void *arg);

/* Goes on with the next forwarder when there is one and not too many are asked at the moment. */
static void go_on(struct nh_forwarder_probe *probe)
{
    if (probe->next == probe->n && probe->asking == 0)
        probe_done(probe);
    else if (probe->next < probe->n && probe->asking < AT_ONCE && !probe->task.is_queued)
        nh_resolver_later(probe->resolver, &probe->task, open_next, probe);
}

static void on_probed(void *arg, struct nh_lookup *answer)
{
    struct nh_forwarder_probe *probe = arg;
    unsigned k;

    for (k = 0; &probe->forwarders[k].lookup != answer; k++)
        continue;
    if ((answer->code == NH_OK || answer->code == NH_BOGUS) && !answer->has_dnssec)
        probe->stripping |= UINT32_C(1) << k;
    end_lookup(probe, k);
    probe->asking--;
    go_on(probe);
}

/* Asks the next forwarder in that context. Without a context it is passed over. */
static void ask_next(struct nh_forwarder_probe *probe, struct nh_context *c)
{
    struct nh_resolver *r = probe->resolver;
    unsigned k = probe->next++;
    double seconds = PROBE_TIMEOUT;

    if (probe->n > AT_ONCE) /* they are silent one after the other */
        seconds = PROBE_TIMEOUT * AT_ONCE / probe->n;
    if (c) {
        probe->has_asked = true;
        probe->asking++;
        nh_lookup_start_internal(r, c, &probe->forwarders[k].lookup, r->config->anchor_zone,
                                 NH_TYPE_DNSKEY, seconds, on_probed, probe);
    }
    go_on(probe);
}

static void open_next(void *arg)
{
    struct nh_forwarder_probe *probe = arg;
    struct nh_context *c;
    struct nh_err err;

    /* The context of a forwarder that has answered is closed first. */
    nh_recheck_tidy(probe->resolver);
    c = nh_context_new(probe->resolver, ~(UINT32_C(1) << probe->next), &err);
    probe->forwarders[probe->next].context = c;
    ask_next(probe, c);
}

/* c is the context of the lookup that is bogus. Without memory there is no probe. */
static void start_probe(struct nh_resolver *r, struct nh_context *c)
{
    unsigned n = count_forwarders(r);
    struct nh_forwarder_probe *probe;

    if (n == 0)
        n = 1; /* the forwarders of an unbound.conf are asked together */
    probe = calloc(1, sizeof *probe + n * sizeof probe->forwarders[0]);
    if (!probe)
        return;
    probe->resolver = r;
    probe->n = n;
    probe->task.is_heavy = true;
    r->probe = probe;
    if (n == 1)
        ask_next(probe, c);
    else
        go_on(probe);
}

bool nh_forwarders_probe(struct nh_lookup *l, struct nh_context *c)
{
    struct nh_resolver *r = l->resolver;

    if (!r->config->forwarders || !r->config->anchor_zone)
        return false;
    if (r->probed_at > 0 && nh_now() - r->probed_at < PROBE_EVERY)
        return false;
    if (!r->probe)
        start_probe(r, c);
    if (!r->probe)
        return false;
    l->state = NH_AWAITING_PROBE;
    NH_LIST_INSERT_LAST(&r->awaiting, l, link);
    return true;
}

/* ---- what is said of it ---------------------------------------------------------------------------- */

void nh_forwarders_explain(struct nh_lookup *l)
{
    const struct nh_config *config = l->resolver->config;
    char names[256] = "", text[600];
    size_t k, len = 0;
    unsigned n = 0;

    if (!l->resolver->stripping)
        return;
    for (k = 0; k < config->n_steps; k++)
        if (config->steps[k].kind == NH_STEP_FORWARD && n < MAX_FORWARDERS &&
            l->resolver->stripping >> n++ & 1 && len < sizeof names)
            len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", len ? ", " : "",
                                    config->steps[k].a);
    snprintf(text, sizeof text,
             "the forwarder (%.*s) returns no DNSSEC records: use one that validates, or "
             "resolv_conf = false (nexthop --recursive) to resolve from the root",
             FORWARDERS_SHOWN, names[0] ? names : config->forwarders);
    nh_lookup_set_reason(l, text);
}
