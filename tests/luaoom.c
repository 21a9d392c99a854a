/*
 * luaoom.c - the module `luaoom`: stands before Lua's own allocator, for oom_lua_spec.lua. What it is
 * put before does not matter, a sanitizer's malloc() neither.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

static lua_Alloc real;
static void *real_data;
static long countdown; /* to the one that fails; 0: none */
static bool failed, collecting, odd;

/* What was refused and is asked for once more, since 5.2 after a collection, which may allocate. */
static bool again;
static void *again_block;
static size_t again_size;

static bool refuse(void *block, size_t size)
{
    bool fails = countdown == 1;

    if (again) {
        if (block != again_block || size != again_size)
            return false;
        again = false;
        if (fails)
            countdown = 0;
        return fails;
    }
    if (countdown > 1)
        countdown--;
    else if (fails)
        failed = true;
    if (!fails && (!collecting || (odd = !odd)))
        return false;
    if (LUA_VERSION_NUM == 501) {
        countdown = 0;
    } else {
        again = true;
        again_block = block;
        again_size = size;
    }
    return true;
}

static void *allocate(void *data, void *block, size_t old, size_t size)
{
    (void)data;
    if (size && (!block || size > old) && refuse(block, size)) /* what shrinks does not fail */
        return NULL;
    return real(real_data, block, old, size);
}

/* fail(n): the n-th allocation from now on fails; 0: none does. */
static int oom_fail(lua_State *L)
{
    countdown = (long)luaL_checkinteger(L, 1);
    failed = again = false;
    return 0;
}

/* failed(): did it come to that? */
static int oom_failed(lua_State *L)
{
    lua_pushboolean(L, failed);
    return 1;
}

/* collect(on): every other allocation fails at first, so that Lua (5.2 and later) collects garbage. */
static int oom_collect(lua_State *L)
{
    collecting = lua_toboolean(L, 1);
    again = false;
    return 0;
}

__attribute__((visibility("default"))) int luaopen_luaoom(lua_State *L);

int luaopen_luaoom(lua_State *L)
{
    if (!real) { /* the state must not be closed: this module would be unloaded first */
        real = lua_getallocf(L, &real_data);
        lua_setallocf(L, allocate, NULL);
    }
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, oom_fail);
    lua_setfield(L, -2, "fail");
    lua_pushcfunction(L, oom_failed);
    lua_setfield(L, -2, "failed");
    lua_pushcfunction(L, oom_collect);
    lua_setfield(L, -2, "collect");
    return 1;
}
