/* session.c - one connection: the steps of its script, TLS, and the events that it leaves. */
#include "server.h"

#include <netdb.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    struct connection *next; /* of those that are open */
    struct host *host;
    unsigned number;
    int socket;
    bool raw; /* the client speaks TLS, which is nothing to log */
    SSL *ssl;
    char input[16384];
    size_t start, end;
};

/* ---- texts ---- */

static char *escape(const char *text, size_t length)
{
    char *escaped = allocate(3 * length + 1), *out = escaped;
    size_t k;

    for (k = 0; k < length; k++) {
        unsigned char c = (unsigned char)text[k];

        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
            *out++ = (char)c;
        else
            out += sprintf(out, "%%%02X", c);
    }
    return escaped;
}

/* Replaces the %XX of a text in place; returns its length, as it may have zero bytes. */
size_t unescape(char *text)
{
    char *in = text, *out = text, digits[3] = "";

    while (*in) {
        if (in[0] == '%' && in[1] && in[2]) {
            memcpy(digits, in + 1, 2);
            *out++ = (char)strtoul(digits, NULL, 16);
            in += 3;
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
    return (size_t)(out - text);
}

/* ---- events ---- */

static unsigned order;

/* Takes text. */
static void tell(struct connection *c, const char *name, char *text)
{
    struct event *event = allocate(sizeof *event);

    event->connection = c->number;
    event->name = name;
    event->text = text;
    pthread_mutex_lock(&mutex);
    event->order = ++order;
    *c->host->last_event = event;
    c->host->last_event = &event->next;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* The mutex must be held. */
void forget(struct host *host)
{
    while (host->events) {
        struct event *event = host->events;

        host->events = event->next;
        free(event->text);
        free(event);
    }
    host->last_event = &host->events;
}

/* ---- bytes ---- */

static bool put(struct connection *c, const char *text, size_t length)
{
    while (length > 0) {
        int chunk = length > MAX_LINE ? MAX_LINE : (int)length;
        ssize_t n = c->ssl ? SSL_write(c->ssl, text, chunk)
                           : send(c->socket, text, (size_t)chunk, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        text += n;
        length -= (size_t)n;
    }
    return true;
}

static bool put_text(struct connection *c, const char *text)
{
    return put(c, text, strlen(text));
}

/* One more byte, or -1 at the end. */
static int next_byte(struct connection *c)
{
    if (c->start == c->end) {
        ssize_t n = c->ssl ? SSL_read(c->ssl, c->input, sizeof c->input)
                           : recv(c->socket, c->input, sizeof c->input, 0);

        if (n <= 0)
            return -1;
        c->start = 0;
        c->end = (size_t)n;
    }
    return (unsigned char)c->input[c->start++];
}

/* One line without its end; NULL at the end of the input. The caller frees it. */
static char *get_line(struct connection *c)
{
    size_t length = 0;
    char *line = allocate(MAX_LINE + 1);
    int byte;

    while ((byte = next_byte(c)) >= 0 && byte != '\n' && length < MAX_LINE)
        line[length++] = (char)byte;
    if (byte < 0) {
        tell(c, "eof", length > 0 ? escape(line, length) : NULL);
        free(line);
        return NULL;
    }
    if (length > 0 && line[length - 1] == '\r')
        length--;
    line[length] = '\0';
    tell(c, "command", escape(line, length));
    return line;
}

/* ---- TLS ---- */

static int on_server_name(SSL *ssl, int *alert, void *argument)
{
    struct host *host = argument;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    size_t k;

    (void)alert;
    for (k = 1; name && k < host->n_contexts; k++)
        if (strcmp(name, host->names[k]) == 0)
            SSL_set_SSL_CTX(ssl, host->contexts[k]);
    return SSL_TLSEXT_ERR_OK;
}

/* The context for this name, a new one if there is none yet. Security level 0 and the protocol limits
 * make it take whatever a test asks for. */
SSL_CTX *context_for(struct host *host, const char *name)
{
    SSL_CTX *context;
    size_t k;

    for (k = name ? 1 : 0; k < host->n_contexts && (name || k == 0); k++)
        if (!name || strcmp(name, host->names[k]) == 0)
            return host->contexts[k];
    if (host->n_contexts == MAX_SNI || !(context = SSL_CTX_new(TLS_server_method())))
        abort();
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, 0);
    SSL_CTX_set_max_proto_version(context, 0);
    SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(context, host);
    host->names[host->n_contexts] = name ? strdup(name) : NULL;
    host->contexts[host->n_contexts++] = context;
    return context;
}

static char *tls_error(void)
{
    char text[256];

    ERR_error_string_n(ERR_peek_last_error(), text, sizeof text);
    ERR_clear_error();
    return escape(text, strlen(text));
}

static bool tell_tls(struct connection *c, SSL *ssl, int result)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    char text[512];

    if (result != 1) {
        tell(c, "tls-failed", tls_error());
        return false;
    }
    snprintf(text, sizeof text, "%s,%s,%s", SSL_get_version(ssl), SSL_get_cipher_name(ssl),
             name ? name : "");
    tell(c, "tls", escape(text, strlen(text)));
    return true;
}

static bool step_tls(struct connection *c, struct step *step)
{
    SSL *ssl;
    int result;

    (void)step;
    if (c->start < c->end) {
        tell(c, "early", NULL);
        return false;
    }
    ssl = SSL_new(c->host->contexts[0]);
    SSL_set_fd(ssl, c->socket);
    result = SSL_accept(ssl);
    if (!tell_tls(c, ssl, result)) {
        SSL_free(ssl);
        return false;
    }
    c->ssl = ssl;
    return true;
}

/* hello N: answers the ClientHello with the first N bytes of what a server says, and no more. */
static bool step_hello(struct connection *c, struct step *step)
{
    SSL *ssl = SSL_new(c->host->contexts[0]);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    long wanted = atol(step->words[1]);
    char *bytes;
    long length;
    ssize_t n;

    c->raw = true;
    SSL_set_bio(ssl, in, out);
    SSL_set_accept_state(ssl);
    while ((length = BIO_get_mem_data(out, &bytes)) == 0) {
        n = recv(c->socket, c->input, sizeof c->input, 0);
        if (n <= 0)
            break;
        BIO_write(in, c->input, (int)n);
        SSL_do_handshake(ssl);
    }
    put(c, bytes, (size_t)(length < wanted ? length : wanted));
    SSL_free(ssl);
    ERR_clear_error();
    return true;
}

/* ---- steps ---- */

/* send TEXT [COUNT]: says it, that many times. */
static bool step_send(struct connection *c, struct step *step)
{
    char *text = strdup(step->words[1]);
    size_t length = unescape(text);
    long count = step->words[2] ? atol(step->words[2]) : 1;
    bool ok = true;

    while (ok && count-- > 0)
        ok = put(c, text, length);
    free(text);
    return ok;
}

/* drip TEXT MILLISECONDS: says it byte by byte, with that long between them. */
static bool step_drip(struct connection *c, struct step *step)
{
    char *text = strdup(step->words[1]);
    size_t length = unescape(text), k;
    bool ok = true;

    for (k = 0; ok && k < length; k++) {
        ok = put(c, text + k, 1);
        poll(NULL, 0, atoi(step->words[2]));
    }
    free(text);
    return ok;
}

/* line: waits for a line of the client. */
static bool step_line(struct connection *c, struct step *step)
{
    char *line = get_line(c);

    (void)step;
    free(line);
    return line != NULL;
}

/* raw: waits for a byte of the client that is no line, as a ClientHello. */
static bool step_raw(struct connection *c, struct step *step)
{
    (void)step;
    c->raw = true;
    return next_byte(c) >= 0;
}

/* silent: says nothing until the client has gone. */
static bool step_silent(struct connection *c, struct step *step)
{
    while (c->raw ? next_byte(c) >= 0 : step_line(c, step))
        ;
    return false;
}

/* serve: answers what a client may say after the greeting or after the handshake, until QUIT. */
static bool step_serve(struct connection *c, struct step *step)
{
    bool more = true;

    while (more) {
        char *line = get_line(c);

        if (!line)
            return false;
        if (strncasecmp(line, "QUIT", 4) == 0) {
            put_text(c, "221 2.0.0 Bye\r\n");
            more = false;
        } else if (strncasecmp(line, "STARTTLS", 8) == 0 && !c->ssl) {
            more = put_text(c, "220 2.0.0 Ready\r\n") && step_tls(c, step);
        } else if (strncasecmp(line, "EHLO", 4) == 0) {
            more = put_text(c, c->ssl ? "250 mail.test\r\n" : "250-mail.test\r\n250 STARTTLS\r\n");
        } else {
            more = put_text(c, "502 5.5.2 Command not recognized\r\n");
        }
        free(line);
    }
    return false;
}

/* Reads a message up to its last line; false at the end of the connection. */
static bool read_message(struct connection *c)
{
    bool is_last = false;

    while (!is_last) {
        char *line = get_line(c);

        if (!line)
            return false;
        is_last = strcmp(line, ".") == 0;
        free(line);
    }
    tell(c, "message", c->ssl ? "tls" : "clear");
    return put_text(c, "250 2.0.0 Accepted\r\n");
}

/* One command of a client that delivers mail. */
static bool take_command(struct connection *c, struct step *step, const char *line)
{
    const char *mode = step->words[1];

    if (strncasecmp(line, "EHLO", 4) == 0)
        return put_text(c, c->ssl || strcmp(mode, "plain") == 0
                               ? "250 mail.test\r\n"
                               : "250-mail.test\r\n250 STARTTLS\r\n");
    if (strncasecmp(line, "STARTTLS", 8) == 0 && !c->ssl) {
        if (strcmp(mode, "plain") == 0)
            return put_text(c, "502 5.5.1 No TLS here\r\n");
        return put_text(c, "220 2.0.0 Ready\r\n") && strcmp(mode, "broken") != 0 &&
               step_tls(c, step);
    }
    if (strncasecmp(line, "DATA", 4) == 0)
        return put_text(c, "354 Go on\r\n") && read_message(c);
    return put_text(c, "250 2.0.0 Good\r\n");
}

/* accept MODE: takes mail until QUIT. The mode is "tls", "plain" (there is no STARTTLS) or "broken" (the
 * connection ends after STARTTLS). */
static bool step_accept(struct connection *c, struct step *step)
{
    bool more = true;

    while (more) {
        char *line = get_line(c);

        if (!line)
            return false;
        if (strncasecmp(line, "QUIT", 4) == 0) {
            put_text(c, "221 2.0.0 Bye\r\n");
            more = false;
        } else {
            more = take_command(c, step, line);
        }
        free(line);
    }
    return false;
}

/* sleep MILLISECONDS */
static bool step_sleep(struct connection *c, struct step *step)
{
    (void)c;
    poll(NULL, 0, atoi(step->words[1]));
    return true;
}

/* reset: ends the connection with a RST. */
static bool step_reset(struct connection *c, struct step *step)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    (void)step;
    setsockopt(c->socket, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    return false;
}

/* close: ends the connection; the end of the steps does the same. */
static bool step_close(struct connection *c, struct step *step)
{
    (void)c;
    (void)step;
    return false;
}

static const struct {
    const char *name;
    bool (*run)(struct connection *c, struct step *step); /* false: nothing more is to be done */
} steps[] = {
    {"send", step_send},     {"drip", step_drip},   {"line", step_line},   {"raw", step_raw},
    {"silent", step_silent}, {"serve", step_serve}, {"sleep", step_sleep}, {"reset", step_reset},
    {"close", step_close},   {"tls", step_tls},     {"hello", step_hello}, {"accept", step_accept},
};

static bool run_step(struct connection *c, struct step *step)
{
    size_t k;

    for (k = 0; k < sizeof steps / sizeof steps[0]; k++)
        if (strcmp(step->words[0], steps[k].name) == 0)
            return steps[k].run(c, step);
    fprintf(stderr, "mail-server: no such step: %s\n", step->words[0]);
    return false;
}

/* Ends a connection in good order: what the client has sent and nobody has read would make close()
 * send a RST. Waits one second at most for the client to close. */
static void finish(struct connection *c)
{
    struct timeval second = {.tv_sec = 1};

    if (c->ssl)
        SSL_shutdown(c->ssl);
    shutdown(c->socket, SHUT_WR);
    setsockopt(c->socket, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    c->start = c->end;
    while (next_byte(c) >= 0)
        c->start = c->end;
    if (c->ssl && (SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN))
        tell(c, "close-notify", NULL);
}

static struct connection *open_connections;

/* How many connections are open, to this host or (NULL) to all. One that the client has closed does not
 * count, whether we have noticed or not. The mutex must be held. */
static unsigned count_open(const struct host *host)
{
    const struct connection *c;
    unsigned n = 0;

    for (c = open_connections; c; c = c->next) {
        struct pollfd poll_for = {.fd = c->socket, .events = POLLRDHUP};

        if (!host || c->host == host)
            n += poll(&poll_for, 1, 0) == 0;
    }
    return n;
}

struct connection *connection_new(struct host *host, int socket)
{
    struct connection *c = allocate(sizeof *c);
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    char address[NI_MAXHOST] = "", text[NI_MAXHOST + 32];

    c->host = host;
    c->socket = socket;
    c->number = ++host->connections;
    pthread_mutex_lock(&mutex);
    c->next = open_connections;
    open_connections = c;
    if (getpeername(socket, (struct sockaddr *)&peer, &size) == 0)
        getnameinfo((struct sockaddr *)&peer, size, address, sizeof address, NULL, 0,
                    NI_NUMERICHOST);
    snprintf(text, sizeof text, "%s %u %u", address, count_open(host), count_open(NULL));
    pthread_mutex_unlock(&mutex);
    tell(c, "open", escape(text, strlen(text)));
    return c;
}

static void connection_free(struct connection *c)
{
    struct connection **link = &open_connections;

    pthread_mutex_lock(&mutex);
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    pthread_mutex_unlock(&mutex);
    SSL_free(c->ssl);
    close(c->socket);
    tell(c, "close", NULL);
    free(c);
}

void *serve_connection(void *argument)
{
    struct connection *c = argument;
    struct step *step;
    struct linger linger;
    socklen_t size = sizeof linger;

    for (step = c->host->steps; step && run_step(c, step); step = step->next)
        ;
    if (getsockopt(c->socket, SOL_SOCKET, SO_LINGER, &linger, &size) == 0 && !linger.l_onoff)
        finish(c);
    connection_free(c);
    return NULL;
}
