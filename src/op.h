/* op.h - what all calls have in common: result, trace, TTL.
 *
 * A call is a state machine on a resolver. The caller starts it and runs the resolver. done(arg)
 * is called when the fields of the call are set. The call owns its memory until it is stopped.
 * When a call is stopped while it is under way, done() is not called. */
#pragma once

#include "lookup.h"
#include "resolver.h"

/* One question of a trace, and what came back. */
struct nh_trace_entry {
    char *name;
    const char *section; /* the section of the RFC that requires the question */
    uint16_t type;
    enum nh_code code; /* with NH_OK, rcode and secure are valid */
    uint8_t rcode;
    bool secure;
};

struct nh_trace {
    struct nh_trace_entry *entries;
    size_t n, size;
};

void nh_trace_free(struct nh_trace *trace);

/* The first member of every call. */
struct nh_op {
    struct nh_resolver *resolver;
    void (*done)(void *arg); /* called once, from nh_resolver_run() or nh_resolver_drain() */
    void *arg;
    struct nh_task task;
    struct nh_trace *trace; /* NULL: no trace is wanted */
    struct nh_err err;      /* code NH_OK: the result is complete */
    bool has_ttl;           /* false: the result uses no answer */
    uint32_t ttl;           /* seconds */
};

/* What the code that runs calls must know about one call. Each call has such a row in its own
 * file. */
struct nh_op_type {
    const char *awaited; /* for the message of a deadline: "its addresses were known" */
    /* Begins the call. Its input is set. The caller sets op->done and op->arg. */
    void (*start)(struct nh_op *op, struct nh_resolver *r);
    /* Stops what is under way and frees the result. */
    void (*stop)(struct nh_op *op);
    /* Ends a call that is under way with the error op->err, which is set. NULL: call stop. */
    void (*fail)(struct nh_op *op);
    /* Ends the call when the deadline has come and a part of the result may be known. NULL: the
     * call fails. */
    void (*expire)(struct nh_op *op);
};

/* Ends the call: done() is called when the resolver runs next. For a result that is known at the
 * start. */
void nh_op_finish_later(struct nh_op *op);

/* Stops what every call may have under way. */
void nh_op_stop(struct nh_op *op);

/* Makes the error of a lookup that did not succeed. subject is the domain or host that the
 * caller asked about. */
void nh_lookup_error(struct nh_err *err, const char *subject, const struct nh_lookup *l);
/* Records an answer in the trace, and lowers the TTL of the call to its TTL. */
void nh_op_record(struct nh_op *op, const struct nh_lookup *l, const char *section);
double nh_followup_timeout(const struct nh_op *op, enum nh_code code);
/* Looks up the first alias of an answer separately, to learn its status. */
void nh_alias_start(struct nh_op *op, struct nh_lookup *l, const struct nh_answer *a,
                    void (*done)(void *arg, struct nh_lookup *), void *arg);

/* Is there an alias whose status this answer (to CNAME or DNAME) shows? There is none if a DNAME
 * was asked for and its name is an alias itself: the end of that alias says nothing about the
 * names below it. */
bool nh_alias_is_there(const struct nh_lookup *l);
