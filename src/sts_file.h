/* sts_file.h - the file in which several processes keep the policies of MTA-STS.
 *
 * The file is a log. A policy that was fetched is one line at its end, and so is the order to forget
 * one. The last line about a domain counts. Each line has a checksum. A writer holds a lock on the
 * file, and first removes what a killed writer has left of a line. A reader needs no lock, because it
 * reads complete lines only. When most lines are out of date, a writer writes a new file beside the
 * old one and renames it. */
#pragma once

#include "err.h"
#include "sts_policy.h"

#include <stdint.h>

struct nh_sts_file;

/* One line: what is known of a domain. */
struct nh_sts_line {
    const char *domain;
    bool is_dropped; /* the domain is to be forgotten; the rest is not set */
    char id[NH_STS_ID_MAX];
    int64_t fetched, expires;    /* seconds since 1970 */
    struct nh_sts_policy policy; /* read: apply() may take mx, and sets it to NULL then */
};

struct nh_sts_file_calls {
    void *arg;
    /* Takes a line that was read. Returns false when there is no memory for it: it is read again later. */
    bool (*apply)(void *arg, struct nh_sts_line *line);
    /* Adds all lines that count to a new file, by nh_sts_file_add(). Returns false when that
     * fails. */
    bool (*add_all)(void *arg, struct nh_sts_file *file);
};

/* Opens the file, or makes it, and reads it. Returns NULL and sets *err (NH_CONFIG, NH_NO_MEMORY)
 * when it cannot be read and written. */
struct nh_sts_file *nh_sts_file_open(const char *path, const struct nh_sts_file_calls *calls,
                                     struct nh_err *err);
void nh_sts_file_close(struct nh_sts_file *file);

/* Reads what other processes have added. */
void nh_sts_file_read(struct nh_sts_file *file);

/* Reads what other processes have added, and appends a line. Returns false when the file cannot be
 * written now: another process may hold the lock. */
bool nh_sts_file_write(struct nh_sts_file *file, const struct nh_sts_line *line);

/* Writes the file anew with the lines that count, if most of its lines do not. `live` is the number of
 * those that do. */
void nh_sts_file_tidy(struct nh_sts_file *file, size_t live);

/* For add_all(). */
bool nh_sts_file_add(struct nh_sts_file *file, const struct nh_sts_line *line);

/* What a person should know of the file: it was damaged, or it cannot be written. NULL: nothing. */
const char *nh_sts_file_notice(const struct nh_sts_file *file);
