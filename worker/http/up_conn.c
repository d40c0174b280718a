#include "up_conn.h"

#include <stdio.h>

#include "caps.h"
#include "mem.h"

#define UP_CONN_MAGIC 0x5550434fu
#define LINE_MAX_UP   (16 * 1024)

enum up_state {
	UP_DIALING, /* no xport yet */
	UP_RESTING, /* open, no request */
	UP_BUSY,    /* a request is out or waits for the dial */
	UP_ENDED,   /* its answer is complete */
	UP_FAILED,
};

struct up_conn {
	unsigned magic;
	enum up_state state;
	struct turn *turn; /* borrowed */
	struct dial *dial;
	struct xport *x; /* owned; NULL before the dial ended and after the end */
	const struct up_conn_owner *owner;
	void *owner_arg;
	struct up_conn_link link;
	const struct up_conn_events *ev; /* the borrower's, or NULL */
	void *arg;

	struct http1 http;
	struct iovec *send; /* owned; what is left of the request: send[send_at..send_n) */
	size_t send_at, send_n;
	bool has_request;
	bool is_reused; /* served a request before the present one */
	bool first_byte, head_told,
		is_dirty; /* dirty: bytes nobody asked for, or an early end: not to be reused */
	bool reading, is_freed;
	struct turn_task
		task; /* sends, or tells of a failed write: never from inside an exported function */
	enum errc errc; /* of a failed write */
	struct turn_task reap;
};

static struct up_conn *up_check(struct up_conn *u)
{
	require_magic(u, UP_CONN_MAGIC);
	return u;
}

/* --- ends --- */

static void send_clear(struct up_conn *u)
{
	mem_free(u->send);
	u->send = NULL;
	u->send_at = u->send_n = 0;
}

static void up_fail(struct up_conn *u, enum errc e, enum up_conn_phase phase, const char *why)
{
	const struct up_conn_events *ev = u->ev;
	struct up_conn_fail f = {.errc = e, .phase = phase, .why = why};

	if (u->state == UP_FAILED || u->state == UP_ENDED || u->is_freed)
		return;
	f.stale = phase == UP_CONN_REQUEST && u->is_reused;
	u->state = UP_FAILED;
	turn_task_fini(&u->task);
	send_clear(u);
	if (u->x)
		xport_read_stop(u->x);
	if (ev)
		ev->on_fail(u->arg, &f);
	else
		u->owner->on_idle_end(u->owner_arg, u);
}

static enum up_conn_phase phase_now(const struct up_conn *u)
{
	return u->head_told ? UP_CONN_BODY : u->first_byte ? UP_CONN_HEAD : UP_CONN_REQUEST;
}

static void answer_done(struct up_conn *u)
{
	const struct up_conn_events *ev = u->ev;

	if (u->send) /* it answered before it had read everything: the rest will not be sent */
		u->is_dirty = true;
	send_clear(u);
	u->state = UP_ENDED;
	if (ev)
		ev->on_end(u->arg);
}

/* --- sending --- */

static void send_some(struct up_conn *u)
{
	size_t taken = 0;
	enum errc e;

	if (!u->send || u->state != UP_BUSY)
		return;
	e = xport_write(u->x, u->send + u->send_at, (int)(u->send_n - u->send_at), &taken);
	if (e) {
		/* A peer that closed may have said why before: reading tells, in any case. Of other errors it knows nothing. */
		u->is_dirty = true;
		send_clear(u);
		if (e != ERRC_CONNRESET) {
			u->errc = e;
			turn_wake(&u->task);
		}
		return;
	}
	while (taken > 0) {
		struct iovec *v = &u->send[u->send_at];
		size_t n = MIN_OF(taken, v->iov_len);

		v->iov_base = (char *)v->iov_base + n;
		v->iov_len -= n;
		taken -= n;
		if (v->iov_len == 0)
			u->send_at++;
	}
	if (u->send_at < u->send_n || !xport_is_drained(u->x))
		return;
	send_clear(u);
	if (u->ev)
		u->ev->on_sent(u->arg);
}

/* --- reading --- */

static void on_head(struct up_conn *u)
{
	u->head_told = true;
	if (u->ev)
		u->ev->on_head(u->arg, &u->http.head);
	if (!u->is_freed)
		http1_drop_fields(&u->http);
}

