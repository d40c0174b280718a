#include "dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem.h"

#define DIAL_MAGIC 0x4449414cu

/* One address that is being tried. Its memory is libuv's until on_attempt_closed(). */
struct attempt {
	uv_poll_t poll;
	struct dial *dial; /* NULL: given up */
	int fd;
	unsigned index; /* in dial.order */
};

enum dial_state { DIAL_NAME, DIAL_TCP, DIAL_TLS, DIAL_OVER };

struct dial {
	unsigned magic;
	enum dial_state state;
	struct turn *turn;
	dial_done_fn done;
	void *arg;
	char *host; /* owned */
	uint16_t port;
	struct tls_client *tls; /* held */
	struct tls_sessions *sessions;
	int64_t connect_ms, tls_ms;
	struct dns *dns;
	struct dns_query query;
	struct dns_answer order;                 /* families alternate */
	struct attempt *attempts[DNS_ADDRS_MAX]; /* by index; NULL: not begun or over */
	unsigned next, running;
	struct xport *xport; /* owned: TLS under way */
	struct turn_timer limit, stagger;
	struct turn_task task; /* for what cannot happen inside dial_start() */
	struct turn_task reap;
	int64_t connected_us;
	struct dial_result result;
};

/* --- the end --- */

static void on_attempt_closed(uv_handle_t *h)
{
	mem_free(h->data);
}

/* Takes the attempt off its dial; the descriptor is the caller's. */
static int attempt_end(struct attempt *a)
{
	int fd = a->fd;

	a->dial->attempts[a->index] = NULL;
	a->dial->running--;
	a->dial = NULL;
	uv_close((uv_handle_t *)&a->poll, on_attempt_closed);
	return fd;
}

static void stop(struct dial *d)
{
	d->state = DIAL_OVER;
	dns_cancel(&d->query);
	turn_timer_clear(&d->limit);
	turn_timer_clear(&d->stagger);
	turn_task_fini(&d->task);
	for (unsigned i = 0; i < DNS_ADDRS_MAX; i++)
		if (d->attempts[i])
			close(attempt_end(d->attempts[i]));
}

static void dial_reap(struct turn_task *k)
{
	struct dial *d = CONTAINER_OF(k, struct dial, reap);

	tls_client_drop(&d->tls);
	mem_free(d->host);
	d->magic = 0;
	mem_free(d);
}

static void finish(struct dial *d, enum errc e, const char *why)
{
	struct dial_result r = d->result;

	stop(d);
	r.errc = e;
	r.why = why;
	if (e)
		xport_close(&d->xport);
	else
		r.xport = d->xport;
	d->xport = NULL;
	turn_reap(&d->reap);
	d->done(d->arg, &r);
}

static void finish_addr(struct dial *d, enum errc e)
{
	char addr[DNS_ADDR_TEXT], why[DNS_ADDR_TEXT + 64];

	dns_addr_text(&d->result.addr, addr);
	snprintf(why, sizeof(why), "%s (%s)", errc_text(e), addr);
	finish(d, e, why);
}

/* --- TLS --- */

static void on_tls(void *arg, const struct tls_result *r)
{
	struct dial *d = arg;
	char why[512];

	require_magic(d, DIAL_MAGIC);
	d->result.tls_us = turn_now_us(d->turn) - d->connected_us;
	d->result.tls_resumed = r->resumed;
	if (!r->errc) {
		finish(d, ERRC_OK, "");
		return;
	}
	snprintf(why, sizeof(why), "%s: %s", d->host, r->why[0] ? r->why : errc_text(r->errc));
	finish(d, r->errc, why);
}

static void connected(struct dial *d, int fd)
{
	struct xport *x = NULL;
	enum errc e = xport_tcp_new(d->turn, fd, &x);

	d->connected_us = turn_now_us(d->turn);
	if (e) {
		close(fd);
		finish(d, e, errc_text(e));
		return;
	}
	if (!d->tls) {
		d->xport = x;
		finish(d, ERRC_OK, "");
		return;
	}
	stop(d);
	e = tls_connect(d->tls, &x, d->host, d->sessions, on_tls, d, &d->xport);
	if (e) {
		xport_close(&x);
		finish(d, e, errc_text(e));
		return;
	}
	d->state = DIAL_TLS;
	turn_timer_set(&d->limit, turn_now_ms(d->turn) + d->tls_ms);
}

/* --- TCP --- */

static void begin_next(struct dial *d);

static void attempt_failed(struct dial *d, enum errc e)
{
	if (d->next < d->order.n) {
		d->result.errc = e;
		begin_next(d);
	} else if (d->running == 0) {
		finish_addr(d, e);
	}
}

static void on_attempt(uv_poll_t *h, int status, int events)
{
	struct attempt *a = h->data;
	struct dial *d = a->dial;
	int err = 0;
	socklen_t n = sizeof(err);

	(void)events;
	if (!d)
		return;
	if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &err, &n) != 0)
		err = errno;
	if (err == 0 && status < 0)
		err = ECONNRESET;
	d->result.addr = d->order.addr[a->index];
	if (err == 0) {
		connected(d, attempt_end(a));
		return;
	}
	close(attempt_end(a));
	attempt_failed(d, errc_from_errno(err));
}

static socklen_t sockaddr_of(const struct dns_addr *a, uint16_t port, struct sockaddr_storage *ss)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *four = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	if (a->v6) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		memcpy(&six->sin6_addr, a->ip, 16);
		return sizeof(*six);
	}
	four->sin_family = AF_INET;
	four->sin_port = htons(port);
	memcpy(&four->sin_addr, a->ip, 4);
	return sizeof(*four);
}

