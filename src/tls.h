/* tls.h - the client side of TLS over bytes that the caller carries, by OpenSSL.
 *
 * Nothing is verified during the handshake: verdict.h judges the certificates afterwards. OpenSSL's
 * error queue is left as it was found, and no global state of OpenSSL is changed. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

/* Which signature algorithms are offered, and by that which certificate is asked for. */
enum nh_key_kind { NH_KEY_ANY, NH_KEY_RSA, NH_KEY_ECDSA, NH_KEY_ED25519, NH_KEY_KINDS };
extern const char *const nh_key_kind_names[NH_KEY_KINDS];

/* One SSL_CTX for each kind that was used. All fields are NULL before the first use. */
struct nh_tls_contexts {
    SSL_CTX *kinds[NH_KEY_KINDS];
};
void nh_tls_contexts_free(struct nh_tls_contexts *contexts);

enum nh_session_state { NH_SESSION_HANDSHAKE, NH_SESSION_OPEN, NH_SESSION_FAILED };

struct nh_tls_session {
    SSL *ssl;
    BIO *in, *out; /* they belong to ssl */
    enum nh_session_state state;
    bool refused;     /* failed: the server has no certificate that was asked for, it seems */
    bool no_memory;   /* failed: our memory did not suffice */
    bool is_costly;   /* failed: because of a key in its certificates, see tls_limits.h */
    char reason[120]; /* failed: in OpenSSL's words */
};

/* Begins a handshake. sni is the name to send, or NULL. Returns false when memory runs out. */
bool nh_tls_start(struct nh_tls_session *t, struct nh_tls_contexts *contexts, enum nh_key_kind kind,
                  const char *sni);

/* Takes bytes from the server and goes on with the handshake. */
void nh_tls_feed(struct nh_tls_session *t, const void *data, size_t len);

/* Takes bytes that are to be sent out of the session. Returns how many. */
size_t nh_tls_take(struct nh_tls_session *t, void *out, size_t size);

/* When the session is open: writes and reads plain text. They return the number of bytes. */
size_t nh_tls_write(struct nh_tls_session *t, const void *data, size_t len);
size_t nh_tls_read(struct nh_tls_session *t, void *out, size_t size);

/* Adds a close_notify to the bytes that are to be sent. */
void nh_tls_close(struct nh_tls_session *t);

void nh_tls_free(struct nh_tls_session *t);

/* What was negotiated. group is "" when the key exchange has none. */
void nh_tls_describe(const struct nh_tls_session *t, const char **version, char cipher[64],
                     char group[64]);

/* The kind of a certificate's key as records and reports name it ("rsa", "ecdsa", "ed25519",
 * "ed448"). NULL: another. */
const char *nh_tls_key_name(X509 *cert);
