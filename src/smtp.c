/*
 * smtp.c - the SMTP dialogue of a client up to STARTTLS (RFC 5321 4.2, RFC 3207).
 *
 *   GREETING -> 2xx -> EHLO -> 2xx with STARTTLS -> STARTTLS -> 2xx -> READY
 *            -> 4xx, 5xx -> REFUSED               -> without it -> NO_TLS
 *   Any step: a line that is no reply, or a reply that is too long -> BROKEN
 *
 * A reply ends with the first line that has no '-' behind its code. Its code counts, as mail
 * servers have it. Lines may end with LF alone.
 */
#include "smtp.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- text for the report ----------------------------------------------------------- */

char *nh_smtp_quote(const char *text, size_t len)
{
    char *out = malloc(len * 4 + 1), *end = out, *shrunk;

    if (!out)
        return NULL;
    for (; len; text++, len--) {
        unsigned char c = (unsigned char)*text;

        if (c == '\\')
            end += sprintf(end, "\\\\");
        else if (c == '\n' || (c >= 0x20 && c < 0x7f))
            *end++ = (char)c;
        else
            end += sprintf(end, "\\x%02x", c);
    }
    *end = '\0';
    shrunk = realloc(out, (size_t)(end - out) + 1);
    return shrunk ? shrunk : out;
}

/* The lines of the reply from number `first` on, each without its first `skip` bytes, cut at
 * NH_SMTP_LINE_SHOWN bytes, quoted, and joined by LF. Returns NULL when memory runs out. */
static char *shown(const struct nh_smtp *s, unsigned first, size_t skip)
{
    char *joined = malloc(s->len + 1), *out = joined, *quoted;
    const char *p = s->reply, *end = s->reply + s->len, *stop;
    unsigned n;

    if (!joined)
        return NULL;
    for (n = 0; p < end; n++, p = stop + 1) {
        size_t len;

        stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop)
            stop = end;
        if (n < first)
            continue;
        len = (size_t)(stop - p);
        if (len && p[len - 1] == '\r')
            len--;
        if (len > NH_SMTP_LINE_SHOWN)
            len = NH_SMTP_LINE_SHOWN;
        if (out != joined)
            *out++ = '\n';
        if (len > skip) {
            memcpy(out, p + skip, len - skip);
            out += len - skip;
        }
    }
    quoted = nh_smtp_quote(joined, (size_t)(out - joined));
    free(joined);
    return quoted;
}

/* ---- replies ------------------------------------------------------------------------ */

static void smtp_end(struct nh_smtp *s, enum nh_smtp_state state)
{
    s->step = s->state;
    s->state = state;
}

static void broken(struct nh_smtp *s, const char *wrong)
{
    s->wrong = wrong;
    smtp_end(s, NH_SMTP_BROKEN);
}

static void out_of_memory(struct nh_smtp *s)
{
    s->no_memory = true;
    broken(s, "there is no memory for it");
}

/* Is there an extension of that name? Its line begins with the name, in any case. */
static bool has_extension(const struct nh_smtp *s, const char *name)
{
    const char *line = s->extensions;

    while (line) {
        size_t len = strcspn(line, " \n");

        if (len == strlen(name) && strncasecmp(line, name, len) == 0)
            return true;
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return false;
}

/* Handles a complete reply whose code is in s->code. */
static void on_reply(struct nh_smtp *s)
{
    free(s->text);
    s->text = shown(s, 0, 0);
    if (s->state == NH_SMTP_GREETING && s->text)
        s->greeting = strdup(s->text);
    if (!s->text || (s->state == NH_SMTP_GREETING && !s->greeting)) {
        out_of_memory(s);
    } else if (s->code >= 400 && s->code < 600) {
        smtp_end(s, NH_SMTP_REFUSED);
    } else if (s->code >= 300 || s->code < 200) {
        broken(s, "it is no reply to this command");
    } else if (s->state == NH_SMTP_GREETING) {
        s->state = NH_SMTP_EHLO;
    } else if (s->state == NH_SMTP_STARTTLS) {
        smtp_end(s, NH_SMTP_READY);
    } else {
        s->extensions = shown(s, 1, 4);
        if (!s->extensions)
            out_of_memory(s);
        else if (has_extension(s, "STARTTLS"))
            s->state = NH_SMTP_STARTTLS;
        else
            smtp_end(s, NH_SMTP_NO_TLS);
    }
    s->len = s->line = 0;
    s->n_lines = 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads a line: three digits, then '-' when more lines follow, or a space or nothing. */
static void on_line(struct nh_smtp *s, const char *line, size_t len)
{
    if (len && line[len - 1] == '\r')
        len--;
    if (len < 3 || !is_digit(line[0]) || !is_digit(line[1]) || !is_digit(line[2]) ||
        (len > 3 && line[3] != '-' && line[3] != ' ')) {
        broken(s, "it is no SMTP reply");
        return;
    }
    s->code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0');
    if (len > 3 && line[3] == '-') {
        if (++s->n_lines >= NH_SMTP_LINES_MAX)
            broken(s, "the reply has more than 100 lines");
        return;
    }
    on_reply(s);
}

/* Appends bytes to the reply. False: it is too long, or there is no memory. */
static bool append(struct nh_smtp *s, const char *data, size_t len)
{
    if (s->len + len > NH_SMTP_REPLY_MAX) {
        broken(s, "the reply is longer than 64 KB");
        return false;
    }
    if (s->len + len > s->size) {
        size_t size = s->len + len < 512 ? 512 : 2 * (s->len + len);
        char *reply = realloc(s->reply, size);

        if (!reply) {
            out_of_memory(s);
            return false;
        }
        s->reply = reply;
        s->size = size;
    }
    memcpy(s->reply + s->len, data, len);
    s->len += len;
    return true;
}

/* Keeps what has come of a reply that is not one, for the report. */
static void keep_broken(struct nh_smtp *s)
{
    size_t len = s->len - s->line;

    if (s->line > s->len)
        return;
    while (len && (s->reply[s->line + len - 1] == '\n' || s->reply[s->line + len - 1] == '\r'))
        len--;
    free(s->text);
    s->text = nh_smtp_quote(s->reply + s->line, len > 200 ? 200 : len);
}

size_t nh_smtp_feed(struct nh_smtp *s, const char *data, size_t len)
{
    enum nh_smtp_state before = s->state;
    size_t used = 0;

    while (used < len && s->state == before && !nh_smtp_is_over(s)) {
        const char *end = memchr(data + used, '\n', len - used);
        size_t n = end ? (size_t)(end - data) + 1 - used : len - used;
        size_t begin = s->line;

        if (!append(s, data + used, n))
            break;
        used += n;
        if (!end)
            break;
        s->line = s->len;
        on_line(s, s->reply + begin, s->len - begin - 1);
        if (s->state == NH_SMTP_BROKEN)
            s->line = begin;
    }
    if (s->state == NH_SMTP_BROKEN) {
        if (s->len)
            keep_broken(s);
        used = len;
    }
    return used;
}

void nh_smtp_end_reading(struct nh_smtp *s)
{
    free(s->reply);
    s->reply = NULL;
    s->len = s->size = s->line = 0;
}

void nh_smtp_free(struct nh_smtp *s)
{
    free(s->reply);
    free(s->greeting);
    free(s->extensions);
    free(s->text);
    memset(s, 0, sizeof *s);
}
