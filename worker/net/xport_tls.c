/* TLS over a lower xport. Two objects: `struct xport_tls`, what the user holds, and `struct tls_engine`, the library's context with its
 * buffers. During the handshake the engine travels: the loop fills `in` and submits it, the thread makes one step and fills `out`,
 * the loop sends `out` and waits for more. Closing while it is with the thread leaves it alone; it is freed when it comes
 * back. After the handshake it stays with the loop. */
#include "tls.h"

#include <mbedtls/ssl.h>
#include <stdio.h>

#include "mem.h"
#include "tls_priv.h"

#define HELD_MAX \
	(64 * 1024) /* what may come while the engine is away, before reading waits for it */
#define DRY_MAX 64  /* above the tickets that a server packs into one record */

struct xport_tls {
	struct xport x;
	struct tls_engine *eng;        /* owned */
	struct xport *lower;           /* owned */
	struct tls_sessions *sessions; /* borrowed, may be NULL */
	tls_done_fn done;
	void *done_arg;
	struct buf held; /* handshake: came while the engine is away; later: came while reading is stopped */
	struct buf pending; /* ciphertext that the lower xport did not take */
	bool is_open;       /* handshake done well */
	bool reading, wants_writable, shut_wanted, is_shut, eof_came, is_ended, is_closed;
	enum errc errc;
	struct turn_task task, reap;
};

static struct xport_tls *tls_of(struct xport *x)
{
	require(x->magic == XPORT_MAGIC);
	return CONTAINER_OF(x, struct xport_tls, x);
}

/* --- toward the peer --- */

/* Gives `pending`, then `more`, to the lower xport; what it does not take is pending. */
static enum errc push_down(struct xport_tls *t, struct slice more)
{
	struct iovec v[2] = {{t->pending.p, t->pending.len}, {(char *)more.p, more.n}};
	size_t taken = 0, from_pending;
	enum errc e;

	if (t->pending.len + more.n == 0)
		return ERRC_OK;
	e = xport_write(t->lower, v, 2, &taken);
	if (e) {
		t->errc = e;
		return e;
	}
	from_pending = MIN_OF(taken, t->pending.len);
	buf_drop_front(&t->pending, from_pending);
	taken -= from_pending;
	if (taken < more.n) {
		e = buf_adds(&t->pending, slice_sub(more, taken, more.n - taken));
		t->errc = e;
	} else if (buf_is_empty(&t->pending)) {
		buf_fini(&t->pending);
	}
	return e;
}

/* Sends what the library put into the shared buffer. */
static enum errc push_wire(struct xport_tls *t)
{
	struct buf *wire = &t->eng->tls->wire;
	enum errc e = push_down(t, buf_slice(wire));

	buf_reset(wire);
	return e;
}

static void fail(struct xport_tls *t, enum errc e)
{
	if (t->is_ended || t->is_closed)
		return;
	t->is_ended = true;
	t->errc = e;
	t->x.ev->on_error(t->x.arg, e);
}

/* --- handshake --- */

static void handshake_end(struct xport_tls *t, enum errc e)
{
	struct tls_engine *g = t->eng;
	struct tls_stats *st = &g->tls->stats;
	struct tls_result r = {.errc = e, .why = g->why, .version = mbedtls_ssl_get_version(g->ssl)};
	tls_done_fn done = t->done;

	r.resumed = !e && (g->client ? !g->is_verified : g->ticket_taken);
	t->done = NULL;
	t->errc = e;
	if (e) {
		(*(g->client ? &st->client_failed : &st->server_failed))++;
		t->is_ended = true;
		xport_read_stop(t->lower);
	} else {
		uint64_t *full = g->client ? &st->client_full : &st->server_full;
		uint64_t *resumed = g->client ? &st->client_resumed : &st->server_resumed;

		(*(r.resumed ? resumed : full))++;
		t->is_open = true;
		g->sink = &g->tls->wire;
		buf_fini(&g->out);
		/* What came behind the handshake. handshake_step() emptied `held`. */
		t->held = g->in;
		buf_init(&g->in, TLS_HANDSHAKE_MAX);
		xport_read_stop(t->lower);
	}
	done(t->done_arg, &r);
}

