/* event_api.c - does this libunbound call an event base as event_api.h says?
 *
 * A table that has another order calls the wrong function, with arguments that mean something else.
 * Therefore each function of this base first compares its arguments with what it knows, and only
 * then reads what they point to. The tables have more members than libunbound knows, so that a
 * longer table is found, too. */
#include "event_api.h"

#include "list.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MORE 8       /* members that are not known, behind each table */
#define BITS 0x1f    /* all bits that an event may have */
#define ROUNDS 100   /* more than events of a query without delay */
#define MESSAGE 1232 /* bytes of a DNS message without EDNS problems */

struct probe_event {
    struct nh_ub_event ub; /* first member */
    nh_ub_happened *happened;
    void *arg;
    int fd;
    bool is_active, is_due;
    NH_LIST_LINK(probe_event) link;
};

static struct probe {
    struct nh_ub_base ub;
    NH_LIST_HEAD(, probe_event) events;
    unsigned n_events;
    bool no_memory;
    const char *wrong; /* what was called that should not have been */
    int answers;
    int rcode; /* the one in the packet of the last answer */
} probe;

static void found(const char *wrong)
{
    if (!probe.wrong)
        probe.wrong = wrong;
}

static struct probe_event *event_of(struct nh_ub_event *ub, const char *wrong)
{
    struct probe_event *e;

    NH_LIST_FOREACH (e, &probe.events, link)
        if (&e->ub == ub)
            return e; /* NOLINT(clang-analyzer-unix.Malloc): it does not follow the list */
    found(wrong);
    return NULL;
}

/* ---- the event ------------------------------------------------------------------------ */

static void probe_bits(struct nh_ub_event *ub, short bits)
{
    if (event_of(ub, "bits of an unknown event") && (bits & ~BITS) != 0)
        found("unknown bits of an event");
}

static void probe_set_fd(struct nh_ub_event *ub, int fd)
{
    struct probe_event *e = event_of(ub, "a descriptor of an unknown event");

    if (e && fd < -1)
        found("a negative descriptor");
    else if (e)
        e->fd = fd;
}

static void probe_free(struct nh_ub_event *ub)
{
    struct probe_event *e = event_of(ub, "the end of an unknown event");

    if (!e)
        return;
    NH_LIST_REMOVE(&probe.events, e, link);
    free(e);
}

static void probe_would_block(struct nh_ub_event *ub, int bits)
{
    if (event_of(ub, "an unknown event that would block") && (bits & ~BITS) != 0)
        found("unknown bits that would block");
}

static bool is_time(const struct timeval *tv)
{
    return tv->tv_sec >= 0 && tv->tv_usec >= 0 && tv->tv_usec < 1000000;
}

static int probe_start(struct nh_ub_event *ub, struct timeval *tv)
{
    struct probe_event *e = event_of(ub, "the start of an unknown event");

    if (!e)
        return -1;
    if (tv && !is_time(tv))
        found("a time-out that is no time");
    e->is_active = true;
    e->is_due = tv && tv->tv_sec == 0 && tv->tv_usec == 0;
    return 0;
}

static int probe_stop(struct nh_ub_event *ub)
{
    struct probe_event *e = event_of(ub, "the stop of an unknown event");

    if (e)
        e->is_active = e->is_due = false;
    return e ? 0 : -1;
}

static int probe_start_timer(struct nh_ub_event *ub, struct nh_ub_base *base,
                             nh_ub_happened *happened, void *arg, struct timeval *tv)
{
    struct probe_event *e = event_of(ub, "the timer of an unknown event");

    if (!e)
        return -1;
    if (base != &probe.ub || !happened) {
        found("a timer of an unknown base");
        return -1;
    }
    e->happened = happened;
    e->arg = arg;
    return probe_start(ub, tv);
}

/* Stands for functions of any type. The result is NULL where the caller expects a pointer. */
static void *never_called(void)
{
    found("a function that is for signals or for Windows, or that is not known");
    return NULL;
}

