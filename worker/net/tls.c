#include "tls.h"

#include <arpa/inet.h>
#include <mbedtls/error.h>
#include <mbedtls/pk.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "tls_priv.h"

#define CLIENT_MAGIC 0x544c5343u
#define SERVER_MAGIC 0x544c5353u
#define TICKET_LIFETIME_S \
	86400 /* a key from the master is renewed every 12 h; the one before it still opens tickets */

struct tls_tickets {
	struct tls *tls;
	mbedtls_ssl_ticket_context ctx; /* locks itself */
};

struct tls_client {
	unsigned magic, refs;
	struct tls *tls;
	mbedtls_ssl_config conf;
	mbedtls_x509_crt roots;
};

struct tls_server {
	unsigned magic, refs;
	struct tls *tls;
	mbedtls_ssl_config conf;
	mbedtls_x509_crt chain;
	mbedtls_pk_context key;
};

struct tls_sessions {
	mbedtls_ssl_session session;
	bool is_good;
};

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

enum errc tls_errc(int code, char *why, size_t why_n)
{
	if (why_n)
		mbedtls_strerror(code, why, why_n);
	switch (code) {
	case 0:
		return ERRC_OK;
	case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
	case MBEDTLS_ERR_SSL_BAD_CERTIFICATE:
		return ERRC_TLS_CERT;
	case MBEDTLS_ERR_SSL_ALLOC_FAILED:
	case MBEDTLS_ERR_X509_ALLOC_FAILED:
		return ERRC_NOMEM;
	case MBEDTLS_ERR_SSL_CONN_EOF:
	case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
		return ERRC_EOF;
	default:
		return ERRC_TLS;
	}
}

/* --- struct tls --- */

static enum errc tickets_new(struct tls *tls, struct tls_tickets **out)
{
	struct tls_tickets *k = mem_new_of(struct tls_tickets);
	int r;

	if (!k)
		return ERRC_NOMEM;
	k->tls = tls;
	mbedtls_ssl_ticket_init(&k->ctx);
	r = mbedtls_ssl_ticket_setup(&k->ctx, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE,
				     MBEDTLS_CIPHER_AES_256_GCM, TICKET_LIFETIME_S);
	if (r != 0) {
		mbedtls_ssl_ticket_free(&k->ctx);
		mem_free(k);
		return tls_errc(r, NULL, 0);
	}
	*out = k;
	return ERRC_OK;
}

static void tls_memory_free(struct tls *tls)
{
	if (tls->tickets)
		mbedtls_ssl_ticket_free(&tls->tickets->ctx);
	mem_free(tls->tickets);
	mem_free(tls->plain_in);
	mem_free(tls->plain_out);
	buf_fini(&tls->wire);
	tls->magic = 0;
	mem_free(tls);
}

static void on_async(uv_async_t *h)
{
	struct tls *tls = h->data;

	require_magic(tls, TLS_MAGIC);
	tls_thread_finish(tls);
}

static void on_async_closed(uv_handle_t *h)
{
	tls_memory_free(h->data);
}

enum errc tls_new(struct turn *t, struct tls **out)
{
	struct tls *tls = mem_new_of(struct tls);
	enum errc e = ERRC_NOMEM;
	int r;

	if (!tls)
		return ERRC_NOMEM;
	tls->magic = TLS_MAGIC;
	tls->turn = t;
	list_init(&tls->todo);
	list_init(&tls->finished);
	buf_init(&tls->wire, TLS_WIRE_MAX);
	tls->plain_in = mem_new(TLS_RECORD);
	tls->plain_out = mem_new(TLS_RECORD);
	if (!tls->plain_in || !tls->plain_out)
		goto fail;
	e = psa_crypto_init() == PSA_SUCCESS ? tickets_new(tls, &tls->tickets) : ERRC_TLS;
	if (e)
		goto fail;
	r = uv_async_init(turn_loop(t), &tls->async, on_async);
	if (r != 0) {
		e = xport_errc_from_uv(r);
		goto fail;
	}
	tls->async.data = tls;
	uv_unref((uv_handle_t *)&tls->async);
	e = tls_thread_start(tls);
	if (e) {
		uv_close((uv_handle_t *)&tls->async, on_async_closed);
		return e;
	}
	*out = tls;
	return ERRC_OK;
fail:
	tls_memory_free(tls);
	return e;
}

void tls_free(struct tls **tls)
{
	if (!*tls)
		return;
	require_magic(*tls, TLS_MAGIC);
	tls_thread_stop(*tls);
	uv_close((uv_handle_t *)&(*tls)->async, on_async_closed);
	*tls = NULL;
}

void tls_stats_get(const struct tls *tls, struct tls_stats *out)
{
	*out = tls->stats;
}

