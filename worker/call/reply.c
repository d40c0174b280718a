#include "reply.h"

#include <stdio.h>

#include "fault_write.h"
#include "http1.h"

#define FAULT_BODY_MAX (64 * 1024)

/* The origin that may read the answer: "*", the asker's own where a list names it, or none. `varies`: the answer depends on who asks. */
static struct slice cors_origin(const struct call *c, bool *varies)
{
	const struct settings_list *list = &call_set(c)->cors_origins;
	struct slice found = SLICE_NONE;

	*varies = list->n > 0;
	for (size_t i = 0; i < list->n; i++) {
		if (slice_is(list->v[i], "*")) {
			*varies = false;
			return list->v[i];
		}
		if (c->wish.origin.n && slice_ieq(list->v[i], c->wish.origin))
			found = c->wish.origin;
	}
	return found;
}

static enum errc put_cors(struct call *c, struct buf *b)
{
	bool varies;
	struct slice origin = cors_origin(c, &varies);
	enum errc e;

	if (varies && (e = http1_put_header(b, "vary", SLICE_LIT("origin"))))
		return e;
	if (!origin.n)
		return ERRC_OK;
	if ((e = http1_put_header(b, "access-control-allow-origin", origin)))
		return e;
	return http1_put_header(b, "access-control-expose-headers", SLICE_LIT("*"));
}

enum errc reply_lines(struct call *c, struct buf *b)
{
	struct slice id = slice_str(c->id_text);
	enum errc e;

	buf_reset(b);
	if ((e = http1_put_header(b, "x-request-id", id)) ||
	    (e = http1_put_header(b, "x-generation-id", id)))
		return e;
	if (c->path.family == PATHS_FOR_ANTHROPIC && (e = http1_put_header(b, "request-id", id)))
		return e;
	if (c->wish.client_id.n &&
	    (e = http1_put_header(b, "x-client-request-id", c->wish.client_id)))
		return e;
	if ((e = http1_put_header_i64(b, "x-aigw-config", (int64_t)c->rt->t->generation)))
		return e;
	return put_cors(c, b);
}

/* Milliseconds as OpenAI writes them: "12ms", "1s", "6m0s", "1.5s". */
static struct slice reset_text(int64_t ms, char out[32])
{
	char num[TEXT_DECIMAL_MAX];
	size_t n = 0;

	if (ms < 1000)
		return slice_of(out, (size_t)snprintf(out, 32, "%dms", (int)MAX_OF(ms, 0)));
	if (ms >= 3600000)
		n += (size_t)snprintf(out, 32, "%dh", (int)(ms / 3600000));
	if (ms >= 60000)
		n += (size_t)snprintf(out + n, 32 - n, "%dm", (int)(ms % 3600000 / 60000));
	text_decimal_print(ms % 60000, 3, 0, num);
	n += (size_t)snprintf(out + n, 32 - n, "%ss", num);
	return slice_of(out, n);
}

static enum errc put_limit(struct buf *b, const char *limit, const char *remaining,
			   const char *reset, const struct admit_remaining *r)
{
	char text[32];
	enum errc e;

	if (r->limit == ROWS_NO_LIMIT)
		return ERRC_OK;
	if ((e = http1_put_header_i64(b, limit, r->limit)) ||
	    (e = http1_put_header_i64(b, remaining, MAX_OF(r->remaining, 0))))
		return e;
	return http1_put_header(b, reset, reset_text(r->reset_ms, text));
}

static enum errc put_limits(const struct call *c, struct buf *b)
{
	enum errc e = put_limit(b, "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests",
				"x-ratelimit-reset-requests", &c->grant.requests);

	return e ? e
		 : put_limit(b, "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens",
			     "x-ratelimit-reset-tokens", &c->grant.tokens);
}

static enum errc put_timing(const struct call *c, struct buf *b)
{
	const struct call_attempt *a = c->attempt;
	int64_t now = call_now_us(), up = a->head_us > a->start_us ? a->head_us - a->start_us : 0;
	int64_t gw = now - (c->body_us ? c->body_us : c->start_us) - up;
	char line[2 * TEXT_DECIMAL_MAX + 16] = "gw;dur=";
	size_t n = strlen(line);

	n += text_decimal_print(MAX_OF(gw, 0), 3, 0, line + n);
	memcpy(line + n, ", up;dur=", 9);
	n += 9;
	n += text_decimal_print(up, 3, 0, line + n);
	return http1_put_header(b, "server-timing", slice_of(line, n));
}

static enum errc put_clamp(const struct call *c, struct buf *b)
{
	const struct call_attempt *a = c->attempt;
	int64_t cap = c->grant.hold.cap[a->at], max = c->route.v[a->at].model->max_output;
	bool lowered = c->facts.cap ? cap > 0 && cap < c->facts.cap
				    : cap > 0 && max > 0 && cap < max;

	return lowered ? http1_put_header_i64(b, "x-aigw-max-tokens-clamped", cap) : ERRC_OK;
}

/* The one that answered included; once the call is settling it stands among the tried ones. */
static size_t attempts_count(const struct call *c)
{
	return c->tried_n + (c->step < CALL_SETTLE);
}

/* Who answered, or failed. */
static enum errc put_provider(const struct call *c, struct buf *b, size_t attempts)
{
	const struct call_attempt *a = c->attempt;
	const struct route_candidate *r = &c->route.v[a->at];
	enum errc e;

	if ((e = http1_put_header(b, "x-aigw-provider", r->offer->provider->name)) ||
	    (e = http1_put_header(b, "x-aigw-model", r->model->name)) ||
	    (e = http1_put_header_i64(b, "x-aigw-attempts", (int64_t)attempts)) ||
	    !a->up_request_id.n)
		return e;
	return http1_put_header(b, "x-aigw-upstream-request-id", a->up_request_id);
}