#define NEVER(type) ((type)(void (*)(void))never_called)

struct any {
    void *(*more[MORE])(void);
};
#define ANY                                                                                        \
    {                                                                                              \
        {                                                                                          \
            never_called, never_called, never_called, never_called, never_called, never_called,    \
                never_called, never_called                                                         \
        }                                                                                          \
    }

static const struct {
    struct nh_ub_event_calls calls;
    struct any any;
} event_calls = {{probe_bits, probe_bits, probe_set_fd, probe_free, probe_start, probe_stop,
                  probe_start_timer, probe_stop,
                  NEVER(int (*)(struct nh_ub_event *, struct timeval *)),
                  NEVER(int (*)(struct nh_ub_event *)), NEVER(void (*)(struct nh_ub_event *)),
                  probe_would_block},
                 ANY};

/* ---- the base ------------------------------------------------------------------------- */

static struct nh_ub_event *probe_new_event(struct nh_ub_base *base, int fd, short bits,
                                           nh_ub_happened *happened, void *arg)
{
    struct probe_event *e;

    if (base != &probe.ub || fd < -1 || (bits & ~BITS) != 0 || !happened) {
        found("an event with arguments of another kind");
        return NULL;
    }
    e = calloc(1, sizeof *e);
    if (!e) {
        probe.no_memory = true;
        return NULL;
    }
    e->ub.magic = NH_UB_MAGIC;
    e->ub.calls = &event_calls.calls;
    e->fd = fd;
    e->happened = happened;
    e->arg = arg;
    NH_LIST_INSERT_LAST(&probe.events, e, link);
    probe.n_events++;
    return &e->ub;
}

static int probe_base_stop(struct nh_ub_base *base, struct timeval *after)
{
    (void)base;
    (void)after;
    return 0;
}

/* libunbound calls this when it fails to start. */
static void probe_base_free(struct nh_ub_base *base)
{
    (void)base;
}

static const struct {
    struct nh_ub_base_calls calls;
    struct any any;
} base_calls = {
    {probe_base_free, NEVER(int (*)(struct nh_ub_base *)), probe_base_stop, probe_new_event,
     NEVER(struct nh_ub_event *(*)(struct nh_ub_base *, int, nh_ub_happened *, void *)),
     NEVER(struct nh_ub_event *(*)(struct nh_ub_base *, void *, nh_ub_happened *, void *))},
    ANY};

/* ---- queries -------------------------------------------------------------------------- */

static void on_probe_answer(void *arg, int rcode, void *packet, int len, int security, char *why,
                            int limited)
{
    if (arg != &probe || rcode < 0 || rcode > 15 || security < 0 || security > 2 || limited < 0 ||
        (rcode == 0 && (!packet || len < 12 || len > 65535 || why))) {
        found("a result with arguments of another kind");
        return;
    }
    probe.answers++;
    probe.rcode = rcode == 0 ? ((const unsigned char *)packet)[3] & 0xf : rcode;
}

/* Returns a socket on the loopback interface and sets the server for libunbound, or -1. */
static int open_server(char *server, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, len) != 0 ||
                    getsockname(fd, (struct sockaddr *)&address, &len) != 0)) {
        close(fd);
        fd = -1;
    }
    if (fd >= 0)
        snprintf(server, size, "127.0.0.1@%u", (unsigned)ntohs(address.sin_port));
    return fd;
}

/* Answers that the name does not exist. Returns false when there is no query. */
static bool serve(int fd)
{
    unsigned char message[MESSAGE];
    struct sockaddr_in client;
    socklen_t len = sizeof client;
    ssize_t n = recvfrom(fd, message, sizeof message, MSG_DONTWAIT, (struct sockaddr *)&client,
                         &len);

    if (n < 12)
        return false;
    message[2] = (unsigned char)(message[2] | 0x80); /* QR */
    message[3] = 0x83;                               /* RA, NXDOMAIN */
    return sendto(fd, message, (size_t)n, 0, (struct sockaddr *)&client, len) == n;
}

