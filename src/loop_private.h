/* loop_private.h - the inside of the loop, which loop.c and timer.c share. */
#pragma once

#include "event_api.h"
#include "list.h"
#include "loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

NH_LIST_HEAD(events, event);

struct nh_base {
    struct nh_ub_base ub; /* first member: libunbound sees only this */
    struct nh_loop *loop;
    unsigned sockets; /* UDP sockets that are open */
};

struct nh_loop {
    uv_loop_t uv;
    struct nh_base own; /* of descriptors that are not libunbound's */
    bool stale;
    uint64_t collected;       /* nanoseconds: when the sockets were last looked at */
    struct events io_ready;   /* a descriptor is ready */
    struct events timed_out;  /* the time is up; last, because the answer may be in io_ready */
    struct events zero_delay; /* timeouts of 0: libunbound begins each query to a server with one */
    NH_LIST_HEAD(, nh_timer) free_list;
};
