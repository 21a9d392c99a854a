/* server.h - what the files of the program mail-server share, see main.c. */
#pragma once

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

enum { MAX_WORDS = 6, MAX_SNI = 8, MAX_LINE = 1 << 16 };

struct step {
    struct step *next;
    char *words[MAX_WORDS];
};

struct event {
    struct event *next;
    unsigned order; /* among the events of all hosts */
    unsigned connection;
    const char *name;
    char *text; /* escaped, or NULL */
};

/* A server. It is never freed: a thread may still use one that was replaced. */
struct host {
    struct host *next;
    char *address, *port;
    int socket;
    bool full;
    SSL_CTX *contexts[MAX_SNI]; /* the first one is for all names that the others do not have */
    char *names[MAX_SNI];
    size_t n_contexts;
    struct step *steps, **last_step;
    struct event *events, **last_event;
    unsigned connections;
};

extern pthread_mutex_t mutex; /* for the lists of hosts and of events */
extern pthread_cond_t changed;

void *allocate(size_t size);
size_t unescape(char *text);

/* The context for this name, or for all others; a new one if there is none yet. */
SSL_CTX *context_for(struct host *host, const char *name);

/* Removes all events. The mutex must be held. */
void forget(struct host *host);

/* Runs the steps for one connection and then closes the socket: the main function of a thread. */
struct connection;
struct connection *connection_new(struct host *host, int socket);
void *serve_connection(void *argument);
