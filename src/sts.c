/* sts.c - the fetches of MTA-STS policies.
 *
 *   ask -> a job of that domain is under way: wait for it
 *       -> a new job: addresses of mta-sts.DOMAIN -> on_job_ips -> fetch -> on_fetched -> parsed,
 *          stored -> each wait gets the result
 *   the time is up, or nobody waits any more -> the job ends */
#include "sts.h"

#include "loop.h"
#include "timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAVE_AGAIN 0.1   /* seconds after which a file that was locked is tried again */
#define ANCHORS_HOLD 1.0 /* seconds for which a look at a file of anchors is valid */
#define FAIR_SECONDS 5   /* a fetch that was given up after these has failed */

struct nh_sts_job {
    struct nh_sts *sts;
    char domain[NH_HOST_MAX], id[NH_STS_ID_MAX];
    uint16_t port;
    X509_STORE *anchors;
    double started, seconds;
    struct nh_ips_call ips;
    struct nh_fetch fetch;
    struct nh_timer *timer;
    struct nh_task task;
    NH_LIST_HEAD(, nh_sts_wait) waits;
    NH_LIST_LINK(nh_sts_job) link;
};

struct nh_sts {
    struct nh_resolver *resolver;
    struct nh_sts_store *store;
    struct nh_fetcher *fetcher; /* NULL until it is needed */
    struct nh_anchors anchors;
    struct {
        char *file, *path;
        X509_STORE *store; /* NULL: none */
        double at;
    } last; /* the anchors that were asked for last */
    NH_LIST_HEAD(, nh_sts_job) jobs;
    struct nh_timer *save_timer;
    struct nh_sts *next_abandoned;
};

/* ---- the file ------------------------------------------------------------------------------ */

/* What the file does not take now, because another process has locked it, is written soon. */
static void save_soon(struct nh_sts *sts);

static void on_save_timer(void *arg)
{
    struct nh_sts *sts = arg;

    sts->save_timer = NULL;
    save_soon(sts);
}

static void save_soon(struct nh_sts *sts)
{
    if (!sts->save_timer && !nh_sts_store_save(sts->store))
        sts->save_timer = nh_timer_start(nh_resolver_loop(sts->resolver), SAVE_AGAIN, on_save_timer,
                                         sts);
}

/* ---- the end of a job ------------------------------------------------------------------------- */

/* Stops what the job has under way, and frees it. Nobody waits for it any more. */
static void free_job(struct nh_sts_job *job)
{
    struct nh_sts *sts = job->sts;

    NH_LIST_REMOVE(&sts->jobs, job, link);
    if (nh_resolver_mine(sts->resolver))
        nh_timer_stop(job->timer);
    nh_task_stop(sts->resolver, &job->task);
    nh_ips_type.stop(&job->ips.op);
    nh_fetch_stop(&job->fetch);
    X509_STORE_free(job->anchors);
    free(job);
}

/* Remembers the failure, so that the same id is not tried again at once. */
static void keep_failure(struct nh_sts_job *job, const struct nh_sts_err *err)
{
    struct nh_sts_entry *e = nh_sts_store_make(job->sts->store, job->domain);

    if (!e)
        return;
    if (!e->err)
        e->err = malloc(sizeof *e->err);
    if (!e->err)
        return;
    *e->err = *err;
    e->failed_at = nh_now();
    nh_copy(e->failed_id, sizeof e->failed_id, job->id);
}

/* Gives the result to all who wait. known may be NULL: then err says why. */
static void finish_job(struct nh_sts_job *job, struct nh_sts_known *known,
                       const struct nh_sts_err *err)
{
    struct nh_sts *sts = job->sts;
    struct nh_sts_wait *wait;

    while ((wait = NH_LIST_FIRST(&job->waits)) != NULL) {
        NH_LIST_REMOVE(&job->waits, wait, link);
        wait->job = NULL;
        if (known)
            wait->known = nh_sts_known_use(known);
        else
            wait->err = *err;
        nh_resolver_later(sts->resolver, &wait->task, wait->done, wait->arg);
    }
    free_job(job);
}

static void fail_job(struct nh_sts_job *job, enum nh_sts_code code, const char *what)
{
    struct nh_sts_err err;

    nh_sts_fail(&err, code, "%s: %s", job->domain, what);
    keep_failure(job, &err);
    finish_job(job, NULL, &err);
}