static void fail_handshake(struct xport_tls *t, enum errc e, const char *why)
{
	if (t->is_closed || !t->done)
		return;
	if (t->eng->is_away) { /* its return finds this */
		t->eof_came = true;
		t->errc = e;
		return;
	}
	snprintf(t->eng->why, sizeof(t->eng->why), "%s", why);
	handshake_end(t, e);
}

static void engine_send_off(struct xport_tls *t)
{
	t->eng->is_away = true;
	tls_submit(t->eng->tls, &t->eng->job);
}

/* TLS 1.2 gives its session at once; 1.3 later, with the first ticket. */
static void session_save(struct xport_tls *t)
{
	if (t->sessions)
		tls_engine_save(t->eng, t->sessions);
}

static enum errc handshake_step(struct xport_tls *t)
{
	struct tls_engine *g = t->eng;
	enum errc e = push_down(t, buf_slice(&g->out));

	buf_reset(&g->out);
	if (e)
		return e;
	if (!buf_is_empty(&t->held)) {
		e = buf_adds(&g->in, buf_slice(&t->held));
		buf_fini(&t->held);
		if (e)
			return e;
	}
	if (g->result == MBEDTLS_ERR_SSL_WANT_READ) {
		if (!buf_is_empty(&g->in))
			engine_send_off(t);
		else if (t->eof_came)
			return t->errc ? t->errc : ERRC_EOF;
		if (!t->eof_came)
			xport_read_start(t->lower);
		return ERRC_AGAIN;
	}
	return g->result == 0 ? ERRC_OK : tls_errc(g->result, NULL, 0);
}

/* In the loop: the engine is back from the thread. */
static void engine_done(struct tls_job *j)
{
	struct tls_engine *g = CONTAINER_OF(j, struct tls_engine, job);
	struct xport_tls *t = g->user;
	enum errc e;

	require_magic(g, TLS_ENGINE_MAGIC);
	g->is_away = false;
	if (!t) {
		tls_engine_free(g);
		return;
	}
	e = handshake_step(t);
	if (e == ERRC_AGAIN)
		return;
	if (!e && t->eof_came && t->errc != ERRC_EOF) { /* bytes of it are lost */
		e = t->errc;
		snprintf(g->why, sizeof(g->why), "%s behind the TLS handshake", errc_text(e));
	}
	if (e && g->result == MBEDTLS_ERR_SSL_WANT_READ)
		snprintf(g->why, sizeof(g->why), "%s during the TLS handshake", errc_text(e));
	if (!e && g->client && mbedtls_ssl_get_version_number(g->ssl) == MBEDTLS_SSL_VERSION_TLS1_2)
		session_save(t);
	handshake_end(t, e);
}

/* --- reading --- */

/* Keeps what was not read yet and stops the lower side. */
static void hold_rest(struct xport_tls *t, struct slice rest)
{
	xport_read_stop(t->lower);
	if (rest.n && buf_adds(&t->held, rest))
		fail(t, ERRC_NOMEM);
}

/* What mbedtls_ssl_read() says beside data: true = go on reading. A ticket of 1.3 is in hand when it wants more and is not "over":
 * asked again it says so. */
static bool read_verdict(struct xport_tls *t, int r)
{
	char why[TLS_WHY_MAX];
	enum errc e;

	if (r == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
		session_save(t);
		return true;
	}
	if (r == MBEDTLS_ERR_SSL_WANT_READ || r == MBEDTLS_ERR_SSL_WANT_WRITE)
		return t->eng->p < t->eng->end || !mbedtls_ssl_is_handshake_over(t->eng->ssl);
	if (r == 0 || r == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
		t->is_ended = true;
		t->x.ev->on_eof(t->x.arg);
		return false;
	}
	e = tls_errc(r, why, sizeof(why));
	snprintf(t->eng->why, sizeof(t->eng->why), "%s", why);
	(void)push_wire(t); /* the alert, if it goes */
	fail(t, e);
	return false;
}

