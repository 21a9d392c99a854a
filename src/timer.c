/* timer.c - one-shot timers on the loop. A timer that has fired or was stopped is used again. */
#include "timer.h"

#include "loop_private.h"

#include <stdlib.h>

struct nh_timer {
    uv_timer_t uv;
    struct nh_loop *loop;
    void (*fn)(void *);
    void *arg;
    NH_LIST_LINK(nh_timer) link; /* in free_list of the loop */
};

static void timer_retire(struct nh_timer *timer)
{
    timer->fn = NULL;
    NH_LIST_INSERT_FIRST(&timer->loop->free_list, timer, link);
}

static void on_nh_timer(uv_timer_t *uv)
{
    struct nh_timer *timer = uv->data;
    void (*fn)(void *) = timer->fn;
    void *arg = timer->arg;

    timer_retire(timer);
    fn(arg);
}

struct nh_timer *nh_timer_start(struct nh_loop *loop, double seconds, void (*fn)(void *), void *arg)
{
    struct nh_timer *timer = NH_LIST_FIRST(&loop->free_list);

    if (timer) {
        NH_LIST_REMOVE(&loop->free_list, timer, link);
    } else {
        timer = calloc(1, sizeof *timer);
        if (!timer)
            return NULL;
        uv_timer_init(&loop->uv, &timer->uv);
        timer->uv.data = timer;
        timer->loop = loop;
    }
    timer->fn = fn;
    timer->arg = arg;
    if (seconds < 0)
        seconds = 0;
    uv_update_time(&loop->uv);
    uv_timer_start(&timer->uv, on_nh_timer, (uint64_t)(seconds * 1000 + 0.999), 0);
    return timer;
}

void nh_timer_stop(struct nh_timer *timer)
{
    if (timer && timer->fn) {
        uv_timer_stop(&timer->uv);
        timer_retire(timer);
    }
}
