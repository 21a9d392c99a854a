/* system.c - what operating systems do in different ways. */
#include "system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h> /* getentropy() */
#endif

/* Without /proc we try each descriptor up to this one. */
#define TRIED_MAX 4096

#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)

int nh_socket(int family, int type, bool is_nonblocking)
{
    return socket(family, type | SOCK_CLOEXEC | (is_nonblocking ? SOCK_NONBLOCK : 0), 0);
}

#else

/* A child that another thread starts between these calls inherits the socket. */
int nh_socket(int family, int type, bool is_nonblocking)
{
    int fd = socket(family, type, 0);

    if (fd >= 0 && (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
                    (is_nonblocking && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0))) {
        int error = errno;

        close(fd);
        errno = error;
        fd = -1;
    }
    return fd;
}

#endif

bool nh_random(void *out, size_t size)
{
    return getentropy(out, size) == 0;
}

static unsigned try_descriptors(void)
{
    struct rlimit limit;
    int last = TRIED_MAX;
    unsigned n = 0;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < TRIED_MAX)
        last = (int)limit.rlim_cur;
    for (int fd = 0; fd < last; fd++)
        n += fcntl(fd, F_GETFD) != -1;
    return n;
}

unsigned nh_open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    if (!dir)
        return try_descriptors();
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

#ifdef MADV_WIPEONFORK

/* Linux fills the page with zeros in each child that has memory of its own. (A child of vfork() has not, and may
 * only start another program.) */
static pid_t *page, no_page; /* NULL: not made yet; &no_page: the kernel has none */

static pid_t *make_page(size_t size)
{
    void *made = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (made == MAP_FAILED)
        return &no_page;
    /* -1 is no advice. An emulator that accepts it accepts any advice, and does nothing. */
    if (madvise(made, size, -1) != 0 && madvise(made, size, MADV_WIPEONFORK) == 0)
        return made;
    munmap(made, size);
    return &no_page;
}

/* Without a lock, which a fork could leave locked. Of two threads, the second takes the page of the first. */
static pid_t *publish_page(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    pid_t *made = make_page(size), *other = NULL;

    if (__atomic_compare_exchange_n(&page, &other, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made;
    if (made != &no_page)
        munmap(made, size);
    return other;
}

pid_t nh_process_id(void)
{
    pid_t id, *place = __atomic_load_n(&page, __ATOMIC_ACQUIRE);

    if (!place)
        place = publish_page();
    if (place == &no_page)
        return getpid();
    id = __atomic_load_n(place, __ATOMIC_RELAXED);
    if (id == 0) {
        id = getpid();
        __atomic_store_n(place, id, __ATOMIC_RELAXED);
    }
    return id;
}

#else

pid_t nh_process_id(void)
{
    return getpid();
}

#endif

bool nh_hup_is_ignored(void)
{
    struct sigaction action;

    return sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* Where the C library has them. */
extern int pledge(const char *promises, const char *exec_promises) __attribute__((weak));
extern int unveil(const char *path, const char *permissions) __attribute__((weak));

bool nh_has_pledge(void)
{
    return pledge && unveil;
}

int nh_pledge(const char *promises)
{
    return nh_has_pledge() && pledge(promises, NULL) != 0 ? errno : 0;
}

int nh_unveil(const char *path, const char *permissions)
{
    return nh_has_pledge() && unveil(path, permissions) != 0 ? errno : 0;
}
