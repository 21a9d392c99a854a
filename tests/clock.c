/*
 * clock.c - the wall clock, set as a spec wants it. Loaded twice as the same object: by LD_PRELOAD, to
 * stand in front of gettimeofday() and time(), which libunbound goes by, and as a Lua module.
 */
#include <lauxlib.h>
#include <lua.h>
#include <sys/time.h>
#include <time.h>

#define PUBLIC __attribute__((visibility("default")))

PUBLIC int luaopen_clock(lua_State *L);

static time_t offset;

PUBLIC int gettimeofday(struct timeval *tv, void *zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    tv->tv_sec = now.tv_sec + offset;
    tv->tv_usec = (suseconds_t)(now.tv_nsec / 1000);
    return 0;
}

PUBLIC time_t time(time_t *t)
{
    struct timeval now;

    gettimeofday(&now, NULL);
    if (t)
        *t = now.tv_sec;
    return now.tv_sec;
}

/* set(days): so many away from what it is. */
static int clock_set(lua_State *L)
{
    offset = (time_t)(luaL_checknumber(L, 1) * 86400);
    return 0;
}

int luaopen_clock(lua_State *L)
{
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, clock_set);
    lua_setfield(L, -2, "set");
    return 1;
}
