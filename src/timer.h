/* timer.h - one-shot timers on the loop. */
#pragma once

struct nh_loop;
struct nh_timer;

/* Starts a one-shot timer of ours. fn(arg) is called from inside nh_loop_collect() and must not
 * call libunbound. Returns NULL when memory runs out. The loop owns the timer until
 * nh_timer_stop() is called or until the timer has fired. */
struct nh_timer *nh_timer_start(struct nh_loop *loop, double seconds, void (*fn)(void *),
                                void *arg);
void nh_timer_stop(struct nh_timer *timer);
