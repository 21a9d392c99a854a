/*
 * contact.c - one connection to a mail server.
 *
 *   begin -> connect -> greeting -> EHLO -> STARTTLS -> handshake -> result: OK
 *                    -> with TLS from the first byte: handshake -> greeting, if one comes -> result
 *   any stage: refused, closed, no SMTP, its time is up -> result: the failure
 *   result -> on_result; QUIT, if the server listens -> leaving -> it closes, or one second -> on_closed
 *
 * After the result the socket stays open until the server closes it. Else it might not see our QUIT.
 */
#include "contact.h"

#include "dial.h"
#include "loop.h"
#include "timer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEAVE_SECONDS 1.0         /* how long we wait for the server to close */
#define LATE_GREETING_SECONDS 3.0 /* behind the handshake; not all servers send one */
#define STAGE_READS 16            /* of 16 KB: twice the longest reply or chain of certificates */

/* ---- stages and their time --------------------------------------------------------------- */

static void contact_timed_out(void *arg);

/* Runs inside the loop, so it only leaves a task. */
static void contact_on_timer(void *arg)
{
    struct nh_contact *c = arg;

    c->timer = NULL;
    nh_resolver_later(c->resolver, &c->task, contact_timed_out, c);
}

/* Returns false when there is no memory for the timer. */
static bool set_timer(struct nh_contact *c, double seconds)
{
    nh_timer_stop(c->timer);
    nh_task_stop(c->resolver, &c->task);
    c->timer = nh_resolver_timer(c->resolver, seconds, contact_on_timer, c);
    return c->timer != NULL;
}

static void end_stage(struct nh_contact *c)
{
    double now = nh_now();

    c->elapsed[c->stage] = now - c->since;
    c->since = now;
}

static void begin_stage(struct nh_contact *c, enum nh_stage stage, double seconds)
{
    end_stage(c);
    c->stage = stage;
    if (!set_timer(c, seconds)) {
        c->no_memory = true;
        nh_contact_fail(c, NH_RESULT_CONNECT, "there is no memory left");
    }
}

/* ---- the end -------------------------------------------------------------------------------- */

void nh_contact_abort(struct nh_contact *c)
{
    nh_timer_stop(c->timer);
    c->timer = NULL;
    nh_task_stop(c->resolver, &c->task);
    nh_watch_free(c->watch);
    c->watch = NULL;
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    nh_tls_free(&c->session);
    free(c->out);
    c->out = NULL;
    c->n_out = 0;
    c->state = NH_CONTACT_CLOSED;
}

static void contact_closed(void *c)
{
    ((struct nh_contact *)c)->on_closed(c);
}

/* Tells it later, because on_closed may free the contact, which our callers still use. */
static void contact_close(struct nh_contact *c)
{
    nh_contact_abort(c);
    nh_resolver_later(c->resolver, &c->task, contact_closed, c);
}

void nh_contact_free(struct nh_contact *c)
{
    sk_X509_pop_free(c->chain, X509_free);
    nh_smtp_free(&c->smtp);
    free((char *)c->target.helo);
    free(c);
}

/* ---- sending ----------------------------------------------------------------------------------- */

