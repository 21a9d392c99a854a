/* list.h - doubly linked lists. A list knows its first and its last member, and each member has a
 * link in its own struct, so that adding and removing need no memory.
 *
 * <sys/queue.h> does the same, but POSIX does not have it, and musl does not either. A list or a
 * link that is all zero is empty. The macros may evaluate their arguments more than once. */
#pragma once

#include <stddef.h>

/* Declares the list; `name` may be empty, as for a struct. */
#define NH_LIST_HEAD(name, type)                                                                   \
    struct name {                                                                                  \
        struct type *first, *last;                                                                 \
    }

/* Declares the link of a member. */
#define NH_LIST_LINK(type)                                                                         \
    struct {                                                                                       \
        struct type *next, *former;                                                                \
    }

#define NH_LIST_INIT(list) ((list)->first = NULL, (list)->last = NULL)
#define NH_LIST_EMPTY(list) ((list)->first == NULL)
#define NH_LIST_FIRST(list) ((list)->first)
#define NH_LIST_LAST(list) ((list)->last)
#define NH_LIST_NEXT(member, link) ((member)->link.next)

/* The member must not be removed inside this loop. */
#define NH_LIST_FOREACH(member, list, link)                                                        \
    for ((member) = (list)->first; (member); (member) = (member)->link.next)

#define NH_LIST_INSERT_FIRST(list, member, link)                                                   \
    do {                                                                                           \
        (member)->link.former = NULL;                                                              \
        (member)->link.next = (list)->first;                                                       \
        if ((list)->first)                                                                         \
            (list)->first->link.former = (member);                                                 \
        else                                                                                       \
            (list)->last = (member);                                                               \
        (list)->first = (member);                                                                  \
    } while (0)

#define NH_LIST_INSERT_LAST(list, member, link)                                                    \
    do {                                                                                           \
        (member)->link.next = NULL;                                                                \
        (member)->link.former = (list)->last;                                                      \
        if ((list)->last)                                                                          \
            (list)->last->link.next = (member);                                                    \
        else                                                                                       \
            (list)->first = (member);                                                              \
        (list)->last = (member);                                                                   \
    } while (0)

/* The member is in this list. */
#define NH_LIST_REMOVE(list, member, link)                                                         \
    do {                                                                                           \
        if ((member)->link.former)                                                                 \
            (member)->link.former->link.next = (member)->link.next;                                \
        else                                                                                       \
            (list)->first = (member)->link.next;                                                   \
        if ((member)->link.next)                                                                   \
            (member)->link.next->link.former = (member)->link.former;                              \
        else                                                                                       \
            (list)->last = (member)->link.former;                                                  \
    } while (0)
