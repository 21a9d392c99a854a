/* descriptors.h - descriptors of the process: the standard ones, and a Unix socket's own file. */
#ifndef NEXTHOP_DESCRIPTORS_H
#define NEXTHOP_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* Opens /dev/null at each of the descriptors 0 to 2 that is closed, so that no descriptor that is
 * opened later takes its place. Reading from such a 0 fails with EBADF, and so does writing to such a
 * 1 or 2, as on a closed one. Returns 0, or the errno. */
int nh_descriptors_fill(void);

/* Moves the standard descriptor fd out of reach of child processes: *own becomes a duplicate, at
 * least 3 and close-on-exec, and fd becomes a duplicate of `substitute`, or /dev/null where that is
 * negative. Returns 0, or the errno; then fd is as it was. */
int nh_descriptor_take(int fd, int substitute, int *own);

/* Does nobody read any more what is written to fd: has the other side closed a pipe, or closed a
 * socket and not merely shut down its own direction? */
bool nh_descriptor_is_broken(int fd);

/* Makes a Unix stream socket, close-on-exec, and binds it to path, which must fit (ENAMETOOLONG).
 * Returns 0, or the errno. */
int nh_descriptor_bind(const char *path, int *fd);

#pragma GCC visibility pop

#endif
