/* libressl.h - what LibreSSL does not have of OpenSSL's interface. Without DANE `verify` refuses to
 * start, so that nothing here decides anything; see nh_has_dane(). */
#pragma once

#include <openssl/opensslv.h>

#ifdef LIBRESSL_VERSION_NUMBER

#include <openssl/evp.h>
#include <openssl/ssl.h>

/* No key has this type. */
#ifndef EVP_PKEY_ED448
#define EVP_PKEY_ED448 (-1)
#endif

/* No error has this reason. */
#ifndef SSL_R_WRONG_CERTIFICATE_TYPE
#define SSL_R_WRONG_CERTIFICATE_TYPE (-1)
#endif

/* One key kind cannot be asked for. */
#ifndef SSL_CTX_set1_sigalgs_list
#define SSL_CTX_set1_sigalgs_list(ctx, list) ((void)(ctx), (void)(list), 0)
#endif

/* The largest prime of Diffie-Hellman is LibreSSL's own. */
#ifndef SSL_CTX_set_security_callback
#define SSL_CTX_set_security_callback(ctx, callback) ((void)(ctx), (void)(callback))
#endif

#endif
