/*
 * dial.c - opens a TCP socket and begins to connect it.
 */
#include "dial.h"

#include "system.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static socklen_t set_address(struct sockaddr_storage *out, const struct nh_ip *ip, uint16_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    if (ip->family == 4) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, ip->addr, 4);
        return sizeof *v4;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    memcpy(&v6->sin6_addr, ip->addr, 16);
    return sizeof *v6;
}

int nh_dial(const struct nh_ip *ip, uint16_t port, const struct nh_ip *source, int *fd)
{
    struct sockaddr_storage address;
    socklen_t len;

    *fd = nh_socket(ip->family == 4 ? AF_INET : AF_INET6, SOCK_STREAM, true);
    if (*fd < 0)
        return errno;
    if (source->family) {
        len = set_address(&address, source, 0);
        if (bind(*fd, (struct sockaddr *)&address, len) != 0)
            return errno;
    }
    len = set_address(&address, ip, port);
    if (connect(*fd, (struct sockaddr *)&address, len) != 0 && errno != EINPROGRESS)
        return errno;
    return 0;
}

bool nh_dial_is_over(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

    return poll(&poll_fd, 1, 0) > 0;
}
