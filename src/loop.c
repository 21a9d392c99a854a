/* loop.c - libunbound's event base (event_api.h) on libuv.
 *
 * The callbacks of libuv only mark a libunbound event as ready and put it into a queue. The
 * resolver dispatches the events one at a time. Therefore one process() can stop between two
 * events (its `budget`), and libunbound never runs inside uv_run(). */
#include "loop.h"

#include "loop_private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>

#define LOOK_HOLDS 10000000u /* nanoseconds for which a look at the sockets is valid */

/* One libunbound event: a descriptor, a timeout, or both. */
struct event {
    struct nh_ub_event ub; /* first member: libunbound sees only this */
    struct nh_base *base;
    struct nh_loop *loop; /* of the base */
    void (*cb)(int, short, void *);
    void *arg;
    int fd;
    short bits; /* what libunbound asked for: NH_EV_READ, NH_EV_WRITE, NH_EV_PERSIST */
    bool is_udp;
    short ready;          /* what has happened since the last dispatch */
    struct events *queue; /* the queue of the loop that it waits in; NULL: none */
    uint64_t timeout;     /* milliseconds; 0: no timeout */
    uv_poll_t *poll;      /* a block of its own: it lives until libuv has closed it */
    uv_timer_t *timer;    /* the same */
    NH_LIST_LINK(event) link;
};

double nh_now(void)
{
    return (double)uv_hrtime() / 1e9;
}

/* ---- events ---------------------------------------------------------------- */

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void event_mark(struct event *ev, int bits, struct events *queue)
{
    ev->ready = (short)(ev->ready | bits);
    if (!ev->queue) {
        ev->queue = queue;
        NH_LIST_INSERT_LAST(queue, ev, link);
    }
}

static void event_unmark(struct event *ev)
{
    if (ev->queue) {
        NH_LIST_REMOVE(ev->queue, ev, link);
        ev->queue = NULL;
    }
    ev->ready = 0;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static int event_watch(struct event *ev)
{
    int events = 0;

    if (ev->bits & NH_EV_READ)
        events |= UV_READABLE;
    if (ev->bits & NH_EV_WRITE)
        events |= UV_WRITABLE;
    ev->loop->stale = true;
    return uv_poll_start(ev->poll, events, on_poll);
}

/* Reports an error or a hang-up as exactly the events that libunbound asked for. A TCP socket
 * that is not yet connected (TCP Fast Open) polls as hung up, and libunbound must find out by
 * reading or writing. libuv has stopped the handle at an error, so we start it again. */
static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct event *ev = poll->data;
    int bits = 0;

    if (status < 0) {
        bits = ev->bits & (NH_EV_READ | NH_EV_WRITE);
        (void)event_watch(ev);
    } else {
        if (events & UV_READABLE)
            bits |= NH_EV_READ;
        if (events & UV_WRITABLE)
            bits |= NH_EV_WRITE;
        bits &= ev->bits;
    }
    if (bits)
        event_mark(ev, bits, &ev->loop->io_ready);
}

static void on_timer(uv_timer_t *timer)
{
    struct event *ev = timer->data;

    event_mark(ev, NH_EV_TIMEOUT, &ev->loop->timed_out);
}

/* Stops the event. The poll handle is closed at once, because libunbound closes the descriptor
 * next. The timer is only stopped, and is used again. May be called twice. */
static int event_del(struct nh_ub_event *ub)
{
    struct event *ev = (struct event *)ub;

    event_unmark(ev);
    if (ev->poll) {
        ev->base->sockets -= ev->is_udp;
        ev->poll->data = NULL;
        uv_close((uv_handle_t *)ev->poll, free_handle);
        ev->poll = NULL;
    }
    if (ev->timer)
        uv_timer_stop(ev->timer);
    ev->timeout = 0;
    return 0;
}

static int event_start_timer(struct event *ev)
{
    if (!ev->timer) {
        ev->timer = malloc(sizeof *ev->timer);
        if (!ev->timer)
            return -1;
        uv_timer_init(&ev->loop->uv, ev->timer);
        ev->timer->data = ev;
    }
    uv_update_time(&ev->loop->uv);
    return uv_timer_start(ev->timer, on_timer, ev->timeout, 0);
}

/* Starts the event. tv is the timeout, NULL for none. Returns -1 when the event cannot be
 * watched. */