enum errc tls_set_ticket_key(struct tls *tls, const struct tls_ticket_key *key)
{
	int r = mbedtls_ssl_ticket_rotate(&tls->tickets->ctx, key->name, sizeof(key->name),
					  key->key, sizeof(key->key), TICKET_LIFETIME_S);

	return tls_errc(r, NULL, 0);
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

/* The library wants a NUL behind PEM, and counts it. */
static int roots_parse(struct tls_client *c, struct slice pem)
{
	char *text = mem_dup(pem.p, pem.n);
	int r = text ? mbedtls_x509_crt_parse(&c->roots, (const unsigned char *)text, pem.n + 1)
		     : MBEDTLS_ERR_X509_ALLOC_FAILED;

	mem_free(text);
	return r;
}

static enum errc roots_load(struct tls_client *c, struct slice pem, char *why, size_t why_n)
{
	const char *from = pem.n ? "the configured certificates" : roots_find();
	char text[128];
	int r = pem.n ? roots_parse(c, pem) : mbedtls_x509_crt_parse_file(&c->roots, from);

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

/* --- sessions to resume --- */

enum errc tls_sessions_new(struct tls_sessions **out)
{
	struct tls_sessions *s = mem_new_of(struct tls_sessions);

	if (!s)
		return ERRC_NOMEM;
	mbedtls_ssl_session_init(&s->session);
	*out = s;
	return ERRC_OK;
}

void tls_sessions_free(struct tls_sessions **s)
{
	if (!*s)
		return;
	mbedtls_ssl_session_free(&(*s)->session);
	mem_free(*s);
	*s = NULL;
}

void tls_sessions_clear(struct tls_sessions *s)
{
	mbedtls_ssl_session_free(&s->session);
	mbedtls_ssl_session_init(&s->session);
	s->is_good = false;
}

/* --- the engine --- */

static int bio_recv(void *arg, unsigned char *p, size_t n)
{
	struct tls_engine *g = arg;
	size_t have = (size_t)(g->end - g->p);

	if (have == 0)
		return MBEDTLS_ERR_SSL_WANT_READ;
	n = MIN_OF(n, have);
	memcpy(p, g->p, n);
	g->p += n;
	return (int)n;
}

static int bio_send(void *arg, const unsigned char *p, size_t n)
{
	struct tls_engine *g = arg;

	return buf_add(g->sink, p, n) ? MBEDTLS_ERR_SSL_ALLOC_FAILED : (int)n;
}

static bool is_for_address(const mbedtls_x509_crt *crt, const uint8_t *ip, size_t n)
{
	for (const mbedtls_x509_sequence *s = &crt->subject_alt_names; s; s = s->next)
		if ((s->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == MBEDTLS_X509_SAN_IP_ADDRESS &&
		    s->buf.len == n && memcmp(s->buf.p, ip, n) == 0)
			return true;
	return false;
}

/* The library calls it for each certificate of a chain: a resumed handshake has none. The library compares names; an address it would also send
 * as server name, which RFC 6066 forbids, so that is compared here. */
static int on_verify(void *arg, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
	struct tls_engine *g = arg;

	g->is_verified = true;
	if (depth == 0 && g->ip_n > 0 && !is_for_address(crt, g->ip, g->ip_n))
		*flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
	return 0;
}

/* "the certificate has expired; …" from the library's lines. */
static void explain_verify(struct tls_engine *g)
{
	uint32_t flags = mbedtls_ssl_get_verify_result(g->ssl);
	int n = mbedtls_x509_crt_verify_info(g->why, sizeof(g->why), "", flags);

	if (n <= 0) {
		snprintf(g->why, sizeof(g->why), "the peer's certificate was not accepted");
		return;
	}
	while (n > 0 && g->why[n - 1] == '\n')
		g->why[--n] = '\0';
	for (char *c = g->why; *c; c++)
		if (*c == '\n')
			*c = ';';
}

/* The peer's last words, where they were not encrypted: the record that was read last is an alert. */
static bool explain_alert(struct tls_engine *g)
{
	static const char *const words[] = {[40] = "handshake failure",
					    [42] = "bad certificate",
					    [46] = "certificate unknown",
					    [47] = "illegal parameter",
					    [48] = "unknown CA",
					    [70] = "protocol version",
					    [71] = "insufficient security",
					    [80] = "internal error",
					    [112] = "unrecognized name",
					    [116] = "certificate required",
					    [120] = "no application protocol"};
	const unsigned char *r = (const unsigned char *)g->p - 7;
	unsigned alert;

	if (g->p - g->in.p < 7 || r[0] != MBEDTLS_SSL_MSG_ALERT || r[3] != 0 || r[4] != 2)
		return false;
	alert = r[6];
	snprintf(g->why, sizeof(g->why), "the peer ended the handshake: %s (alert %u)",
		 alert < ARRAY_LEN(words) && words[alert] ? words[alert] : "it did not say why",
		 alert);
	return true;
}

static void explain(struct tls_engine *g)
{
	uint32_t flags = mbedtls_ssl_get_verify_result(g->ssl);

	if (g->result == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || (flags != 0 && flags != UINT32_MAX))
		explain_verify(g);
	else if (g->result != MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE || !explain_alert(g))
		(void)tls_errc(g->result, g->why, sizeof(g->why));
}

/* In the thread: goes on with the handshake as far as the bytes reach. */
static void engine_work(struct tls_job *j)
{
	struct tls_engine *g = CONTAINER_OF(j, struct tls_engine, job);

	g->tls->ticket_taken = false;
	g->p = g->in.p;
	g->end = g->in.p + g->in.len;
	g->result = mbedtls_ssl_handshake(g->ssl);
	g->ticket_taken |= g->tls->ticket_taken;
	if (g->result != 0 && g->result != MBEDTLS_ERR_SSL_WANT_READ)
		explain(g);
	buf_drop_front(&g->in, (size_t)(g->p - g->in.p));
	g->p = g->end = NULL;
}

void tls_engine_free(struct tls_engine *g)
{
	require_magic(g, TLS_ENGINE_MAGIC);
	mbedtls_ssl_free(g->ssl);
	mem_free(g->ssl);
	buf_fini(&g->in);
	buf_fini(&g->out);
	tls_client_drop(&g->client);
	tls_server_drop(&g->server);
	g->magic = 0;
	mem_free(g);
}

static enum errc engine_new(struct tls *tls, const mbedtls_ssl_config *conf,
			    void (*done)(struct tls_job *j), struct tls_engine **out)
{
	struct tls_engine *g = mem_new_of(struct tls_engine);
	int r;

	if (!g)
		return ERRC_NOMEM;
	g->magic = TLS_ENGINE_MAGIC;
	g->ssl = mem_new_of(mbedtls_ssl_context);
	if (!g->ssl) {
		mem_free(g);
		return ERRC_NOMEM;
	}
	g->tls = tls;
	list_init(&g->job.node);
	g->job.work = engine_work;
	g->job.done = done;
	buf_init(&g->in, TLS_HANDSHAKE_MAX);
	buf_init(&g->out, TLS_HANDSHAKE_MAX);
	mbedtls_ssl_init(g->ssl);
	r = mbedtls_ssl_setup(g->ssl, conf);
	if (r != 0) {
		tls_engine_free(g);
		return tls_errc(r, NULL, 0);
	}
	mbedtls_ssl_set_bio(g->ssl, g, bio_send, bio_recv, NULL);
	g->sink = &g->out;
	*out = g;
	return ERRC_OK;
}

/* The address that `hostname` is, if it is one. */
static size_t parse_ip(const char *hostname, uint8_t *ip)
{
	return inet_pton(AF_INET, hostname, ip) == 1    ? 4
	       : inet_pton(AF_INET6, hostname, ip) == 1 ? 16
							: 0;
}

enum errc tls_engine_client(struct tls_client *c, const char *hostname,
			    struct tls_sessions *sessions, void (*done)(struct tls_job *j),
			    struct tls_engine **out)
{
	struct tls_engine *g = NULL;
	enum errc e = engine_new(c->tls, &c->conf, done, &g);
	int r;

	if (e)
		return e;
	g->client = tls_client_hold(c);
	g->ip_n = parse_ip(hostname, g->ip);
	r = mbedtls_ssl_set_hostname(g->ssl, g->ip_n ? NULL : hostname);
	if (r == 0 && sessions && sessions->is_good &&
	    mbedtls_ssl_set_session(g->ssl, &sessions->session) != 0)
		tls_sessions_clear(sessions); /* expired: a full handshake then */
	if (r != 0) {
		tls_engine_free(g);
		return tls_errc(r, NULL, 0);
	}
	mbedtls_ssl_set_verify(g->ssl, on_verify, g);
	*out = g;
	return ERRC_OK;
}

enum errc tls_engine_server(struct tls_server *s, void (*done)(struct tls_job *j),
			    struct tls_engine **out)
{
	enum errc e = engine_new(s->tls, &s->conf, done, out);

	if (!e)
		(*out)->server = tls_server_hold(s);
	return e;
}

void tls_engine_save(struct tls_engine *g, struct tls_sessions *s)
{
	tls_sessions_clear(s);
	s->is_good = mbedtls_ssl_get_session(g->ssl, &s->session) == 0;
	if (!s->is_good)
		tls_sessions_clear(s);
}
