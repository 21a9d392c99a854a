/* testos.c - the module `testos`: what the specs need of the system and Lua has not. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* fork(): the child's pid; 0 in the child. */
static int os_fork(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)fork());
    return 1;
}

/* wait(pid): "exit" or "signal", and which. */
static int os_wait(lua_State *L)
{
    int status = 0;

    if (waitpid((pid_t)luaL_checkinteger(L, 1), &status, 0) < 0)
        return luaL_error(L, "waitpid failed");
    lua_pushstring(L, WIFEXITED(status) ? "exit" : "signal");
    lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return 2;
}

/* exit(status): at once, nothing is closed or flushed. */
static int os_exit(lua_State *L)
{
    _exit((int)luaL_checkinteger(L, 1));
}

/* sigpipe([action]): "default", "ignore", "block" or "unblock" it; says how it was: "default",
 * "ignore" or "other", whether it was blocked, whether one was pending. */
static int os_sigpipe(lua_State *L)
{
    const char *action = luaL_optstring(L, 1, "");
    struct sigaction old;
    sigset_t pipe, mask, pending;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigaction(SIGPIPE, NULL, &old);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigpending(&pending);
    if (strcmp(action, "default") == 0)
        signal(SIGPIPE, SIG_DFL);
    else if (strcmp(action, "ignore") == 0)
        signal(SIGPIPE, SIG_IGN);
    else if (strcmp(action, "block") == 0)
        sigprocmask(SIG_BLOCK, &pipe, NULL);
    else if (strcmp(action, "unblock") == 0)
        sigprocmask(SIG_UNBLOCK, &pipe, NULL);
    else if (strcmp(action, "raise") == 0)
        raise(SIGPIPE);
    lua_pushstring(L, old.sa_handler == SIG_DFL   ? "default"
                      : old.sa_handler == SIG_IGN ? "ignore"
                                                  : "other");
    lua_pushboolean(L, sigismember(&mask, SIGPIPE));
    lua_pushboolean(L, sigismember(&pending, SIGPIPE));
    return 3;
}

/* nofile(n): the soft limit on descriptors from now on. */
static int os_nofile(lua_State *L)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)luaL_checkinteger(L, 1);
    lua_pushboolean(L, setrlimit(RLIMIT_NOFILE, &limit) == 0);
    return 1;
}

/* descriptors(): how many are open, without the one that this takes. */
static int os_descriptors(lua_State *L)
{
    DIR *dir = opendir("/proc/self/fd");
    lua_Integer n = 0;

    if (!dir)
        return luaL_error(L, "no /proc/self/fd");
    while (readdir(dir))
        n++;
    closedir(dir);
    lua_pushinteger(L, n - 3); /* ".", ".." and itself */
    return 1;
}

/* listen(path): the descriptor of a Unix socket that listens there and takes no connection. */
static int os_listen(lua_State *L)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strncpy(address.sun_path, luaL_checkstring(L, 1), sizeof address.sun_path - 1);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 4096) < 0)
        return luaL_error(L, "cannot listen");
    lua_pushinteger(L, fd);
    return 1;
}

/* Gives the loopback a second address: a resolver with AI_ADDRCONFIG looks up no addresses on a machine that has
 * 127.0.0.1 alone. */
static int set_up_loopback(int fd)
{
    struct ifreq flags = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK};
    struct ifreq address = {.ifr_name = "lo:1"};
    struct sockaddr_in in = {.sin_family = AF_INET};

    inet_pton(AF_INET, "192.0.2.200", &in.sin_addr);
    memcpy(&address.ifr_addr, &in, sizeof in);
    if (ioctl(fd, SIOCSIFFLAGS, &flags) != 0)
        return -1;
    return ioctl(fd, SIOCSIFADDR, &address);
}

/* own_network(): this process and its children have a network of their own from now on, with a loopback alone.
 * Returns true; or nil and why that cannot be done here (only root may). */
static int os_own_network(lua_State *L)
{
    int fd = -1, failed = 1, error;

    if (unshare(CLONE_NEWNET) == 0 && (fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) >= 0)
        failed = set_up_loopback(fd);
    error = errno;
    if (fd >= 0)
        close(fd);
    if (!failed) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, strerror(error));
    return 2;
}

__attribute__((visibility("default"))) int luaopen_testos(lua_State *L);

int luaopen_testos(lua_State *L)
{
    static const struct {
        const char *name;
        lua_CFunction f;
    } functions[] = {
        {"fork", os_fork},     {"wait", os_wait},
        {"exit", os_exit},     {"sigpipe", os_sigpipe},
        {"nofile", os_nofile}, {"descriptors", os_descriptors},
        {"listen", os_listen}, {"own_network", os_own_network},
    };
    size_t k;

    lua_newtable(L);
    for (k = 0; k < sizeof functions / sizeof functions[0]; k++) {
        lua_pushcfunction(L, functions[k].f);
        lua_setfield(L, -2, functions[k].name);
    }
    return 1;
}
