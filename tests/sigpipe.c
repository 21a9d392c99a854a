/*
 * sigpipe.c - preloaded: a TCP connection that is gone, whatever the server does. What is written with
 * writev() gets what the kernel has for that: SIGPIPE to the thread, and EPIPE.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/uio.h>

__attribute__((visibility("default"))) ssize_t writev(int fd, const struct iovec *iov, int n);

ssize_t writev(int fd, const struct iovec *iov, int n)
{
    (void)fd, (void)iov, (void)n;
    raise(SIGPIPE);
    errno = EPIPE;
    return -1;
}
