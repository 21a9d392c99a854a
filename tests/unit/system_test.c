/* system_test.c - nh_process_id() in processes that are made in several ways. */
#include "system.h"

#include "tap.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the kernel says to advice. The last one is an emulator, which does nothing. */
static enum { OBEYS, REFUSES, ACCEPTS_ALL } kernel;
static unsigned asked;

int __real_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice);
pid_t __real_getpid(void);
pid_t __wrap_getpid(void);

int __wrap_madvise(void *at, size_t size, int advice)
{
    if (kernel == OBEYS)
        return __real_madvise(at, size, advice);
    return kernel == REFUSES ? -1 : 0;
}

pid_t __wrap_getpid(void)
{
    asked++;
    return __real_getpid();
}

static pid_t of_the_kernel(void)
{
    return (pid_t)syscall(SYS_getpid);
}

static pid_t by_fork(void)
{
    return fork();
}

/* No handler of pthread_atfork() runs. */
static pid_t by_clone(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/* Is the number right in a child, in its child, and in the parent afterwards? */
static bool is_right_below(pid_t (*make)(void), unsigned depth)
{
    int status = 0;

    if (nh_process_id() != of_the_kernel())
        return false;
    if (depth == 0)
        return true;
    pid_t child = make();
    if (child == 0)
        _exit(is_right_below(make, depth - 1) ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 &&
           nh_process_id() == of_the_kernel();
}

static void *in_thread(void *arg)
{
    *(pid_t *)arg = nh_process_id();
    return NULL;
}

static void check(const char *where)
{
    pthread_t thread;
    pid_t seen = 0;

    ok(is_right_below(by_fork, 2), "fork(), %s", where);
    ok(is_right_below(by_clone, 2), "the system call alone, %s", where);
    ok(pthread_create(&thread, NULL, in_thread, &seen) == 0 && pthread_join(thread, NULL) == 0 &&
           seen == of_the_kernel(),
       "in a thread, %s", where);
}

/* Do the checks pass in a process whose kernel is such a one? */
static bool is_right_with(char *program, char *kind)
{
    char *again[] = {program, kind, NULL};
    int status = 1;

    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(2);
        execv("/proc/self/exe", again);
        _exit(2);
    }
    return waitpid(child, &status, 0) == child && status == 0;
}

int main(int argc, char **argv)
{
    if (argc > 1) { /* a process of its own, as the page is made once in each */
        kernel = strcmp(argv[1], "refuses") == 0 ? REFUSES : ACCEPTS_ALL;
        check(argv[1]);
        return tap_done();
    }
    check("with the page");
    asked = 0;
    for (int k = 0; k < 1000; k++)
        nh_process_id();
    ok(asked == 0, "the kernel is asked only once, not %u times more", asked);
    ok(is_right_with(argv[0], "refuses"), "where the kernel has no such page");
    ok(is_right_with(argv[0], "accepts all"), "where an emulator accepts any advice");
    return tap_done();
}
