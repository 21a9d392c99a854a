/* descriptors.h - the standard descriptors of the process, and the descriptor of a Unix socket. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Opens /dev/null at each of the descriptors 0 to 2 that is closed, so that no descriptor that
 * is opened later gets its number. Reading from this 0 fails with EBADF, as on a closed
 * descriptor, and so does writing to this 1 or 2. Returns 0 or the errno. */
int nh_descriptors_fill(void);

/* Keeps the standard descriptor fd from child processes. *own becomes a duplicate of it that is
 * close-on-exec and at least 3. fd becomes a duplicate of `substitute`, or of /dev/null when
 * that is negative. Returns 0 or the errno. After an error fd is unchanged. */
int nh_descriptor_take(int fd, int substitute, int *own);

/* Does nobody read any more what is written to fd? This is so when the other side has closed the
 * pipe or the socket, but not when it has only shut down its own direction of a socket. */
bool nh_descriptor_is_broken(int fd);

/* Makes a Unix stream socket that is close-on-exec, and binds it to path. A path that is too
 * long is ENAMETOOLONG. Returns 0 or the errno. */
int nh_descriptor_bind(const char *path, int *fd);

/* Takes the listening Unix stream socket that a service manager passes to this process as
 * descriptor 3, as sd_listen_fds(3) describes it. *fd is -1 when none is passed. No child process
 * inherits the socket or the variables that announce it. Returns 0; E2BIG when more than one
 * descriptor is passed, EPROTOTYPE when it is no such socket, or another errno. */
int nh_descriptor_passed(int *fd);
