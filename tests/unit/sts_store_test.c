/*
 * sts_store_test.c - the policies in memory, and in a file that processes share and that are killed.
 */
#include "sts_store.h"

#include "sts_file.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILLS 1000
#define DOMAINS 40

static int64_t ahead; /* seconds by which the clock of the store goes ahead */

time_t __real_time(time_t *t);
time_t __wrap_time(time_t *t);
time_t __wrap_time(time_t *t)
{
    time_t now = __real_time(NULL) + (time_t)ahead;

    if (t)
        *t = now;
    return now;
}

static char folder[64], path[100], aside[120];

static struct nh_sts_store *open_store(void)
{
    struct nh_sts_store *store = nh_sts_store_new(1);
    struct nh_err err = {0};

    if (!nh_sts_store_open(store, path, &err)) {
        printf("# %s\n", err.message);
        abort();
    }
    return store;
}

/* Puts a policy with one pattern and that max_age. */
static void put(struct nh_sts_store *store, const char *domain, const char *id, const char *mx,
                uint32_t max_age)
{
    struct nh_sts_policy policy;
    char text[400], reason[NH_STS_REASON];

    snprintf(text, sizeof text, "version:STSv1\nmode:enforce\nmx:%s\nmax_age:%u", mx, max_age);
    if (!nh_sts_policy_parse(&policy, text, strlen(text), reason))
        abort();
    nh_sts_known_drop(nh_sts_store_put(store, domain, &policy, id));
}

/* The id and first pattern that are known of a domain, or "". */
static const char *known(struct nh_sts_store *store, const char *domain)
{
    static char text[300];
    struct nh_sts_entry *e = nh_sts_store_find(store, domain, true);

    text[0] = '\0';
    if (e && e->known)
        snprintf(text, sizeof text, "%s %.250s", e->known->id, e->known->policy.mx);
    return text;
}

static long size_of(const char *file)
{
    struct stat st;

    return stat(file, &st) == 0 ? (long)st.st_size : -1;
}

static void append(const char *text, size_t len)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);

    if (fd < 0 || write(fd, text, len) != (ssize_t)len || close(fd) != 0)
        abort();
}

static void start_anew(void)
{
    unlink(path);
    unlink(aside);
}

static void test_memory(void)
{
    struct nh_sts_store *store = nh_sts_store_new(7);
    char domain[40];
    unsigned k, good = 0;

    is_text(known(store, "a.example"), "", "nothing is known at first");
    put(store, "a.example", "1", "mx.a.example", 100);
    is_text(known(store, "a.example"), "1 mx.a.example", "a policy is known");
    put(store, "a.example", "2", "mx2.a.example", 100);
    is_text(known(store, "a.example"), "2 mx2.a.example", "a newer one replaces it");
    ahead = 99;
    is_text(known(store, "a.example"), "2 mx2.a.example", "it is known for its max_age");
    ahead = 100;
    is_text(known(store, "a.example"), "", "and no longer");
    ahead = 0;
    ok(!nh_sts_store_forget(store, "b.example"), "an unknown domain is not forgotten");
    put(store, "b.example", "1", "mx.b.example", 100);
    ok(nh_sts_store_forget(store, "b.example"), "a known one is");
    is_text(known(store, "b.example"), "", "then nothing is known");
    put(store, "c.example", "1", "mx.c.example", 0);
    is_text(known(store, "c.example"), "", "a policy with max_age 0 is not kept");
    for (k = 0; k < 1000; k++) {
        snprintf(domain, sizeof domain, "d%u.example", k);
        put(store, domain, "3", domain, 1000);
    }
    for (k = 0; k < 1000; k++) {
        snprintf(domain, sizeof domain, "d%u.example", k);
        good += strncmp(known(store, domain), "3 d", 3) == 0;
    }
    ok(good == 1000, "a thousand domains are known");
    nh_sts_store_free(store);
}

static void test_two(void)
{
    struct nh_sts_store *one, *two;
    struct nh_sts_entry *e;
    struct stat st;

    start_anew();
    umask(077);
    one = open_store();
    umask(022);
    two = open_store();
    ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640, "the file has the mode 0640");
    put(one, "a.example", "1", "*.a.example", 100);
    is_text(known(two, "a.example"), "1 *.a.example", "the other store sees a policy");
    put(two, "a.example", "2", "mx.a.example", 100);
    put(two, "b.example", "1", "mx.b.example", 100);
    is_text(known(one, "a.example"), "2 mx.a.example", "and a newer one");
    is_text(known(one, "b.example"), "1 mx.b.example", "and another");
    e = nh_sts_store_find(one, "b.example", false);
    ok(e && e->known && e->known->expires - e->known->fetched == 100, "with its times");
    ok(nh_sts_store_forget(one, "a.example"), "one store forgets");
    is_text(known(two, "a.example"), "", "then the other does not know it either");
    nh_sts_store_free(one);
    nh_sts_store_free(two);
    one = open_store();
    is_text(known(one, "a.example"), "", "what was forgotten stays so");
    is_text(known(one, "b.example"), "1 mx.b.example", "what was known is known after a restart");
    ahead = 101;
    is_text(known(one, "b.example"), "", "until it expires");
    nh_sts_store_free(one);
    one = open_store();
    is_text(known(one, "b.example"), "", "an expired one is not read");
    nh_sts_store_free(one);
    ahead = -1000;
    one = open_store();
    is_text(known(one, "b.example"), "", "nor one from the time to come");
    nh_sts_store_free(one);
    ahead = 0;
}

