#include "call_steps.h"
#include "reply.h"

#define FLUSH_MS 250 /* contract A4: a finish chunk waits so long for its usage */

/* Whether what was encoded may go out now. */
static bool is_open(const struct call *c)
{
	const struct relay *r = &c->attempt->relay;

	/* With durability settle all of a whole answer waits for its charge, however long it is. */
	if (!c->facts.stream)
		return call_set(c)->durability != SETTINGS_DURABILITY_SETTLE &&
		       r->out.len > (size_t)call_set(c)->limit_answer_buffer_bytes;
	return r->committed || r->frames > LIMIT_HOLDBACK_FRAMES ||
	       r->out.len > LIMIT_HOLDBACK_BYTES;
}

/* With durability settle nothing goes out once the usage is known: it waits for the charge. */
static bool waits_for_charge(const struct call *c)
{
	return call_set(c)->durability == SETTINGS_DURABILITY_SETTLE && c->attempt->relay.settling;
}

static enum errc write_out(struct call *c)
{
	struct relay *r = &c->attempt->relay;
	enum errc e;

	if (!c->head_sent && (e = reply_stream_head(c)))
		return e;
	if (!c->commit_us) {
		c->commit_us = call_now_us();
		if (c->attempt->sent_us)
			call_body_free(
				c); /* no other candidate will need it, and it is not being sent any more */
	}
	e = down_conn_write(c->down, buf_slice(&r->out));
	if (down_conn_is_full(c->down))
		buf_fini(&r->out); /* nothing comes into it before the client has read */
	else
		buf_reset(&r->out);
	return e;
}

/* Flow control: reading stops while the client's buffer is full. */
static void mind_flow(struct call *c)
{
	struct call_attempt *a = c->attempt;
	bool full = c->down && down_conn_is_full(c->down);

	if (full != (a->full_ms > 0)) {
		a->waited_ms = call_waited_ms(c);
		a->full_ms = full ? turn_now_ms(call_turn(c)) : 0;
	}
	if (full == a->paused || a->ended || a->failed)
		return;
	a->paused = full;
	if (full)
		up_conn_read_stop(a->up);
	else
		up_conn_read_start(a->up);
	a->seen_us = turn_now_us(call_turn(c));
}

static void hold_or_flush(struct call *c)
{
	struct relay *r = &c->attempt->relay;
	int64_t now = turn_now_ms(call_turn(c));

	if (!relay_is_holding(r)) {
		c->flush_at_ms = 0;
	} else if (!c->flush_at_ms) {
		c->flush_at_ms = now + FLUSH_MS;
	} else if (now >= c->flush_at_ms) {
		relay_flush(r);
		c->flush_at_ms = 0;
	}
}

static bool is_empty_answer(const struct call *c)
{
	const struct relay *r = &c->attempt->relay;

	return r->ended && c->op == DIALECT_CHAT && !r->finish && r->content_events == 0;
}

/* The provider gave up, or says that something did, after the client had kept it waiting. An error item that tells another cause, such as
 * load, is the provider's all the same. */
static bool is_clients_doing(const struct call *c)
{
	return c->commit_us && call_is_held_up(c) &&
	       (c->attempt->failed || c->attempt->relay.verdict.breaks);
}

/* The answer failed: before commit another candidate, after it the error item. */
static enum call_next broken(struct call *c)
{
	struct call_attempt *a = c->attempt;
	struct relay *r = &a->relay;

	if (!c->commit_us && !(c->head_sent && !c->facts.stream))
		return call_failover(c);
	if (a->failed && a->errc == ERRC_NOMEM) {
		fault_errc(&c->fault, ERRC_NOMEM, "answer");
		return call_end(c, RECORD_END_INTERNAL);
	}
	if (is_clients_doing(c)) {
		if (a->failed)
			(void)call_attempt_fail_text(c); /* for the log */
		fault_set(&c->fault, FAULT_UPSTREAM,
			  "Provider `" SLICE_FMT "` broke off its answer, for which this client "
			  "had kept it waiting for %lld seconds.",
			  SLICE_ARG(a->provider->p->name), (long long)call_waited_ms(c) / 1000);
		return call_end(c, RECORD_END_CLIENT_SLOW);
	}
	if (a->failed)
		fault_set(&c->fault,
			  a->errc == ERRC_TIMEOUT ? FAULT_UPSTREAM_TIMEOUT : FAULT_UPSTREAM,
			  "Provider `" SLICE_FMT "` broke off its answer: %s.",
			  SLICE_ARG(a->provider->p->name), call_attempt_fail_text(c));
	else
		c->fault = r->fault;
	fault_hide(&c->fault, call_attempt_credential(a));
	return call_end(c, a->errc == ERRC_TIMEOUT && a->failed ? RECORD_END_TIMEOUT
								: RECORD_END_UPSTREAM_ERROR);
}

void call_answer_count(struct call *c)
{
	size_t n = c->attempt->relay.out.len;

	c->host->answer_bytes += n - c->answer_counted;
	c->answer_counted = n;
}

/* Answers that wait for their charge, or for their end, may be long, and many: of those that are, the one that grows is given up. */
static bool is_too_much(struct call *c)
{
	call_answer_count(c);
	if (c->answer_counted <= LIMIT_HOLDBACK_BYTES ||
	    c->host->answer_bytes <= (size_t)call_set(c)->limit_answer_memory_bytes)
		return false;
	fault_set(&c->fault, FAULT_BUSY,
		  "This node keeps as many answers as it may; try again in 1 second.");
	return true;
}

/* What may go out now: bytes of the answer, else a sign of life while its end is awaited. */
static enum errc send_on(struct call *c)
{
	const struct relay *r = &c->attempt->relay;

	if (r->out.len && c->down && is_open(c) && !waits_for_charge(c))
		return write_out(c);
	return r->ended || r->failed || c->attempt->failed ? ERRC_OK : call_sign_of_life(c);
}

enum call_next step_relay(struct call *c)
{
	struct call_attempt *a = c->attempt;
	struct relay *r = &a->relay;
	enum errc e;

	if (!r->ended && call_deadline_passed(c) && !call_leave_at_deadline(c))
		return call_end(c, RECORD_END_TIMEOUT);
	hold_or_flush(c);
	e = send_on(c);
	if (e || r->errc) {
		fault_errc(&c->fault, e ? e : r->errc, "answer");
		return call_end(c, RECORD_END_INTERNAL);
	}
	if (is_empty_answer(c) || r->failed || (a->failed && !r->ended))
		return broken(c);
	if (is_too_much(c))
		return call_end(c, RECORD_END_REJECTED);
	if (r->stopped)
		call_attempt_stop(c);
	if (r->ended)
		return call_end(c, c->down ? RECORD_END_DONE : RECORD_END_CLIENT_GONE);
	if (!c->down)
		buf_reset(&r->out); /* is only counted */
	if (call_leave_is_over(c))
		return call_end(c, RECORD_END_CLIENT_GONE);
	mind_flow(c);
	call_deadline_arm(c);
	return CALL_WAIT;
}
