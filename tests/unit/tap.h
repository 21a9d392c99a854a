/* tap.h - what the unit tests share: checks that print TAP lines, and seeds for the fuzzers. */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_count, tap_failed;

/* One check; a failed one says where it stands. */
#define ok(condition, ...) tap_ok((condition), __FILE__, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 4, 5))) static inline bool tap_ok(bool good, const char *file,
                                                                int line, const char *format, ...)
{
    va_list args;

    printf("%sok %d - ", good ? "" : "not ", ++tap_count);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    if (!good) {
        tap_failed++;
        printf("#   at %s:%d\n", file, line);
    }
    return good;
}

#define is_text(got, want, what) tap_is_text((got), (want), __FILE__, __LINE__, (what))

/* Compares two strings, either of which may be NULL. */
static inline bool tap_is_text(const char *got, const char *want, const char *file, int line,
                               const char *what)
{
    bool good = got && want ? strcmp(got, want) == 0 : got == want;

    tap_ok(good, file, line, "%s", what);
    if (!good)
        printf("#   got %s\n#  want %s\n", got ? got : "(null)", want ? want : "(null)");
    return good;
}

/* Prints the plan; the value for main() to return. */
static inline int tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed ? 1 : 0;
}

/* With CORPUS=directory in the environment the packets of the tests become a fuzzer's seeds. */
static inline void seed(const char *name, const void *data, size_t len)
{
    const char *dir = getenv("CORPUS");
    char path[500];
    FILE *file;

    if (!dir)
        return;
    (void)snprintf(path, sizeof(path), "%.300s/%.100s", dir, name);
    file = fopen(path, "wb");
    if (!file || fwrite(data, 1, len, file) != len || fclose(file) != 0)
        abort();
}

#endif
