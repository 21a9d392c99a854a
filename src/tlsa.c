/* tlsa.c - which TLSA records a mail client can use (RFC 6698 2.1, RFC 7671, RFC 7672 3.1).
 *
 * A record is usable if OpenSSL's SSL_dane_tlsa_add() accepts it and its usage is not 0 or 1.
 * OpenSSL also accepts these PKIX usages, but SMTP must not use them. A record that is usable
 * here is never refused later, unless it is one of too many to be read (NH_TLSA_FULL_MAX). */
#include "tlsa.h"

#include "key_limits.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stdio.h>

/* Writes the reason why *t is unusable. */
static void unusable(struct nh_tlsa *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void unusable(struct nh_tlsa *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(t->reason, sizeof(t->reason), format, args);
    va_end(args);
}

/* Parses the data as a certificate in DER. Returns how many bytes OpenSSL has read, or 0 when
 * the data is no certificate. *key says whether the key in it could be read. OpenSSL reads the
 * key only when it is needed. It would refuse the record, and any handshake with that
 * certificate, only later. So we ask for the key here. (Go accepts a certificate with a key of
 * an unknown kind, but nothing built on OpenSSL could verify with it.) */
static size_t read_certificate(const uint8_t *data, size_t len, bool *key)
{
    const unsigned char *end = data;
    X509 *cert = d2i_X509(NULL, &end, (long)len);

    *key = cert && X509_get0_pubkey(cert);
    X509_free(cert);
    return cert ? (size_t)(end - data) : 0;
}

/* The same for a SubjectPublicKeyInfo. */
static size_t read_public_key(const uint8_t *data, size_t len)
{
    const unsigned char *end = data;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &end, (long)len);

    EVP_PKEY_free(key);
    return key ? (size_t)(end - data) : 0;
}

/* Judges match type 0: the data must be the certificate or the key to its last byte. OpenSSL
 * adds what it cannot parse to its error queue, and the mark removes exactly these errors again.
 * (The queue is a ring of 16 entries. If the host program leaves more than a dozen errors in it,
 * OpenSSL drops the oldest.) */
static void judge_full(struct nh_tlsa *t, unsigned *n_full)
{
    const char *what = t->selector == 0 ? "certificate" : "public key";
    const char *field = t->selector == 0 ? "Cert(0)" : "SPKI(1)";
    enum nh_key_limit limit = t->selector == 0 ? nh_certificate_limit(t->data, t->len)
                                               : nh_key_limit(t->data, t->len);
    bool is_read = !n_full || (*n_full)++ < NH_TLSA_FULL_MAX, key = true;
    size_t used = 0;

    if (limit == NH_KEY_UNREADABLE) {
        unusable(t, "%s Full(0): a key that describes its own curve (RFC 5480 2.1.1)", field);
        return;
    }
    ERR_set_mark();
    if (limit != NH_KEY_MALFORMED && !is_read)
        used = nh_der_size(t->data, t->len);
    /* OpenSSL does not always tell that it had no memory, and then the host would lose DANE. So what it cannot
     * read it reads once more. */
    for (int tries = 0; limit != NH_KEY_MALFORMED && is_read && (used == 0 || !key) && tries < 2;
         tries++)
        used = t->selector == 0 ? read_certificate(t->data, t->len, &key)
                                : read_public_key(t->data, t->len);
    ERR_pop_to_mark();
    if (used == 0)
        unusable(t, "%s Full(0): %u bytes that are no %s in DER", field, t->len, what);
    else if (used != t->len)
        unusable(t, "%s Full(0): trailing bytes after the %s: %zu", field, what, t->len - used);
    else if (!key)
        unusable(t, "%s Full(0): a certificate with an unreadable public key", field);
}

/* Judges a digest. Only its length can be wrong. */
static void judge_digest(struct nh_tlsa *t, const char *field, unsigned want)
{
    if (t->len != want)
        unusable(t, "%s has %u bytes, not %u", field, t->len, want);
}

/* See tlsa.h. Never fails; t->data points into rdata. */
void nh_tlsa_judge(struct nh_tlsa *t, const uint8_t *rdata, size_t len, unsigned *n_full)
{
    *t = (struct nh_tlsa){.data = rdata};
    t->usage = len > 0 ? rdata[0] : 0;
    t->selector = len > 1 ? rdata[1] : 0;
    t->match_type = len > 2 ? rdata[2] : 0;
    if (len < 3 || len > UINT16_MAX) {
        unusable(t, "a record of %zu bytes is no TLSA record (RFC 6698 2.1)", len);
        return;
    }
    t->data = rdata + 3;
    t->len = (uint16_t)(len - 3);

    if (t->usage < 2)
        unusable(t, "usage %s is not for SMTP (RFC 7672 3.1.3)",
                 t->usage == 0 ? "PKIX-TA(0)" : "PKIX-EE(1)");
    else if (t->usage > 3)
        unusable(t, "usage %u is neither DANE-TA(2) nor DANE-EE(3)", t->usage);
    else if (t->selector > 1)
        unusable(t, "selector %u is neither Cert(0) nor SPKI(1)", t->selector);
    else if (t->match_type > 2)
        unusable(t, "match type %u is none of Full(0), SHA2-256(1), SHA2-512(2)", t->match_type);
    else if (t->len == 0)
        unusable(t, "a record without data");
    else if (t->match_type == 1)
        judge_digest(t, "SHA2-256(1)", 32);
    else if (t->match_type == 2)
        judge_digest(t, "SHA2-512(2)", 64);
    else
        judge_full(t, n_full);
}

/* RFC 7672 3.2.2, as mox GatherTLSANames has it. */
size_t nh_tlsa_names(const struct nh_names_in *in, const char *out[4])
{
    bool same_base = strcmp(in->orig_base, in->expanded_base) == 0;
    size_t n = 0;

    if (!in->have_mx) {
        if (in->base_authentic && !same_base)
            out[n++] = in->expanded_base;
        out[n++] = in->orig_base;
        return n;
    }
    if (!in->next_hop_authentic) {
        out[n++] = in->orig_next_hop;
        return n;
    }
    if (in->base_authentic)
        out[n++] = in->expanded_base;
    if (!same_base)
        out[n++] = in->orig_base;
    out[n++] = in->orig_next_hop;
    if (strcmp(in->orig_next_hop, in->expanded_next_hop) != 0)
        out[n++] = in->expanded_next_hop;
    return n;
}
