/* sts_file.c - the policies of MTA-STS in a file. See the header for its form.
 *
 * A line is "CHECKSUM + DOMAIN ID MODE MAX_AGE FETCHED EXPIRES MX ..." or "CHECKSUM - DOMAIN". The
 * checksum is that of all that follows it in the line. Nothing is written to the disk at once: after
 * a loss of power a policy may be missing, and it is fetched again. */
#include "sts_file.h"

#include "name.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FIRST_LINE "nexthop-sts-cache 1\n"
#define LINE_MAX_BYTES ((size_t)2 * NH_STS_TEXT_MAX)
#define COMPACT_LINES 64  /* out of date, at least, before the file is written anew */
#define LOCK_TRIES 10     /* each waits for LOCK_WAIT */
#define LOCK_WAIT 200000L /* nanoseconds */

struct nh_sts_file {
    char *path;
    int fd;
    ino_t inode;
    off_t offset;   /* what was read */
    size_t n_lines; /* of these */
    struct nh_sts_file_calls calls;
    FILE *copy; /* while a new file is written */
    bool is_damaged;
    bool is_unread; /* what stands at the offset could not be read: no memory, or the disk fails */
    bool is_unwritten; /* the notice is of a write that failed */
    char notice[400];
};

/* ---- lines --------------------------------------------------------------------------------- */

/* CRC-32 as in IEEE 802.3, four bits a step. It finds what is damaged; it is no protection against
 * anybody. */