static bool is_again(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* Sends what waits. Errors show when the socket is read. */
static void flush(struct nh_contact *c)
{
    ssize_t n = 0;

    if (c->n_out)
        n = send(c->fd, c->out, c->n_out, MSG_NOSIGNAL);
    if (n > 0) {
        c->n_out -= (size_t)n;
        memmove(c->out, c->out + n, c->n_out);
    } else if (n < 0 && !is_again(errno)) {
        c->n_out = 0;
    }
    (void)nh_watch_set(c->watch, true, c->n_out > 0);
}

static bool queue_bytes(struct nh_contact *c, const void *data, size_t len)
{
    char *out = realloc(c->out, c->n_out + len);

    if (!out)
        return false;
    memcpy(out + c->n_out, data, len);
    c->out = out;
    c->n_out += len;
    return true;
}

/* Sends what the TLS session has to say. */
static void flush_session(struct nh_contact *c)
{
    char bytes[4096];
    size_t n;

    while ((n = nh_tls_take(&c->session, bytes, sizeof bytes)) > 0)
        if (!queue_bytes(c, bytes, n))
            break;
    flush(c);
}

static void send_text(struct nh_contact *c, const char *text)
{
    (void)queue_bytes(c, text, strlen(text)); /* without memory the stage times out */
    flush(c);
}

/* Says goodbye, when the server still listens to commands, and waits for it to close. */
static void leave(struct nh_contact *c)
{
    bool smtp = c->smtp.code >= 200 && c->smtp.state != NH_SMTP_BROKEN;

    c->state = NH_CONTACT_LEAVING;
    if (c->session.ssl) {
        if (smtp)
            (void)nh_tls_write(&c->session, "QUIT\r\n", 6);
        nh_tls_close(&c->session);
        flush_session(c);
    } else {
        send_text(c, "QUIT\r\n");
    }
    if (!set_timer(c, LEAVE_SECONDS))
        contact_close(c);
}

/* ---- results -------------------------------------------------------------------------------------- */

/* Does the server still read commands from us? After a failure of TLS or of the protocol it may
 * not. */
static bool is_listening(const struct nh_contact *c)
{
    return c->result == NH_RESULT_OK || c->result == NH_RESULT_NO_STARTTLS ||
           c->result == NH_RESULT_GREETING ||
           (c->result == NH_RESULT_PROTOCOL && c->smtp.state == NH_SMTP_REFUSED);
}

static void contact_finish(struct nh_contact *c, enum nh_result result)
{
    c->has_result = true;
    c->result = result;
    nh_smtp_end_reading(&c->smtp);
    c->ended = nh_now();
    if (c->smtp.code >= 400 && c->smtp.code < 500 && c->smtp.state == NH_SMTP_REFUSED)
        c->temporary = true;
    c->no_memory = c->no_memory || c->smtp.no_memory;
    if (result == NH_RESULT_CONNECT || result == NH_RESULT_TIMEOUT || c->no_memory)
        c->temporary = true;
    c->on_result(c);
    if (is_listening(c))
        leave(c);
    else
        contact_close(c);
}

void nh_contact_fail(struct nh_contact *c, enum nh_result result, const char *format, ...)
{
    va_list args;

    if (c->has_result)
        return;
    va_start(args, format);
    (void)vsnprintf(c->reason, sizeof c->reason, format, args);
    va_end(args);
    contact_finish(c, result);
}

/* The socket has an error. Before the ClientHello this is a failure to connect. */
static void on_socket_error(struct nh_contact *c, int error)
{
    nh_contact_fail(c, c->stage == NH_STAGE_HANDSHAKE ? NH_RESULT_TLS : NH_RESULT_CONNECT, "%s",
                    strerror(error));
}

/* Ends a contact for which our memory did not suffice. */
static void fail_without_memory(struct nh_contact *c)
{
    c->no_memory = true;
    nh_contact_fail(c, NH_RESULT_TLS, "there is no memory left");
}

static void succeed(struct nh_contact *c)
{
    end_stage(c);
    contact_finish(c, NH_RESULT_OK);
}

/* ---- TLS ---------------------------------------------------------------------------------------------- */

/* Copies the certificates and what was negotiated out of the session. Returns false, and ends the contact,
 * when the server has sent no certificate or memory runs out. */
static bool keep_session(struct nh_contact *c)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(c->session.ssl);

    nh_tls_describe(&c->session, &c->version, c->cipher, c->group);
    if (!chain || sk_X509_num(chain) <= 0) {
        nh_contact_fail(c, NH_RESULT_TLS, "the server has sent no certificate");
        return false;
    }
    c->chain = X509_chain_up_ref(chain);
    if (!c->chain)
        fail_without_memory(c);
    return c->chain != NULL;
}

static void begin_handshake(struct nh_contact *c)
{
    begin_stage(c, NH_STAGE_HANDSHAKE, c->step);
    if (c->has_result)
        return;
    if (!nh_tls_start(&c->session, c->tls, c->target.kind,
                      c->target.sni[0] ? c->target.sni : NULL)) {
        fail_without_memory(c);
        return;
    }
    flush_session(c);
}

