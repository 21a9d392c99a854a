/* lua_record.c - TLSA records that a caller passes: the option `assume`. */
#include "lua_core.h"

#include <stdlib.h>
#include <string.h>

#define RDATA_MAX 65535

static uint8_t record_number(lua_State *L, const char *key)
{
    lua_Integer value = -1;

    lua_getfield(L, -1, key);
    if (!nh_isinteger(L, -1, &value) || value < 0 || value > 255)
        luaL_error(L, "bad option 'assume' (%s: integer from 0 to 255 expected)", key);
    lua_pop(L, 1);
    return (uint8_t)value;
}

/* Reads a string field, which stays in its table. */
static const char *record_string(lua_State *L, const char *key, size_t *len)
{
    const char *text = "";

    lua_getfield(L, -1, key);
    if (lua_type(L, -1) == LUA_TSTRING)
        text = lua_tolstring(L, -1, len);
    else
        luaL_error(L, "bad option 'assume' (%s: string expected)", key);
    lua_pop(L, 1);
    return text;
}

/* Reads { name, usage, selector, match_type, data } at the top of the stack. */
static void read_assumed(lua_State *L, struct nh_assumed *r)
{
    char name[NH_HOST_MAX];
    const char *text;
    size_t len = 0;

    if (!lua_istable(L, -1))
        luaL_error(L, "bad option 'assume' (list of records expected)");
    text = record_string(L, "name", &len);
    if (nh_name_parse(text, len, name))
        luaL_error(L, "bad option 'assume' (name: the owner of the record expected)");
    nh_copy(r->name, sizeof r->name, name);
    text = record_string(L, "data", &len);
    if (len > RDATA_MAX - 3)
        luaL_error(L, "bad option 'assume' (data: it is too long)");
    r->len = len + 3;
    r->rdata = malloc(r->len);
    if (!r->rdata) {
        luaL_error(L, "out of memory");
        return;
    }
    memcpy(r->rdata + 3, text, len);
    r->rdata[0] = record_number(L, "usage");
    r->rdata[1] = record_number(L, "selector");
    r->rdata[2] = record_number(L, "match_type");
}

void nh_opt_assume(lua_State *L, struct nh_request *request)
{
    size_t n;

    if (!lua_istable(L, -1))
        nh_wrong_option(L, "assume", "list of records");
    n = nh_rawlen(L, -1);
    request->assumed = calloc(n + 1, sizeof *request->assumed);
    if (!request->assumed) {
        luaL_error(L, "out of memory");
        return;
    }
    for (size_t k = 0; k < n; k++) {
        lua_rawgeti(L, -1, (int)k + 1);
        request->n_assumed++; /* before it is read: when that raises, its memory is freed */
        read_assumed(L, &request->assumed[k]);
        lua_pop(L, 1);
    }
}

void nh_free_assumed(struct nh_request *request)
{
    for (size_t k = 0; k < request->n_assumed; k++)
        free(request->assumed[k].rdata);
    free(request->assumed);
}
