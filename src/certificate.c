/*
 * certificate.c - what a report says of a certificate.
 */
#include "certificate.h"

#include "libressl.h"
#include "smtp.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* The text in the BIO, which it frees. NULL: there is no memory. */
static char *text_of(BIO *bio)
{
    char *data, *text = NULL;
    long len = bio ? BIO_get_mem_data(bio, &data) : -1;

    if (len >= 0)
        text = strndup(len ? data : "", (size_t)len);
    BIO_free(bio);
    return text;
}

static char *name_text(const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());

    if (bio)
        (void)X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253);
    return text_of(bio);
}

static char *dns_names(X509 *cert)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    BIO *bio = BIO_new(BIO_s_mem());
    const char *separator = "";

    for (int k = 0; bio && k < sk_GENERAL_NAME_num(names); k++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, k);
        char *quoted;

        if (name->type != GEN_DNS)
            continue;
        quoted = nh_smtp_quote((const char *)ASN1_STRING_get0_data(name->d.dNSName),
                               (size_t)ASN1_STRING_length(name->d.dNSName));
        if (!quoted) {
            BIO_free(bio);
            bio = NULL;
            break;
        }
        for (char *c = quoted; *c; c++) /* a line feed separates names here */
            if (*c == '\n')
                *c = ' ';
        (void)BIO_printf(bio, "%s%s", separator, quoted);
        separator = "\n";
        free(quoted);
    }
    GENERAL_NAMES_free(names);
    return text_of(bio);
}

/* Seconds since 1970; 0 when the time cannot be read. */
static time_t seconds_of(const ASN1_TIME *when)
{
    struct tm tm;

    return ASN1_TIME_to_tm(when, &tm) ? timegm(&tm) : 0;
}

const char *nh_certificate_key_name(const EVP_PKEY *key)
{
    int kind = EVP_PKEY_base_id(key);

    return kind == EVP_PKEY_RSA || kind == EVP_PKEY_RSA_PSS ? "rsa"
           : kind == EVP_PKEY_EC                            ? "ec"
           : kind == EVP_PKEY_ED25519                       ? "ed25519"
           : kind == EVP_PKEY_ED448                         ? "ed448"
                                                            : OBJ_nid2sn(kind);
}

static bool read_digests(struct nh_certificate *out, X509 *cert)
{
    unsigned char *spki = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
    bool ok = len > 0 && EVP_Digest(spki, (size_t)len, out->spki_sha256, NULL, EVP_sha256(), NULL);

    OPENSSL_free(spki);
    len = ok ? i2d_X509(cert, &out->der) : 0;
    out->der_len = len > 0 ? (size_t)len : 0;
    return len > 0 &&
           EVP_Digest(out->der, out->der_len, out->cert_sha256, NULL, EVP_sha256(), NULL);
}

bool nh_certificate_read(struct nh_certificate *out, X509 *cert)
{
    bool ok;

    memset(out, 0, sizeof *out);
    ERR_set_mark();
    out->subject = name_text(X509_get_subject_name(cert));
    out->issuer = name_text(X509_get_issuer_name(cert));
    out->names = dns_names(cert);
    out->not_before = seconds_of(X509_get0_notBefore(cert));
    out->not_after = seconds_of(X509_get0_notAfter(cert));
    if (X509_get0_pubkey(cert)) {
        out->key = nh_certificate_key_name(X509_get0_pubkey(cert));
        out->bits = EVP_PKEY_bits(X509_get0_pubkey(cert));
    }
    ok = out->subject && out->issuer && out->names && read_digests(out, cert);
    ERR_pop_to_mark();
    return ok;
}

void nh_certificate_free(struct nh_certificate *c)
{
    free(c->subject);
    free(c->issuer);
    free(c->names);
    OPENSSL_free(c->der);
}
