#include "apikey.h"
#include "call_steps.h"
#include "http1.h"
#include "reply.h"

#define ITEM_MAX (64 * 1024)
#define REST_MS  1000 /* a provider that sent its last event has so long to end the body */

/* The proper end: what is left goes out together with the final chunk, in one write. */
static enum errc finish_done(struct call *c)
{
	struct relay *r = &c->attempt->relay;
	struct buf *b = &c->host->scratch;
	struct down_answer ans = {.status = 200};
	struct slice body;
	enum errc e = relay_seal(r, &c->usage);

	if (e)
		return e;
	body = buf_slice(&r->out);
	if (!c->head_sent && !c->facts.stream) {
		if ((e = reply_lines(c, b)) || (e = reply_lines_up(c, b, true)) ||
		    (e = http1_put_header(b, "content-type", SLICE_LIT("application/json"))))
			return e;
		ans.fields = buf_slice(b);
		c->status = 200;
		c->first_us = call_now_us();
		e = down_conn_answer(c->down, &ans, &body, 1);
	} else {
		if (!c->head_sent && (e = reply_stream_head(c)))
			return e;
		if ((e = down_conn_write(c->down, body)) || (e = down_conn_end(c->down)))
			return e;
	}
	buf_reset(&r->out);
	c->end_sent = !e;
	return e;
}

/* A stream that is out already ends with the error item and a connection that is visibly cut. What stands unsent is dropped: it waited for a
 * charge that was taken back, or was not wholly written. */
static void finish_cut(struct call *c)
{
	struct buf item;

	buf_init(&item, ITEM_MAX);
	if (c->facts.stream &&
	    c->front->write_fault_event(&c->fault, slice_str(c->id_text), &item) == ERRC_OK)
		(void)!down_conn_write(c->down, buf_slice(&item));
	buf_fini(&item);
	down_conn_cut(c->down);
	c->end_sent = true;
}

static void attempts_into_fault(struct call *c)
{
	c->fault.attempts = c->tried;
	c->fault.attempts_n = c->tried_n;
	c->fault.attempts_made = (int)c->tried_n;
}

static void hide_secrets(struct call *c)
{
	apikey_hide(c->fault.message,
		    strlen(c->fault.message)); /* it may repeat what the client said */
}

void call_tell_fault(struct call *c)
{
	hide_secrets(c);
	if (!fault_is_set(&c->fault))
		fault_set(&c->fault, FAULT_INTERNAL, NULL);
	attempts_into_fault(c);
	if (c->head_sent)
		finish_cut(c);
	else
		reply_fault(c);
}

enum call_next step_finish(struct call *c)
{
	enum errc e;

	c->end_us = call_now_us();
	hide_secrets(c);
	if (!c->down || c->end_sent)
		return CALL_MORE;
	if (c->end == RECORD_END_DONE) {
		e = finish_done(c);
		if (!e)
			return CALL_MORE;
		c->end = relay_fault(e, &c->fault) ? RECORD_END_UPSTREAM_ERROR : RECORD_END_INTERNAL;
	}
	call_tell_fault(c);
	return CALL_MORE;
}

enum call_next step_sent(struct call *c)
{
	if (c->down)
		return CALL_WAIT;
	c->end_us = call_now_us();
	return CALL_MORE;
}

enum call_next step_log(struct call *c)
{
	if (!c->unlogged) {
		call_access_log(c);
		call_count(c);
	}
	return CALL_MORE;
}

enum call_next step_rest(struct call *c)
{
	struct call_attempt *a = c->attempt;
	int64_t now = turn_now_ms(call_turn(c));

	if (a && a->up && !a->ended && !a->failed && call_is_whole(c)) {
		if (!c->rest_until_ms) {
			c->rest_until_ms = now + REST_MS;
			turn_timer_set(&c->timer, c->rest_until_ms);
			return CALL_WAIT;
		}
		if (now < c->rest_until_ms)
			return CALL_WAIT;
	}
	if (a && a->up)
		call_attempt_end(c, call_is_whole(c) ? 1 : -1);
	return CALL_MORE;
}
