#include "down_conn.h"

#include "caps.h"
#include "down_priv.h"
#include "mem.h"

#define BODY_CHECK_MS  1000
#define SLOW_LINGER_MS 500 /* a client that was too slow to send is not waited for again */
#define EOF_GRACE_MS \
	20 /* a client that shuts its sending side behind the request still gets an answer that is at hand */
#define INFLATE_STEP 1024 /* compressed bytes a step: bounds what one step expands to */
#define INFLATED_MAX (2 * 1024 * 1024) /* of one step: deflate makes at most 1,032 times as much */

static const struct http1_head no_head = {.content_length = -1};

static const struct down_fault too_large = {413, ERRC_TOOBIG,
					    "The request body is larger than this server accepts."};
static const struct down_fault too_slow = {408, ERRC_TIMEOUT, "The request did not arrive in time."};
static const struct down_fault bad_coding = {
	415, ERRC_INVAL,
	"Only gzip is understood in content-encoding; send the body uncompressed or with gzip."};
static const struct down_fault bad_gzip = {400, ERRC_SYNTAX, "The request body is not valid gzip."};
static const struct down_fault no_memory = {503, ERRC_NOMEM,
					    "The server is out of memory; try again."};

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

/* `tell` is false when the host itself goes. */
static void conn_close(struct down_conn *dc, bool tell)
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
	if (tell && h->ev->on_closed)
		h->ev->on_closed(h->arg);
}

void down_conn_lost(struct down_conn *dc)
{
	const struct down_conn_events *ev = dc->ev;

	dc->ev = NULL;
	if (dc->phase == DOWN_CALL) {
		dc->host->stats.gone++;
		if (ev)
			ev->on_gone(dc->arg);
	}
	conn_close(dc, true);
}

/* --- phases --- */

static void timer_in(struct down_conn *dc, int64_t ms)
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
	timer_in(dc, dc->host->is_draining ? dc->host->opts.drain_idle_ms : dc->host->opts.idle_ms);
}

