/* op.c - what all calls have in common: the error of a lookup, the trace, the TTL. */
#include "op.h"

#include <stdlib.h>
#include <string.h>

void nh_op_finish_later(struct nh_op *op)
{
    nh_resolver_later(op->resolver, &op->task, op->done, op->arg);
}

void nh_op_stop(struct nh_op *op)
{
    if (op->task.is_queued) /* a call that is over may outlive its resolver */
        nh_task_stop(op->resolver, &op->task);
}

void nh_lookup_error(struct nh_err *err, const char *subject, const struct nh_lookup *l)
{
    const char *type = nh_type_name(l->type);

    if (l->code == NH_BOGUS)
        nh_fail(err, NH_BOGUS, "%s: %s of %s failed DNSSEC validation: %s", subject, type, l->name,
                l->why ? l->why : "no reason given");
    else if (l->code == NH_TIMEOUT)
        nh_fail(err, NH_TIMEOUT, "%s: %s of %s: no answer in time", subject, type, l->name);
    else if (l->code == NH_NO_MEMORY)
        nh_fail(err, NH_NO_MEMORY, "%s: %s of %s: out of memory", subject, type, l->name);
    else /* libunbound reports this whether servers answer SERVFAIL, refuse, or do not exist */
        nh_fail(err, NH_SERVFAIL, "%s: %s of %s: the lookup failed (%s)", subject, type, l->name,
                l->why && *l->why ? l->why : "SERVFAIL, or no server answers");
}

/* ---- trace and TTL ----------------------------------------------------------------- */

void nh_trace_free(struct nh_trace *trace)
{
    for (size_t i = 0; i < trace->n; i++)
        free(trace->entries[i].name);
    free(trace->entries);
    memset(trace, 0, sizeof *trace);
}

/* Adds an entry to the trace. When memory runs out, the trace ends there. It only explains; no
 * result depends on it. */
static void trace(struct nh_trace *t, const struct nh_lookup *l, const char *section)
{
    struct nh_trace_entry *e;

    if (t->n == t->size) {
        size_t size = t->size ? t->size * 2 : 8;

        e = realloc(t->entries, size * sizeof *e);
        if (!e)
            return;
        t->entries = e;
        t->size = size;
    }
    e = &t->entries[t->n];
    e->name = strdup(l->name);
    if (!e->name)
        return;
    e->section = section;
    e->type = l->type;
    e->code = l->code;
    e->rcode = l->code == NH_OK ? l->answer.rcode : l->rcode;
    e->secure = l->code == NH_OK && l->secure;
    t->n++;
}

void nh_op_record(struct nh_op *op, const struct nh_lookup *l, const char *section)
{
    if (l->code == NH_OK && (!op->has_ttl || l->answer.ttl < op->ttl)) {
        op->has_ttl = true;
        op->ttl = l->answer.ttl;
    }
    if (op->trace)
        trace(op->trace, l, section);
}

/* The time in seconds for the lookups that follow a lookup which has timed out, 0 for the
 * default. They ask for the aliases that lead to its name, so that the error can say what is
 * known. Their answers are in the cache or come quickly, and these lookups must not double the
 * time of the call. */
double nh_followup_timeout(const struct nh_op *op, enum nh_code code)
{
    double seconds = nh_resolver_lookup_timeout(op->resolver) / 5;

    if (code != NH_TIMEOUT)
        return 0;
    return seconds < 2 ? seconds : 2;
}

/* A name below a DNAME has no CNAME of its own. When the synthesised CNAME is asked for by that
 * type, libunbound calls it bogus, because only the DNAME is signed. So the DNAME is looked up. */
void nh_alias_start(struct nh_op *op, struct nh_lookup *l, const struct nh_answer *a,
                    void (*done)(void *arg, struct nh_lookup *), void *arg)
{
    nh_lookup_start(op->resolver, l, a->dname ? a->dname : a->chain[0],
                    a->dname ? NH_TYPE_DNAME : NH_TYPE_CNAME, 0, done, arg);
}

bool nh_alias_is_there(const struct nh_lookup *l)
{
    return l->code == NH_OK && l->answer.n_records > 0 &&
           (l->type != NH_TYPE_DNAME || l->answer.n_links == 0);
}
