/* system.h - what operating systems do in different ways. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Opens a socket that children of the process do not inherit. Returns -1 and sets errno on failure. */
int nh_socket(int family, int type, bool is_nonblocking);

/* Fills in random bytes, 256 at most. Returns false on failure. */
bool nh_random(void *out, size_t size);

/* The number of descriptors that the process has open, at least about. */
unsigned nh_open_descriptors(void);

/* The number of this process, as getpid(): a child after a fork has another one. On Linux 4.14 or
 * later only the first call in a process is a system call. Elsewhere each one is. */
pid_t nh_process_id(void);

/* Does the process ignore SIGHUP, as nohup(1) wants it? */
bool nh_hup_is_ignored(void);

/* pledge(2) and unveil(2) of OpenBSD. After nh_pledge() the process can do only what the words of
 * `promises` name. After nh_unveil() it can use only the paths that were given, each with its
 * permissions. Both return 0 or an errno. Where the system has no such function, they do nothing and
 * return 0. */
int nh_pledge(const char *promises);
int nh_unveil(const char *path, const char *permissions);

/* Have pledge and unveil an effect here? */
bool nh_has_pledge(void);
