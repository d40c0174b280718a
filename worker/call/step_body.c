#include "apikey.h"
#include "call_steps.h"
#include "http1.h"
#include "mem.h"

static void count_body(struct call *c, size_t n)
{
	c->host->body_bytes += n;
	c->host->body_most = MAX_OF(c->host->body_most, c->host->body_bytes);
	c->body_counted += n;
}

void call_body_free(struct call *c)
{
	c->host->body_bytes -= c->body_counted;
	c->body_counted = 0;
	body_pool_give(&c->host->bodies, &c->body);
}

static void stop_reading(struct call *c)
{
	if (c->down && c->reading)
		down_conn_read_stop(c->down);
	c->reading = false;
}

/* Within what start_body() reserved: the rest of a body of known length is read to where it stays. */
static struct iovec on_room(void *arg, size_t n)
{
	struct call *c = arg;
	struct iovec none = {NULL, 0};

	require_magic(c, CALL_MAGIC);
	if (c->step != CALL_BODY || fault_is_set(&c->fault))
		return none;
	return (struct iovec){c->body.p + c->body.len, MIN_OF(n, c->body.cap - c->body.len)};
}

/* Bytes that were read into on_room() stay where they are. */
static enum errc keep_body(struct buf *body, struct slice data)
{
	if (data.p != body->p + body->len || data.n > body->cap - body->len)
		return buf_adds(body, data);
	buf_commit(body, data.n);
	return ERRC_OK;
}

/* One read of the body: kept and scanned. A fault ends the reading; the step answers it. */
static void on_body(void *arg, struct slice data)
{
	struct call *c = arg;
	size_t at = c->body.len;
	enum errc e;

	require_magic(c, CALL_MAGIC);
	if (c->step != CALL_BODY || fault_is_set(&c->fault))
		return;
	if (c->host->body_bytes + data.n > (size_t)call_set(c)->limit_body_memory_bytes) {
		fault_set(
			&c->fault, FAULT_BUSY,
			"This node holds as many request bodies as it may; try again in 1 second.");
	} else if ((e = keep_body(&c->body, data))) {
		fault_errc(&c->fault, e == ERRC_LIMIT ? ERRC_TOOBIG : e, "body");
	} else {
		count_body(c, data.n);
		if (c->bound)
			digest_add(c->bound, data);
		(void)!c->front->scan_push(c->scan, c->body.p + at, data.n, &c->fault);
	}
	if (fault_is_set(&c->fault)) {
		stop_reading(c);
		call_wake(c);
	}
}

static void on_body_end(void *arg)
{
	struct call *c = arg;

	c->body_ended = true;
	c->body_us = call_now_us();
	call_wake(c);
}

static void on_fault(void *arg, const struct down_fault *f)
{
	struct call *c = arg;

	c->down_fault = *f;
	call_wake(c);
}

static void on_writable(void *arg)
{
	call_wake(arg);
}

static void on_sent(void *arg)
{
	struct call *c = arg;

	c->bytes_in = down_conn_bytes_in(c->down);
	c->bytes_out = down_conn_bytes_out(c->down);
	c->down = NULL;
	c->head = NULL;
	call_wake(c);
}

static void on_gone(void *arg)
{
	struct call *c = arg;

	c->bytes_in = down_conn_bytes_in(c->down);
	c->bytes_out = down_conn_bytes_out(c->down);
	c->down = NULL;
	c->head = NULL;
	call_leave(c);
	call_wake(c);
}

const struct down_conn_events call_down_events = {.on_body = on_body,
						  .on_body_end = on_body_end,
						  .on_fault = on_fault,
						  .on_writable = on_writable,
						  .on_sent = on_sent,
						  .on_gone = on_gone,
						  .on_room = on_room};

/* Begins to read; a length that is known is reserved at once, so that the body lies in one piece without copies. */
static enum errc start_body(struct call *c)
{
	int64_t length = c->head->content_length;

	c->body_started = true;
	buf_init(&c->body, (size_t)call_set(c)->limit_body_bytes);
	c->scan = arena_zero(&c->arena, c->front->scan_size);
	if (!c->scan || call_claim_begin(c))
		return ERRC_NOMEM;
	c->front->scan_init(c->scan, c->op, (unsigned)call_set(c)->limit_json_depth);
	if (length > 0 && length <= call_set(c)->limit_body_bytes &&
	    body_pool_take(&c->host->bodies, (size_t)length, &c->body))
		return ERRC_NOMEM;
	c->reading = true;
	down_conn_read_start(c->down);
	return ERRC_OK;
}

/* The body may go before the call ends: what is used longer moves to the arena. */
static enum errc keep_facts(struct call *c)
{
	c->facts.model = arena_dup(&c->arena, c->facts.model);
	c->facts.user = arena_dup(&c->arena, c->facts.user);
	c->user = c->wish.user.n ? c->wish.user : c->facts.user;
	apikey_hide((char *)c->user.p, c->user.n); /* it goes into the ledger */
	return c->facts.model.p && c->facts.user.p ? ERRC_OK : ERRC_NOMEM;
}

static enum errc end_body(struct call *c)
{
	enum errc e = c->front->scan_end(c->scan, buf_slice(&c->body), &c->facts, &c->fault);

	if (!e && c->path.deployment[0])
		c->facts.model = slice_str(c->path.deployment);
	if (!e && !c->facts.model.n)
		fault_field(&c->fault, FAULT_MISSING_FIELD, "model", "'model' is missing.");
	if (!e)
		e = keep_facts(c);
	if (!e)
		e = call_claim_end(c);
	if (e)
		fault_errc(&c->fault, e, "body");
	return e;
}

void call_set_down_fault(struct call *c)
{
	/* Where the connection has only a parser's words, the sentence is here. */
	static const struct {
		int status;
		enum fault_kind kind;
		const char *sentence;
	} rows[] = {
		{400, FAULT_BAD_REQUEST, NULL},
		{408, FAULT_REQUEST_TIMEOUT, NULL},
		{413, FAULT_TOO_LARGE, NULL},
		{414, FAULT_URI_TOO_LONG,
		 "The request line is longer than this server accepts; shorten the URL."},
		{415, FAULT_ENCODING, NULL},
		{431, FAULT_HEADERS_TOO_LARGE,
		 "The headers are more or longer than this server accepts; send fewer or shorter "
		 "ones."},
		{500, FAULT_BUSY, "The server is out of memory; try again."},
		{503, FAULT_BUSY, NULL},
	};
	const struct down_fault *df = &c->down_fault;

	if (df->status == 400 && df->errc == ERRC_PROTOCOL)
		fault_set(&c->fault, FAULT_BAD_REQUEST, "The request is not valid HTTP: %s.",
			  df->text);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].status == df->status)
			fault_set(&c->fault, rows[i].kind, "%s",
				  rows[i].sentence ? rows[i].sentence : df->text);
	fault_set(&c->fault, FAULT_BAD_REQUEST, "The request is not understood: %s.", df->text);
}

enum call_next step_body(struct call *c)
{
	enum errc e;

	if (!c->body_started && (e = start_body(c)))
		fault_errc(&c->fault, e, "body");
	if (c->down_fault.status)
		call_set_down_fault(c);
	if (fault_is_set(&c->fault))
		return call_end(c, RECORD_END_REJECTED);
	if (!c->body_ended)
		return CALL_WAIT;
	if (end_body(c) || fault_is_set(&c->fault))
		return call_end(c, RECORD_END_REJECTED);
	if (c->down) { /* what it said has been taken from it */
		c->head = NULL;
		down_conn_drop_head(c->down);
	}
	return CALL_MORE;
}
