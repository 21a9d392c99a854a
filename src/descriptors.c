/* descriptors.c - the standard descriptors of the process, and the descriptor of a Unix socket.
 *
 * A child process inherits every descriptor that is not close-on-exec. Descriptors 0 to 2 are
 * among them. A program that speaks a protocol on 0 and 1 must keep both from the children that
 * a user's function starts. Otherwise the output of a child would be an answer, and the input
 * that it reads would be lost. */
#include "descriptors.h"

#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int nh_descriptors_fill(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) != -1 || errno != EBADF)
            continue;
        /* The lowest free descriptor is fd: those below it are open. It gets the other direction,
         * so that its use is an error and not an empty input or an output that is lost. */
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return errno;
    }
    return 0;
}

int nh_descriptor_take(int fd, int substitute, int *own)
{
    int error = 0, null = -1;

    *own = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (*own == -1)
        return errno;
    if (substitute < 0)
        substitute = null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (substitute == -1 || dup2(substitute, fd) == -1)
        error = errno;
    if (null != -1)
        close(null);
    if (error)
        close(*own);
    return error;
}

bool nh_descriptor_is_broken(int fd)
{
    struct pollfd p = {.fd = fd, .events = 0};

    return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP | POLLNVAL));
}

int nh_descriptor_bind(const char *path, int *fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    int error;

    if (len >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, path, len);
    *fd = nh_socket(AF_UNIX, SOCK_STREAM, false);
    if (*fd == -1)
        return errno;
    if (bind(*fd, (const struct sockaddr *)&address, sizeof address) == -1) {
        error = errno;
        close(*fd);
        return error;
    }
    return 0;
}

/* Is fd a Unix stream socket that listens? */
static bool descriptor_listens(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address, size = sizeof(int);
    int listens = 0, type = 0;

    return getsockname(fd, (struct sockaddr *)&address, &len) == 0 &&
           address.ss_family == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
           type == SOCK_STREAM && getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 &&
           listens;
}

int nh_descriptor_passed(int *fd)
{
    const int first = STDERR_FILENO + 1; /* SD_LISTEN_FDS_START */
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    bool is_ours = pid && count && strtol(pid, NULL, 10) == (long)getpid();
    long passed = is_ours ? strtol(count, NULL, 10) : 0;

    *fd = -1;
    if (!is_ours)
        return 0;
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    if (passed != 1)
        return passed > 1 ? E2BIG : 0;
    if (!descriptor_listens(first))
        return EPROTOTYPE;
    if (fcntl(first, F_SETFD, FD_CLOEXEC) == -1)
        return errno;
    *fd = first;
    return 0;
}
