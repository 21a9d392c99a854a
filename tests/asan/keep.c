/* Preloaded beside libasan by `make asan`, for the interpreter alone.
 *
 * lua_close() unloads C modules before the leak check at exit, which then knows
 * neither the names of their functions nor, for suppressions, whose they were:
 * here dlclose() keeps everything loaded. And the children of the interpreter
 * (a name server, a signer, a shell) are not to be examined: LD_PRELOAD is
 * taken out of the environment that they inherit. */

#include <stdlib.h>

int dlclose(void *handle);

int dlclose(void *handle)
{
    (void)handle;
    return 0;
}

__attribute__((constructor)) static void examine_no_children(void)
{
    unsetenv("LD_PRELOAD");
}
