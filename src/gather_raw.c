/* gather_raw.c - one DNS lookup whose answer is returned as data. `nexthop --check` uses it to
 * find out why an answer is not secure. Nothing is decided here. */
#include "gather_raw.h"

static void on_answered(void *arg, struct nh_lookup *l)
{
    struct nh_raw *raw = arg;

    nh_op_record(&raw->op, l, "");
    if (l->code != NH_OK)
        nh_lookup_error(&raw->op.err, raw->name, l);
    raw->op.done(raw->op.arg);
}

static void raw_start(struct nh_op *op, struct nh_resolver *r)
{
    struct nh_raw *raw = (struct nh_raw *)op;

    op->resolver = r;
    nh_lookup_start_whole(r, &raw->lookup, raw->name, raw->type, on_answered, raw);
}

static void raw_stop(struct nh_op *op)
{
    nh_lookup_stop(&((struct nh_raw *)op)->lookup);
}

const struct nh_op_type nh_raw_type = {
    .awaited = "the answer came", .start = raw_start, .stop = raw_stop};