static void on_late(void *arg)
{
    struct nh_sts_job *job = arg;
    char what[120];

    snprintf(what, sizeof what, "its MTA-STS policy did not come within %g seconds", job->seconds);
    fail_job(job, NH_STS_FETCH_ERROR, what);
}

/* Runs inside the loop. */
static void on_late_timer(void *arg)
{
    struct nh_sts_job *job = arg;

    job->timer = NULL;
    nh_resolver_later(job->sts->resolver, &job->task, on_late, job);
}

/* ---- the steps of a job --------------------------------------------------------------------------- */

static void on_fetched(void *arg)
{
    struct nh_sts_job *job = arg;
    struct nh_sts *sts = job->sts;
    char reason[NH_STS_REASON], what[NH_STS_REASON + 40];
    struct nh_sts_policy policy;
    struct nh_sts_known *known;

    if (job->fetch.err.code != NH_STS_OK) {
        fail_job(job, job->fetch.err.code, job->fetch.err.message);
        return;
    }
    if (!nh_sts_policy_parse(&policy, job->fetch.body ? job->fetch.body : "", job->fetch.len,
                             reason)) {
        bool is_invalid = strcmp(reason, NH_STS_NO_MEMORY) != 0;

        snprintf(what, sizeof what, is_invalid ? "its MTA-STS policy is invalid, %s" : "%s",
                 reason);
        fail_job(job, is_invalid ? NH_STS_INVALID : NH_STS_FETCH_ERROR, what);
        return;
    }
    known = nh_sts_store_put(sts->store, job->domain, &policy, job->id);
    if (!known) {
        fail_job(job, NH_STS_FETCH_ERROR, "out of memory");
        return;
    }
    save_soon(sts);
    finish_job(job, known, NULL);
    nh_sts_known_drop(known);
}

static void on_job_ips(void *arg)
{
    struct nh_sts_job *job = arg;

    if (job->ips.op.err.code != NH_OK)
        fail_job(job, NH_STS_FETCH_ERROR, job->ips.op.err.message);
    else
        nh_fetch_start(&job->fetch, job->sts->fetcher, job->ips.host, job->ips.ips, job->ips.n_ips,
                       job->port, job->anchors, on_fetched, job);
}

static void on_no_memory(void *arg)
{
    fail_job(arg, NH_STS_FETCH_ERROR, "out of memory");
}

static struct nh_sts_job *new_job(struct nh_sts *sts, const struct nh_sts_request *request)
{
    struct nh_sts_job *job = calloc(1, sizeof *job);

    if (!job)
        return NULL;
    job->sts = sts;
    job->port = request->port;
    job->seconds = request->seconds;
    job->started = nh_now();
    X509_STORE_up_ref(request->anchors);
    job->anchors = request->anchors;
    nh_copy(job->domain, sizeof job->domain, request->domain);
    nh_copy(job->id, sizeof job->id, request->id);
    NH_LIST_INIT(&job->waits);
    NH_LIST_INSERT_LAST(&sts->jobs, job, link);
    return job;
}

/* The name of the policy host fits: the name of the domain's record is longer. */
static void start_job(struct nh_sts_job *job)
{
    struct nh_sts *sts = job->sts;

    job->timer = nh_timer_start(nh_resolver_loop(sts->resolver), job->seconds, on_late_timer, job);
    if (!job->timer) {
        nh_resolver_later(sts->resolver, &job->task, on_no_memory, job);
        return;
    }
    snprintf(job->ips.host, sizeof job->ips.host, "mta-sts.%.245s", job->domain);
    job->ips.max_links = NH_IPS_LINKS;
    job->ips.op.done = on_job_ips;
    job->ips.op.arg = job;
    nh_ips_type.start(&job->ips.op, sts->resolver);
}

static struct nh_sts_job *find_job(const struct nh_sts *sts, const struct nh_sts_request *request)
{
    struct nh_sts_job *job;

    NH_LIST_FOREACH (job, &sts->jobs, link)
        if (job->port == request->port && job->anchors == request->anchors &&
            strcmp(job->domain, request->domain) == 0)
            return job;
    return NULL;
}

