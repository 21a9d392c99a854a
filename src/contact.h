/* contact.h - one connection to a mail server: connect, SMTP up to STARTTLS, TLS handshake, QUIT.
 *
 * A contact only finds out what the server presents. What that is worth is decided later, and may
 * be decided more than once. No mail command beyond EHLO, STARTTLS and QUIT is ever sent. */
#pragma once

#include "list.h"
#include "name.h"
#include "outcome.h"
#include "resolver.h"
#include "smtp.h"
#include "tls.h"

struct nh_address;
struct nh_contacts;
struct nh_wait;

/* What makes two contacts the same. */
struct nh_target {
    struct nh_ip ip, source; /* source.family is 0: the system chooses the local address */
    uint16_t port;
    enum nh_key_kind kind;
    bool implicit_tls;     /* TLS from the first byte */
    char sni[NH_HOST_MAX]; /* "": none is sent */
    const char *helo;
};

enum nh_contact_state {
    NH_CONTACT_QUEUED, /* waits for a place */
    NH_CONTACT_RUNNING,
    NH_CONTACT_LEAVING, /* has its result; QUIT was sent, and the server has not closed yet */
    NH_CONTACT_CLOSED
};

NH_LIST_HEAD(nh_waits, nh_wait);

struct nh_contact {
    struct nh_target target; /* helo is a copy */
    double step;             /* seconds for each stage */
    /* The result, when it has one. With NH_RESULT_OK the handshake has ended, and chain is set. */
    bool has_result;
    enum nh_result result;
    enum nh_stage stage;
    bool offers_no_tls;        /* NH_RESULT_NO_STARTTLS because EHLO did not offer it */
    bool refused;              /* NH_RESULT_TLS, and the server seems to have no such certificate */
    bool temporary;            /* the failure may go away */
    bool no_memory;            /* the failure says nothing of the server */
    char reason[256];          /* of a failure: a clause, without the text of the server */
    struct nh_smtp smtp;       /* what the server has said */
    double elapsed[NH_STAGES]; /* seconds; negative: the stage has not ended */
    const char *version;
    char cipher[64], group[64];
    STACK_OF(X509) * chain; /* the leaf is first */
    double ended;           /* when the result came */

    /* private */
    enum nh_contact_state state;
    struct nh_contacts *owner;
    struct nh_address *address; /* of its owner; not after on_closed */
    struct nh_resolver *resolver;
    struct nh_tls_contexts *tls;
    void (*on_result)(struct nh_contact *);
    void (*on_closed)(struct nh_contact *);
    int fd, error; /* error: the errno of connect() */
    struct nh_watch *watch;
    struct nh_timer *timer;
    struct nh_task task; /* runs when the time of the stage is up */
    double since;        /* when the stage began */
    struct nh_tls_session session;
    char *out; /* bytes that wait to be sent */
    size_t n_out;
    unsigned refs, max_connections, per_ip;
    struct nh_waits waits;
    bool in_table, in_memory;
    NH_LIST_LINK(nh_contact) link;        /* in a queue, or among those with a socket */
    NH_LIST_LINK(nh_contact) memory_link; /* among those that are remembered */
    NH_LIST_LINK(nh_contact) table_link;
};

/* Connects. Never calls on_result or on_closed before it returns. Returns the errno when there is no socket,
 * and 0 otherwise. The caller has set the target, the step and the private fields from owner to on_closed. */
int nh_contact_begin(struct nh_contact *c);

/* Ends a contact that is under way, without a result. on_closed is not called. */
void nh_contact_abort(struct nh_contact *c);

/* Sets the result of a contact that has none, and calls on_result. */
void nh_contact_fail(struct nh_contact *c, enum nh_result result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Frees the memory of a contact that has no socket. */
void nh_contact_free(struct nh_contact *c);
