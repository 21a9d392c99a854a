/* dial.h - opens a TCP socket. */
#pragma once

#include "name.h"

#include <stdbool.h>
#include <stdint.h>

/* Opens a socket that does not block, and begins to connect it to the address. source is the local
 * address, or has the family 0. Returns 0, or the errno of what has failed. *fd is -1 when there is
 * no socket. The caller closes it. */
int nh_dial(const struct nh_ip *ip, uint16_t port, const struct nh_ip *source, int *fd);

/* Is the socket connected, or has it failed to be? */
bool nh_dial_is_over(int fd);