static int event_add(struct nh_ub_event *ub, struct timeval *tv)
{
    struct event *ev = (struct event *)ub;

    event_del(ub);
    if (ev->fd >= 0 && (ev->bits & (NH_EV_READ | NH_EV_WRITE))) {
        ev->poll = malloc(sizeof *ev->poll);
        if (!ev->poll)
            return -1;
        if (uv_poll_init(&ev->loop->uv, ev->poll, ev->fd) != 0) {
            free(ev->poll);
            ev->poll = NULL;
            return -1;
        }
        ev->poll->data = ev;
        ev->base->sockets += ev->is_udp;
        /* libunbound opens its sockets without this flag, and a child of the host program must
         * not have them. */
        (void)fcntl(ev->fd, F_SETFD, FD_CLOEXEC);
        if (event_watch(ev) != 0) {
            event_del(ub);
            return -1;
        }
    }
    if (tv && tv->tv_sec == 0 && tv->tv_usec == 0) {
        event_mark(ev, NH_EV_TIMEOUT, &ev->loop->zero_delay);
    } else if (tv) {
        /* Round up, so that the time has also come by libunbound's own clock. */
        ev->timeout = (uint64_t)tv->tv_sec * 1000 + (uint64_t)(tv->tv_usec + 999) / 1000;
        if (event_start_timer(ev) != 0) {
            event_del(ub);
            return -1;
        }
    }
    return 0;
}

static void event_add_bits(struct nh_ub_event *ub, short bits)
{
    struct event *ev = (struct event *)ub;
    ev->bits = (short)(ev->bits | bits);
}

static void event_del_bits(struct nh_ub_event *ub, short bits)
{
    struct event *ev = (struct event *)ub;
    ev->bits = (short)(ev->bits & ~bits);
}

static void event_set_fd(struct nh_ub_event *ub, int fd)
{
    ((struct event *)ub)->fd = fd;
}

static void event_free(struct nh_ub_event *ub)
{
    struct event *ev = (struct event *)ub;

    if (!ev)
        return;
    event_del(ub);
    if (ev->timer) {
        ev->timer->data = NULL;
        uv_close((uv_handle_t *)ev->timer, free_handle);
    }
    free(ev);
}

static int event_add_timer(struct nh_ub_event *ub, struct nh_ub_base *base,
                           void (*cb)(int, short, void *), void *arg, struct timeval *tv)
{
    struct event *ev = (struct event *)ub;

    (void)base;
    ev->cb = cb;
    ev->arg = arg;
    return event_add(ub, tv);
}

/* libunbound uses no signals when it runs on an event base that is not its own. */
static int event_no_signal(struct nh_ub_event *ub, struct timeval *tv)
{
    (void)ub;
    (void)tv;
    return -1;
}

static int event_no_signal_del(struct nh_ub_event *ub)
{
    (void)ub;
    return -1;
}

static void event_no_wsa(struct nh_ub_event *ub)
{
    (void)ub;
}

/* For Windows, where an event tells a change only once. libunbound 1.13 calls it everywhere. */
static void event_would_block(struct nh_ub_event *ub, int bits)
{
    (void)ub;
    (void)bits;
}

static const struct nh_ub_event_calls event_calls = {
    .add_bits = event_add_bits,
    .remove_bits = event_del_bits,
    .set_fd = event_set_fd,
    .free = event_free,
    .start = event_add,
    .stop = event_del,
    .start_timer = event_add_timer,
    .stop_timer = event_del,
    .start_signal = event_no_signal,
    .stop_signal = event_no_signal_del,
    .free_wsa = event_no_wsa,
    .would_block = event_would_block,
};

static struct nh_ub_event *event_new(struct nh_ub_base *base, int fd, short bits,
                                     void (*cb)(int, short, void *), void *arg)
{
    struct event *ev = calloc(1, sizeof *ev);

    if (!ev)
        return NULL;
    ev->ub.magic = NH_UB_MAGIC;
    ev->ub.calls = &event_calls;
    ev->base = (struct nh_base *)base;
    ev->loop = ev->base->loop;
    /* libunbound only reads from the event of a UDP socket, and first writes to that of a TCP
     * socket. */
    ev->is_udp = bits == (NH_EV_READ | NH_EV_PERSIST);
    ev->fd = fd;
    ev->bits = bits;
    ev->cb = cb;
    ev->arg = arg;
    return &ev->ub;
}

static int base_exit(struct nh_ub_base *base, struct timeval *tv)
{
    (void)base;
    (void)tv;
    return 0;
}

/* We free the base ourselves. libunbound calls this function all the same when it fails to
 * start. */
static void base_free(struct nh_ub_base *base)
{
    (void)base;
}

static int base_run(struct nh_ub_base *base)
{
    (void)base;
    return -1;
}

static struct nh_ub_event *base_no_signal(struct nh_ub_base *base, int number, nh_ub_happened *cb,
                                          void *arg)
{
    (void)base, (void)number, (void)cb, (void)arg;
    return NULL;
}

static struct nh_ub_event *base_no_wsa(struct nh_ub_base *base, void *wsa, nh_ub_happened *cb,
                                       void *arg)
{
    (void)base, (void)wsa, (void)cb, (void)arg;
    return NULL;
}

/* Each member has a function, also those that libunbound is not known to call. */
static const struct nh_ub_base_calls base_calls = {
    .free = base_free,
    .run = base_run,
    .stop = base_exit,
    .new_event = event_new,
    .new_signal = base_no_signal,
    .new_wsa = base_no_wsa,
};