/* Decrypts a slice and hands it up, record by record. */
static void read_slice(struct xport_tls *t, struct slice data)
{
	struct tls_engine *g = t->eng;

	g->p = data.p;
	g->end = data.p + data.n;
	/* Once the input is used up, no more than the messages of one record are in hand. */
	for (int dry = 0; dry < DRY_MAX && !t->is_ended && !t->is_closed; dry += g->p == g->end) {
		int r;

		if (!t->reading) {
			hold_rest(t, slice_of(g->p, (size_t)(g->end - g->p)));
			break;
		}
		r = mbedtls_ssl_read(g->ssl, (unsigned char *)g->tls->plain_in, TLS_RECORD);
		if (r > 0)
			t->x.ev->on_data(t->x.arg, slice_of(g->tls->plain_in, (size_t)r));
		else if (!read_verdict(t, r))
			break;
	}
	g->p = g->end = NULL;
	if (!t->is_closed && !t->is_ended && g->tls->wire.len > 0 && push_wire(t))
		fail(t, t->errc);
}

static void low_data(void *arg, struct slice data)
{
	struct xport_tls *t = arg;
	struct tls_engine *g = t->eng;

	if (t->is_open) {
		if (!t->is_ended)
			read_slice(t, data);
		return;
	}
	if (!t->done)
		return;
	if (buf_adds(g->is_away ? &t->held : &g->in, data)) {
		fail_handshake(t, ERRC_TOOBIG, "the peer sent too much during the TLS handshake");
		return;
	}
	if (!g->is_away)
		engine_send_off(t);
	else if (t->held.len >= HELD_MAX)
		xport_read_stop(t->lower);
}

static void low_eof(void *arg)
{
	struct xport_tls *t = arg;

	if (!t->is_open) {
		fail_handshake(t, ERRC_EOF, "the peer closed during the TLS handshake");
		return;
	}
	t->eof_came = true;
	if (t->is_ended || !buf_is_empty(&t->held))
		return;
	/* Without close_notify: HTTP's own framing tells whether something is missing. */
	t->is_ended = true;
	t->x.ev->on_eof(t->x.arg);
}

static void low_error(void *arg, enum errc e)
{
	struct xport_tls *t = arg;

	if (t->is_open)
		fail(t, e);
	else
		fail_handshake(t, e, xport_why(t->lower));
}

static void low_writable(void *arg)
{
	struct xport_tls *t = arg;

	if (push_down(t, SLICE_NONE)) {
		if (t->is_open)
			fail(t, t->errc);
		else
			fail_handshake(t, t->errc, errc_text(t->errc));
		return;
	}
	if (!buf_is_empty(&t->pending))
		return;
	if (t->shut_wanted) {
		t->shut_wanted = false;
		xport_shutdown(t->lower);
	}
	if (t->wants_writable && t->is_open) {
		t->wants_writable = false;
		t->x.ev->on_writable(t->x.arg);
	}
}

static void low_hangup(void *arg)
{
	struct xport_tls *t = arg;

	if (t->is_open && !t->is_ended)
		t->x.ev->on_hangup(t->x.arg);
}

static const struct xport_events low_events = {
	.on_data = low_data,
	.on_eof = low_eof,
	.on_error = low_error,
	.on_writable = low_writable,
	.on_hangup = low_hangup,
};

/* Reading goes on behind a stop: first what was held. */
static void tls_task(struct turn_task *k)
{
	struct xport_tls *t = CONTAINER_OF(k, struct xport_tls, task);
	struct buf held = t->held;

	if (t->is_closed || t->is_ended || !t->reading)
		return;
	buf_init(&t->held, TLS_HANDSHAKE_MAX);
	read_slice(t, buf_slice(&held));
	buf_fini(&held);
	if (t->is_closed || t->is_ended || !t->reading)
		return;
	if (t->eof_came)
		low_eof(t);
	else
		xport_read_start(t->lower);
}

