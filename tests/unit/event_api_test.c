/* event_api_test.c - where libunbound's own header is installed, the declarations of event_api.h say the same. */
#include "tap.h"

#include "event_api.h"

#include <stddef.h>
#include <stdio.h>

#if __has_include(<unbound-event.h>)
#define HAS_HEADER 1
/* Its functions have types of its own. */
#define ub_ctx_create_ub_event header_create
#define ub_resolve_event header_resolve
#include <unbound-event.h>
#undef ub_ctx_create_ub_event
#undef ub_resolve_event
#endif

#ifdef HAS_HEADER
#define SAME(ours, member, theirs, other)                                                          \
    ok(offsetof(struct ours, member) == offsetof(struct theirs, other), #ours "." #member)
#define SAME_BASE(member, other) SAME(nh_ub_base_calls, member, ub_event_base_vmt, other)
#define SAME_EVENT(member, other) SAME(nh_ub_event_calls, member, ub_event_vmt, other)

static void test_members(void)
{
    SAME(nh_ub_base, magic, ub_event_base, magic);
    SAME(nh_ub_base, calls, ub_event_base, vmt);
    SAME(nh_ub_event, magic, ub_event, magic);
    SAME(nh_ub_event, calls, ub_event, vmt);
    SAME_BASE(free, free);
    SAME_BASE(run, dispatch);
    SAME_BASE(stop, loopexit);
    SAME_BASE(new_event, new_event);
    SAME_BASE(new_signal, new_signal);
    SAME_BASE(new_wsa, winsock_register_wsaevent);
    SAME_EVENT(add_bits, add_bits);
    SAME_EVENT(remove_bits, del_bits);
    SAME_EVENT(set_fd, set_fd);
    SAME_EVENT(free, free);
    SAME_EVENT(start, add);
    SAME_EVENT(stop, del);
    SAME_EVENT(start_timer, add_timer);
    SAME_EVENT(stop_timer, del_timer);
    SAME_EVENT(start_signal, add_signal);
    SAME_EVENT(stop_signal, del_signal);
    SAME_EVENT(free_wsa, winsock_unregister_wsaevent);
    SAME_EVENT(would_block, winsock_tcp_wouldblock);
}

static void test_sizes_and_values(void)
{
    ok(sizeof(struct nh_ub_base) == sizeof(struct ub_event_base), "the size of a base");
    ok(sizeof(struct nh_ub_event) == sizeof(struct ub_event), "the size of an event");
    ok(sizeof(struct nh_ub_base_calls) == sizeof(struct ub_event_base_vmt), "of its table");
    ok(sizeof(struct nh_ub_event_calls) == sizeof(struct ub_event_vmt), "of the event's table");
    ok(NH_UB_MAGIC == UB_EVENT_MAGIC, "the magic number");
    ok(NH_EV_TIMEOUT == UB_EV_TIMEOUT && NH_EV_READ == UB_EV_READ && NH_EV_WRITE == UB_EV_WRITE &&
           NH_EV_PERSIST == UB_EV_PERSIST,
       "the bits");
    ok(_Generic((nh_ub_answered *)NULL, ub_event_callback_type : 1, default : 0), "the callback");
}
#endif

int main(void)
{
    struct nh_err err;

#ifdef HAS_HEADER
    test_members();
    test_sizes_and_values();
#endif
    ok(nh_event_api_check(&err), "this libunbound fits");
    ok(nh_event_api_check(&err), "and it does so a second time");
    return tap_done();
}