/* Calls what has no delay. Returns false when there is nothing to call. */
static bool call_due(void)
{
    struct probe_event *e;

    NH_LIST_FOREACH (e, &probe.events, link) {
        if (!e->is_active || !e->is_due)
            continue;
        e->is_active = e->is_due = false;
        e->happened(e->fd, NH_EV_TIMEOUT, e->arg); /* may free it */
        return true;
    }
    return false;
}

/* Tells libunbound that its socket can be read. */
static void call_readable(void)
{
    struct probe_event *e;

    NH_LIST_FOREACH (e, &probe.events, link) {
        if (e->is_active && e->fd >= 0) {
            e->happened(e->fd, NH_EV_READ, e->arg);
            return;
        }
    }
    found("no event for the socket of a query");
}

/* Where the loopback interface carries nothing, this does not check anything. */
static void check_query(struct ub_ctx *ctx, int server)
{
    int id = 0;

    probe.answers = 0;
    if (ub_resolve_event(ctx, "nexthop-layout-check.", 1, 1, &probe, on_probe_answer, &id) != 0)
        return;
    for (int k = 0; k < ROUNDS && !probe.wrong && call_due(); k++)
        ;
    if (!probe.wrong && serve(server))
        call_readable();
    for (int k = 0; k < ROUNDS && !probe.wrong && call_due(); k++)
        ;
    if (probe.answers == 0)
        ub_cancel(ctx, id);
    else if (probe.rcode != 3)
        found("another answer than the one of the server");
}

static void set(struct ub_ctx *ctx, const char *option, const char *value)
{
    (void)ub_ctx_set_option(ctx, option, value);
}

/* Returns the status of libunbound. */
static int check_context(struct ub_ctx *ctx)
{
    char server[32];
    int fd = open_server(server, sizeof server), id = 0, rc;

    ub_ctx_debugout(ctx, NULL);
    set(ctx, "module-config:", "iterator");
    set(ctx, "outgoing-range:", "4");
    set(ctx, "outgoing-num-tcp:", "1");
    set(ctx, "do-ip6:", "no");
    set(ctx, "do-not-query-localhost:", "no");
    if (fd >= 0)
        (void)ub_ctx_set_fwd(ctx, server);
    rc = ub_resolve_event(ctx, "localhost.", 1, 1, &probe, on_probe_answer, &id);
    if (rc == 0 && probe.answers != 1)
        found("no answer for localhost");
    if (rc == 0 && probe.n_events == 0)
        found("no events");
    if (rc == 0 && !probe.wrong && fd >= 0)
        check_query(ctx, fd);
    if (fd >= 0)
        close(fd);
    return rc;
}

bool nh_event_api_check(struct nh_err *err)
{
    struct probe_event *e;
    struct ub_ctx *ctx;
    int rc = NH_UB_NO_MEMORY;

    memset(&probe, 0, sizeof probe);
    probe.ub.magic = NH_UB_MAGIC;
    probe.ub.calls = &base_calls.calls;
    ctx = ub_ctx_create_ub_event(&probe.ub);
    if (ctx) {
        rc = check_context(ctx);
        ub_ctx_delete(ctx);
    }
    if (rc == 0 && !NH_LIST_EMPTY(&probe.events))
        found("no end of an event");
    if (rc == NH_UB_NOT_STARTED && probe.n_events == 0 && !probe.no_memory)
        found("it asks for no event");
    while ((e = NH_LIST_FIRST(&probe.events)) != NULL)
        probe_free(&e->ub);
    if (probe.wrong)
        nh_fail(
            err, NH_CONFIG,
            "libunbound %s does not fit this build of nexthop: it uses an event base in another "
            "way (%s); use another version of libunbound, and report this",
            ub_version(), probe.wrong);
    else if (rc != 0)
        nh_fail(err, NH_NO_MEMORY, "libunbound does not start (%s)", ub_strerror(rc));
    return !probe.wrong && rc == 0;
}
