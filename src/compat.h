/* compat.h - functions for Lua 5.1 to 5.5 and LuaJIT, under names of our own (LuaJIT already has
 * some of the newer functions). */
#pragma once

#include <lauxlib.h>
#include <lua.h>

/* nh_setuservalue() pops the table that belongs to a userdata and sets it, and nh_getuservalue()
 * pushes it. */
#if LUA_VERSION_NUM >= 504
#define nh_setuservalue(L, index) lua_setiuservalue(L, index, 1)
#define nh_getuservalue(L, index) lua_getiuservalue(L, index, 1)
#elif LUA_VERSION_NUM >= 502
#define nh_setuservalue lua_setuservalue
#define nh_getuservalue lua_getuservalue
#else
#define nh_setuservalue lua_setfenv
#define nh_getuservalue lua_getfenv
#endif

#if LUA_VERSION_NUM >= 502
#define nh_setfuncs(L, functions) luaL_setfuncs(L, functions, 0)
#define nh_rawlen(L, index) ((size_t)lua_rawlen(L, index))
#else
#define nh_setfuncs(L, functions) luaL_register(L, NULL, functions)
#define nh_rawlen lua_objlen
#endif

/* Pushes message, followed by a traceback of L. */
static inline void nh_traceback(lua_State *L, const char *message)
{
#if LUA_VERSION_NUM >= 502
    luaL_traceback(L, L, message, 1);
#else
    lua_getglobal(L, "debug");
    if (lua_istable(L, -1))
        lua_getfield(L, -1, "traceback");
    if (lua_isfunction(L, -1)) {
        lua_pushstring(L, message);
        lua_pushinteger(L, 2);
        lua_call(L, 2, 1);
    } else {
        lua_pushstring(L, message);
    }
    lua_replace(L, -2);
#endif
}

static inline int nh_isinteger(lua_State *L, int index, lua_Integer *value)
{
    lua_Number n;

    if (lua_type(L, index) != LUA_TNUMBER)
        return 0;
    n = lua_tonumber(L, index);
    if (!(n >= -9007199254740992.0 && n <= 9007199254740992.0))
        return 0;
    *value = (lua_Integer)n;
    return (lua_Number)*value == n;
}