static uint32_t checksum(const char *data, size_t len)
{
    static const uint32_t steps[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = 0xffffffffu;

    for (; len; data++, len--) {
        crc ^= (uint8_t)*data;
        crc = crc >> 4 ^ steps[crc & 15];
        crc = crc >> 4 ^ steps[crc & 15];
    }
    return ~crc;
}

/* Writes the line into a new block. Returns NULL when memory runs out. */
static char *make_line(const struct nh_sts_line *line, size_t *len)
{
    const char *mx = line->policy.mx;
    size_t size = NH_HOST_MAX + 200 + line->policy.mx_len, n;
    char *text = malloc(size);

    if (!text)
        return NULL;
    if (line->is_dropped)
        n = (size_t)snprintf(text + 9, size - 9, "- %s", line->domain);
    else
        n = (size_t)snprintf(text + 9, size - 9, "+ %s %s %s %" PRIu32 " %" PRId64 " %" PRId64,
                             line->domain, line->id, nh_sts_mode_names[line->policy.mode],
                             line->policy.max_age, line->fetched, line->expires);
    for (size_t k = 0; !line->is_dropped && k < line->policy.n_mx; k++, mx += strlen(mx) + 1)
        n += (size_t)snprintf(text + 9 + n, size - 9 - n, " %s", mx);
    snprintf(text, 9, "%08" PRIx32, checksum(text + 9, n));
    text[8] = ' ';
    text[9 + n] = '\n';
    *len = n + 10;
    return text;
}

/* Cuts the next word off. Returns "" at the end. */
static char *word(char **rest)
{
    char *start = *rest, *end = strchr(start, ' ');

    if (end) {
        *end = '\0';
        *rest = end + 1;
    } else {
        *rest = start + strlen(start);
    }
    return start;
}

static bool read_number(const char *text, int64_t *number)
{
    char *end;

    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && end > text && *end == '\0' && *number >= 0;
}

/* Reads the patterns into a block that is as long as their text. */
static bool read_patterns(struct nh_sts_file *file, struct nh_sts_policy *policy, char *rest)
{
    policy->mx = malloc(strlen(rest) + 2);
    if (!policy->mx) {
        file->is_unread = true;
        return false;
    }
    while (*rest) {
        const char *text = word(&rest);
        char pattern[256];
        size_t len = strlen(text);

        if (len >= sizeof pattern || !nh_sts_pattern(text, len, pattern))
            return false;
        memcpy(policy->mx + policy->mx_len, pattern, len + 1);
        policy->mx_len += len + 1;
        policy->n_mx++;
    }
    return true;
}

static bool read_policy(struct nh_sts_file *file, struct nh_sts_line *line, char *rest)
{
    const char *id = word(&rest), *mode = word(&rest);
    int64_t max_age;
    int k;

    if (strlen(id) >= sizeof line->id)
        return false;
    nh_copy(line->id, sizeof line->id, id);
    for (k = NH_STS_NONE; k <= NH_STS_ENFORCE; k++)
        if (strcmp(mode, nh_sts_mode_names[k]) == 0)
            break;
    if (k > NH_STS_ENFORCE)
        return false;
    line->policy.mode = (enum nh_sts_mode)k;
    if (!read_number(word(&rest), &max_age) || max_age > NH_STS_AGE_MAX ||
        !read_number(word(&rest), &line->fetched) || !read_number(word(&rest), &line->expires))
        return false;
    line->policy.max_age = (uint32_t)max_age;
    return read_patterns(file, &line->policy, rest);
}

/* Reads a line that ends with a NUL in place of its newline, and changes it. Returns false when it is
 * damaged, or when there is no memory for it. */
static bool read_line(struct nh_sts_file *file, char *text, size_t len)
{
    struct nh_sts_line line = {0};
    char own[NH_HOST_MAX], sum[9], *rest = text + 11;
    bool ok;

    if (len < 12 || memchr(text, '\0', len) || text[8] != ' ' || text[10] != ' ')
        return false;
    snprintf(sum, sizeof sum, "%08" PRIx32, checksum(text + 9, len - 9));
    if (memcmp(sum, text, 8) != 0)
        return false;
    line.domain = word(&rest);
    line.is_dropped = text[9] == '-';
    ok = nh_name_parse(line.domain, strlen(line.domain), own) == NULL &&
         strcmp(own, line.domain) == 0 &&
         (line.is_dropped || (text[9] == '+' && read_policy(file, &line, rest)));
    if (ok && !file->calls.apply(file->calls.arg, &line)) {
        file->is_unread = true;
        ok = false;
    }
    nh_sts_policy_free(&line.policy);
    return ok;
}

/* ---- reading ----------------------------------------------------------------------------------- */

static bool take_line(struct nh_sts_file *file, char *text, size_t len)
{
    text[len] = '\0';
    if (file->offset == 0)
        return len + 1 == sizeof FIRST_LINE - 1 && memcmp(text, FIRST_LINE, len) == 0;
    if (!read_line(file, text, len))
        return false;
    file->n_lines++;
    return true;
}

/* Reads complete lines from file->offset on. Returns false when one is damaged, or when
 * file->is_unread, which is no damage. */
static bool read_lines(struct nh_sts_file *file)
{
    size_t size = LINE_MAX_BYTES, have = 0;
    char *buffer = malloc(size + 1);
    bool ok = buffer != NULL;

    file->is_unread = !ok;
    while (ok) {
        ssize_t n = pread(file->fd, buffer + have, size - have, file->offset + (off_t)have);
        char *start = buffer, *newline;

        if (n <= 0) {
            file->is_unread = n < 0;
            ok = n == 0;
            break;
        }
        have += (size_t)n;
        while (ok && (newline = memchr(start, '\n', have)) != NULL) {
            size_t len = (size_t)(newline - start);

            ok = take_line(file, start, len);
            if (ok)
                file->offset += (off_t)len + 1;
            start = newline + 1;
            have -= len + 1;
        }
        memmove(buffer, start, have);
        ok = ok && have < size; /* else there is a line that nobody wrote */
    }
    free(buffer);
    return ok;
}

/* Opens the file at the path. Returns false and sets errno. */
static bool open_path(struct nh_sts_file *file)
{
    struct stat st;

    file->fd = open(file->path, O_RDWR | O_APPEND | O_CLOEXEC);
    if (file->fd < 0 && errno == ENOENT) {
        file->fd = open(file->path, O_RDWR | O_APPEND | O_CLOEXEC | O_CREAT | O_EXCL, 0640);
        if (file->fd >= 0)
            (void)fchmod(file->fd, 0640); /* whatever the mask of the process is */
        else if (errno == EEXIST)
            file->fd = open(file->path, O_RDWR | O_APPEND | O_CLOEXEC);
    }
    if (file->fd < 0)
        return false;
    if (fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(file->fd);
        file->fd = -1;
        errno = EINVAL;
        return false;
    }
    file->inode = st.st_ino;
    file->offset = 0;
    file->n_lines = 0;
    return true;
}

static void close_path(struct nh_sts_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

/* Is the file that is open still the one at the path? */
static bool is_current(const struct nh_sts_file *file)
{
    struct stat st;

    return file->fd >= 0 && stat(file->path, &st) == 0 && st.st_ino == file->inode;
}

/* ---- the lock ------------------------------------------------------------------------------------- */

static bool lock(struct nh_sts_file *file)
{
    static const struct timespec pause = {0, LOCK_WAIT};

    for (int tries = 0; tries < LOCK_TRIES; tries++) {
        if (file->fd < 0 && !open_path(file))
            return false;
        if (flock(file->fd, LOCK_EX | LOCK_NB) != 0) {
            nanosleep(&pause, NULL);
        } else if (is_current(file)) {
            return true;
        } else {
            close_path(file); /* another process has written the file anew */
        }
    }
    return false;
}

static void unlock(struct nh_sts_file *file)
{
    if (file->fd >= 0)
        (void)flock(file->fd, LOCK_UN);
}

/* ---- writing the file anew ------------------------------------------------------------------------- */

bool nh_sts_file_add(struct nh_sts_file *file, const struct nh_sts_line *line)
{
    size_t len;
    char *text = make_line(line, &len);
    bool ok = text && fwrite(text, 1, len, file->copy) == len;

    free(text);
    return ok;
}

/* Writes all lines that count into the new file. */
static bool fill_copy(struct nh_sts_file *file, const char *path)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    struct stat st;
    bool ok;

    if (fd < 0)
        return false;
    (void)fchmod(fd, fstat(file->fd, &st) == 0 ? st.st_mode & 07777 : 0640);
    file->copy = fdopen(fd, "a");
    if (!file->copy) {
        close(fd);
        return false;
    }
    ok = fputs(FIRST_LINE, file->copy) >= 0 && file->calls.add_all(file->calls.arg, file);
    ok = fclose(file->copy) == 0 && ok;
    file->copy = NULL;
    return ok;
}

/* Replaces the file by one with the lines that count. The caller holds the lock, has read all lines,
 * and loses the lock by this. */
static bool rewrite(struct nh_sts_file *file)
{
    size_t size = strlen(file->path) + 5;
    char *path = malloc(size);
    bool ok;

    if (!path)
        return false;
    snprintf(path, size, "%s.new",
             file->path); /* one is enough: only the holder of the lock writes */
    ok = fill_copy(file, path) && rename(path, file->path) == 0;
    if (!ok)
        (void)unlink(path);
    free(path);
    if (ok)
        close_path(file);
    return ok;
}

/* Sets a damaged file aside as PATH.damaged, and writes a new one with what is known. What stands
 * before the damage was read. The caller holds the lock. */
static void set_aside(struct nh_sts_file *file)
{
    size_t size = strlen(file->path) + 9;
    char *aside = malloc(size);

    file->is_damaged = false;
    if (!aside)
        return;
    snprintf(aside, size, "%s.damaged", file->path);
    (void)unlink(aside);
    /* By a link, so that the file never misses at its path. */
    if (link(file->path, aside) == 0 && rewrite(file))
        snprintf(file->notice, sizeof file->notice,
                 "sts_cache: %.150s was damaged. It is now %.150s, and a new one has the policies "
                 "before the damage.",
                 file->path, aside);
    else
        snprintf(file->notice, sizeof file->notice, "sts_cache: %.300s is damaged: %s", file->path,
                 strerror(errno));
    free(aside);
}

/* ---- the interface ------------------------------------------------------------------------------------ */

void nh_sts_file_read(struct nh_sts_file *file)
{
    struct stat st;

    if (stat(file->path, &st) != 0 || st.st_ino != file->inode || file->fd < 0 ||
        st.st_size < file->offset) {
        close_path(file);
        if (!open_path(file))
            return;
    } else if (st.st_size == file->offset) {
        return;
    }
    file->is_damaged = !read_lines(file) && !file->is_unread;
    if (file->is_damaged && lock(file)) {
        /* It may be another file now. */
        file->is_damaged = !read_lines(file) && !file->is_unread;
        if (file->is_damaged)
            set_aside(file);
        unlock(file);
    }
}

/* Removes what a killed writer has left of a line. The caller holds the lock and has read the file. */
static bool trim(struct nh_sts_file *file)
{
    struct stat st;

    if (fstat(file->fd, &st) != 0)
        return false;
    if (st.st_size > file->offset && ftruncate(file->fd, file->offset) != 0)
        return false;
    if (file->offset > 0)
        return true;
    if (write(file->fd, FIRST_LINE, sizeof FIRST_LINE - 1) != sizeof FIRST_LINE - 1)
        return false;
    file->offset = sizeof FIRST_LINE - 1;
    return true;
}

static void note_unwritten(struct nh_sts_file *file)
{
    file->is_unwritten = true;
    snprintf(file->notice, sizeof file->notice, "sts_cache: %.300s cannot be written: %s",
             file->path, strerror(errno));
}

static bool append(struct nh_sts_file *file, const char *text, size_t len)
{
    ssize_t n = trim(file) ? write(file->fd, text, len) : -1;

    if (n == (ssize_t)len) {
        file->offset += n;
        file->n_lines++;
        if (file->is_unwritten)
            file->notice[0] = '\0';
        file->is_unwritten = false;
        return true;
    }
    if (n >= 0)
        errno = ENOSPC;
    note_unwritten(file);
    (void)(n > 0 && ftruncate(file->fd, file->offset) != 0); /* or the next writer does */
    return false;
}

bool nh_sts_file_write(struct nh_sts_file *file, const struct nh_sts_line *line)
{
    size_t len;
    char *text = make_line(line, &len);
    bool ok = text && lock(file);

    if (ok) {
        ok = read_lines(file);
        if (file->is_unread)
            note_unwritten(file);
        if (!ok && !file->is_unread) {
            set_aside(file);
            ok = lock(file) && read_lines(file);
        }
        ok = ok && append(file, text, len);
        unlock(file);
    }
    free(text);
    return ok;
}

static bool is_long(const struct nh_sts_file *file, size_t live)
{
    return file->n_lines > COMPACT_LINES && file->n_lines / 2 > live;
}

void nh_sts_file_tidy(struct nh_sts_file *file, size_t live)
{
    if (!is_long(file, live) || !lock(file))
        return;
    if (read_lines(file) && is_long(file, live))
        (void)rewrite(file);
    unlock(file);
}

const char *nh_sts_file_notice(const struct nh_sts_file *file)
{
    return file->notice[0] ? file->notice : NULL;
}

/* Can a new file be made beside this one? */
static bool folder_is_writable(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path + 1)) : strdup(".");
    bool ok = folder && access(folder, W_OK | X_OK) == 0;

    free(folder);
    return ok;
}

struct nh_sts_file *nh_sts_file_open(const char *path, const struct nh_sts_file_calls *calls,
                                     struct nh_err *err)
{
    struct nh_sts_file *file = calloc(1, sizeof *file);

    if (file) {
        file->fd = -1;
        file->calls = *calls;
        file->path = strdup(path);
    }
    if (!file || !file->path) {
        nh_fail(err, NH_NO_MEMORY, "sts_cache: out of memory");
    } else if (!open_path(file)) {
        nh_fail(err, NH_CONFIG, "sts_cache: %s cannot be read and written: %s", path,
                errno == EINVAL ? "it is no file" : strerror(errno));
    } else if (!folder_is_writable(path)) {
        nh_fail(err, NH_CONFIG, "sts_cache: no file can be made beside %s: %s", path,
                strerror(errno));
    } else {
        nh_sts_file_read(file);
        return file;
    }
    nh_sts_file_close(file);
    return NULL;
}

void nh_sts_file_close(struct nh_sts_file *file)
{
    if (!file)
        return;
    close_path(file);
    free(file->path);
    free(file);
}
