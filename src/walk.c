/* walk.c - a walk: it follows a chain of aliases one at a time with CNAME questions. This is for
 * chains where one answer cannot show the status of each alias.
 *
 *   CNAME of the name -> no alias: the end
 *                     -> an alias: its status is that of the answer; next name
 *                     -> an alias below a DNAME: the DNAME is looked up; it has the status
 *                     -> bogus: it may be below a DNAME, so DNAME is asked for each name above */
#include "walk.h"

#include <stdlib.h>
#include <string.h>

const char *nh_walk_end(const struct nh_walk *w)
{
    return w->n_links ? w->names[w->n_links] : w->first;
}

void nh_walk_free(struct nh_walk **place)
{
    struct nh_walk *w = *place;

    if (!w)
        return;
    nh_lookup_stop(&w->lookup);
    nh_lookup_stop(&w->dname);
    for (unsigned i = 1; i <= w->n_links; i++)
        free(w->names[i]);
    free(w);
    *place = NULL;
}

struct nh_walk *nh_walk_new(struct nh_walk **place, struct nh_op *op, void (*done)(void *arg),
                            void *arg)
{
    nh_walk_free(place);
    struct nh_walk *w = *place = calloc(1, sizeof *w);
    if (w) {
        w->op = op;
        w->done = done;
        w->arg = arg;
    }
    return w;
}

static bool walk_seen(const struct nh_walk *w, const char *name)
{
    if (strcmp(name, w->first) == 0)
        return true;
    for (unsigned i = 1; i <= w->n_links; i++)
        if (strcmp(name, w->names[i]) == 0)
            return true;
    return false;
}

static void walk_ended(struct nh_walk *w, enum nh_code code)
{
    w->code = code;
    w->done(w->arg);
}

static void on_hop(void *arg, struct nh_lookup *l);
static void ask_above(struct nh_walk *w, const char *name);

static void walk_failed(struct nh_walk *w, const struct nh_lookup *l)
{
    w->failed = l;
    if (w->n_links == 0)
        w->first_secure = false;
    w->all_secure = false;
    walk_ended(w, l->code);
}

/* Follows the alias to w->target. secure is the status of the alias. */
static void walk_follow(struct nh_walk *w, bool secure)
{
    char host[NH_HOST_MAX];
    const char *target = w->target;

    if (w->n_links == 0)
        w->first_secure = secure;
    w->all_secure = w->all_secure && secure;
    if (w->hosts_only) {
        w->reason = nh_name_from_dns(target, host);
        if (w->reason) {
            walk_ended(w, NH_INVALID_NAME);
            return;
        }
        target = host;
    }
    bool loop = walk_seen(w, target);
    w->names[w->n_links + 1] = strdup(target);
    if (!w->names[w->n_links + 1]) {
        walk_ended(w, NH_NO_MEMORY);
        return;
    }
    w->n_links++;
    if (w->stop_insecure && !secure)
        walk_ended(w, NH_OK);
    else if (loop)
        walk_ended(w, NH_CNAME_LOOP);
    else if (w->n_links > w->max_links)
        walk_ended(w, NH_CNAME_LIMIT);
    else
        nh_lookup_start(w->op->resolver, &w->lookup, w->names[w->n_links], NH_TYPE_CNAME,
                        w->seconds, on_hop, w);
}

/* Follows an alias that a DNAME makes. The alias has the status of the DNAME. */
static void on_dname(void *arg, struct nh_lookup *l)
{
    struct nh_walk *w = arg;

    nh_op_record(w->op, l, w->section);
    if (l->code == NH_OK && !nh_alias_is_there(l))
        l->code = NH_SERVFAIL; /* a denial is not the status of an alias */
    if (l->code != NH_OK)
        walk_failed(w, l);
    else
        walk_follow(w, l->secure);
}

/* Only a secure DNAME can replace a bogus answer. If a trust anchor is below an insecure zone,
 * anybody could have made a DNAME of that zone. */
static void on_dname_above(void *arg, struct nh_lookup *l)
{
    struct nh_walk *w = arg;

    if (l->code == NH_OK && !nh_alias_is_there(l)) {
        ask_above(w, l->name);
        return;
    }
    if (l->code != NH_OK || !l->secure ||
        !nh_dname_rename(w->made, w->lookup.name, strlen(l->name), l->answer.records[0].name)) {
        walk_failed(w, &w->lookup);
        return;
    }
    nh_op_record(w->op, l, w->section);
    w->target = w->made;
    walk_follow(w, l->secure);
}

/* Looks up the DNAME of the name above. When a CNAME that a DNAME makes is asked for by that
 * type, libunbound calls it bogus, because nobody has signed it. Only the DNAME is signed. */
static void ask_above(struct nh_walk *w, const char *name)
{
    const char *above = nh_name_above(name);

    if (above && ++w->n_above <= NH_DNAMES_ABOVE)
        nh_lookup_start(w->op->resolver, &w->dname, above, NH_TYPE_DNAME, w->seconds,
                        on_dname_above, w);
    else
        walk_failed(w, &w->lookup);
}

static void on_hop(void *arg, struct nh_lookup *l)
{
    struct nh_walk *w = arg;

    nh_op_record(w->op, l, w->section);
    w->target = l->code == NH_OK && l->answer.n_links ? l->answer.chain[1] : NULL;
    if (l->code == NH_BOGUS) {
        ask_above(w, l->name);
    } else if (l->code != NH_OK) {
        walk_failed(w, l);
    } else if (l->answer.n_links == 0) {
        /* This is the end of the aliases. The status of this denial does not lower all_secure. */
        if (w->n_links == 0)
            w->first_secure = l->secure;
        walk_ended(w, NH_OK);
    } else if (l->answer.dname && !l->secure) {
        /* Below a DNAME nothing that is signed answers the CNAME question. */
        nh_alias_start(w->op, &w->dname, &l->answer, on_dname, w);
    } else {
        walk_follow(w, l->secure);
    }
}

/* Starts the walk at name, which must outlive the walk. */
void nh_walk_start(struct nh_walk *w, const char *name)
{
    w->first = name;
    w->n_links = 0;
    w->n_above = 0;
    w->all_secure = true;
    w->failed = NULL;
    nh_lookup_start(w->op->resolver, &w->lookup, name, NH_TYPE_CNAME, w->seconds, on_hop, w);
}

void nh_walk_error(const struct nh_walk *w, struct nh_err *err, const char *subject)
{
    if (w->code == NH_CNAME_LOOP)
        nh_fail(err, w->code, "%s: the aliases of %s form a loop, back at %s", subject, w->first,
                nh_walk_end(w));
    else if (w->code == NH_CNAME_LIMIT)
        nh_fail(err, w->code, "%s: %s has more than %u aliases in a row, given up at %s", subject,
                w->first, w->max_links, nh_walk_end(w));
    else if (w->code == NH_INVALID_NAME)
        nh_fail(err, w->code, "%s: %s is an alias of %s, which is no host name: %s", subject,
                nh_walk_end(w), w->target, w->reason);
    else if (w->code != NH_OK)
        nh_lookup_error(err, subject, w->failed ? w->failed : &w->lookup);
}

/* A bogus alias can lead into a chain that libunbound gives up. It then reports only SERVFAIL. */
const struct nh_lookup *nh_walk_culprit(const struct nh_walk *w, const struct nh_lookup *l)
{
    return w && l->code == NH_SERVFAIL && w->code == NH_BOGUS ? w->failed : l;
}
