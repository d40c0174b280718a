#include "call_steps.h"

/* After a failure before commit: the same candidate with its next key, or the next one. */
static enum call_next try_next(struct call *c, bool same)
{
	turn_timer_clear(&c->timer);
	c->next += !same;
	return call_goto(c, CALL_SEND);
}

/* Nobody waits for another candidate's answer. */
static enum call_next give_up(struct call *c)
{
	(void)call_attempt_judge(c);
	if (c->last)
		c->fault = *c->last;
	return call_end(c, RECORD_END_UPSTREAM_ERROR);
}

enum call_next call_failover(struct call *c)
{
	struct call_attempt *a = c->attempt;
	bool same;

	if (!c->down)
		return give_up(c);
	if (a->failed && a->stale) {
		call_attempt_end(c, -1);
		c->stale_retry = true;
		return try_next(c, true);
	}
	if (a->failed && a->errc == ERRC_NOMEM) {
		fault_errc(&c->fault, ERRC_NOMEM, "answer");
		return call_end(c, RECORD_END_INTERNAL);
	}
	if (!call_attempt_judge(c))
		return call_end(c, RECORD_END_REJECTED);
	same = a->of_key && a->provider->keys_n > 1;
	/* The client wants no failover; another key of the same provider is none. */
	if (c->wish.no_fallback && !same)
		return call_exhausted(c);
	return try_next(c, same);
}

enum call_next step_head(struct call *c)
{
	struct call_attempt *a = c->attempt;
	enum errc e;

	if (call_deadline_passed(c) && !call_leave_at_deadline(c)) {
		call_attempt_record(c, a->head ? a->status : 0, "timeout");
		call_attempt_count(c, "timeout");
		call_attempt_end(c, call_timeout_verdict(c));
		return call_end(c, RECORD_END_TIMEOUT);
	}
	if (a->failed || (a->error && (a->ended || a->too_long)))
		return call_failover(c);
	if (call_leave_is_over(c))
		return call_end(c, RECORD_END_CLIENT_GONE);
	if ((e = call_sign_of_life(c))) {
		fault_errc(&c->fault, e, "head");
		return call_end(c, RECORD_END_INTERNAL);
	}
	if (a->head && !a->error) {
		call_attempt_note(c, a->status, -1, false);
		return CALL_MORE;
	}
	call_deadline_arm(c);
	return CALL_WAIT;
}
