#include "down_conn.h"

#include "caps.h"
#include "down_priv.h"
#include "mem.h"

#define SLOW_LINGER_MS 500 /* a client that was too slow to send is not waited for again */
#define EOF_GRACE_MS \
	20 /* a client that shuts its sending side behind the request still gets an answer that is at hand */
#define INFLATED_MAX \
	(2 * 1024 *  \
	 1024) /* of one step of DOWN_INFLATE_STEP: deflate makes at most 1,032 times as much */

static struct http1_limits limits_of(const struct down_host *h)
{
	return (struct http1_limits){.line_max = h->opts.line_max,
				     .head_max = h->opts.head_max,
				     .headers_max = LIMIT_HEADERS_COUNT};
}

/* --- the end of a connection --- */

static void on_reap(struct turn_task *k)
{
	struct down_conn *dc = CONTAINER_OF(k, struct down_conn, reap);

	http1_fini(&dc->http);
	inflate_free(&dc->inflate);
	buf_fini(&dc->inflated);
	buf_fini(&dc->ahead);
	buf_fini(&dc->out);
	dc->magic = 0;
	mem_free(dc);
}

static void phase_leave_call(struct down_conn *dc)
{
	if (dc->phase == DOWN_CALL)
		dc->host->stats.busy--;
}

void down_conn_close(struct down_conn *dc)
{
	struct down_host *h = dc->host;

	if (dc->phase == DOWN_CLOSED)
		return;
	phase_leave_call(dc);
	dc->phase = DOWN_CLOSED;
	dc->ev = NULL;
	xport_close(&dc->x);
	turn_timer_clear(&dc->timer);
	turn_timer_clear(&dc->send_timer);
	turn_task_fini(&dc->step);
	turn_task_fini(&dc->flush);
	list_remove(&dc->node);
	h->stats.open--;
	if (h->set)
		listen_set_gone(h->set, &dc->peer);
	turn_reap(&dc->reap);
}

/* The client is gone: tells the call, closes. */
static void lost(struct down_conn *dc)
{
	const struct down_conn_events *ev = dc->ev;

	dc->ev = NULL;
	if (dc->phase == DOWN_CALL) {
		dc->host->stats.gone++;
		if (ev)
			ev->on_gone(dc->arg);
	}
	down_conn_close(dc);
}

/* --- phases --- */

void down_conn_timer_in(struct down_conn *dc, int64_t ms)
{
	turn_timer_set(&dc->timer, turn_now_ms(dc->host->turn) + ms);
}

static void reading_update(struct down_conn *dc)
{
	bool want = false;

	switch (dc->phase) {
	case DOWN_IDLE:
	case DOWN_HEAD:
		want = buf_is_empty(&dc->ahead);
		break;
	case DOWN_CALL: /* behind the request: to see the client leave, and one read ahead */
		want = buf_is_empty(&dc->ahead) && (dc->input == DOWN_IN_DONE ||
						    (dc->input == DOWN_IN_BODY && dc->body_reading));
		break;
	case DOWN_LINGER:
		want = true;
		break;
	case DOWN_CLOSED:
		return;
	}
	want = want && !dc->eof_came;
	if (want == dc->is_reading)
		return;
	dc->is_reading = want;
	if (want)
		xport_read_start(dc->x);
	else
		xport_read_stop(dc->x);
}

static void enter_idle(struct down_conn *dc)
{
	dc->phase = DOWN_IDLE;
	dc->http.limits = limits_of(dc->host);
	if (buf_is_empty(&dc->ahead))
		http1_relax(&dc->http);
	down_conn_timer_in(dc, dc->host->is_draining ? dc->host->opts.drain_idle_ms
						     : dc->host->opts.idle_ms);
}

static void enter_linger(struct down_conn *dc)
{
	dc->phase = DOWN_LINGER;
	xport_shutdown(dc->x);
	if (dc->eof_came) {
		down_conn_close(dc);
		return;
	}
	buf_fini(&dc->ahead);
	http1_fini(&dc->http);
	down_conn_timer_in(dc, dc->was_slow ? MIN_OF(SLOW_LINGER_MS, dc->host->opts.linger_ms)
					    : dc->host->opts.linger_ms);
}