/* Before TLS 1.2 the kind of a key cannot be asked for in every case. */
static bool is_wanted_kind(const struct nh_contact *c)
{
    const char *kind = nh_tls_key_name(sk_X509_value(c->chain, 0));

    return c->target.kind == NH_KEY_ANY ||
           (kind && strcmp(kind, nh_key_kind_names[c->target.kind]) == 0);
}

static void on_session_open(struct nh_contact *c)
{
    double wait = c->step < LATE_GREETING_SECONDS ? c->step : LATE_GREETING_SECONDS;

    if (!keep_session(c))
        return;
    if (!is_wanted_kind(c)) {
        c->refused = true;
        nh_contact_fail(c, NH_RESULT_TLS, "the server has sent a certificate of another kind");
    } else if (c->target.implicit_tls) {
        begin_stage(c, NH_STAGE_GREETING, wait);
    } else {
        succeed(c);
    }
}

/* Reads the greeting behind the handshake. What is no SMTP is no failure. */
static void read_late_greeting(struct nh_contact *c)
{
    char text[4096];
    size_t n;

    while (!c->has_result && (n = nh_tls_read(&c->session, text, sizeof text)) > 0) {
        (void)nh_smtp_feed(&c->smtp, text, n);
        if (c->smtp.state == NH_SMTP_REFUSED)
            nh_contact_fail(c, NH_RESULT_GREETING, "the server refuses with its greeting");
        else if (c->smtp.state != NH_SMTP_GREETING)
            succeed(c);
    }
}

static void on_tls_bytes(struct nh_contact *c, const char *data, size_t len)
{
    nh_tls_feed(&c->session, data, len);
    flush_session(c);
    if (c->session.state == NH_SESSION_FAILED) {
        c->refused = c->session.refused;
        c->no_memory = c->session.no_memory;
        nh_contact_fail(c, NH_RESULT_TLS, "%s", c->session.reason);
        return;
    }
    if (c->session.state == NH_SESSION_OPEN && c->stage == NH_STAGE_HANDSHAKE)
        on_session_open(c);
    if (!c->has_result && c->session.state == NH_SESSION_OPEN)
        read_late_greeting(c);
}

/* ---- SMTP ----------------------------------------------------------------------------------------------- */

/* Have bytes come behind the reply to STARTTLS? They would be read as if TLS protected them. */
static bool has_injected(const struct nh_contact *c, size_t left)
{
    char byte;

    return left > 0 || recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void on_smtp_over(struct nh_contact *c, size_t left)
{
    const struct nh_smtp *s = &c->smtp;

    if (s->state == NH_SMTP_BROKEN) {
        nh_contact_fail(c, NH_RESULT_PROTOCOL, "%s", s->wrong);
    } else if (s->state == NH_SMTP_NO_TLS) {
        c->offers_no_tls = true;
        nh_contact_fail(c, NH_RESULT_NO_STARTTLS, "the server does not offer STARTTLS");
    } else if (s->state == NH_SMTP_REFUSED) {
        if (c->stage == NH_STAGE_GREETING)
            nh_contact_fail(c, NH_RESULT_GREETING, "the server refuses with its greeting");
        else if (c->stage == NH_STAGE_EHLO)
            nh_contact_fail(c, NH_RESULT_PROTOCOL, "the server refuses EHLO");
        else
            nh_contact_fail(c, NH_RESULT_NO_STARTTLS, "the server refuses STARTTLS");
    } else if (has_injected(c, left)) {
        nh_contact_fail(c, NH_RESULT_INJECTED,
                        "bytes came behind the reply to STARTTLS and before TLS");
    } else {
        begin_handshake(c);
    }
}

static void on_smtp_bytes(struct nh_contact *c, const char *data, size_t len)
{
    while (len && !c->has_result && !nh_smtp_is_over(&c->smtp)) {
        enum nh_smtp_state before = c->smtp.state;
        size_t used = nh_smtp_feed(&c->smtp, data, len);

        data += used;
        len -= used;
        if (nh_smtp_is_over(&c->smtp)) {
            on_smtp_over(c, len);
        } else if (c->smtp.state != before) {
            bool ehlo = c->smtp.state == NH_SMTP_EHLO;

            begin_stage(c, ehlo ? NH_STAGE_EHLO : NH_STAGE_STARTTLS, c->step);
            if (c->has_result)
                return;
            if (ehlo) {
                char line[NH_HOST_MAX + 16];

                snprintf(line, sizeof line, "EHLO %s\r\n", c->target.helo);
                send_text(c, line);
            } else {
                send_text(c, "STARTTLS\r\n");
            }
        }
    }
}

/* ---- the socket -------------------------------------------------------------------------------------------- */

static void on_connected(struct nh_contact *c)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error) {
        on_socket_error(c, error);
        return;
    }
    (void)nh_watch_set(c->watch, true, false);
    if (c->target.implicit_tls)
        begin_handshake(c);
    else
        begin_stage(c, NH_STAGE_GREETING, c->step);
}