enum errc reply_lines_up(struct call *c, struct buf *b, bool whole)
{
	const struct call_attempt *a = c->attempt;
	char cost[MONEY_TEXT_MAX];
	enum errc e;

	if ((e = put_provider(c, b, attempts_count(c))) || (e = put_clamp(c, b)) ||
	    (e = put_timing(c, b)) || (e = put_limits(c, b)))
		return e;
	if (a->openai_ms.n && (e = http1_put_header(b, "openai-processing-ms", a->openai_ms)))
		return e;
	if (!whole)
		return ERRC_OK;
	return http1_put_header(b, "x-aigw-cost-usd",
				slice_of(cost, money_print(c->done.charge_nusd, 1, cost)));
}

static void answer(struct call *c, int status, struct buf *lines, const struct slice *body, size_t n)
{
	struct down_answer a = {.status = status, .fields = buf_slice(lines)};

	c->status = status;
	c->end_sent = true;
	if (down_conn_answer(c->down, &a, body, n))
		down_conn_cut(c->down);
}

void reply_body(struct call *c, int status, const char *type, struct slice body)
{
	struct buf *b = &c->host->scratch;
	enum errc e = reply_lines(c, b);

	if (!e)
		e = http1_put_header(b, "content-type", slice_str(type));
	if (e) {
		down_conn_cut(c->down);
		c->end_sent = true;
		return;
	}
	answer(c, status, b, &body, 1);
}

static enum errc fault_lines(struct call *c, struct buf *b, const struct fault *f)
{
	int64_t wait = fault_wait_ms(f);
	int status = fault_status(f);
	enum errc e;

	if ((e = reply_lines(c, b)) ||
	    (e = http1_put_header(b, "content-type", SLICE_LIT("application/json"))) ||
	    (e = http1_put_header(b, "x-should-retry",
				  fault_should_retry(f) ? SLICE_LIT("true") : SLICE_LIT("false"))) ||
	    (e = put_limits(c, b)))
		return e;
	if (wait > 0 && ((e = http1_put_header_i64(b, "retry-after", (wait + 999) / 1000)) ||
			 (e = http1_put_header_i64(b, "retry-after-ms", wait))))
		return e;
	if (status == 401 && (e = http1_put_header(b, "www-authenticate", SLICE_LIT("Bearer"))))
		return e;
	if (status == 405 && c->path.allow[0] &&
	    (e = http1_put_header(b, "allow", slice_str(c->path.allow))))
		return e;
	if (c->tried_n == 0)
		return ERRC_OK;
	/* A candidate that could not be tried any more is nobody who answered. */
	return c->attempt->start_us
		       ? put_provider(c, b, c->tried_n)
		       : http1_put_header_i64(b, "x-aigw-attempts", (int64_t)c->tried_n);
}

/* In the dialect of the route's family; what has none speaks OpenAI's. */
static enum errc write_fault(const struct call *c, struct buf *out)
{
	struct slice id = slice_str(c->id_text);

	if (c->front)
		return c->front->write_fault(&c->fault, id, out);
	return c->path.family == PATHS_FOR_ANTHROPIC ? fault_write_anthropic(&c->fault, id, out)
						     : fault_write_openai(&c->fault, id, out);
}

void reply_fault(struct call *c)
{
	struct buf *b = &c->host->scratch;
	struct buf body;
	struct slice s;
	enum errc e;

	buf_init(&body, FAULT_BODY_MAX);
	e = write_fault(c, &body);
	if (!e)
		e = fault_lines(c, b, &c->fault);
	s = buf_slice(&body);
	if (e) {
		down_conn_cut(c->down);
		c->end_sent = true;
	} else {
		answer(c, fault_status(&c->fault), b, &s, 1);
	}
	buf_fini(&body);
}

void reply_preflight(struct call *c)
{
	struct slice asked = http1_header(c->head, "access-control-request-headers");
	struct buf *b = &c->host->scratch;
	enum errc e = reply_lines(c, b);
	bool varies;

	if (!e && cors_origin(c, &varies).n) {
		e = http1_put_header(b, "access-control-allow-methods",
				     SLICE_LIT("GET, POST, DELETE, OPTIONS"));
		if (!e && asked.n)
			e = http1_put_header(b, "access-control-allow-headers",
					     slice_sub(asked, 0, 4096));
		if (!e)
			e = http1_put_header(b, "access-control-max-age", SLICE_LIT("86400"));
	}
	if (e) {
		down_conn_cut(c->down);
		c->end_sent = true;
		return;
	}
	answer(c, 204, b, NULL, 0);
}

enum errc reply_stream_head(struct call *c)
{
	struct buf *b = &c->host->scratch;
	struct down_answer a = {.status = 200};
	enum errc e;

	if ((e = reply_lines(c, b)) || (e = reply_lines_up(c, b, false)))
		return e;
	if (c->facts.stream) {
		if ((e = http1_put_header(b, "content-type",
					  SLICE_LIT("text/event-stream; charset=utf-8"))) ||
		    (e = http1_put_header(b, "cache-control", SLICE_LIT("no-cache"))) ||
		    (e = http1_put_header(b, "x-accel-buffering", SLICE_LIT("no"))))
			return e;
	} else if ((e = http1_put_header(b, "content-type", SLICE_LIT("application/json")))) {
		return e;
	}
	a.fields = buf_slice(b);
	e = down_conn_start(c->down, &a);
	if (e)
		return e;
	c->head_sent = true;
	c->status = 200;
	if (!c->first_us)
		c->first_us = call_now_us();
	return ERRC_OK;
}