void nh_sts_ask(struct nh_sts *sts, struct nh_sts_wait *wait, const struct nh_sts_request *request,
                void (*done)(void *arg), void *arg)
{
    struct nh_sts_job *job = find_job(sts, request);
    bool is_new = !job;

    memset(wait, 0, sizeof *wait);
    wait->sts = sts;
    wait->done = done;
    wait->arg = arg;
    if (is_new)
        job = new_job(sts, request);
    if (!job) {
        nh_sts_fail(&wait->err, NH_STS_FETCH_ERROR, "%s: out of memory", request->domain);
        nh_resolver_later(sts->resolver, &wait->task, done, arg);
        return;
    }
    wait->job = job;
    NH_LIST_INSERT_LAST(&job->waits, wait, link);
    if (is_new)
        start_job(job);
}

void nh_sts_wait_stop(struct nh_sts_wait *wait, bool is_late)
{
    struct nh_sts_job *job = wait->job;

    if (!wait->sts)
        return;
    nh_sts_known_drop(wait->known);
    wait->known = NULL;
    if (wait->task.is_queued)
        nh_task_stop(wait->sts->resolver, &wait->task);
    wait->sts = NULL;
    wait->job = NULL;
    if (!job)
        return;
    NH_LIST_REMOVE(&job->waits, wait, link);
    if (!NH_LIST_EMPTY(&job->waits))
        return;
    if (is_late && nh_now() - job->started >= FAIR_SECONDS) {
        struct nh_sts_err err;

        nh_sts_fail(&err, NH_STS_FETCH_ERROR,
                    "%s: its MTA-STS policy did not come within %.0f "
                    "seconds",
                    job->domain, nh_now() - job->started);
        keep_failure(job, &err);
    }
    free_job(job);
}

/* ---- its life ---------------------------------------------------------------------------------------- */

struct nh_sts *nh_sts_new(struct nh_resolver *r, size_t bytes)
{
    struct nh_sts *sts = calloc(1, sizeof *sts);

    if (!sts)
        return NULL;
    sts->resolver = r;
    NH_LIST_INIT(&sts->jobs);
    sts->store = nh_sts_store_new(nh_resolver_random(r));
    if (sts->store) {
        nh_sts_store_limit(sts->store, bytes);
        return sts;
    }
    free(sts);
    return NULL;
}

struct nh_sts_store *nh_sts_store(struct nh_sts *sts)
{
    return sts->store;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void forget_last(struct nh_sts *sts)
{
    X509_STORE_free(sts->last.store);
    free(sts->last.file);
    free(sts->last.path);
    memset(&sts->last, 0, sizeof sts->last);
}

/* Most plans fetch nothing. They need not look at the file of anchors every time. */
static void keep_last(struct nh_sts *sts, const char *file, const char *path, X509_STORE *store)
{
    forget_last(sts);
    sts->last.file = file ? strdup(file) : NULL;
    sts->last.path = path ? strdup(path) : NULL;
    if ((file && !sts->last.file) || (path && !sts->last.path))
        return; /* then it is not found */
    X509_STORE_up_ref(store);
    sts->last.store = store;
    sts->last.at = nh_now();
}

X509_STORE *nh_sts_ready(struct nh_sts *sts, const char *ca_file, const char *ca_path,
                         struct nh_err *err)
{
    X509_STORE *store = sts->last.store;

    if (store && same_text(sts->last.file, ca_file) && same_text(sts->last.path, ca_path) &&
        nh_now() - sts->last.at < ANCHORS_HOLD) {
        X509_STORE_up_ref(store);
        return store;
    }
    if (!sts->fetcher)
        sts->fetcher = nh_fetcher_new(sts->resolver, err);
    store = sts->fetcher ? nh_anchors_get(&sts->anchors, ca_file, ca_path, err) : NULL;
    if (store)
        keep_last(sts, ca_file, ca_path, store);
    return store;
}

/* What a forked child has left behind, so that a leak checker finds it. */
static struct nh_sts *abandoned;

void nh_sts_free(struct nh_sts *sts)
{
    if (!sts)
        return;
    if (!nh_resolver_mine(sts->resolver)) {
        nh_fetcher_free(sts->fetcher);
        sts->next_abandoned = abandoned;
        abandoned = sts;
        return;
    }
    nh_timer_stop(sts->save_timer);
    nh_fetcher_free(sts->fetcher);
    forget_last(sts);
    nh_anchors_clear(&sts->anchors);
    nh_sts_store_free(sts->store);
    free(sts);
}
