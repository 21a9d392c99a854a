/* loop.h - the event base that libunbound runs on, made of a libuv loop. */
#ifndef NEXTHOP_LOOP_H
#define NEXTHOP_LOOP_H

#include <stdbool.h>

#pragma GCC visibility push(hidden)

struct ub_event_base;
struct nh_loop;
struct nh_timer;

/* NULL when memory or descriptors are out. */
struct nh_loop *nh_loop_new(void);

/* Call after ub_ctx_delete(): closes what is left and frees the loop. */
void nh_loop_free(struct nh_loop *loop);

/* What ub_ctx_create_ub_event() takes; lives as long as the loop. */
struct ub_event_base *nh_loop_base(struct nh_loop *loop);

/* The descriptor that is readable when the loop has work. */
int nh_loop_fd(const struct nh_loop *loop);

/* Seconds to the next timer, 0 when events wait to be dispatched, negative when there is none. */
double nh_loop_timeout(struct nh_loop *loop);

/* Monotonic seconds. */
double nh_now(void);

/* Collects what is ready (events of libunbound, timers of ours); block: waits for at least one.
 * Registers new descriptors with the kernel, which libuv does nowhere else. */
void nh_loop_collect(struct nh_loop *loop, bool block);

/* True when descriptors were added since the last collect. */
bool nh_loop_stale(const struct nh_loop *loop);

/* Hands one collected event to libunbound. False when there was none. */
bool nh_loop_dispatch(struct nh_loop *loop);

/* The same of what libunbound asked to be called for without delay: a query waits to be sent. */
bool nh_loop_dispatch_zero_delay(struct nh_loop *loop);

bool nh_loop_ready(const struct nh_loop *loop);

/* True when no answer waits, in no socket either. Looks at the sockets if the last look was a while
 * ago. */
bool nh_loop_settled(struct nh_loop *loop);

/* A one-shot timer of ours: fn(arg) is called from inside nh_loop_collect() and must not call
 * libunbound. NULL when memory is out. Owned by the loop until nh_timer_stop() or until it has
 * fired. */
struct nh_timer *nh_timer_start(struct nh_loop *loop, double seconds, void (*fn)(void *),
                                void *arg);
void nh_timer_stop(struct nh_timer *timer);

#pragma GCC visibility pop

#endif
