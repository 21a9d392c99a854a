/* tls_limits.h - what a server may make a TLS client do. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>

/* Sets the limits of a client's context: the keys of certificates (key_limits.h), and the prime of
 * Diffie-Hellman. What else the context refuses it still refuses. */
void nh_tls_limit(SSL_CTX *ctx);

/* Certificates between a leaf and its anchor: a verification takes a signature of each. Postfix allows 9 by
 * default (smtp_tls_scert_verifydepth). */
#define NH_CHAIN_DEPTH 10

/* *is_costly becomes true when the handshake fails because of the key of a certificate. The
 * address must be valid as long as the session. */
void nh_tls_limit_report(SSL *ssl, bool *is_costly);

/* The size of the prime alone, for a context that refuses nothing else. */
int nh_tls_allow_all_but_large_primes(const SSL *ssl, const SSL_CTX *ctx, int op, int bits, int nid,
                                      void *other, void *arg);
