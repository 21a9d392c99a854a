/* lua_args.c - the arguments of the lookups. Misuse raises. A string that is not a name is an
 * error value. */
#include "lua_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- option values -------------------------------------------------------------- */

/* Each of these functions reads the value at the top of the stack. */

int nh_wrong_option(lua_State *L, const char *key, const char *expected)
{
    const char *got = luaL_typename(L, -1);

    if (lua_type(L, -1) == LUA_TSTRING) /* with quotes: '5' is not a number */
        got = lua_pushfstring(L, "'%s'", lua_tostring(L, -1));
    else if (lua_type(L, -1) == LUA_TNUMBER)
        got = lua_tostring(L, -1);
    return luaL_error(L, "bad option '%s' (%s expected, got %s)", key, expected, got);
}

bool nh_opt_boolean(lua_State *L, const char *key)
{
    if (!lua_isboolean(L, -1))
        nh_wrong_option(L, key, "boolean");
    return lua_toboolean(L, -1);
}

lua_Integer nh_opt_integer(lua_State *L, const char *key, lua_Integer min, lua_Integer max)
{
    lua_Integer value = 0;

    if (!nh_isinteger(L, -1, &value) || value < min || value > max) {
        char expected[64];

        snprintf(expected, sizeof expected, "integer from %ld to %ld", (long)min, (long)max);
        nh_wrong_option(L, key, expected);
    }
    return value;
}

double nh_opt_seconds(lua_State *L, const char *key)
{
    double value = -1;

    if (lua_type(L, -1) == LUA_TNUMBER)
        value = lua_tonumber(L, -1);
    if (!(value >= 0 && value <= 1e6))
        nh_wrong_option(L, key, "seconds, 0 to 1000000,");
    return value;
}

/* A string with a NUL is refused, because C would cut it off there. */
const char *nh_opt_string(lua_State *L, const char *key)
{
    size_t len = 0;
    const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;

    if (!s || strlen(s) != len)
        nh_wrong_option(L, key, s ? "string without a NUL" : "string");
    return s;
}

static enum nh_network opt_network(lua_State *L)
{
    const char *s = nh_opt_string(L, "network");

    if (strcmp(s, "ip") == 0)
        return NH_IP;
    if (strcmp(s, "ip4") == 0)
        return NH_IP4;
    if (strcmp(s, "ip6") != 0)
        nh_wrong_option(L, "network", "'ip', 'ip4' or 'ip6'");
    return NH_IP6;
}

bool nh_canonical(const char *s, size_t len, char out[NH_HOST_MAX])
{
    struct nh_ip ip;

    if (nh_literal_parse(s, len, &ip) == NH_LITERAL) {
        nh_ip_text(&ip, out);
        return true;
    }
    return nh_name_parse(s, len, out) == NULL;
}

/* A socket for both families shows an IPv4 peer as an IPv6 address (RFC 4291 2.5.5.2). This
 * makes it an IPv4 address again, as mox does. */
static void unmap(struct nh_ip *ip)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    if (ip->family == 6 && memcmp(ip->addr, mapped, sizeof mapped) == 0) {
        ip->family = 4;
        memcpy(ip->addr, ip->addr + sizeof mapped, 4);
    }
}

/* Reads { [host] = { ip, ... } }, the oldest address first. The request owns what this allocates
 * at once. */
static void opt_dialed(lua_State *L, struct nh_request *request)
{
    size_t n = 0, len, k;

    if (!lua_istable(L, -1))
        nh_wrong_option(L, "dialed_ips", "table");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        n++;
    request->dialed = calloc(n ? n : 1, sizeof *request->dialed);
    if (!request->dialed)
        luaL_error(L, "out of memory");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        struct nh_dialed *d = &request->dialed[request->n_dialed];

        if (lua_type(L, -2) != LUA_TSTRING || !lua_istable(L, -1))
            luaL_error(L, "bad option 'dialed_ips' (a host name to a list of addresses expected)");
        len = 0;
        for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
            len++;
        if (len != nh_rawlen(L, -1))
            luaL_error(L, "bad option 'dialed_ips' (a host name to a list of addresses expected)");
        const char *host = lua_tolstring(L, -2, &len);
        if (!nh_canonical(host, len, d->host))
            luaL_error(L, "bad option 'dialed_ips' ('%s' is no host name)", host);
        d->ips = calloc(nh_rawlen(L, -1) + 1, sizeof *d->ips);
        if (!d->ips)
            luaL_error(L, "out of memory");
        request->n_dialed++;
        for (k = 1; k <= nh_rawlen(L, -1); k++) {
            lua_rawgeti(L, -1, (int)k);
            if (lua_type(L, -1) != LUA_TSTRING ||
                !nh_ip_parse(nh_opt_string(L, "dialed_ips"), &d->ips[d->n]))
                luaL_error(L, "bad option 'dialed_ips' ('%s' is no IP address)",
                           lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1)
                                                          : luaL_typename(L, -1));
            unmap(&d->ips[d->n++]);
            lua_pop(L, 1);
        }
    }
}

