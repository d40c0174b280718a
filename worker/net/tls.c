/* The process's crypto and what all its connections share. */
#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>
#include <psa/crypto.h>

#include "mem.h"
#include "tls_lib.h"

#define TICKET_LIFETIME_S \
	86400 /* a key from the master is renewed every 12 h; the one before it still opens tickets */

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