struct nh_base *nh_base_new(struct nh_loop *loop)
{
    struct nh_base *base = calloc(1, sizeof *base);

    if (!base)
        return NULL;
    base->ub.magic = NH_UB_MAGIC;
    base->ub.calls = &base_calls;
    base->loop = loop;
    return base;
}

struct nh_ub_base *nh_base_events(struct nh_base *base)
{
    return &base->ub;
}

void nh_base_free(struct nh_base *base)
{
    free(base);
}

unsigned nh_base_sockets(const struct nh_base *base)
{
    return base->sockets;
}

bool nh_loop_ready(const struct nh_loop *loop)
{
    return !NH_LIST_EMPTY(&loop->io_ready) || !NH_LIST_EMPTY(&loop->zero_delay) ||
           !NH_LIST_EMPTY(&loop->timed_out);
}

static bool dispatch_first(struct events *queue)
{
    struct event *ev = NH_LIST_FIRST(queue);

    if (!ev)
        return false;
    short bits = ev->ready;
    event_unmark(ev);
    /* Do all our work before the callback, because the callback may free the event. */
    if (!(ev->bits & NH_EV_PERSIST))
        event_del(&ev->ub);
    else if (ev->timeout)
        (void)event_start_timer(ev);
    ev->cb(ev->fd, bits, ev->arg);
    return true;
}

/* When the host program was late, there are both: answers in the sockets, and timeouts for the
 * same queries. The answers go first, and so do answers that came after the last look at the
 * sockets. */
bool nh_loop_settled(struct nh_loop *loop)
{
    if (!NH_LIST_EMPTY(&loop->io_ready))
        return false;
    if (uv_hrtime() - loop->collected < LOOK_HOLDS)
        return true;
    nh_loop_collect(loop, false);
    return NH_LIST_EMPTY(&loop->io_ready);
}

bool nh_loop_dispatch(struct nh_loop *loop)
{
    if (dispatch_first(&loop->zero_delay) || dispatch_first(&loop->io_ready))
        return true;
    if (NH_LIST_EMPTY(&loop->timed_out))
        return false;
    return dispatch_first(nh_loop_settled(loop) ? &loop->timed_out : &loop->io_ready);
}

bool nh_loop_dispatch_zero_delay(struct nh_loop *loop)
{
    return dispatch_first(&loop->zero_delay);
}

/* ---- descriptors of ours ------------------------------------------------------ */

/* A watch is an event of ours, with libunbound's callback type. */
struct nh_watch *nh_watch_new(struct nh_loop *loop, int fd, void (*fn)(int, short, void *),
                              void *arg)
{
    return (struct nh_watch *)event_new(&loop->own.ub, fd, NH_EV_PERSIST, fn, arg);
}

bool nh_watch_set(struct nh_watch *watch, bool read, bool write)
{
    struct event *ev = (struct event *)watch;
    short bits = (short)(NH_EV_PERSIST | (read ? NH_EV_READ : 0) | (write ? NH_EV_WRITE : 0));

    if (ev->poll && ev->bits == bits)
        return true;
    ev->bits = bits;
    return ev->poll ? event_watch(ev) == 0 : event_add(&ev->ub, NULL) == 0;
}

void nh_watch_free(struct nh_watch *watch)
{
    event_free((struct nh_ub_event *)watch);
}

/* ---- the loop --------------------------------------------------------------- */

struct nh_loop *nh_loop_new(void)
{
    struct nh_loop *loop = calloc(1, sizeof *loop);

    if (!loop)
        return NULL;
    if (uv_loop_init(&loop->uv) != 0) {
        free(loop);
        return NULL;
    }
    loop->own.loop = loop;
    NH_LIST_INIT(&loop->io_ready);
    NH_LIST_INIT(&loop->timed_out);
    NH_LIST_INIT(&loop->zero_delay);
    NH_LIST_INIT(&loop->free_list);
    return loop;
}

static void close_left(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, free_handle);
}

void nh_loop_free(struct nh_loop *loop)
{
    if (!loop)
        return;
    /* every handle is the first member of its own block, so free_handle fits all of them */
    uv_walk(&loop->uv, close_left, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
    free(loop);
}

int nh_loop_fd(const struct nh_loop *loop)
{
    return uv_backend_fd(&loop->uv);
}

double nh_loop_timeout(struct nh_loop *loop)
{
    if (nh_loop_ready(loop))
        return 0;
    uv_update_time(&loop->uv);
    int ms = uv_backend_timeout(&loop->uv);
    return ms < 0 ? -1 : ms / 1000.0;
}

void nh_loop_collect(struct nh_loop *loop, bool block)
{
    loop->stale = false;
    uv_run(&loop->uv, block ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    loop->collected = uv_hrtime();
}

bool nh_loop_stale(const struct nh_loop *loop)
{
    return loop->stale;
}