static void request_clear(struct down_conn *dc)
{
	inflate_free(&dc->inflate);
	buf_fini(&dc->inflated);
	dc->output = DOWN_OUT_NONE;
	dc->fault = NULL;
	dc->body_seen = 0;
	dc->bytes_in = dc->bytes_out = 0;
	dc->body_active_ms = 0;
	dc->body_reading = dc->body_begun = dc->body_end_told = dc->wants_continue = false;
	dc->is_head_method = dc->is_http10 = dc->may_keep = dc->closes = dc->is_chunked =
		dc->was_full = false;
}

void down_conn_answered(struct down_conn *dc)
{
	const struct down_conn_events *ev = dc->ev;
	bool closes = dc->closes;

	phase_leave_call(dc);
	dc->ev = NULL;
	if (ev)
		ev->on_sent(dc->arg);
	request_clear(dc);
	if (closes)
		enter_linger(dc);
	else
		enter_idle(dc);
	if (dc->phase != DOWN_CLOSED)
		turn_wake(&dc->step);
}

/* --- events of the xport --- */

static void head_watch(struct down_conn *dc)
{
	if (dc->phase != DOWN_IDLE || http1_is_idle(&dc->http))
		return;
	dc->phase = DOWN_HEAD;
	if (dc->has_served) /* the first one is timed from the accept on */
		down_conn_timer_in(dc, dc->host->opts.head_ms);
}

static void on_data(void *arg, struct slice data)
{
	struct down_conn *dc = down_conn_check(arg);

	dc->host->stats.bytes_in += data.n;
	if (dc->phase == DOWN_LINGER) {
		dc->dropped += data.n;
		if (dc->dropped > dc->host->opts.linger_max)
			down_conn_close(dc);
		return;
	}
	if (buf_is_empty(&dc->ahead))
		down_in_feed(dc, &data);
	head_watch(dc);
	if (data.n && dc->phase == DOWN_CALL && dc->input != DOWN_IN_FAULT &&
	    buf_adds(&dc->ahead, data)) {
		lost(dc);
		return;
	}
	reading_update(dc);
}

static void on_eof(void *arg)
{
	struct down_conn *dc = down_conn_check(arg);

	dc->eof_came = true;
	if (dc->phase != DOWN_CALL || (dc->input == DOWN_IN_BODY && dc->output != DOWN_OUT_ENDED)) {
		lost(dc);
		return;
	}
	/* It may have shut only its sending side: an answer that is on its way or nearly ready is still sent. */
	dc->closes = true;
	if (dc->output != DOWN_OUT_ENDED)
		down_conn_timer_in(dc, EOF_GRACE_MS);
	reading_update(dc);
}

static void on_error(void *arg, enum errc e)
{
	(void)e;
	lost(down_conn_check(arg));
}

static void on_writable(void *arg)
{
	struct down_conn *dc = down_conn_check(arg);

	dc->is_blocked = false;
	turn_timer_clear(&dc->send_timer);
	down_out_flush(dc);
}

/* Reading is stopped: either bytes of a next request lie unread, or the body does and its end will be seen in turn. */
static void on_hangup(void *arg)
{
	struct down_conn *dc = down_conn_check(arg);

	if (dc->phase == DOWN_CALL && dc->input == DOWN_IN_BODY)
		return;
	on_eof(dc);
}

static struct iovec on_room(void *arg)
{
	const struct down_conn *dc = down_conn_check(arg);
	struct iovec none = {NULL, 0};
	size_t left;

	if (dc->phase != DOWN_CALL || !down_in_can_parse(dc) || dc->inflate || !dc->ev ||
	    !dc->ev->on_room || !buf_is_empty(&dc->ahead))
		return none;
	left = http1_body_left(&dc->http);
	return left > 0 ? dc->ev->on_room(dc->arg, left) : none;
}

static const struct xport_events xport_ev = {
	.on_data = on_data,
	.on_eof = on_eof,
	.on_error = on_error,
	.on_writable = on_writable,
	.on_hangup = on_hangup,
	.on_room = on_room,
};

/* --- tasks and timers --- */