static void test_compaction(void)
{
    struct nh_sts_store *one, *two;
    long most = 0;
    char id[20];

    start_anew();
    one = open_store();
    two = open_store();
    put(two, "kept.example", "1", "mx.kept.example", 1000);
    for (int k = 0; k < 2000; k++) {
        snprintf(id, sizeof id, "%d", k);
        put(k % 2 ? one : two, "a.example", id, "mx.a.example", 1000);
        if (size_of(path) > most)
            most = size_of(path);
    }
    ok(most < 20000, "the file does not grow without end (%ld bytes)", most);
    is_text(known(one, "a.example"), "1999 mx.a.example", "the last policy counts");
    is_text(known(two, "kept.example"), "1 mx.kept.example", "and none is lost");
    is_text(known(one, "kept.example"), "1 mx.kept.example", "in either store");
    nh_sts_store_free(one);
    nh_sts_store_free(two);
}

/* How many lines of the file that text contains. */
static bool contains(const char *file, const char *text)
{
    static char all[100000];
    FILE *f = fopen(file, "rb");
    size_t n = f ? fread(all, 1, sizeof all - 1, f) : 0;

    if (f)
        fclose(f);
    all[n] = '\0';
    return strstr(all, text) != NULL;
}

static void test_damage(const char *title, const char *text, size_t len, bool is_damage)
{
    struct nh_sts_store *store, *other;

    start_anew();
    store = open_store();
    put(store, "a.example", "1", "mx.a.example", 100);
    append(text, len);
    is_text(known(store, "a.example"), "1 mx.a.example", title);
    put(store, "b.example", "1", "mx.b.example", 100);
    other = open_store();
    is_text(known(other, "a.example"), "1 mx.a.example", "  what stands before it is read");
    is_text(known(other, "b.example"), "1 mx.b.example", "  what is written later, too");
    ok(!contains(path, "garbage"), "  it is gone from the file");
    ok(contains(aside, "garbage") == is_damage, "  it is %s",
       is_damage ? "set aside" : "only cut off");
    ok((nh_sts_store_notice(store) != NULL) == is_damage, "  it is %ssaid",
       is_damage ? "" : "not ");
    nh_sts_store_free(store);
    nh_sts_store_free(other);
}

static void test_no_file(void)
{
    struct nh_sts_store *store = nh_sts_store_new(1);
    struct nh_err err = {0};
    char text[200];

    ok(!nh_sts_store_open(store, folder, &err) && err.code == NH_CONFIG, "a folder is no file");
    snprintf(text, sizeof text, "%s/none/cache", folder);
    ok(!nh_sts_store_open(store, text, &err) && err.code == NH_CONFIG && strstr(err.message, text),
       "a folder that is missing is said: %s", err.message);
    nh_sts_store_free(store);
}

/* A process that is stopped while it holds the lock holds nobody up, and what could not be written is
 * written later. */
static void test_locked(void)
{
    struct nh_sts_store *one, *two;
    int fd;

    start_anew();
    one = open_store();
    two = open_store();
    fd = open(path, O_RDWR);
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        abort();
    put(one, "a.example", "1", "mx.a.example", 100);
    is_text(known(one, "a.example"), "1 mx.a.example", "a locked file: the policy is known");
    is_text(known(two, "a.example"), "", "and not yet in the file");
    ok(!nh_sts_store_save(one), "it cannot be written while the file is locked");
    close(fd);
    ok(nh_sts_store_save(one), "it can afterwards");
    is_text(known(two, "a.example"), "1 mx.a.example", "then others see it");
    nh_sts_store_free(one);
    nh_sts_store_free(two);
}

/* A process whose file was written anew by another reads its own old line once more, and then writes the
 * file anew itself: its new line stays. */
static void test_old_line(void)
{
    unsigned lost = 0;

    for (unsigned n = 0; n < 130; n++) {
        struct nh_sts_store *one, *two, *three;

        start_anew();
        one = open_store();
        two = open_store();
        put(one, "a.example", "1", "mx.a.example", 100);
        for (unsigned k = 0; k < 66 + n; k++)
            put(two, "b.example", "1", "mx.b.example", 100);
        put(one, "a.example", "2", "mx.a.example", 100);
        three = open_store();
        lost += strcmp(known(three, "a.example"), "2 mx.a.example") != 0;
        nh_sts_store_free(one);
        nh_sts_store_free(two);
        nh_sts_store_free(three);
    }
    ok(lost == 0, "a policy is never replaced by its older one (%u)", lost);
}

