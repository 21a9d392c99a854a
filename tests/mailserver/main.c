/*
 * main.c - the program mail-server: SMTP servers that say and do what a test tells them, with TLS by
 * OpenSSL.
 *
 * The program reads commands from standard input, one a line, and answers each with one line on
 * standard output, which begins with "ok" or "error". It ends when its standard input ends. Texts in
 * commands and answers have no spaces: a byte that is no letter and no digit is written as %XX.
 *
 *   host ADDRESS PORT     begins a server; the lines up to `end` describe it (they have no answer)
 *     full                it listens, and the system drops all attempts to connect to it
 *     cert CHAIN KEY [NAME]   a certificate, for clients that send NAME as SNI, or for all others
 *     min VERSION         no older TLS version than this (as 769 for TLS 1.0)
 *     max VERSION         and no newer one
 *     ciphers LIST        ciphers of TLS 1.2 and older
 *     sigalgs LIST        signature algorithms
 *     groups LIST         groups of the key exchange
 *     ask KIND            asks for a certificate of the client; KIND is "optional" or "required"
 *     step NAME [A [B]]   the next thing that it does with each connection, see `steps`
 *   end                   starts the server: "ok"
 *   stop ADDRESS PORT     stops to listen: "ok"
 *   log ADDRESS PORT      "ok N", then N lines: ORDER CONNECTION EVENT [TEXT]
 *   forget                clears all logs: "ok"
 *   wait ADDRESS PORT EVENT COUNT SECONDS   waits until there are that many of these events: "ok"
 *   port                  a port that is free on all addresses: "ok PORT"
 *
 * Each connection has a thread of its own. The events are: open (the client's address, and how many
 * connections are open then, to this host and to all), command (a line of the client), eof, tls (version,
 * cipher and SNI), tls-failed, early (bytes before TLS was agreed on), message ("tls" or "clear"), close-notify,
 * close.
 * tests/support/mail_server.lua is the other side.
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static struct host *hosts;

void *allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        abort();
    return memory;
}

static void *serve_host(void *argument)
{
    struct host *host = argument;
    pthread_attr_t attributes;
    pthread_t thread;
    int socket;

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    while ((socket = accept(host->socket, NULL, NULL)) >= 0)
        if (pthread_create(&thread, &attributes, serve_connection, connection_new(host, socket)))
            abort();
    pthread_attr_destroy(&attributes);
    return NULL;
}

/* A socket that is bound to an address; *result is the address. Returns -1 on failure. */
static int bound(const char *address, const char *port, struct addrinfo **result)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    int yes = 1, fd;

    if (getaddrinfo(address, port, &hints, result) != 0)
        return -1;
    fd = socket((*result)->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (*result)->ai_addr, (*result)->ai_addrlen) == 0)
        return fd;
    freeaddrinfo(*result);
    close(fd);
    return -1;
}

/* Fills the queue of a socket that nobody accepts from: the system then drops what comes. */
static void fill(const struct addrinfo *address)
{
    int k;

    for (k = 0; k < 4; k++)
        connect(socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                address->ai_addr, address->ai_addrlen);
}

static struct host *find(const char *address, const char *port)
{
    struct host *host;

    for (host = hosts; host; host = host->next)
        if (strcmp(host->address, address) == 0 && strcmp(host->port, port) == 0)
            return host;
    return NULL;
}

static void stop(struct host *host)
{
    if (host->socket >= 0) {
        shutdown(host->socket, SHUT_RDWR);
        close(host->socket);
    }
    host->socket = -1;
    host->address[0] = '\0'; /* it is found no more */
}

static struct host *host_new(const char *address, const char *port)
{
    struct host *host = allocate(sizeof *host);

    host->address = strdup(address);
    host->port = strdup(port);
    host->socket = -1;
    host->last_step = &host->steps;
    host->last_event = &host->events;
    return host;
}

/* Starts to serve; returns -1, and errno is set, if it cannot. */
static int start(struct host *host)
{
    struct host *old = find(host->address, host->port);
    struct addrinfo *address;
    pthread_t thread;

    if (old)
        stop(old);
    context_for(host, NULL);
    host->socket = bound(host->address, host->port, &address);
    if (host->socket < 0 || listen(host->socket, host->full ? 0 : 1024) != 0)
        return -1;
    if (host->full)
        fill(address);
    else if (pthread_create(&thread, NULL, serve_host, host) == 0)
        pthread_detach(thread);
    freeaddrinfo(address);
    pthread_mutex_lock(&mutex);
    host->next = hosts;
    hosts = host;
    pthread_mutex_unlock(&mutex);
    return 0;
}