/* ---- the options of each call ------------------------------------------------------- */

bool nh_ips_option(lua_State *L, struct nh_request *request, const char *key)
{
    if (strcmp(key, "dialed_ips") == 0)
        opt_dialed(L, request);
    else if (strcmp(key, "network") == 0)
        request->ips.network = opt_network(L);
    else
        return false;
    return true;
}

bool nh_tlsa_option(lua_State *L, struct nh_request *request, const char *key)
{
    /* These are the other fields of the result of gather_ips, which may be passed as it is. */
    static const char *const ignored[] = {
        "authentic", "host_authentic", "ip4_authentic", "ip6_authentic",
        "ips",       "dualstack",      "failed",        "ttl",
    };
    struct nh_tlsa_call *t = &request->tlsas;
    size_t k, len;

    if (strcmp(key, "expanded_authentic") == 0) {
        t->expanded_authentic = nh_opt_boolean(L, key);
    } else if (strcmp(key, "expanded_host") == 0) {
        const char *name = nh_opt_string(L, key), *reason;

        lua_tolstring(L, -1, &len);
        reason = nh_name_parse(name, len, t->expanded_host);
        if (reason)
            luaL_error(L, "bad option 'expanded_host' ('%s': %s)", name, reason);
    } else if (strcmp(key, "port") == 0) {
        t->port = (uint16_t)nh_opt_integer(L, key, 1, 65535);
    } else if (strcmp(key, "protocol") == 0) {
        const char *protocol = nh_opt_string(L, key);

        len = strlen(protocol);
        if (len == 0 || len >= sizeof t->protocol ||
            strspn(protocol, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
            nh_wrong_option(L, key, "a lower-case protocol name such as 'tcp'");
        memcpy(t->protocol, protocol, len + 1);
    } else if (strcmp(key, "assume") == 0) {
        nh_opt_assume(L, request);
    } else {
        for (k = 0; k < sizeof ignored / sizeof ignored[0]; k++)
            if (strcmp(key, ignored[k]) == 0)
                return true;
        return false;
    }
    return true;
}

static void opt_digests(lua_State *L, struct nh_plan *p)
{
    size_t k, n;

    if (!lua_istable(L, -1))
        nh_wrong_option(L, "digests", "list");
    n = nh_rawlen(L, -1);
    if (n == 0 || n > sizeof p->digests)
        luaL_error(L, "bad option 'digests' (matching types expected, strongest first)");
    for (k = 0; k < n; k++) {
        lua_rawgeti(L, -1, (int)k + 1);
        p->digests[k] = (uint8_t)nh_opt_integer(L, "digests", 1, 2);
        lua_pop(L, 1);
    }
    p->n_digests = n;
}

bool nh_set_plan_option(lua_State *L, struct nh_request *request, struct nh_plan *p,
                        const char *key)
{
    if (strcmp(key, "sts") == 0) {
        p->wants_sts = nh_opt_boolean(L, key);
    } else if (strcmp(key, "dialed_ips") == 0) {
        opt_dialed(L, request);
    } else if (strcmp(key, "network") == 0) {
        p->network = opt_network(L);
    } else if (strcmp(key, "port") == 0) {
        p->port = (uint16_t)nh_opt_integer(L, key, 1, 65535);
    } else if (strcmp(key, "max_hosts") == 0) {
        p->max_hosts = (size_t)nh_opt_integer(L, key, 1, 1000000);
    } else if (strcmp(key, "insecure_mx") == 0) {
        const char *s = nh_opt_string(L, key);

        p->dane_behind_insecure_mx = strcmp(s, "dane") == 0;
        if (!p->dane_behind_insecure_mx && strcmp(s, "may") != 0)
            nh_wrong_option(L, key, "'may' or 'dane'");
    } else if (strcmp(key, "require_dane") == 0) {
        p->require_dane = nh_opt_boolean(L, key);
    } else if (strcmp(key, "digests") == 0) {
        opt_digests(L, p);
    } else if (strcmp(key, "tlsrpt") == 0) {
        p->wants_tlsrpt = nh_opt_boolean(L, key);
    } else if (strcmp(key, "sts_port") == 0) {
        p->sts_port = (uint16_t)nh_opt_integer(L, key, 1, 65535);
    } else if (strcmp(key, "ca_file") == 0) {
        p->ca_file = nh_opt_string(L, key);
    } else if (strcmp(key, "trace") == 0) {
        p->op.trace = nh_opt_boolean(L, key) ? &request->trace : NULL;
    } else if (strcmp(key, "assume") == 0) {
        nh_opt_assume(L, request);
    } else {
        return false;
    }
    return true;
}

bool nh_plan_option(lua_State *L, struct nh_request *request, const char *key)
{
    return nh_set_plan_option(L, request, &request->plan, key);
}

bool nh_raw_option(lua_State *L, struct nh_request *request, const char *key)
{
    if (strcmp(key, "type") != 0)
        return false;
    request->raw.type = (uint16_t)nh_opt_integer(L, key, 1, 65535);
    return true;
}

static void read_options(lua_State *L, struct nh_request *request, int index)
{
    const struct nh_call *call = request->call;

    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "bad option to '%s' (a %s is no option's name)", call->name,
                       luaL_typename(L, -2));
        const char *key = lua_tostring(L, -2);
        if (strcmp(key, "deadline") == 0)
            request->deadline = nh_opt_seconds(L, key);
        else if (!call->set_option || !call->set_option(L, request, key))
            luaL_error(L, "unknown option '%s' to '%s'", key, call->name);
    }
}

