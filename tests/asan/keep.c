/* Preloaded beside libasan by `make asan`, for the interpreter alone.
 *
 * lua_close() unloads C modules before the leak check at exit, which then knows
 * neither the names of their functions nor, for suppressions, whose they were:
 * here dlclose() keeps everything loaded. And the children of the interpreter
 * (a name server, a signer, a shell) are not to be examined: LD_PRELOAD is
 * taken out of the environment that they inherit.
 *
 * LuaJIT's own memory is not searched for pointers: of a state that is not
 * closed (os.exit() does not) everything would be called a leak. Such a process
 * ends before the leak check; a closed one is checked, and so is every one of
 * Lua's.
 */

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool closed;

int dlclose(void *handle)
{
    (void)handle;
    closed = true; /* by lua_close() */
    return 0;
}

static void leave(int status, void *arg)
{
    (void)arg;
    if (!closed && strstr(program_invocation_name, "luajit")) {
        fflush(NULL);
        _exit(status);
    }
}

/* Lua's first module: by now the leak check is registered, and comes after what is registered here. */
void *dlopen(const char *path, int flags)
{
    static void *(*real)(const char *, int);

    if (!real) {
        *(void **)&real = dlsym(RTLD_NEXT, "dlopen");
        on_exit(leave, NULL);
    }
    return real(path, flags);
}

__attribute__((constructor)) static void examine_no_children(void)
{
    unsetenv("LD_PRELOAD");
}
