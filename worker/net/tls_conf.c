/* Contexts: what a provider's certificate is verified against, and our own certificate. */
#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "tls_lib.h"

#define CLIENT_MAGIC 0x544c5343u
#define SERVER_MAGIC 0x544c5353u

/* What we take from a provider, in this order. PKCS #1 stands before PSS because the library does not know PSS in TLS 1.2, while
 * servers that stop at 1.2 take the first that they like; 1.3 never uses PKCS #1 in handshakes, whatever the order. */
static const uint16_t signatures[] = {
	MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256, MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
	MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512, MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,
	MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,       MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,
	MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,
	MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,    MBEDTLS_TLS1_3_SIG_NONE,
};

static const char *const alpn[] = {"http/1.1", NULL};

/* Where distributions keep the bundle of the roots that the system trusts. */
static const char *const system_roots[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

/* The library's PEM readers want a NUL behind the text, and the length with it. */
static int pem_parse(struct slice pem, int (*parse)(void *ctx, const unsigned char *p, size_t n),
		     void *ctx)
{
	char *copy = mem_dup(pem.p, pem.n);
	int r;

	if (!copy)
		return MBEDTLS_ERR_X509_ALLOC_FAILED;
	r = parse(ctx, (const unsigned char *)copy, pem.n + 1);
	secret_wipe(copy, pem.n);
	mem_free(copy);
	return r;
}

static int chain_parse(void *ctx, const unsigned char *p, size_t n)
{
	return mbedtls_x509_crt_parse(ctx, p, n);
}

/* --- client contexts --- */

static void conf_common(mbedtls_ssl_config *conf)
{
	mbedtls_ssl_conf_rng(conf, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
	mbedtls_ssl_conf_min_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_2);
	mbedtls_ssl_conf_max_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_3);
}

static const char *roots_find(void)
{
	for (size_t i = 0; i < ARRAY_LEN(system_roots); i++)
		if (access(system_roots[i], R_OK) == 0)
			return system_roots[i];
	return system_roots[0];
}

int64_t tls_system_roots_stamp(void)
{
	struct stat st;

	if (stat(roots_find(), &st) != 0)
		return 0;
	return (int64_t)st.st_mtim.tv_sec * 1000003 + st.st_mtim.tv_nsec + (int64_t)st.st_size;
}

static enum errc roots_load(struct tls_client *c, struct slice pem, char *why, size_t why_n)
{
	const char *from = pem.n ? "the configured certificates" : roots_find();
	char text[128];
	int r = pem.n ? pem_parse(pem, chain_parse, &c->roots)
		      : mbedtls_x509_crt_parse_file(&c->roots, from);

	/* A positive number counts certificates of a kind that the library does not know: the others are there. */
	if (r >= 0 && c->roots.raw.len > 0)
		return ERRC_OK;
	mbedtls_strerror(r < 0 ? r : MBEDTLS_ERR_X509_INVALID_FORMAT, text, sizeof(text));
	snprintf(why, why_n, "%s: %s", from, text);
	return r == MBEDTLS_ERR_X509_ALLOC_FAILED ? ERRC_NOMEM : ERRC_TLS_CERT;
}

static enum errc client_conf(struct tls_client *c, char *why, size_t why_n)
{
	int r = mbedtls_ssl_config_defaults(&c->conf, MBEDTLS_SSL_IS_CLIENT,
					    MBEDTLS_SSL_TRANSPORT_STREAM,
					    MBEDTLS_SSL_PRESET_DEFAULT);

