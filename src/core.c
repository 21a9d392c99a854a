/* core.c - the module nexthop.core, the private C half of nexthop. */
#include "lua_core.h"

#include "descriptors.h"
#include "libcurl.h"
#include "system.h"

#include <glob.h>
#include <idn2.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/resource.h>
#include <unbound.h>
#include <uv.h>

static void set_version(lua_State *L, const char *key, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

/* versions(): the versions of the libraries that are in use. */
static int core_versions(lua_State *L)
{
    lua_createtable(L, 0, 5);
    set_version(L, "libunbound", ub_version());
    set_version(L, "openssl", OpenSSL_version(OPENSSL_VERSION));
    set_version(L, "libuv", uv_version_string());
    set_version(L, "libidn2", idn2_check_version(NULL));
    return 1;
}

/* name(text): returns the lower-case A-label without a final dot, or nil and the reason. */
static int core_name(lua_State *L)
{
    char out[NH_HOST_MAX];
    size_t len;

    const char *s = luaL_checklstring(L, 1, &len);
    const char *reason = nh_name_parse(s, len, out);
    if (!reason) {
        lua_pushstring(L, out);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, reason);
    return 2;
}

/* address(text): returns the 4 or 16 bytes of an IP address, or nil when the text is not an
 * address. */
static int core_address(lua_State *L)
{
    struct nh_ip ip;

    if (nh_ip_parse(luaL_checkstring(L, 1), &ip))
        lua_pushlstring(L, (const char *)ip.addr, ip.family == 4 ? 4 : 16);
    else
        lua_pushnil(L);
    return 1;
}

/* glob(pattern): returns the paths that match, as libunbound finds them for an include in
 * unbound.conf. */
static int core_glob(lua_State *L)
{
    int flags = GLOB_ERR;
    glob_t found = {0};

#ifdef GLOB_BRACE
    flags |= GLOB_BRACE;
#endif
#ifdef GLOB_TILDE
    flags |= GLOB_TILDE;
#endif
    lua_newtable(L);
    if (glob(luaL_checkstring(L, 1), flags, NULL, &found) == 0)
        for (size_t k = 0; k < found.gl_pathc; k++) {
            lua_pushstring(L, found.gl_pathv[k]);
            lua_rawseti(L, -2, (int)k + 1);
        }
    globfree(&found);
    return 1;
}

/* getpid(): lets the module see that a fork has happened, which requires a new default resolver. */
static int core_getpid(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)nh_process_id());
    return 1;
}

/* more_descriptors(n): lets the process open n descriptors, or as many as its hard limit allows.
 * The programs call it, because most systems give 1,024 at first, which is few for the sockets
 * of lookups. */
static int core_more_descriptors(lua_State *L)
{
    rlim_t n = (rlim_t)luaL_checkinteger(L, 1);
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < n) {
        limit.rlim_cur = limit.rlim_max < n ? limit.rlim_max : n;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    return 0;
}

/* sts(): returns true; or nil and why no policy of MTA-STS can be fetched. */
static int core_sts(lua_State *L)
{
    struct nh_err err;

    if (!nh_libcurl_load(&err)) {
        lua_pushnil(L);
        lua_pushstring(L, err.message);
        return 2;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* Pushes true; or nil and the text of the errno. */
static int push_outcome(lua_State *L, int error)
{
    if (!error) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushstring(L, strerror(error));
    return 2;
}

/* fill_descriptors(): see nh_descriptors_fill(). Programs call it before anything opens a
 * descriptor, because libuv ends the process when it closes a descriptor from 0 to 2. */
static int core_fill_descriptors(lua_State *L)
{
    return push_outcome(L, nh_descriptors_fill());
}

/* take_descriptor(fd [, substitute]): returns the new descriptor, see nh_descriptor_take(). */
static int core_take_descriptor(lua_State *L)
{
    int error, own;

    error = nh_descriptor_take((int)luaL_checkinteger(L, 1), (int)luaL_optinteger(L, 2, -1), &own);
    if (error)
        return push_outcome(L, error);
    lua_pushinteger(L, own);
    return 1;
}

/* is_broken(fd): see nh_descriptor_is_broken(). */
static int core_is_broken(lua_State *L)
{
    lua_pushboolean(L, nh_descriptor_is_broken((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* bind(path): returns the descriptor of a Unix stream socket that is bound to path, or nil and
 * the reason. */
static int core_bind(lua_State *L)
{
    int error, fd;

    error = nh_descriptor_bind(luaL_checkstring(L, 1), &fd);
    if (error)
        return push_outcome(L, error);
    lua_pushinteger(L, fd);
    return 1;
}

/* passed_socket(): returns the descriptor of the socket that a service manager passes, false when
 * there is none, or nil and the reason. See nh_descriptor_passed(). */
static int core_passed_socket(lua_State *L)
{
    int error, fd;

    error = nh_descriptor_passed(&fd);
    if (error)
        return push_outcome(L, error);
    if (fd == -1)
        lua_pushboolean(L, 0);
    else
        lua_pushinteger(L, fd);
    return 1;
}

/* has_pledge(), pledge(promises), unveil(path, permissions): see nh_has_pledge() and the others. */
static int core_has_pledge(lua_State *L)
{
    lua_pushboolean(L, nh_has_pledge());
    return 1;
}

static int core_pledge(lua_State *L)
{
    return push_outcome(L, nh_pledge(luaL_checkstring(L, 1)));
}

static int core_unveil(lua_State *L)
{
    return push_outcome(L, nh_unveil(luaL_checkstring(L, 1), luaL_checkstring(L, 2)));
}

/* hup_is_ignored(): see nh_hup_is_ignored(). */
static int core_hup_is_ignored(lua_State *L)
{
    lua_pushboolean(L, nh_hup_is_ignored());
    return 1;
}

__attribute__((visibility("default"))) int luaopen_nexthop_core(lua_State *L);

int luaopen_nexthop_core(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"new", nh_lua_new},
        {"gather_tlsa_names", nh_lua_tlsa_names},
        {"versions", core_versions},
        {"name", core_name},
        {"address", core_address},
        {"getpid", core_getpid},
        {"glob", core_glob},
        {"more_descriptors", core_more_descriptors},
        {"fill_descriptors", core_fill_descriptors},
        {"take_descriptor", core_take_descriptor},
        {"is_broken", core_is_broken},
        {"bind", core_bind},
        {"passed_socket", core_passed_socket},
        {"certificates", nh_lua_certificates},
        {"digest", nh_lua_digest},
        {"judge", nh_lua_judge},
        {"sts", core_sts},
        {"has_pledge", core_has_pledge},
        {"pledge", core_pledge},
        {"unveil", core_unveil},
        {"hup_is_ignored", core_hup_is_ignored},
        {NULL, NULL},
    };

    nh_open_resolver(L);
    lua_newtable(L);
    nh_setfuncs(L, functions);
    nh_open_results(L);
    lua_setfield(L, -2, "metatables");
    return 1;
}
