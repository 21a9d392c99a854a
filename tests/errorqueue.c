/* errorqueue.c - the module `errorqueue`: the errors that a host program has left in OpenSSL's queue. */
#include <lauxlib.h>
#include <lua.h>
#include <openssl/err.h>

/* push(reason [, text]): one more error, of the library for users, with this text as its data. */
static int queue_push(lua_State *L)
{
    ERR_put_error(ERR_LIB_USER, 0, (int)luaL_checkinteger(L, 1), "host-program.c", 42);
    if (!lua_isnoneornil(L, 2))
        ERR_add_error_data(1, luaL_checkstring(L, 2));
    return 0;
}

/* take(): empties the queue, and returns its errors as one text: "LIBRARY:REASON@FILE:LINE=DATA ...". */
static int queue_take(lua_State *L)
{
    const char *file, *data;
    unsigned long code;
    int line, flags;
    luaL_Buffer b;

    luaL_buffinit(L, &b);
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
    while ((code = ERR_get_error_all(&file, &line, NULL, &data, &flags)) != 0) {
#else
    while ((code = ERR_get_error_line_data(&file, &line, &data, &flags)) != 0) {
#endif
        lua_pushfstring(L, "%d:%d@%s:%d=%s ", ERR_GET_LIB(code), ERR_GET_REASON(code), file, line,
                        flags & ERR_TXT_STRING ? data : "");
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    return 1;
}

__attribute__((visibility("default"))) int luaopen_errorqueue(lua_State *L);

int luaopen_errorqueue(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, queue_push);
    lua_setfield(L, -2, "push");
    lua_pushcfunction(L, queue_take);
    lua_setfield(L, -2, "take");
    return 1;
}