static void on_step(struct turn_task *k)
{
	struct down_conn *dc = CONTAINER_OF(k, struct down_conn, step);
	const struct down_fault *f = dc->fault;
	struct slice in;

	down_conn_check(dc);
	if (dc->phase == DOWN_CLOSED)
		return;
	if (dc->is_dead) {
		lost(dc);
		return;
	}
	if (f) {
		dc->fault = NULL;
		down_in_fault(dc, f);
	}
	if (dc->wants_continue && dc->body_reading && dc->input == DOWN_IN_BODY &&
	    dc->output == DOWN_OUT_NONE && buf_is_empty(&dc->ahead))
		down_out_continue(dc);
	if (!buf_is_empty(&dc->ahead) && down_in_can_parse(dc)) {
		in = buf_slice(&dc->ahead);
		down_in_feed(dc, &in);
		buf_drop_front(&dc->ahead, dc->ahead.len - in.n);
		if (buf_is_empty(&dc->ahead))
			buf_fini(&dc->ahead);
		head_watch(dc);
	}
	down_in_tell_end(dc);
	reading_update(dc);
}

static void on_flush(struct turn_task *k)
{
	down_out_flush(down_conn_check(CONTAINER_OF(k, struct down_conn, flush)));
}

static void on_timer(struct turn_timer *m)
{
	struct down_conn *dc = CONTAINER_OF(m, struct down_conn, timer);

	down_conn_check(dc);
	switch (dc->phase) {
	case DOWN_HEAD:
		down_in_head_slow(dc);
		reading_update(dc);
		break;
	case DOWN_CALL: /* may also be the rest of an earlier setting */
		if (dc->eof_came && dc->output != DOWN_OUT_ENDED) {
			lost(dc);
			break;
		}
		down_in_watch(dc);
		reading_update(dc);
		break;
	case DOWN_IDLE:
	case DOWN_LINGER:
		down_conn_close(dc);
		break;
	case DOWN_CLOSED:
		break;
	}
}

static void on_send_timer(struct turn_timer *m)
{
	lost(down_conn_check(CONTAINER_OF(m, struct down_conn, send_timer)));
}

/* --- exported: the call's side --- */

static void no_event(void *arg)
{
	(void)arg;
}

static void no_body(void *arg, struct slice data)
{
	(void)arg;
	(void)data;
}

static void no_fault(void *arg, const struct down_fault *f)
{
	(void)arg;
	(void)f;
}

const struct down_conn_events down_conn_deaf = {.on_body = no_body,
						.on_body_end = no_event,
						.on_fault = no_fault,
						.on_writable = no_event,
						.on_sent = no_event,
						.on_gone = no_event};

void down_conn_take(struct down_conn *dc, const struct down_conn_events *ev, void *arg)
{
	down_conn_check(dc);
	require(dc->phase == DOWN_CALL && dc->ev == NULL);
	dc->ev = ev;
	dc->arg = arg;
}

const struct listen_peer *down_conn_peer(const struct down_conn *dc)
{
	return &dc->peer;
}

void down_conn_detach(struct down_conn **p)
{
	struct down_conn *dc = *p;

	if (!dc)
		return;
	*p = NULL;
	down_conn_check(dc);
	dc->ev = NULL;
	down_conn_cut(dc);
}

enum errc down_conn_open(struct down_host *h, struct xport *x, const struct listen_peer *peer)
{
	struct down_conn *dc = mem_new_of(struct down_conn);
	struct http1_limits limits = limits_of(h);

	require_magic(h, DOWN_HOST_MAGIC);
	if (!dc) {
		xport_close(&x);
		if (h->set)
			listen_set_gone(h->set, peer);
		return ERRC_NOMEM;
	}
	dc->magic = DOWN_CONN_MAGIC;
	dc->host = h;
	dc->x = x;
	dc->peer = *peer;
	http1_init(&dc->http, HTTP1_REQUEST, &limits);
	buf_init(&dc->ahead, 2 * TURN_SCRATCH);
	buf_init(&dc->inflated, INFLATED_MAX);
	buf_init(&dc->out, DOWN_OUT_MAX);
	turn_task_init(&dc->step, h->turn, on_step);
	turn_task_init(&dc->flush, h->turn, on_flush);
	turn_task_init(&dc->reap, h->turn, on_reap);
	turn_timer_init(&dc->timer, h->turn, on_timer);
	turn_timer_init(&dc->send_timer, h->turn, on_send_timer);
	list_push_back(&h->conns, &dc->node);
	h->stats.open++;
	xport_set_events(x, &xport_ev, dc);
	down_conn_timer_in(dc, h->opts.head_ms); /* the first request must begin soon */
	reading_update(dc);
	return ERRC_OK;
}
