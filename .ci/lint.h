/* For clang-tidy alone (.ci/lint): what the headers of Lua do not say, that
 * these never return. Else it follows paths that end there. */
#include <lauxlib.h>
#include <lua.h>

__attribute__((noreturn)) int lua_error(lua_State *L);
__attribute__((noreturn)) int luaL_error(lua_State *L, const char *format, ...);
__attribute__((noreturn)) int luaL_argerror(lua_State *L, int arg, const char *message);
