/* The library's context of one connection, and the session that the next one to the same place resumes with. */
#include <arpa/inet.h>
#include <stdio.h>

#include "mem.h"
#include "tls_lib.h"

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

static void forget(struct tls_sessions *s)
{
	mbedtls_ssl_session_free(&s->session);
	mbedtls_ssl_session_init(&s->session);
	s->is_good = false;
}

void tls_sessions_clear(struct tls_sessions *s)
{
	forget(s);
	s->cleared++;
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
	g->cleared = sessions ? sessions->cleared : 0;
	r = mbedtls_ssl_set_hostname(g->ssl, g->ip_n ? NULL : hostname);
	if (r == 0 && sessions && sessions->is_good &&
	    mbedtls_ssl_set_session(g->ssl, &sessions->session) != 0)
		forget(sessions); /* expired: a full handshake then */
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
	if (g->cleared != s->cleared)
		return;
	forget(s);
	s->is_good = mbedtls_ssl_get_session(g->ssl, &s->session) == 0;
	if (!s->is_good)
		forget(s);
}
