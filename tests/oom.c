/*
 * oom.c - makes allocations of nexthop.core fail, for oom_spec.lua. Loaded twice as the same
 * object: by LD_PRELOAD, to stand in front of malloc and its kin, and as a Lua module.
 *
 * Counted and failed is what is called from inside core.so; what Lua, libunbound and the others
 * allocate is let through.
 */
#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <link.h>
#include <lua.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))
#define CALLER ((uintptr_t)__builtin_return_address(0))

PUBLIC int luaopen_oom(lua_State *L);

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

static uintptr_t low, high;           /* where core.so is */
static uintptr_t also_low, also_high; /* where a library is whose allocations fail, too */
static long countdown = -1;           /* to the one that fails; negative: none */
static long seen;
static int failed;

static int refuse(uintptr_t caller)
{
    if ((caller < low || caller >= high) && (caller < also_low || caller >= also_high))
        return 0;
    seen++;
    if (countdown > 0 && --countdown == 0) {
        countdown = -1;
        failed = 1;
        errno = ENOMEM;
        return 1;
    }
    return 0;
}

/* What core.so has allocated and nobody has freed: an open hash of addresses. */
#define SLOTS 65536
#define GONE ((void *)1)
static void *live[SLOTS];
static long n_live;

static size_t home(const void *p)
{
    return ((uintptr_t)p >> 4) * 2654435761u % SLOTS;
}

static void *ours(uintptr_t caller, void *p)
{
    size_t i, n;

    if (!p || caller < low || caller >= high)
        return p;
    for (i = home(p), n = 0; n < SLOTS && live[i] && live[i] != GONE; n++)
        i = (i + 1) % SLOTS;
    live[i] = p;
    n_live++;
    return p;
}

/* Slots that are GONE before an empty one become empty, so that a search stays short. */
static void forget(void *p)
{
    size_t i, n;

    if (!p || n_live == 0)
        return;
    for (i = home(p), n = 0; n < SLOTS && live[i] && live[i] != p; n++)
        i = (i + 1) % SLOTS;
    if (live[i] != p)
        return;
    n_live--;
    live[i] = GONE;
    if (live[(i + 1) % SLOTS])
        return;
    for (; live[i] == GONE; i = (i + SLOTS - 1) % SLOTS)
        live[i] = NULL;
}

PUBLIC void *malloc(size_t size)
{
    return refuse(CALLER) ? NULL : ours(CALLER, __libc_malloc(size));
}

PUBLIC void *calloc(size_t n, size_t size)
{
    return refuse(CALLER) ? NULL : ours(CALLER, __libc_calloc(n, size));
}

PUBLIC void *realloc(void *p, size_t size)
{
    void *moved;

    if (refuse(CALLER))
        return NULL;
    moved = __libc_realloc(p, size);
    if (moved && CALLER >= low && CALLER < high) {
        forget(p);
        ours(CALLER, moved);
    }
    return moved;
}

PUBLIC char *strdup(const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = refuse(CALLER) ? NULL : ours(CALLER, __libc_malloc(size));

    return copy ? memcpy(copy, s, size) : NULL;
}

PUBLIC void free(void *p)
{
    forget(p);
    __libc_free(p);
}

struct wanted {
    const char *name; /* a part of the object's path */
    uintptr_t low, high;
};

static int find(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct wanted *wanted = arg;
    int i;

    (void)size;
    if (!strstr(info->dlpi_name, wanted->name))
        return 0;
    wanted->low = UINTPTR_MAX;
    for (i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + p->p_vaddr;

        if (p->p_type != PT_LOAD)
            continue;
        if (start < wanted->low)
            wanted->low = start;
        if (start + p->p_memsz > wanted->high)
            wanted->high = start + p->p_memsz;
    }
    return 1;
}

/* also(name): allocations from inside this library fail, too. They are not counted as live. */
static int oom_also(lua_State *L)
{
    struct wanted wanted = {luaL_checkstring(L, 1), 0, 0};

    if (!dl_iterate_phdr(find, &wanted))
        return luaL_error(L, "%s is not loaded", wanted.name);
    also_low = wanted.low;
    also_high = wanted.high;
    return 0;
}

/* fail(n): the n-th allocation from now on fails; 0: none does. */
static int oom_fail(lua_State *L)
{
    countdown = (long)luaL_checkinteger(L, 1);
    if (countdown == 0)
        countdown = -1;
    failed = 0;
    return 0;
}

/* failed(): did it come to that? */
static int oom_failed(lua_State *L)
{
    lua_pushboolean(L, failed);
    return 1;
}

/* seen(): allocations of core.so so far. */
static int oom_seen(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)seen);
    return 1;
}

/* live(): allocations of core.so that were not freed. */
static int oom_live(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)n_live);
    return 1;
}

int luaopen_oom(lua_State *L)
{
    struct wanted core = {"/nexthop/core.so", 0, 0};

    lua_newtable(L);
    lua_pushcfunction(L, oom_fail);
    lua_setfield(L, -2, "fail");
    lua_pushcfunction(L, oom_failed);
    lua_setfield(L, -2, "failed");
    lua_pushcfunction(L, oom_seen);
    lua_setfield(L, -2, "seen");
    lua_pushcfunction(L, oom_live);
    lua_setfield(L, -2, "live");
    lua_pushcfunction(L, oom_also);
    lua_setfield(L, -2, "also");
    lua_pushboolean(L, dl_iterate_phdr(find, &core));
    lua_setfield(L, -2, "found");
    low = core.low;
    high = core.high;
    return 1;
}