/* --- ops --- */

static void tls_read_start(struct xport *x)
{
	struct xport_tls *t = tls_of(x);

	require(t->is_open);
	t->reading = true;
	/* The library may hold the rest of a record, we the rest of a slice. */
	if (!buf_is_empty(&t->held) || t->eof_came || mbedtls_ssl_check_pending(t->eng->ssl))
		turn_wake(&t->task);
	else
		xport_read_start(t->lower);
}

static void tls_read_stop(struct xport *x)
{
	struct xport_tls *t = tls_of(x);

	t->reading = false;
	if (t->is_open && !t->is_closed)
		xport_read_stop(t->lower);
}

/* Where a write stands in the caller's pieces. */
struct cursor {
	const struct iovec *v;
	int n, i;
	size_t at; /* in v[i] */
};

/* The next bytes for one record: straight from a piece that fills it, else gathered. */
static struct slice next_record(struct cursor *c, char *gather, size_t max)
{
	size_t n = 0;

	while (c->i < c->n && n < max) {
		const struct iovec *v = &c->v[c->i];
		size_t k = MIN_OF(v->iov_len - c->at, max - n);
		const char *p = (const char *)v->iov_base + c->at;

		c->at += k;
		if (c->at == v->iov_len) {
			c->i++;
			c->at = 0;
		}
		if (n == 0 && k == max)
			return slice_of(p, k);
		if (k)
			memcpy(gather + n, p, k);
		n += k;
	}
	return slice_of(gather, n);
}

/* Encrypts up to one burst into the shared buffer. *n is what it took. */
static enum errc encrypt_burst(struct xport_tls *t, struct cursor *c, size_t *n)
{
	struct tls_engine *g = t->eng;
	int max = mbedtls_ssl_get_max_out_record_payload(g->ssl);
	struct slice s;

	*n = 0;
	if (max <= 0)
		return ERRC_TLS;
	while (*n + (size_t)max <= TLS_BURST) {
		int r;

		s = next_record(c, g->tls->plain_out, MIN_OF((size_t)max, TLS_RECORD));
		if (s.n == 0)
			return ERRC_OK;
		r = mbedtls_ssl_write(g->ssl, (const unsigned char *)s.p, s.n);
		if (r ==
		    MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) { /* one that reading had left in hand */
			session_save(t);
			r = mbedtls_ssl_write(g->ssl, (const unsigned char *)s.p, s.n);
		}
		if (r < 0)
			return tls_errc(r, g->why, sizeof(g->why));
		if (check_fails((size_t)r ==
				s.n)) /* records are not longer than the library's maximum */
			return ERRC_INTERNAL;
		*n += s.n;
	}
	return ERRC_OK;
}

static enum errc tls_write(struct xport *x, const struct iovec *v, int n, size_t *taken)
{
	struct xport_tls *t = tls_of(x);
	struct cursor c = {.v = v, .n = n};
	size_t burst;
	enum errc e = ERRC_OK;

	require(t->is_open);
	while (!e && buf_is_empty(&t->pending)) {
		e = encrypt_burst(t, &c, &burst);
		if (e || burst == 0)
			break;
		*taken += burst;
		e = push_wire(t);
	}
	t->wants_writable = !buf_is_empty(&t->pending);
	if (e) {
		t->errc = e; /* reading goes on: the peer may have said why it closed */
		buf_reset(&t->eng->tls->wire);
	}
	return e;
}

static bool tls_is_drained(const struct xport *x)
{
	return buf_is_empty(&CONTAINER_OF(x, const struct xport_tls, x)->pending);
}

static void send_close_notify(struct xport_tls *t)
{
	if (!t->is_open || t->errc || t->is_shut)
		return;
	t->is_shut = true;
	if (mbedtls_ssl_close_notify(t->eng->ssl) == 0)
		(void)push_wire(t); /* fails only when the peer is gone, which reading tells */
	buf_reset(&t->eng->tls->wire);
}

