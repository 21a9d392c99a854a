/* system.h - what operating systems do in different ways. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Opens a socket that children of the process do not inherit. Returns -1 and sets errno on failure. */
int nh_socket(int family, int type, bool is_nonblocking);

/* Fills in random bytes, 256 at most. Returns false on failure. */
bool nh_random(void *out, size_t size);

/* The number of descriptors that the process has open, at least about. */
unsigned nh_open_descriptors(void);

/* Does the process ignore SIGHUP, as nohup(1) wants it? */
bool nh_hup_is_ignored(void);

/* Keeps the process to these operations, as pledge(2) of OpenBSD: `promises` are its words. And to these
 * paths, as unveil(2): a path and the permissions of it. Each of them returns 0 or an errno; where the
 * system has no such function they return 0 and do nothing. */
int nh_pledge(const char *promises);
int nh_unveil(const char *path, const char *permissions);

/* Have pledge and unveil an effect here? */
bool nh_has_pledge(void);
