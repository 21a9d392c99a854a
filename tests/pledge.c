/*
 * pledge.c - preloaded: stands for pledge(2) and unveil(2) of OpenBSD. What is promised goes to the file
 * $NEXTHOP_TEST_PLEDGE, a line for each call, and so does what is done against it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

PUBLIC int pledge(const char *promises, const char *exec_promises);
PUBLIC int unveil(const char *path, const char *permissions);
PUBLIC int open(const char *path, int flags, ...);
PUBLIC int open64(const char *path, int flags, ...);
PUBLIC int openat(int folder, const char *path, int flags, ...);
PUBLIC int socket(int domain, int type, int protocol);
PUBLIC int unlink(const char *path);
PUBLIC pid_t fork(void);

static char promised[200]; /* " stdio rpath ..." and a space; empty: nothing is restricted yet */
static char folders[4][200];
static int n_folders;

static void note(const char *kind, const char *first, const char *second)
{
    const char *path = getenv("NEXTHOP_TEST_PLEDGE");
    char line[500];
    int fd = path ? openat64(AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT, 0600) : -1;
    int n = snprintf(line, sizeof line, "%s %s%s%s\n", kind, first, *second ? " " : "", second);

    if (fd < 0 || write(fd, line, (size_t)n) != n)
        abort();
    close(fd);
}

int pledge(const char *promises, const char *exec_promises)
{
    note("pledge", promises, exec_promises ? exec_promises : "");
    snprintf(promised, sizeof promised, " %s ", promises);
    return 0;
}

int unveil(const char *path, const char *permissions)
{
    note("unveil", path, permissions);
    if (strchr(permissions, 'w') && n_folders < 4)
        snprintf(folders[n_folders++], sizeof folders[0], "%s/", path);
    return 0;
}

static bool promises(const char *word)
{
    char text[40];

    snprintf(text, sizeof text, " %s ", word);
    return !promised[0] || strstr(promised, text);
}

static bool is_unveiled(const char *path)
{
    for (int k = 0; k < n_folders; k++)
        if (strncmp(path, folders[k], strlen(folders[k])) == 0)
            return true;
    return !promised[0];
}

static void check(bool is_allowed, const char *what, const char *of)
{
    if (!is_allowed)
        note("violation", what, of);
}

static int checked_open(int folder, const char *path, int flags, va_list args)
{
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;

    if ((flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT)
        check(promises("wpath") && is_unveiled(path), "open for writing", path);
    else
        check(promises("rpath"), "open", path);
    return openat64(folder, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    int fd = checked_open(AT_FDCWD, path, flags, args);
    va_end(args);
    return fd;
}

int open64(const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    int fd = checked_open(AT_FDCWD, path, flags, args);
    va_end(args);
    return fd;
}

int openat(int folder, const char *path, int flags, ...)
{
    va_list args;

    va_start(args, flags);
    int fd = checked_open(folder, path, flags, args);
    va_end(args);
    return fd;
}

int socket(int domain, int type, int protocol)
{
    int (*real)(int, int, int);

    check(promises(domain == AF_UNIX ? "unix" : "inet"), "socket", "");
    *(void **)&real = dlsym(RTLD_NEXT, "socket");
    return real(domain, type, protocol);
}

int unlink(const char *path)
{
    check(promises("cpath") && is_unveiled(path), "unlink", path);
    return unlinkat(AT_FDCWD, path, 0);
}

pid_t fork(void)
{
    pid_t (*real)(void);

    check(promises("proc"), "fork", "");
    *(void **)&real = dlsym(RTLD_NEXT, "fork");
    return real();
}
