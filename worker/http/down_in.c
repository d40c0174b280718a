/* What a client sends: requests are parsed as far as the connection's state lets them, their bodies decoded and handed to the call. */
#include "down_priv.h"

#define BODY_CHECK_MS 1000 /* how often the pace of a body is looked at */

static const struct down_fault too_large = {413, ERRC_TOOBIG,
					    "The request body is larger than this server accepts."};
static const struct down_fault too_slow = {408, ERRC_TIMEOUT, "The request did not arrive in time."};
static const struct down_fault bad_coding = {
	415, ERRC_INVAL,
	"Only gzip is understood in content-encoding; send the body uncompressed or with gzip."};
static const struct down_fault bad_gzip = {400, ERRC_SYNTAX, "The request body is not valid gzip."};
static const struct down_fault no_memory = {503, ERRC_NOMEM,
					    "The server is out of memory; try again."};

static void call_begin(struct down_conn *dc, const struct http1_head *head,
		       const struct down_fault *fault)
{
	struct down_host *h = dc->host;

	dc->phase = DOWN_CALL;
	dc->has_served = true;
	dc->was_slow = fault == &too_slow;
	dc->input = fault ? DOWN_IN_FAULT : head->has_body ? DOWN_IN_BODY : DOWN_IN_DONE;
	/* A client that asked for a tunnel may send on as if it had one. */
	dc->may_keep = !fault && head->keep_alive && !slice_is(head->method, "CONNECT");
	dc->is_http10 = !fault && head->version_minor == 0;
	dc->is_head_method = slice_is(head->method, "HEAD");
	dc->wants_continue = !fault && head->expect_continue && head->has_body;
	dc->body_max = h->opts.body_max;
	h->stats.busy++;
	h->stats.requests++;
	h->ev->on_request(h->arg, dc, head, fault);
	require(dc->ev != NULL || dc->output == DOWN_OUT_ENDED);
}

/* The head failed or did not come: what came of it goes with the fault. */
static void call_begin_fault(struct down_conn *dc, const struct down_fault *fault)
{
	http1_salvage(&dc->http);
	call_begin(dc, &dc->http.head, fault);
}

void down_in_fault(struct down_conn *dc, const struct down_fault *f)
{
	dc->input = DOWN_IN_FAULT;
	dc->closes = true;
	dc->was_slow = f == &too_slow;
	if (dc->ev && dc->output != DOWN_OUT_ENDED)
		dc->ev->on_fault(dc->arg, f);
}

static void parse_fault(struct down_conn *dc)
{
	struct down_fault f = {.status = http1_fault_status(&dc->http),
			       .errc = ERRC_PROTOCOL,
			       .text = dc->http.why ? dc->http.why : "malformed"};

	if (dc->http.fault == HTTP1_FAULT_LINE || dc->http.fault == HTTP1_FAULT_HEAD)
		f.errc = ERRC_TOOBIG;
	if (dc->phase == DOWN_CALL)
		down_in_fault(dc, &f);
	else
		call_begin_fault(dc, &f);
}

static void body_deliver(struct down_conn *dc, struct slice part)
{
	dc->body_seen += part.n;
	if (dc->body_seen > dc->body_max)
		down_in_fault(dc, &too_large);
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
		down_in_fault(dc, e == ERRC_TOOBIG  ? &too_large
				  : e == ERRC_NOMEM ? &no_memory
						    : &bad_gzip);
		return;
	}
	body_deliver(dc, buf_slice(&dc->inflated));
	buf_reset(&dc->inflated);
}

void down_in_tell_end(struct down_conn *dc)
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
		down_in_fault(dc, &bad_gzip);
		return;
	}
	dc->input = DOWN_IN_DONE;
	dc->wants_continue = false;
	down_in_tell_end(dc);
}

bool down_in_can_parse(const struct down_conn *dc)
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

void down_in_feed(struct down_conn *dc, struct slice *in)
{
	while (down_in_can_parse(dc)) {
		struct slice step = dc->inflate ? slice_sub(*in, 0, DOWN_INFLATE_STEP) : *in;
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

void down_in_head_slow(struct down_conn *dc)
{
	call_begin_fault(dc, &too_slow);
}

void down_in_watch(struct down_conn *dc)
{
	const struct down_opts *o = &dc->host->opts;
	int64_t active_ms;

	if (dc->input != DOWN_IN_BODY || !dc->body_reading)
		return;
	active_ms = dc->body_active_ms + turn_now_ms(dc->host->turn) - dc->since_ms;
	if (active_ms >= o->body_grace_ms &&
	    (int64_t)dc->bytes_in * 1000 < active_ms * o->body_rate_min)
		down_in_fault(dc, &too_slow);
	else
		down_conn_timer_in(dc, active_ms < o->body_grace_ms ? o->body_grace_ms - active_ms
								    : BODY_CHECK_MS);
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