/* ---- the name asked about --------------------------------------------------------------- */

/* Writes a text that cannot be a name as one readable line. */
static void quote(const char *s, size_t len, char *out, size_t size)
{
    size_t n = 0;

    for (; len && n + 8 < size; s++, len--) {
        unsigned char c = (unsigned char)*s;

        if (c < 0x20 || c == 0x7f)
            n += (size_t)snprintf(out + n, size - n, "\\x%02x", c);
        else
            out[n++] = (char)c;
    }
    if (len)
        n += (size_t)snprintf(out + n, size - n, "...");
    out[n] = '\0';
}

/* Says why a text with brackets or a colon, which is not an IP address, is not a name either. */
static const char *why_no_literal(const char *s)
{
    if (s[0] == '[')
        return "what is in the brackets is no IP address";
    return strstr(s, "://") ? "it is a URL: give the name of its host alone"
                            : "it has a colon, and is no IPv6 address";
}

static bool *flag(struct nh_request *request, size_t offset)
{
    return (bool *)((char *)request + offset);
}

/* Reads the name, or sets the error that it is not a name. */
static void read_name(struct nh_request *request, const char *s, size_t len)
{
    const struct nh_call *call = request->call;
    char *out = (char *)request + call->subject, quoted[256];
    const char *reason = NULL;
    struct nh_ip ip;

    enum nh_literal kind = nh_literal_parse(s, len, &ip);
    if (kind == NH_LITERAL && call->literal) {
        *flag(request, call->literal) = true;
        nh_ip_text(&ip, out);
        return;
    }
    if (kind == NH_LITERAL) {
        reason = "it is an address";
    } else if (kind == NH_BAD_LITERAL) {
        reason = why_no_literal(s);
    } else if (call->bracketed && len >= 2 && s[0] == '[' && s[len - 1] == ']') {
        *flag(request, call->bracketed) = true; /* the host itself */
        reason = nh_name_parse(s + 1, len - 2, out);
    } else {
        reason = nh_name_parse(s, len, out);
    }
    if (reason) {
        quote(s, len, quoted, sizeof quoted);
        if (reason == nh_name_no_memory)
            nh_fail(&request->op.err, NH_NO_MEMORY, "\"%s\": %s", quoted, reason);
        else
            nh_fail(&request->op.err, NH_INVALID_NAME, "\"%s\" is no %s name: %s", quoted,
                    call->input, reason);
        out[0] = '\0';
    }
}

