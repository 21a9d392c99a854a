/*
 * otherlayout.c - preloaded: a libunbound that uses an event base in another way than this one does.
 * $NEXTHOP_TEST_LAYOUT says in which way.
 */
#include "../src/event_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))

PUBLIC struct ub_ctx *ub_ctx_create_ub_event(struct nh_ub_base *base);
PUBLIC int ub_resolve_event(struct ub_ctx *ctx, const char *name, int type, int class_, void *arg,
                            nh_ub_answered *answered, int *id);

typedef int some_function(void);

static bool is(const char *kind)
{
    const char *wanted = getenv("NEXTHOP_TEST_LAYOUT");

    return wanted && strcmp(wanted, kind) == 0;
}

/* The real function. ub_version() is here so that libunbound is linked, and found. */
static void *real(const char *name)
{
    void *function = ub_version() ? dlsym(RTLD_NEXT, name) : NULL;

    if (!function)
        abort();
    return function;
}

/* What must be called from the first function of the base that is called. */
static struct nh_ub_base_calls base_calls;
static struct nh_ub_event_calls event_calls;
static const struct nh_ub_base_calls *known;

static struct nh_ub_event *new_event(struct nh_ub_base *base, int fd, short bits,
                                     nh_ub_happened *happened, void *arg)
{
    struct nh_ub_event *event;
    some_function *const *calls = (some_function *const *)known;

    if (is("signal")) /* where the function for signals stands */
        return known->new_signal(base, fd, happened, arg);
    if (is("longer")) /* one function more, behind those that are known */
        (void)calls[sizeof *known / sizeof calls[0]]();
    event = known->new_event(base, fd, bits, happened, arg);
    if (event && (is("timer") || is("free"))) {
        event_calls = *event->calls;
        if (is("timer")) { /* two members have changed places */
            memcpy(&event_calls.start, &event->calls->start_timer, sizeof event_calls.start);
            memcpy(&event_calls.start_timer, &event->calls->start, sizeof event_calls.start_timer);
        } else {
            memcpy(&event_calls.free, &event->calls->stop, sizeof event_calls.free);
        }
        event->calls = &event_calls;
    }
    return event;
}

struct ub_ctx *ub_ctx_create_ub_event(struct nh_ub_base *base)
{
    struct ub_ctx *(*create)(struct nh_ub_base *);

    *(void **)&create = real("ub_ctx_create_ub_event");
    if (is("magic")) {
        base->magic++;
    } else if (getenv("NEXTHOP_TEST_LAYOUT")) {
        known = base->calls;
        base_calls = *known;
        base_calls.new_event = new_event;
        base->calls = &base_calls;
    }
    return create(base);
}

static nh_ub_answered *callback;

static void swapped(void *arg, int rcode, void *packet, int len, int security, char *why,
                    int limited)
{
    (void)why;
    callback(arg, rcode, NULL, security, len, packet, limited);
}

int ub_resolve_event(struct ub_ctx *ctx, const char *name, int type, int class_, void *arg,
                     nh_ub_answered *answered, int *id)
{
    int (*resolve)(struct ub_ctx *, const char *, int, int, void *, nh_ub_answered *, int *);

    *(void **)&resolve = real("ub_resolve_event");
    callback = answered;
    return resolve(ctx, name, type, class_, arg, is("answer") ? swapped : answered, id);
}