static void tls_shutdown(struct xport *x)
{
	struct xport_tls *t = tls_of(x);

	send_close_notify(t);
	t->shut_wanted = !buf_is_empty(&t->pending);
	if (!t->shut_wanted)
		xport_shutdown(t->lower);
}

static void tls_reap(struct turn_task *k)
{
	struct xport_tls *t = CONTAINER_OF(k, struct xport_tls, reap);

	if (t->eng)
		tls_engine_free(t->eng);
	buf_fini(&t->held);
	buf_fini(&t->pending);
	t->x.magic = 0;
	mem_free(t);
}

static void tls_close(struct xport *x)
{
	struct xport_tls *t = tls_of(x);

	require(!t->is_closed);
	if (buf_is_empty(&t->pending))
		send_close_notify(t);
	t->is_closed = true;
	xport_close(&t->lower);
	turn_task_fini(&t->task);
	if (t->eng->is_away) {
		t->eng->user = NULL;
		t->eng = NULL;
	}
	turn_reap(&t->reap);
}

static const char *tls_why(const struct xport *x)
{
	const struct xport_tls *t = CONTAINER_OF(x, const struct xport_tls, x);

	if (!t->eng->is_away && t->eng->why[0])
		return t->eng->why;
	return errc_text(t->errc);
}

static const struct xport_ops tls_ops = {
	.name = "tls",
	.read_start = tls_read_start,
	.read_stop = tls_read_stop,
	.write = tls_write,
	.is_drained = tls_is_drained,
	.shutdown = tls_shutdown,
	.close = tls_close,
	.why = tls_why,
};

/* --- construction --- */

static enum errc stack_new(struct tls_engine *g, struct xport **lower, tls_done_fn done, void *arg,
			   struct xport_tls **out)
{
	struct xport_tls *t = mem_new_of(struct xport_tls);

	if (!t)
		return ERRC_NOMEM;
	t->x = (struct xport){.magic = XPORT_MAGIC, .ops = &tls_ops, .turn = g->tls->turn};
	t->eng = g;
	t->lower = *lower;
	t->done = done;
	t->done_arg = arg;
	buf_init(&t->held, TLS_HANDSHAKE_MAX);
	buf_init(&t->pending, TLS_HANDSHAKE_MAX);
	turn_task_init(&t->task, g->tls->turn, tls_task);
	turn_task_init(&t->reap, g->tls->turn, tls_reap);
	g->user = t;
	g->result = MBEDTLS_ERR_SSL_WANT_READ;
	xport_set_events(t->lower, &low_events, t);
	xport_read_start(t->lower);
	*lower = NULL;
	*out = t;
	return ERRC_OK;
}

enum errc tls_connect(struct tls_client *c, struct xport **lower, const char *hostname,
		      struct tls_sessions *sessions, tls_done_fn done, void *arg, struct xport **out)
{
	struct xport_tls *t = NULL;
	struct tls_engine *g = NULL;
	enum errc e;

	if (!hostname || hostname[0] == '\0')
		return ERRC_INVAL;
	e = tls_engine_client(c, hostname, sessions, engine_done, &g);
	if (e)
		return e;
	e = stack_new(g, lower, done, arg, &t);
	if (e) {
		tls_engine_free(g);
		return e;
	}
	t->sessions = sessions;
	engine_send_off(t);
	*out = &t->x;
	return ERRC_OK;
}

enum errc tls_accept(struct tls_server *s, struct xport **lower, tls_done_fn done, void *arg,
		     struct xport **out)
{
	struct xport_tls *t = NULL;
	struct tls_engine *g = NULL;
	enum errc e = tls_engine_server(s, engine_done, &g);

	if (e)
		return e;
	e = stack_new(g, lower, done, arg, &t);
	if (e) {
		tls_engine_free(g);
		return e;
	}
	*out = &t->x;
	return ERRC_OK;
}