static void enter_linger(struct down_conn *dc)
{
	dc->phase = DOWN_LINGER;
	xport_shutdown(dc->x);
	if (dc->eof_came) {
		conn_close(dc, true);
		return;
	}
	buf_fini(&dc->ahead);
	http1_fini(&dc->http);
	timer_in(dc, dc->was_slow ? MIN_OF(SLOW_LINGER_MS, dc->host->opts.linger_ms)
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

/* --- the request --- */

static void call_begin(struct down_conn *dc, const struct http1_head *head,
		       const struct down_fault *fault)
{
	struct down_host *h = dc->host;

	dc->phase = DOWN_CALL;
	dc->has_served = true;
	dc->was_slow = fault == &too_slow;
	dc->input = fault ? DOWN_IN_FAULT : head->has_body ? DOWN_IN_BODY : DOWN_IN_DONE;
	dc->may_keep = !fault && head->keep_alive;
	dc->is_http10 = !fault && head->version_minor == 0;
	dc->is_head_method = slice_is(head->method, "HEAD");
	dc->wants_continue = !fault && head->expect_continue && head->has_body;
	dc->body_max = h->opts.body_max;
	h->stats.busy++;
	h->stats.requests++;
	h->stats.faults += fault != NULL;
	h->ev->on_request(h->arg, dc, head, fault);
	require(dc->ev != NULL || dc->output == DOWN_OUT_ENDED);
}

/* The rest of the request cannot be read. */
static void body_fault(struct down_conn *dc, const struct down_fault *f)
{
	dc->input = DOWN_IN_FAULT;
	dc->closes = true;
	dc->was_slow = f == &too_slow;
	dc->host->stats.faults++;
	if (dc->ev && dc->output != DOWN_OUT_ENDED)
		dc->ev->on_fault(dc->arg, f);
}

static void parse_fault(struct down_conn *dc)
{
	struct down_fault f = {.status = http1_fault_status(&dc->http),
			       .errc = ERRC_SYNTAX,
			       .text = dc->http.why ? dc->http.why : "malformed"};

	if (dc->http.fault == HTTP1_FAULT_LINE || dc->http.fault == HTTP1_FAULT_HEAD)
		f.errc = ERRC_TOOBIG;
	if (dc->phase == DOWN_CALL)
		body_fault(dc, &f);
	else
		call_begin(dc, &no_head, &f);
}

static void body_deliver(struct down_conn *dc, struct slice part)
{
	dc->body_seen += part.n;
	if (dc->body_seen > dc->body_max)
		body_fault(dc, &too_large);
	else if (dc->ev && part.n)
		dc->ev->on_body(dc->arg, part);
}

static void body_part(struct down_conn *dc, struct slice part)
{
	enum errc e;

	if (!dc->inflate) {
		body_deliver(dc, part);
		return;
	}
	e = inflate_push(dc->inflate, part, &dc->inflated);
	if (e) {
		body_fault(dc, e == ERRC_TOOBIG  ? &too_large
			       : e == ERRC_NOMEM ? &no_memory
						 : &bad_gzip);
		return;
	}
	body_deliver(dc, buf_slice(&dc->inflated));
	buf_reset(&dc->inflated);
}

static void body_end_tell(struct down_conn *dc)
{
	if (dc->body_end_told || !dc->body_begun || dc->input != DOWN_IN_DONE)
		return;
	dc->body_end_told = true;
	if (dc->ev)
		dc->ev->on_body_end(dc->arg);
}

static void body_end(struct down_conn *dc)
{
	if (dc->inflate && inflate_finish(dc->inflate)) {
		body_fault(dc, &bad_gzip);
		return;
	}
	dc->input = DOWN_IN_DONE;
	dc->wants_continue = false;
	body_end_tell(dc);
}

static bool can_parse(const struct down_conn *dc)
{
	switch (dc->phase) {
	case DOWN_IDLE:
	case DOWN_HEAD:
		return true;
	case DOWN_CALL:
		return dc->input == DOWN_IN_BODY && dc->body_reading && !dc->fault;
	default:
		return false;
	}
}

/* A request without a body is complete with its head; the parser says so only when asked once more. */
static void head_done(struct down_conn *dc)
{
	struct slice none = SLICE_NONE, body;

	if (!dc->http.head.has_body)
		require(http1_next(&dc->http, &none, &body) == HTTP1_DONE);
	call_begin(dc, &dc->http.head, NULL);
}

/* Parses the front of *in as far as the connection's state lets it. */
static void feed(struct down_conn *dc, struct slice *in)
{
	while (can_parse(dc)) {
		struct slice step = dc->inflate ? slice_sub(*in, 0, INFLATE_STEP) : *in;
		size_t had = step.n;
		struct slice body = SLICE_NONE;
		int r = http1_next(&dc->http, &step, &body);
		size_t used = had - step.n;

		in->p += used;
		in->n -= used;
		dc->bytes_in += used;
		if (r == HTTP1_HEAD)
			head_done(dc);
		else if (r == HTTP1_BODY)
			body_part(dc, body);
		else if (r == HTTP1_DONE)
			body_end(dc);
		else if (r < 0)
			parse_fault(dc);
		else if (in->n == 0)
			return;
	}
}

/* --- events of the xport --- */

static void head_watch(struct down_conn *dc)
{
	if (dc->phase != DOWN_IDLE || http1_is_idle(&dc->http))
		return;
	dc->phase = DOWN_HEAD;
	if (dc->has_served) /* the first one is timed from the accept on */
		timer_in(dc, dc->host->opts.head_ms);
}

static void on_data(void *arg, struct slice data)
{
	struct down_conn *dc = down_conn_check(arg);

	dc->host->stats.bytes_in += data.n;
	if (dc->phase == DOWN_LINGER) {
		dc->dropped += data.n;
		if (dc->dropped > dc->host->opts.linger_max)
			conn_close(dc, true);
		return;
	}
	if (buf_is_empty(&dc->ahead))
		feed(dc, &data);
	head_watch(dc);
	if (data.n && dc->phase == DOWN_CALL && dc->input != DOWN_IN_FAULT &&
	    buf_adds(&dc->ahead, data)) {
		down_conn_lost(dc);
		return;
	}
	reading_update(dc);
}

static void on_eof(void *arg)
{
	struct down_conn *dc = down_conn_check(arg);

	dc->eof_came = true;
	if (dc->phase != DOWN_CALL || (dc->input == DOWN_IN_BODY && dc->output != DOWN_OUT_ENDED)) {
		down_conn_lost(dc);
		return;
	}
	/* It may have shut only its sending side: an answer that is on its way or nearly ready is still sent. */
	dc->closes = true;
	if (dc->output != DOWN_OUT_ENDED)
		timer_in(dc, EOF_GRACE_MS);
	reading_update(dc);
}

static void on_error(void *arg, enum errc e)
{
	(void)e;
	down_conn_lost(down_conn_check(arg));
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

static const struct xport_events xport_ev = {
	.on_data = on_data,
	.on_eof = on_eof,
	.on_error = on_error,
	.on_writable = on_writable,
	.on_hangup = on_hangup,
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
		down_conn_lost(dc);
		return;
	}
	if (f) {
		dc->fault = NULL;
		body_fault(dc, f);
	}
	if (dc->wants_continue && dc->body_reading && dc->input == DOWN_IN_BODY &&
	    dc->output == DOWN_OUT_NONE && buf_is_empty(&dc->ahead))
		down_out_continue(dc);
	if (!buf_is_empty(&dc->ahead) && can_parse(dc)) {
		in = buf_slice(&dc->ahead);
		feed(dc, &in);
		buf_drop_front(&dc->ahead, dc->ahead.len - in.n);
		if (buf_is_empty(&dc->ahead))
			buf_fini(&dc->ahead);
		head_watch(dc);
	}
	body_end_tell(dc);
	reading_update(dc);
}

static void on_flush(struct turn_task *k)
{
	down_out_flush(down_conn_check(CONTAINER_OF(k, struct down_conn, flush)));
}

/* The body must come at body_rate_min bytes a second once body_grace_ms are over; time in which we did not read does not count. */
static void body_watch(struct down_conn *dc)
{
	const struct down_opts *o = &dc->host->opts;
	int64_t active_ms;

	if (dc->input != DOWN_IN_BODY || !dc->body_reading)
		return;
	active_ms = dc->body_active_ms + turn_now_ms(dc->host->turn) - dc->since_ms;
	if (active_ms >= o->body_grace_ms &&
	    (int64_t)dc->bytes_in * 1000 < active_ms * o->body_rate_min)
		body_fault(dc, &too_slow);
	else
		timer_in(dc, active_ms < o->body_grace_ms ? o->body_grace_ms - active_ms
							  : BODY_CHECK_MS);
}

static void on_timer(struct turn_timer *m)
{
	struct down_conn *dc = CONTAINER_OF(m, struct down_conn, timer);

	down_conn_check(dc);
	switch (dc->phase) {
	case DOWN_HEAD:
		call_begin(dc, &no_head, &too_slow);
		reading_update(dc);
		break;
	case DOWN_CALL: /* may also be the rest of an earlier setting */
		if (dc->eof_came && dc->output != DOWN_OUT_ENDED) {
			down_conn_lost(dc);
			break;
		}
		body_watch(dc);
		reading_update(dc);
		break;
	case DOWN_IDLE:
	case DOWN_LINGER:
		conn_close(dc, true);
		break;
	case DOWN_CLOSED:
		break;
	}
}

static void on_send_timer(struct turn_timer *m)
{
	down_conn_lost(down_conn_check(CONTAINER_OF(m, struct down_conn, send_timer)));
}

/* --- exported: the call's side --- */

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

/* What the head says about the body, when it is asked for: 413, 415, or a decoder. */
static void body_begin(struct down_conn *dc)
{
	const struct http1_head *head = &dc->http.head;
	struct slice coding;

	dc->body_begun = true;
	if (dc->input != DOWN_IN_BODY)
		return;
	if (head->content_length > 0 && (uint64_t)head->content_length > dc->body_max) {
		dc->fault = &too_large;
		return;
	}
	coding = http1_header(head, "content-encoding");
	if (coding.n == 0 || slice_ieq(coding, SLICE_LIT("identity")))
		return;
	if (!slice_ieq(coding, SLICE_LIT("gzip")) && !slice_ieq(coding, SLICE_LIT("x-gzip")))
		dc->fault = &bad_coding;
	else if (inflate_new(INFLATE_GZIP, dc->body_max, &dc->inflate))
		dc->fault = &no_memory;
}

void down_conn_read_start(struct down_conn *dc)
{
	down_conn_check(dc);
	if (dc->phase != DOWN_CALL || dc->body_reading)
		return;
	if (!dc->body_begun)
		body_begin(dc);
	dc->body_reading = true;
	dc->since_ms = turn_now_ms(dc->host->turn);
	if (dc->input == DOWN_IN_BODY)
		turn_timer_set(&dc->timer, dc->since_ms + MAX_OF(dc->host->opts.body_grace_ms -
									 dc->body_active_ms,
								 BODY_CHECK_MS));
	turn_wake(&dc->step);
}

void down_conn_read_stop(struct down_conn *dc)
{
	down_conn_check(dc);
	if (dc->phase != DOWN_CALL || !dc->body_reading)
		return;
	dc->body_reading = false;
	dc->body_active_ms += turn_now_ms(dc->host->turn) - dc->since_ms;
	turn_wake(&dc->step);
}

void down_conn_drop_head(struct down_conn *dc)
{
	down_conn_check(dc);
	if (dc->phase == DOWN_CALL && dc->body_end_told)
		http1_drop_fields(&dc->http);
}

void down_conn_set_body_max(struct down_conn *dc, size_t max)
{
	down_conn_check(dc);
	dc->body_max = MIN_OF(max, dc->host->opts.body_max);
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
	timer_in(dc, h->opts.head_ms); /* the first request must begin soon */
	reading_update(dc);
	return ERRC_OK;
}

/* --- exported: the host --- */

enum errc down_host_new(struct turn *t, const struct down_opts *o, struct listen_set *set,
			const struct down_host_events *ev, void *arg, struct down_host **out)
{
	struct down_host *h = mem_new_of(struct down_host);

	if (!h)
		return ERRC_NOMEM;
	h->magic = DOWN_HOST_MAGIC;
	h->turn = t;
	h->opts = *o;
	h->set = set;
	h->ev = ev;
	h->arg = arg;
	list_init(&h->conns);
	*out = h;
	return ERRC_OK;
}

void down_host_free(struct down_host **p)
{
	struct down_host *h = *p;

	if (!h)
		return;
	require_magic(h, DOWN_HOST_MAGIC);
	while (!list_is_empty(&h->conns))
		conn_close(list_entry(h->conns.next, struct down_conn, node), false);
	h->magic = 0;
	mem_free(h);
	*p = NULL;
}

void down_host_set_opts(struct down_host *h, const struct down_opts *o)
{
	h->opts = *o;
}

void down_host_drain(struct down_host *h)
{
	require_magic(h, DOWN_HOST_MAGIC);
	h->is_draining = true;
	list_each (it, &h->conns) {
		struct down_conn *dc = list_entry(it, struct down_conn, node);

		if (dc->phase == DOWN_IDLE)
			timer_in(dc, h->opts.drain_idle_ms);
	}
}

void down_stats_get(const struct down_host *h, struct down_stats *out)
{
	*out = h->stats;
}