/* ---- what else differs between the calls ------------------------------------------------ */

void nh_ips_defaults(struct nh_request *request, struct nh_lua_resolver *self)
{
    (void)self;
    request->ips.max_links = NH_IPS_LINKS;
}

void nh_ips_check(lua_State *L, struct nh_request *request)
{
    (void)L;
    for (size_t k = 0; k < request->n_dialed; k++) {
        if (strcmp(request->dialed[k].host, request->ips.host) == 0) {
            request->ips.dialed = request->dialed[k].ips;
            request->ips.n_dialed = request->dialed[k].n;
        }
    }
}

void nh_tlsa_defaults(struct nh_request *request, struct nh_lua_resolver *self)
{
    (void)self;
    request->tlsas.port = 25;
    strcpy(request->tlsas.protocol, "tcp");
}

void nh_set_plan_defaults(struct nh_plan *p, struct nh_lua_resolver *self)
{
    p->pool = &self->hosts;
    p->port = 25;
    p->max_hosts = 20;
    p->digests[0] = 2;
    p->digests[1] = 1;
    p->n_digests = 2;
    p->sts_port = 443;
}

/* Runs after the options were read: what MTA-STS and TLSRPT need is made when they are asked for. */
void nh_prepare_sts(struct nh_plan *p, struct nh_lua_resolver *self)
{
    if ((p->wants_sts || p->wants_tlsrpt) && !self->sts && nh_usable(self) == NH_OK)
        self->sts = nh_sts_new(self->resolver, self->sts_bytes);
    p->sts = self->sts;
}

void nh_plan_defaults(struct nh_request *request, struct nh_lua_resolver *self)
{
    nh_set_plan_defaults(&request->plan, self);
}

void nh_set_plan_lists(const struct nh_request *request, struct nh_plan *p)
{
    p->dialed = request->dialed;
    p->n_dialed = request->n_dialed;
    p->assumed = request->assumed;
    p->n_assumed = request->n_assumed;
}

void nh_tlsa_check(lua_State *L, struct nh_request *request)
{
    (void)L;
    request->tlsas.assumed = request->assumed;
    request->tlsas.n_assumed = request->n_assumed;
}

void nh_plan_check(lua_State *L, struct nh_request *request)
{
    nh_set_plan_lists(request, &request->plan);
    nh_prepare_sts(&request->plan, nh_check_resolver(L));
}

void nh_raw_check(lua_State *L, struct nh_request *request)
{
    if (request->raw.type == 0)
        luaL_error(L, "option 'type' is missing");
}

/* ---- all calls ------------------------------------------------------------------------- */

struct nh_handle *nh_check_request(lua_State *L, const struct nh_call *call, int *callback)
{
    struct nh_lua_resolver *self = lua_touserdata(L, 1);
    struct nh_handle *handle;
    size_t len;
    int options = 0;

    if (lua_type(L, 2) != LUA_TSTRING)
        luaL_argerror(
            L, 2, lua_pushfstring(L, "%s name expected, got %s", call->input, luaL_typename(L, 2)));
    const char *s = lua_tolstring(L, 2, &len);
    *callback = 0;
    if (lua_istable(L, 3))
        options = 3;
    else if (lua_isfunction(L, 3))
        *callback = 3;
    else if (!lua_isnoneornil(L, 3))
        luaL_argerror(L, 3, "options table or callback expected");
    if (lua_isfunction(L, 4) && !*callback)
        *callback = 4;
    else if (!lua_isnoneornil(L, 4))
        luaL_argerror(L, 4, "callback expected");

    handle = lua_newuserdata(L, sizeof *handle);
    *handle = (struct nh_handle){.call = call};
    luaL_getmetatable(L, NH_REQUEST);
    lua_setmetatable(L, -2);
    struct nh_request *request = handle->request = nh_take_request(self, call);
    if (!request)
        luaL_error(L, "out of memory");
    request->handle = handle;
    request->call = call;
    request->deadline = -1;
    if (call->set_defaults)
        call->set_defaults(request, self);
    if (options)
        read_options(L, request, options);
    read_name(request, s, len);
    if (call->check)
        call->check(L, request);
    return handle;
}