/* One line of the description of a host; false when it cannot be. */
static bool describe(struct host *host, char **words, size_t n)
{
    struct step *step;
    SSL_CTX *context;
    size_t k;

    if (strcmp(words[0], "full") == 0) {
        host->full = true;
        return true;
    }
    if (n < 2)
        return false;
    if (strcmp(words[0], "step") == 0) {
        step = allocate(sizeof *step);
        for (k = 1; k < n; k++)
            step->words[k - 1] = strdup(words[k]);
        *host->last_step = step;
        host->last_step = &step->next;
        return true;
    }
    for (k = 1; k < n; k++)
        unescape(words[k]);
    context = context_for(host, NULL);
    if (strcmp(words[0], "cert") == 0 && n >= 3) {
        context = context_for(host, n > 3 ? words[3] : NULL);
        return SSL_CTX_use_certificate_chain_file(context, words[1]) == 1 &&
               SSL_CTX_use_PrivateKey_file(context, words[2], SSL_FILETYPE_PEM) == 1;
    }
    if (strcmp(words[0], "min") == 0)
        return SSL_CTX_set_min_proto_version(context, atoi(words[1])) == 1;
    if (strcmp(words[0], "max") == 0)
        return SSL_CTX_set_max_proto_version(context, atoi(words[1])) == 1;
    if (strcmp(words[0], "ciphers") == 0)
        return SSL_CTX_set_cipher_list(context, words[1]) == 1;
    if (strcmp(words[0], "sigalgs") == 0)
        return SSL_CTX_set1_sigalgs_list(context, words[1]) == 1;
    if (strcmp(words[0], "groups") == 0)
        return SSL_CTX_set1_groups_list(context, words[1]) == 1;
    if (strcmp(words[0], "ask") == 0) {
        bool required = strcmp(words[1], "required") == 0;

        SSL_CTX_set_verify(
            context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
        return true;
    }
    return false;
}

/* The number of events of that name. The mutex must be held. */
static unsigned count(const struct host *host, const char *name)
{
    const struct event *event;
    unsigned n = 0;

    for (event = host->events; event; event = event->next)
        n += strcmp(event->name, name) == 0;
    return n;
}

static void print_log(struct host *host)
{
    const struct event *event;
    unsigned n = 0;

    pthread_mutex_lock(&mutex);
    for (event = host->events; event; event = event->next)
        n++;
    printf("ok %u\n", n);
    for (event = host->events; event; event = event->next)
        printf("%u %u %s %s\n", event->order, event->connection, event->name,
               event->text ? event->text : "");
    pthread_mutex_unlock(&mutex);
}

static bool wait_for(struct host *host, const char *name, unsigned wanted, double seconds)
{
    struct timespec until;
    int status = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)seconds + 1;
    pthread_mutex_lock(&mutex);
    while (count(host, name) < wanted && status == 0)
        status = pthread_cond_timedwait(&changed, &mutex, &until);
    pthread_mutex_unlock(&mutex);
    return status == 0;
}

static void print_free_port(void)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    struct addrinfo *found;
    int fd = bound("0.0.0.0", "0", &found);

    if (fd < 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        printf("error no free port\n");
        return;
    }
    printf("ok %d\n", ntohs(address.sin_port));
    freeaddrinfo(found);
    close(fd);
}

/* Commands about hosts that there are. */
static void command(char **words, size_t n)
{
    struct host *host = n >= 3 ? find(words[1], words[2]) : NULL;

    if (strcmp(words[0], "port") == 0) {
        print_free_port();
    } else if (strcmp(words[0], "forget") == 0) {
        pthread_mutex_lock(&mutex);
        for (host = hosts; host; host = host->next)
            forget(host);
        pthread_mutex_unlock(&mutex);
        printf("ok\n");
    } else if (!host) {
        printf("error no such host or command: %s\n", words[0]);
    } else if (strcmp(words[0], "stop") == 0) {
        stop(host);
        printf("ok\n");
    } else if (strcmp(words[0], "log") == 0) {
        print_log(host);
    } else if (strcmp(words[0], "wait") == 0 && n == 6) {
        if (wait_for(host, words[3], (unsigned)atoi(words[4]), atof(words[5])))
            printf("ok\n");
        else
            printf("error waited in vain for %s %s\n", words[4], words[3]);
    } else {
        printf("error no such command: %s\n", words[0]);
    }
}

int main(void)
{
    static char line[4 * MAX_LINE];
    char *words[MAX_WORDS + 1];
    struct host *host = NULL;
    static char error[256];
    size_t n;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    while (fgets(line, sizeof line, stdin)) {
        char *word = strtok(line, " \n");

        for (n = 0; word && n < MAX_WORDS; word = strtok(NULL, " \n"))
            words[n++] = word;
        if (n == 0)
            continue;
        if (strcmp(words[0], "host") == 0 && n == 3) {
            host = host_new(words[1], words[2]);
            error[0] = '\0';
        } else if (host && strcmp(words[0], "end") == 0) {
            if (!error[0] && start(host))
                snprintf(error, sizeof error, "cannot start: %s", strerror(errno));
            printf(error[0] ? "error %s\n" : "ok\n", error);
            host = NULL;
        } else if (host) {
            if (!describe(host, words, n))
                snprintf(error, sizeof error, "cannot be: %s %.200s", words[0],
                         n > 1 ? words[1] : "");
        } else {
            command(words, n);
        }
    }
    return 0;
}