static void on_data(void *arg, struct slice data)
{
	struct up_conn *u = up_check(arg);

	if (u->state == UP_RESTING || u->state == UP_ENDED) { /* nobody asked */
		u->is_dirty = true;
		if (u->state == UP_RESTING)
			up_fail(u, ERRC_PROTOCOL, UP_CONN_REQUEST, "bytes without a request");
		return;
	}
	if (!u->first_byte)
		u->first_byte = true;
	while (u->state == UP_BUSY && !u->is_freed) {
		struct slice body = SLICE_NONE;
		int r = http1_next(&u->http, &data, &body);

		if (r == HTTP1_MORE)
			return;
		if (r < 0)
			up_fail(u, r == -ERRC_NOMEM ? ERRC_NOMEM : ERRC_PROTOCOL, phase_now(u),
				u->http.why ? u->http.why : errc_text((enum errc) - r));
		else if (r == HTTP1_HEAD)
			on_head(u);
		else if (r == HTTP1_BODY && u->ev)
			u->ev->on_body(u->arg, body);
		else if (r == HTTP1_DONE)
			answer_done(u);
	}
	if (data.n)
		u->is_dirty = true;
}

static void on_eof(void *arg)
{
	struct up_conn *u = up_check(arg);
	int r;

	u->is_dirty = true;
	if (u->state == UP_RESTING) {
		up_fail(u, ERRC_EOF, UP_CONN_REQUEST, "closed while idle");
		return;
	}
	if (u->state != UP_BUSY)
		return;
	r = u->first_byte ? http1_eof(&u->http) : -ERRC_CONNRESET;
	if (r == HTTP1_DONE)
		answer_done(u);
	else if (!u->first_byte)
		up_fail(u, ERRC_CONNRESET, UP_CONN_REQUEST, "closed without an answer");
	else
		up_fail(u, ERRC_TRUNCATED, phase_now(u),
			u->head_told ? "closed inside the body" : "closed inside the head");
}

static void on_error(void *arg, enum errc e)
{
	struct up_conn *u = up_check(arg);

	u->is_dirty = true;
	up_fail(u, e, phase_now(u), xport_why(u->x));
}

static void on_writable(void *arg)
{
	send_some(up_check(arg));
}

static void on_hangup(void *arg)
{
	up_check(arg)->is_dirty = true; /* what it means is seen when reading goes on */
}

static const struct xport_events xport_ev = {
	.on_data = on_data,
	.on_eof = on_eof,
	.on_error = on_error,
	.on_writable = on_writable,
	.on_hangup = on_hangup,
};

/* --- dialling --- */

static void attach(struct up_conn *u, struct xport *x)
{
	u->x = x;
	xport_set_events(x, &xport_ev, u);
	u->reading = true;
	xport_read_start(x);
}

static void on_dialed(void *arg, struct dial_result *r)
{
	struct up_conn *u = up_check(arg);

	u->dial = NULL;
	u->state = u->has_request ? UP_BUSY : UP_RESTING;
	if (r->xport)
		attach(u, r->xport);
	u->owner->on_dialed(u->owner_arg, u, r);
	if (u->is_freed)
		return;
	if (r->errc)
		up_fail(u, r->errc,
			r->tls_us > 0 || r->errc == ERRC_TLS || r->errc == ERRC_TLS_CERT
				? UP_CONN_TLS
				: UP_CONN_NAME,
			r->why);
	else if (u->has_request)
		send_some(u);
}

static void on_task(struct turn_task *k)
{
	struct up_conn *u = up_check(CONTAINER_OF(k, struct up_conn, task));

	if (u->errc)
		up_fail(u, u->errc, phase_now(u), xport_why(u->x));
	else
		send_some(u);
}

static void on_reap(struct turn_task *k)
{
	struct up_conn *u = CONTAINER_OF(k, struct up_conn, reap);

	http1_fini(&u->http);
	send_clear(u);
	u->magic = 0;
	mem_free(u);
}

/* --- exported --- */

static struct up_conn *conn_new(struct turn *t, const struct up_conn_owner *owner, void *owner_arg)
{
	const struct http1_limits limits = {.line_max = LINE_MAX_UP,
					    .head_max = LIMIT_HEAD_UP,
					    .headers_max = LIMIT_HEADERS_COUNT};
	struct up_conn *u = mem_new_of(struct up_conn);

