/* op.h - what the calls have in common: result, trace, TTL.
 *
 * A call is a state machine on a resolver: start it and run the resolver; done(arg) is called when its
 * fields are there. It owns its memory until it is stopped. When one that is under way is stopped,
 * done() is not called. */
#ifndef NEXTHOP_OP_H
#define NEXTHOP_OP_H

#include "lookup.h"
#include "resolver.h"

#pragma GCC visibility push(hidden)

/* ---- trace: what was asked and what came back ---- */

struct nh_trace_entry {
    char *name;
    const char *section; /* the RFC section the question stands under */
    uint16_t type;
    enum nh_code code; /* NH_OK: rcode and secure hold */
    uint8_t rcode;
    bool secure;
};

struct nh_trace {
    struct nh_trace_entry *entries;
    size_t n, size;
};

void nh_trace_free(struct nh_trace *trace);

/* The first member of each call. */
struct nh_op {
    struct nh_resolver *resolver;
    void (*done)(void *arg); /* called once, from nh_resolver_run() or nh_resolver_drain() */
    void *arg;
    struct nh_task task;
    struct nh_trace *trace; /* NULL: not wanted */
    struct nh_err err;      /* code NH_OK: the result is whole */
    bool has_ttl;           /* false: rests on no answer */
    uint32_t ttl;           /* seconds */
};

/* What those who run calls need to know of one: a row for each, in the file of the call. */
struct nh_op_type {
    const char *awaited; /* for the message of a deadline: "its addresses were known" */
    /* Begins the call. Its input is set; op->done and op->arg are the caller's. */
    void (*start)(struct nh_op *op, struct nh_resolver *r);
    /* Stops what is under way and frees the result. */
    void (*stop)(struct nh_op *op);
    /* Ends a call that is under way with op->err, which is set. NULL: as stop. */
    void (*fail)(struct nh_op *op);
    /* The deadline has come and something may be known. NULL: it fails. */
    void (*expire)(struct nh_op *op);
};

/* The call is over: done() will be called. For what is known at the start. */
void nh_op_finish_later(struct nh_op *op);

/* What all calls have to stop. */
void nh_op_stop(struct nh_op *op);

/* The error of a lookup that did not succeed, told for subject (the caller's domain or host). */
void nh_lookup_error(struct nh_err *err, const char *subject, const struct nh_lookup *l);
/* Counts an answer in: trace and ttl. */
void nh_op_record(struct nh_op *op, const struct nh_lookup *l, const char *section);
double nh_followup_timeout(const struct nh_op *op, enum nh_code code);
/* Looks up the first alias of an answer on its own, for its status. */
void nh_alias_start(struct nh_op *op, struct nh_lookup *l, const struct nh_answer *a,
                    void (*done)(void *arg, struct nh_lookup *), void *arg);

/* Is there an alias, of which this answer to CNAME or DNAME tells the status? Not where the name that was
 * asked for a DNAME is an alias itself: what is at its end says nothing of the names below it. */
bool nh_alias_is_there(const struct nh_lookup *l);

#pragma GCC visibility pop

#endif
