/* loop.h - the event base that libunbound runs on, made of a libuv loop. */
#pragma once

#include <stdbool.h>

struct nh_ub_base;
struct nh_loop;
struct nh_base;
struct nh_watch;

/* Returns NULL when there is no memory or no descriptor left. */
struct nh_loop *nh_loop_new(void);

/* Closes the handles that are left and frees the loop. Call it after ub_ctx_delete(). */
void nh_loop_free(struct nh_loop *loop);

/* The base of one libunbound context on the loop. nh_base_events() is for
 * ub_ctx_create_ub_event(). Free the base after ub_ctx_delete(). nh_base_new() returns NULL when
 * memory runs out. */
struct nh_base *nh_base_new(struct nh_loop *loop);
struct nh_ub_base *nh_base_events(struct nh_base *base);
void nh_base_free(struct nh_base *base);

/* The number of UDP sockets that the context has open. */
unsigned nh_base_sockets(const struct nh_base *base);

/* The descriptor that is readable when the loop has work to do. */
int nh_loop_fd(const struct nh_loop *loop);

/* Seconds to the next timer; 0 when events wait to be dispatched; negative when there is no
 * timer. */
double nh_loop_timeout(struct nh_loop *loop);

/* Seconds of a monotonic clock. */
double nh_now(void);

/* Collects the events of libunbound and the timers of ours that are ready. With block it waits
 * until at least one is ready. It also registers new descriptors with the kernel, which libuv
 * does nowhere else. */
void nh_loop_collect(struct nh_loop *loop, bool block);

/* Were descriptors added since the last collect? */
bool nh_loop_stale(const struct nh_loop *loop);

/* Passes one collected event to libunbound. Returns false when there was none. */
bool nh_loop_dispatch(struct nh_loop *loop);

/* The same, but only for events that libunbound has asked for without delay: a query waits to be
 * sent. */
bool nh_loop_dispatch_zero_delay(struct nh_loop *loop);

bool nh_loop_ready(const struct nh_loop *loop);

/* Is there no answer that waits, neither collected nor in a socket? Looks at the sockets if the
 * last look was some time ago. */
bool nh_loop_settled(struct nh_loop *loop);

/* Watches a descriptor of ours. When it is ready, fn(fd, bits, arg) is called from
 * nh_loop_dispatch(); bits are NH_EV_READ and NH_EV_WRITE. Nothing is watched until
 * nh_watch_set(). Returns NULL when memory runs out. */
struct nh_watch *nh_watch_new(struct nh_loop *loop, int fd, void (*fn)(int, short, void *),
                              void *arg);

/* Chooses what is watched. Returns false when the descriptor cannot be watched. */
bool nh_watch_set(struct nh_watch *watch, bool read, bool write);

/* Call it before the descriptor is closed. watch may be NULL. */
void nh_watch_free(struct nh_watch *watch);
