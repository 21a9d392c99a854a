/*
 * sigpipe.c - preloaded: a TCP connection that is gone, whatever the server does. What is written with
 * writev() gets what the kernel has for that: SIGPIPE to the thread, and EPIPE. So does the last word
 * that TLS has for a connection that is closed, which libunbound writes when its context is deleted.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

PUBLIC ssize_t writev(int fd, const struct iovec *iov, int n);
PUBLIC int close(int fd);

ssize_t writev(int fd, const struct iovec *iov, int n)
{
    (void)fd, (void)iov, (void)n;
    raise(SIGPIPE);
    errno = EPIPE;
    return -1;
}

int close(int fd)
{
    int domain = 0, type = 0;
    socklen_t size = sizeof domain;

    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_INET &&
        getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM)
        raise(SIGPIPE);
    return (int)syscall(SYS_close, fd);
}
