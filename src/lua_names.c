/* lua_names.c - gather_tlsa_names: the names that a certificate may bear. No DNS is asked. */
#include "lua_core.h"

#include <string.h>

static bool names_boolean(lua_State *L, const char *key)
{
    lua_getfield(L, 1, key);
    if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
        nh_wrong_option(L, key, "boolean");
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static void names_name(lua_State *L, const char *key, char out[NH_HOST_MAX])
{
    const char *s;
    size_t len;

    out[0] = '\0';
    lua_getfield(L, 1, key);
    if (!lua_isnil(L, -1)) {
        s = nh_opt_string(L, key);
        lua_tolstring(L, -1, &len);
        if (len && !nh_canonical(s, len, out))
            luaL_error(L, "bad option '%s' ('%s' is no host name)", key, s);
    }
    lua_pop(L, 1);
}

int nh_lua_tlsa_names(lua_State *L)
{
    static const char *const known[] = {
        "have_mx",
        "expanded_next_hop_authentic",
        "expanded_tlsa_base_domain_authentic",
        "orig_next_hop",
        "expanded_next_hop",
        "orig_tlsa_base_domain",
        "expanded_tlsa_base_domain",
    };
    char orig_hop[NH_HOST_MAX], hop[NH_HOST_MAX], orig_base[NH_HOST_MAX], base[NH_HOST_MAX];
    const char *names[4];
    struct nh_names_in in;
    size_t k, n, i;

    luaL_checktype(L, 1, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";

        for (k = 0, i = sizeof known / sizeof known[0]; k < i; k++)
            if (strcmp(key, known[k]) == 0)
                break;
        if (k == i)
            return luaL_error(L, "unknown option '%s' to 'gather_tlsa_names'", key);
    }
    in.have_mx = names_boolean(L, known[0]);
    in.next_hop_authentic = names_boolean(L, known[1]);
    in.base_authentic = names_boolean(L, known[2]);
    names_name(L, known[3], orig_hop);
    names_name(L, known[4], hop);
    names_name(L, known[5], orig_base);
    names_name(L, known[6], base);
    in.orig_next_hop = orig_hop;
    in.expanded_next_hop = hop;
    in.orig_base = orig_base;
    in.expanded_base = base;
    n = nh_tlsa_names(&in, names);
    lua_createtable(L, (int)n, 0);
    for (k = 0; k < n; k++) {
        lua_pushstring(L, names[k]);
        lua_rawseti(L, -2, (int)k + 1);
    }
    return 1;
}