/* The server has closed the connection. */
static void on_eof(struct nh_contact *c)
{
    if (c->session.state == NH_SESSION_OPEN && c->session.ssl)
        succeed(c); /* it waited for no greeting */
    else if (c->stage == NH_STAGE_HANDSHAKE)
        nh_contact_fail(c, NH_RESULT_TLS, "the server has closed the connection");
    else
        nh_contact_fail(c, NH_RESULT_PROTOCOL, "the server has closed the connection");
}

/* Reads once, so that one server cannot keep the loop busy. Returns false when nothing has come. */
static bool contact_read(struct nh_contact *c)
{
    char data[16384];
    ssize_t n = recv(c->fd, data, sizeof data, MSG_DONTWAIT);

    if (n < 0 && is_again(errno))
        return false;
    if (c->state == NH_CONTACT_LEAVING) {
        if (n <= 0)
            contact_close(c);
    } else if (n < 0) {
        if (c->session.state == NH_SESSION_OPEN && c->session.ssl)
            succeed(c);
        else
            on_socket_error(c, errno);
    } else if (n == 0) {
        on_eof(c);
    } else if (c->session.ssl) {
        on_tls_bytes(c, data, (size_t)n);
    } else {
        on_smtp_bytes(c, data, (size_t)n);
    }
    return true;
}

static void contact_on_event(int fd, short bits, void *arg)
{
    struct nh_contact *c = arg;

    (void)fd, (void)bits;
    if (!c->has_result && c->stage == NH_STAGE_CONNECT) {
        on_connected(c);
        return;
    }
    if (c->n_out)
        flush(c);
    (void)contact_read(c);
}

/* Handles the end of a stage's time. What has come meanwhile is read first, because the host program
 * may have been late. Of a server that never stops to send, so much is read as one stage can need. */
static void contact_timed_out(void *arg)
{
    struct nh_contact *c = arg;
    enum nh_stage stage = c->stage;
    int reads = STAGE_READS;

    if (c->state == NH_CONTACT_LEAVING) {
        contact_close(c);
        return;
    }
    if (stage == NH_STAGE_CONNECT && nh_dial_is_over(c->fd))
        on_connected(c);
    else if (stage != NH_STAGE_CONNECT)
        while (reads-- > 0 && contact_read(c) && !c->has_result && c->stage == stage)
            ;
    if (c->has_result || c->stage != stage)
        return;
    if (c->session.state == NH_SESSION_OPEN && c->session.ssl)
        succeed(c);
    else
        nh_contact_fail(c, NH_RESULT_TIMEOUT, "no answer within %g seconds", c->step);
}

static void contact_refused(void *arg)
{
    struct nh_contact *c = arg;

    on_socket_error(c, c->error);
}

int nh_contact_begin(struct nh_contact *c)
{
    int error, k;

    for (k = 0; k < NH_STAGES; k++)
        c->elapsed[k] = -1;
    error = nh_dial(&c->target.ip, c->target.port, &c->target.source, &c->fd);
    if (c->fd < 0)
        return error;
    c->state = NH_CONTACT_RUNNING;
    c->since = nh_now();
    c->watch = error ? NULL
                     : nh_watch_new(nh_resolver_loop(c->resolver), c->fd, contact_on_event, c);
    if (!error && (!c->watch || !nh_watch_set(c->watch, false, true) || !set_timer(c, c->step)))
        error = ENOMEM;
    if (error) {
        c->error = error;
        nh_resolver_later(c->resolver, &c->task, contact_refused, c);
    }
    return 0;
}
