/* The client left before its answer was complete. Under policy `abort` the provider is left too, at once, and what was seen by then is charged:
 * what it generated and did not show yet (hidden reasoning) is lost to us. Under `drain` its answer is read on, for nobody, so that its usage
 * is known: up to the caps of the settings, and never beyond the hold. No other candidate is tried for a client that is gone. A client whose own
 * time is over has left too, though it is told so. */
#include "call_steps.h"

static bool is_to_be_drained(const struct call *c)
{
	uint8_t own = c->key ? c->key->flags & (ROWS_KEY_DRAIN | ROWS_KEY_ABORT) : 0;

	/* Before the request is out there is nothing to wait for. */
	if ((c->step != CALL_HEAD && c->step != CALL_RELAY) || !c->attempt->sent_us)
		return false;
	return own ? own & ROWS_KEY_DRAIN : call_set(c)->client_gone == SETTINGS_CLIENT_GONE_DRAIN;
}

static uint64_t bytes_of(const struct call *c)
{
	const struct relay *r = &c->attempt->relay;

	return c->facts.stream ? r->content_bytes : r->taken;
}

void call_leave(struct call *c)
{
	if (!is_to_be_drained(c)) {
		call_cancel(c, RECORD_END_CLIENT_GONE);
		return;
	}
	c->left_ms = turn_now_ms(call_turn(c));
	c->left_bytes = bytes_of(c);
	c->left_tokens = relay_output(&c->attempt->relay);
}

bool call_leave_at_deadline(struct call *c)
{
	if (!c->down || !call_deadline_is_clients(c) || !is_to_be_drained(c))
		return false;
	call_tell_fault(c);
	c->bytes_in = down_conn_bytes_in(c->down);
	c->bytes_out = down_conn_bytes_out(c->down);
	down_conn_detach(&c->down); /* what was written is still sent */
	c->head = NULL;
	call_leave(c);
	return true;
}

int64_t call_leave_until(const struct call *c)
{
	int64_t most = call_set(c)->client_gone_time_ms;

	return c->down || !c->left_ms || most <= 0 ? INT64_MAX : c->left_ms + most;
}

bool call_leave_is_over(const struct call *c)
{
	const struct settings *set = call_set(c);

	if (c->down || !c->left_ms)
		return false;
	return turn_now_ms(call_turn(c)) >= call_leave_until(c) ||
	       bytes_of(c) - c->left_bytes > (uint64_t)set->client_gone_cap_bytes ||
	       (set->client_gone_tokens > 0 &&
		relay_output(&c->attempt->relay) - c->left_tokens > set->client_gone_tokens);
}