/* The process that finds the damage when it writes keeps what stood before it, and its own line. */
static void test_damage_before_a_line(void)
{
    struct nh_sts_store *one, *two;
    FILE *file;

    start_anew();
    one = open_store();
    put(one, "a.example", "1", "mx.a.example", 100);
    put(one, "b.example", "1", "mx.b.example", 100);
    file = fopen(path, "a");
    if (!file || fputs("no line of ours\n", file) < 0 || fclose(file) != 0)
        abort();
    put(one, "c.example", "1", "mx.c.example", 100);
    two = open_store();
    is_text(known(two, "a.example"), "1 mx.a.example", "damage: a policy before it");
    is_text(known(two, "b.example"), "1 mx.b.example", "damage: another one");
    is_text(known(two, "c.example"), "1 mx.c.example", "damage: the one that was written then");
    nh_sts_store_free(one);
    nh_sts_store_free(two);
}

/* Writes policies until it is killed, and says each one that the store has taken. */
static void write_until_killed(int who, int told)
{
    struct nh_sts_store *store = open_store();
    char domain[40], id[20];
    uint32_t said[2];

    for (uint32_t k = 1;; k++) {
        snprintf(domain, sizeof domain, "w%dd%u.example", who, k % DOMAINS);
        snprintf(id, sizeof id, "%010u", k);
        put(store, domain, id, domain, 100000);
        said[0] = k % DOMAINS;
        said[1] = k;
        if (!nh_sts_store_save(store) || write(told, said, sizeof said) != sizeof said)
            _exit(1);
    }
}

/* Reads what a killed process has said, and checks that the file has it, or a newer one. */
static unsigned count_lost(struct nh_sts_store *store, int who, int told, uint32_t last[DOMAINS])
{
    uint32_t said[2];
    unsigned lost = 0;
    char domain[40];

    memset(last, 0, DOMAINS * sizeof *last);
    while (read(told, said, sizeof said) == sizeof said)
        last[said[0]] = said[1];
    for (unsigned k = 0; k < DOMAINS; k++) {
        snprintf(domain, sizeof domain, "w%dd%u.example", who, k);
        if (last[k] && strtoul(known(store, domain), NULL, 10) < last[k])
            lost++;
    }
    return lost;
}

/* Two processes write and are killed at any moment, again and again. */
static void test_kills(void)
{
    unsigned lost = 0, notices = 0, writes = 0;
    uint32_t last[DOMAINS];

    start_anew();
    for (int round = 0; round < KILLS / 2; round++) {
        struct timespec pause = {0, (round * 7919) % 3000 * 1000L};
        int told[2][2];
        pid_t pids[2];
        struct nh_sts_store *store;

        for (int who = 0; who < 2; who++) {
            if (pipe(told[who]) != 0 || fcntl(told[who][1], F_SETPIPE_SZ, 1 << 20) < 0)
                abort();
            pids[who] = fork();
            if (pids[who] == 0)
                write_until_killed(2 * round + who, told[who][1]);
            close(told[who][1]);
        }
        nanosleep(&pause, NULL);
        for (int who = 0; who < 2; who++)
            kill(pids[who], SIGKILL);
        for (int who = 0; who < 2; who++)
            waitpid(pids[who], NULL, 0);
        store = open_store();
        for (int who = 0; who < 2; who++) {
            lost += count_lost(store, 2 * round + who, told[who][0], last);
            for (unsigned k = 0; k < DOMAINS; k++)
                writes += last[k] > 0;
            close(told[who][0]);
        }
        notices += nh_sts_store_notice(store) != NULL;
        nh_sts_store_free(store);
        if (round % 50 == 49)
            start_anew();
    }
    ok(writes > KILLS, "processes that were killed have written (%u policies)", writes);
    ok(lost == 0, "no policy that a killed process had is lost (%u)", lost);
    ok(notices == 0, "and the file was never damaged (%u times)", notices);
}

int main(void)
{
    static const char binary[] = "garbage\0\0\0\n\0\0";
    static const char sum[] = "00000000 + garbage.example 1 enforce 100 1 99999999999 mx.example\n";

    snprintf(folder, sizeof folder, "/tmp/nexthop-sts.XXXXXX");
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/cache", folder);
    snprintf(aside, sizeof aside, "%s/cache.damaged", folder);
    test_memory();
    test_two();
    test_compaction();
    test_damage("an unfinished line", "0badc0de + garbage.exam", 23, false);
    test_damage("a line of garbage", "garbage\n", 8, true);
    test_damage("bytes that are no text", binary, sizeof binary - 1, true);
    test_damage("a line whose checksum does not fit", sum, sizeof sum - 1, true);
    test_no_file();
    test_locked();
    test_damage_before_a_line();
    test_old_line();
    test_kills();
    start_anew();
    rmdir(folder);
    return tap_done();
}