	if (!u)
		return NULL;
	u->magic = UP_CONN_MAGIC;
	u->turn = t;
	u->owner = owner;
	u->owner_arg = owner_arg;
	list_init(&u->link.node);
	http1_init(&u->http, HTTP1_RESPONSE, &limits);
	turn_task_init(&u->task, t, on_task);
	turn_task_init(&u->reap, t, on_reap);
	return u;
}

enum errc up_conn_new(struct turn *t, struct xport *x, const struct up_conn_owner *owner,
		      void *owner_arg, struct up_conn **out)
{
	struct up_conn *u = conn_new(t, owner, owner_arg);

	if (!u)
		return ERRC_NOMEM;
	u->state = UP_RESTING;
	attach(u, x);
	*out = u;
	return ERRC_OK;
}

enum errc up_conn_dial(struct turn *t, struct dns *dns, const struct dial_target *to,
		       const struct up_conn_owner *owner, void *owner_arg, struct up_conn **out)
{
	struct up_conn *u = conn_new(t, owner, owner_arg);
	enum errc e;

	if (!u)
		return ERRC_NOMEM;
	u->state = UP_DIALING;
	e = dial_start(t, dns, to, on_dialed, u, &u->dial);
	if (e) {
		http1_fini(&u->http);
		mem_free(u);
		return e;
	}
	*out = u;
	return ERRC_OK;
}

void up_conn_set_events(struct up_conn *u, const struct up_conn_events *ev, void *arg)
{
	up_check(u)->ev = ev;
	u->arg = arg;
}

enum errc up_conn_send(struct up_conn *u, const struct slice *v, size_t n, bool no_body)
{
	up_check(u);
	if (u->has_request || (u->state != UP_RESTING && u->state != UP_DIALING))
		return ERRC_STATE;
	if (n > XPORT_IOV_MAX)
		return ERRC_LIMIT;
	u->send = mem_new(sizeof(*u->send) * (n + 1));
	if (!u->send)
		return ERRC_NOMEM;
	for (size_t i = 0; i < n; i++)
		if (v[i].n)
			u->send[u->send_n++] = (struct iovec){(void *)v[i].p, v[i].n};
	u->has_request = true;
	http1_answers_head(&u->http, no_body);
	if (u->state == UP_RESTING) {
		u->state = UP_BUSY;
		turn_wake(&u->task);
	}
	return ERRC_OK;
}

void up_conn_read_stop(struct up_conn *u)
{
	up_check(u);
	if (!u->x || !u->reading)
		return;
	u->reading = false;
	xport_read_stop(u->x);
}

void up_conn_read_start(struct up_conn *u)
{
	up_check(u);
	if (!u->x || u->reading || u->state != UP_BUSY)
		return;
	u->reading = true;
	xport_read_start(u->x);
}

bool up_conn_is_reused(const struct up_conn *u)
{
	return u->is_reused;
}

bool up_conn_is_reusable(const struct up_conn *u)
{
	return u->state == UP_ENDED && !u->is_dirty && !u->send && u->http.head.keep_alive;
}

void up_conn_rest(struct up_conn *u)
{
	up_check(u);
	require(up_conn_is_reusable(u));
	u->state = UP_RESTING;
	u->ev = NULL;
	u->has_request = u->first_byte = u->head_told = false;
	u->is_reused = true;
	http1_relax(&u->http);
	if (!u->reading) {
		u->reading = true;
		xport_read_start(u->x);
	}
}

void up_conn_free(struct up_conn **p)
{
	struct up_conn *u = *p;

	if (!u)
		return;
	up_check(u);
	require(!u->is_freed);
	*p = NULL;
	u->is_freed = true;
	u->ev = NULL;
	dial_abort(&u->dial);
	xport_close(&u->x);
	turn_task_fini(&u->task);
	turn_reap(&u->reap);
}

struct up_conn_link *up_conn_link(struct up_conn *u)
{
	return &up_check(u)->link;
}

struct up_conn *up_conn_of_link(struct up_conn_link *l)
{
	return up_check(CONTAINER_OF(l, struct up_conn, link));
}
