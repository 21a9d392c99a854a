/* smtp.h - the SMTP dialogue of a client up to STARTTLS, as a state machine without a socket.
 *
 * The caller passes the bytes that have come from the server, and sends the commands that the
 * machine gives back. Only EHLO and STARTTLS are ever sent. Nothing that a server sends can make
 * the machine use more than NH_SMTP_REPLY_MAX bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define NH_SMTP_REPLY_MAX 65536 /* bytes of one reply */
#define NH_SMTP_LINES_MAX 100   /* lines of one reply */
#define NH_SMTP_LINE_SHOWN 1000 /* bytes of a line that are kept for the report */

enum nh_smtp_state {
    NH_SMTP_GREETING, /* waits for the greeting */
    NH_SMTP_EHLO,     /* waits for the reply to EHLO */
    NH_SMTP_STARTTLS, /* waits for the reply to STARTTLS */
    NH_SMTP_READY,    /* the server waits for the TLS handshake */
    NH_SMTP_REFUSED,  /* the server has refused the step; `code` is the code of its reply */
    NH_SMTP_NO_TLS,   /* the reply to EHLO does not offer STARTTLS */
    NH_SMTP_BROKEN    /* what came is no SMTP; `wrong` says what is wrong with it */
};

struct nh_smtp {
    enum nh_smtp_state state;
    enum nh_smtp_state step; /* the step that was under way when the dialogue ended */
    int code;                /* of the last reply; 0: there was none */
    const char *wrong;
    bool no_memory;   /* NH_SMTP_BROKEN: the server is not to blame */
    char *reply;      /* the bytes of the reply that is being read */
    size_t len, size; /* used and allocated */
    size_t line;      /* where the line begins that is not complete */
    unsigned n_lines;
    char *greeting;   /* the greeting with its codes; lines are joined by LF; quoted */
    char *extensions; /* the lines of the reply to EHLO after its first, without codes */
    char *text;       /* the last reply, like greeting */
};

/* *s is zero before the first use. Returns the length of what it has used of the data. It stops
 * when the state changes: after a change to NH_SMTP_EHLO send "EHLO name", after a change to
 * NH_SMTP_STARTTLS send "STARTTLS", and then pass the rest. A dialogue that is over uses nothing. */
size_t nh_smtp_feed(struct nh_smtp *s, const char *data, size_t len);

/* Has the dialogue ended? */
static inline bool nh_smtp_is_over(const struct nh_smtp *s)
{
    return s->state >= NH_SMTP_READY;
}

/* Frees what only reading needs. The texts stay. */
void nh_smtp_end_reading(struct nh_smtp *s);
void nh_smtp_free(struct nh_smtp *s);

/* Writes text of a server as printable ASCII: other bytes become \xHH, and a backslash is
 * doubled. A line feed stays. Returns NULL when memory runs out. The caller frees it. */
char *nh_smtp_quote(const char *text, size_t len);