static enum errc attempt_open(struct dial *d, unsigned index)
{
	struct sockaddr_storage ss;
	socklen_t n = sockaddr_of(&d->order.addr[index], d->port, &ss);
	struct attempt *a = mem_new_of(struct attempt);
	int r, fd;

	if (!a)
		return ERRC_NOMEM;
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	r = fd < 0 || (connect(fd, (struct sockaddr *)&ss, n) != 0 && errno != EINPROGRESS) ? -errno
											    : 0;
	if (r == 0)
		r = uv_poll_init(turn_loop(d->turn), &a->poll, fd);
	if (r != 0) {
		if (fd >= 0)
			close(fd);
		mem_free(a);
		return xport_errc_from_uv(r);
	}
	a->poll.data = a;
	a->dial = d;
	a->fd = fd;
	a->index = index;
	d->attempts[index] = a;
	d->running++;
	require(uv_poll_start(&a->poll, UV_WRITABLE, on_attempt) ==
		0); /* fails only for a descriptor polled twice */
	return ERRC_OK;
}

/* Starts the next address; one that fails at once gives way to the one behind it. */
static void begin_next(struct dial *d)
{
	enum errc e = d->result.errc;

	while (d->next < d->order.n) {
		unsigned i = d->next++;

		e = attempt_open(d, i);
		if (!e) {
			if (d->next < d->order.n)
				turn_timer_set(&d->stagger, turn_now_ms(d->turn) + DIAL_STAGGER_MS);
			return;
		}
		d->result.addr = d->order.addr[i];
		d->result.errc = e;
	}
	if (d->running == 0)
		finish_addr(d, e);
}

static void on_stagger(struct turn_timer *m)
{
	begin_next(CONTAINER_OF(m, struct dial, stagger));
}

static void on_limit(struct turn_timer *m)
{
	struct dial *d = CONTAINER_OF(m, struct dial, limit);
	char why[512];

	if (d->state == DIAL_TLS) {
		d->result.tls_us = turn_now_us(d->turn) - d->connected_us;
		snprintf(why, sizeof(why), "%s: TLS handshake timed out", d->host);
		finish(d, ERRC_TIMEOUT, why);
	} else if (d->state == DIAL_NAME) {
		snprintf(why, sizeof(why), "%s: name look-up timed out", d->host);
		finish(d, ERRC_TIMEOUT, why);
	} else {
		if (d->result.addr.v6 == 0 && d->result.addr.ip[0] == 0)
			d->result.addr = d->order.addr[0];
		finish_addr(d, ERRC_TIMEOUT);
	}
}

/* RFC 8305 section 4: the first family stays first, then they alternate. */
static void interleave(const struct dns_answer *in, struct dns_answer *out)
{
	unsigned at[2] = {0, 0};
	unsigned family = in->n ? in->addr[0].v6 : 0;

	out->n = 0;
	while (out->n < in->n) {
		unsigned *i = &at[family];

		while (*i < in->n && in->addr[*i].v6 != family)
			(*i)++;
		if (*i < in->n)
			out->addr[out->n++] = in->addr[(*i)++];
		family = !family;
	}
}

static void named(struct dial *d, enum errc e)
{
	char why[512];

	if (e) {
		snprintf(why, sizeof(why), "%s: %s", d->host, errc_text(e));
		finish(d, e, why);
		return;
	}
	d->state = DIAL_TCP;
	interleave(&d->query.answer, &d->order);
	d->result.errc = ERRC_UNREACHABLE;
	begin_next(d);
}

static void on_name(struct dns_query *q)
{
	named(CONTAINER_OF(q, struct dial, query), q->errc);
}

static void dial_task(struct turn_task *k)
{
	struct dial *d = CONTAINER_OF(k, struct dial, task);
	enum errc e = dns_ask(d->dns, d->host, &d->query, on_name);

	if (e != ERRC_AGAIN)
		named(d, e);
}

/* --- exported --- */

enum errc dial_start(struct turn *t, struct dns *dns, const struct dial_target *to,
		     dial_done_fn done, void *arg, struct dial **out)
{
	struct dial *d = mem_new_of(struct dial);

	if (!d)
		return ERRC_NOMEM;
	d->host = mem_dup(to->host, strlen(to->host));
	if (!d->host) {
		mem_free(d);
		return ERRC_NOMEM;
	}
	d->magic = DIAL_MAGIC;
	d->turn = t;
	d->dns = dns;
	d->port = to->port;
	d->tls = to->tls ? tls_client_hold(to->tls) : NULL;
	d->sessions = to->sessions;
	d->connect_ms = to->connect_ms;
	d->tls_ms = to->tls_ms;
	d->done = done;
	d->arg = arg;
	turn_timer_init(&d->limit, t, on_limit);
	turn_timer_init(&d->stagger, t, on_stagger);
	turn_task_init(&d->task, t, dial_task);
	turn_task_init(&d->reap, t, dial_reap);
	turn_timer_set(&d->limit, turn_now_ms(t) + d->connect_ms);
	turn_wake(&d->task);
	*out = d;
	return ERRC_OK;
}

void dial_abort(struct dial **p)
{
	struct dial *d = *p;

	if (!d)
		return;
	require_magic(d, DIAL_MAGIC);
	*p = NULL;
	stop(d);
	xport_close(&d->xport);
	turn_reap(&d->reap);
}