	if (r == 0)
		r = mbedtls_ssl_conf_alpn_protocols(&c->conf, (const char **)alpn);
	if (r != 0)
		return tls_errc(r, why, why_n);
	conf_common(&c->conf);
	mbedtls_ssl_conf_authmode(&c->conf, MBEDTLS_SSL_VERIFY_REQUIRED);
	mbedtls_ssl_conf_sig_algs(&c->conf, signatures);
	mbedtls_ssl_conf_ca_chain(&c->conf, &c->roots, NULL);
	mbedtls_ssl_conf_session_tickets(&c->conf, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
	mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
		&c->conf, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
	mbedtls_ssl_conf_renegotiation(&c->conf, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
	return ERRC_OK;
}

enum errc tls_client_new(struct tls *tls, struct slice roots_pem, char *why, size_t why_n,
			 struct tls_client **out)
{
	struct tls_client *c = mem_new_of(struct tls_client);
	enum errc e;

	if (!c) {
		snprintf(why, why_n, "%s", errc_text(ERRC_NOMEM));
		return ERRC_NOMEM;
	}
	c->magic = CLIENT_MAGIC;
	c->refs = 1;
	c->tls = tls;
	mbedtls_ssl_config_init(&c->conf);
	mbedtls_x509_crt_init(&c->roots);
	e = roots_load(c, roots_pem, why, why_n);
	if (!e)
		e = client_conf(c, why, why_n);
	if (e)
		tls_client_drop(&c);
	*out = c;
	return e;
}

struct tls_client *tls_client_hold(struct tls_client *c)
{
	require_magic(c, CLIENT_MAGIC);
	c->refs++;
	return c;
}

void tls_client_drop(struct tls_client **p)
{
	struct tls_client *c = *p;

	if (!c)
		return;
	require_magic(c, CLIENT_MAGIC);
	*p = NULL;
	if (--c->refs > 0)
		return;
	mbedtls_ssl_config_free(&c->conf);
	mbedtls_x509_crt_free(&c->roots);
	c->magic = 0;
	mem_free(c);
}

/* --- server contexts --- */

static int key_parse(void *ctx, const unsigned char *p, size_t n)
{
	return mbedtls_pk_parse_key(ctx, p, n, NULL, 0, mbedtls_psa_get_random,
				    MBEDTLS_PSA_RANDOM_STATE);
}

static int ticket_write(void *arg, const mbedtls_ssl_session *s, unsigned char *p,
			const unsigned char *end, size_t *n, uint32_t *lifetime)
{
	struct tls_tickets *k = arg;

	return mbedtls_ssl_ticket_write(&k->ctx, s, p, end, n, lifetime);
}

/* Runs in the thread, inside a handshake's step, which learns so that it resumes. */
static int ticket_parse(void *arg, mbedtls_ssl_session *s, unsigned char *p, size_t n)
{
	struct tls_tickets *k = arg;
	int r = mbedtls_ssl_ticket_parse(&k->ctx, s, p, n);

	if (r == 0)
		k->tls->ticket_taken = true;
	return r;
}

static enum errc server_cert(struct tls_server *s, struct slice chain_pem, struct slice key_pem,
			     char *why, size_t why_n)
{
	char text[128];
	const char *what = "certificate";
	int r = pem_parse(chain_pem, chain_parse, &s->chain);

	if (r == 0) {
		what = "key";
		r = pem_parse(key_pem, key_parse, &s->key);
	}
	if (r == 0) {
		what = "certificate and key do not belong together";
		r = mbedtls_pk_check_pair(&s->chain.pk, &s->key, mbedtls_psa_get_random,
					  MBEDTLS_PSA_RANDOM_STATE);
	}
	if (r == 0)
		return ERRC_OK;
	if (r > 0)
		r = MBEDTLS_ERR_X509_INVALID_FORMAT;
	mbedtls_strerror(r, text, sizeof(text));
	snprintf(why, why_n, "%s: %s", what, text);
	return r == MBEDTLS_ERR_X509_ALLOC_FAILED ? ERRC_NOMEM : ERRC_TLS_CERT;
}

static enum errc server_conf(struct tls_server *s, char *why, size_t why_n)
{
	int r = mbedtls_ssl_config_defaults(&s->conf, MBEDTLS_SSL_IS_SERVER,
					    MBEDTLS_SSL_TRANSPORT_STREAM,
					    MBEDTLS_SSL_PRESET_DEFAULT);

	if (r == 0)
		r = mbedtls_ssl_conf_alpn_protocols(&s->conf, (const char **)alpn);
	if (r == 0)
		r = mbedtls_ssl_conf_own_cert(&s->conf, &s->chain, &s->key);
	if (r != 0)
		return tls_errc(r, why, why_n);
	conf_common(&s->conf);
	mbedtls_ssl_conf_session_tickets_cb(&s->conf, ticket_write, ticket_parse, s->tls->tickets);
	mbedtls_ssl_conf_renegotiation(&s->conf, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
	return ERRC_OK;
}

enum errc tls_server_new(struct tls *tls, struct slice chain_pem, struct slice key_pem, char *why,
			 size_t why_n, struct tls_server **out)
{
	struct tls_server *s = mem_new_of(struct tls_server);
	enum errc e;

	if (!s) {
		snprintf(why, why_n, "%s", errc_text(ERRC_NOMEM));
		return ERRC_NOMEM;
	}
	s->magic = SERVER_MAGIC;
	s->refs = 1;
	s->tls = tls;
	mbedtls_ssl_config_init(&s->conf);
	mbedtls_x509_crt_init(&s->chain);
	mbedtls_pk_init(&s->key);
	e = server_cert(s, chain_pem, key_pem, why, why_n);
	if (!e)
		e = server_conf(s, why, why_n);
	if (e)
		tls_server_drop(&s);
	*out = s;
	return e;
}

struct tls_server *tls_server_hold(struct tls_server *s)
{
	require_magic(s, SERVER_MAGIC);
	s->refs++;
	return s;
}

void tls_server_drop(struct tls_server **p)
{
	struct tls_server *s = *p;

	if (!s)
		return;
	require_magic(s, SERVER_MAGIC);
	*p = NULL;
	if (--s->refs > 0)
		return;
	mbedtls_ssl_config_free(&s->conf);
	mbedtls_x509_crt_free(&s->chain);
	mbedtls_pk_free(&s->key);
	s->magic = 0;
	mem_free(s);
}
